"""A stack's values with its secrets in plain, which only the engine can read: for asking, never for showing."""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from automation import backend, stack_file
from automation.errors import Stopped
from automation.worker import SECRET
from provider.storage import Storage

_READ_SECONDS: Final = 20.0

ENVIRONMENT: Final = {
    # What a stack may say to the providers, and the variable that says the same; the stack's word counts first.
    # https://www.pulumi.com/registry/packages/azure-native/installation-configuration/#configuration-reference
    "azure-native:clientId": "ARM_CLIENT_ID",
    "azure-native:clientSecret": "ARM_CLIENT_SECRET",
    "azure-native:tenantId": "ARM_TENANT_ID",
    "azure-native:subscriptionId": "ARM_SUBSCRIPTION_ID",
    "azure-native:environment": "ARM_ENVIRONMENT",
    "azure-native:metadataHost": "ARM_METADATA_HOSTNAME",
    "azure-native:useOidc": "ARM_USE_OIDC",
    "azure-native:useMsi": "ARM_USE_MSI",
    "azure-native:clientCertificatePath": "ARM_CLIENT_CERTIFICATE_PATH",
    # https://www.pulumi.com/registry/packages/gcp/installation-configuration/#configuration-reference
    "gcp:project": "GOOGLE_PROJECT",
    "gcp:credentials": "GOOGLE_CREDENTIALS",
    "gcp:accessToken": "GOOGLE_OAUTH_ACCESS_TOKEN",
    # AWS has none: components/aws.py makes a provider of its own, which the stack's aws:… values do not reach.
}


@dataclass(frozen=True)
class StackValues:
    """The values of one stack, by full key.

    Attributes:
        project: the project's name, which is before each of its keys.
        values: what is set, secrets in plain.
        secrets: the values that are secret.
        problem: why the secrets could not be read; empty where they could.
    """

    project: str
    values: Mapping[str, Any] = field(repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    problem: str = ""

    def get(self, key: str) -> str:
        """Return a value of the project's as text; empty where it is not set."""
        value = self.values.get(f"{self.project}:{key}")
        return "" if value is None or value == SECRET else str(value)

    def environment(self, given: Mapping[str, str]) -> dict[str, str]:
        """Return the variables that the clouds' providers read, with what the stack says in their place."""
        own = {
            name: str(self.values[key])
            for key, name in ENVIRONMENT.items()
            if self.values.get(key) not in (None, "", SECRET)
        }
        return {**given, **own}

    def storage(self, bucket: str) -> Storage | None:
        """Return the stack's storage, or None where its keys are not known.

        Raises:
            ValidationError: the endpoint is no https:// URL, or the bucket's name can't be one.
        """
        keys = (self.get("storageAccessKeyId"), self.get("storageSecretAccessKey"))
        if not all(keys):
            return None
        return Storage(
            endpoint=self.get("storageEndpoint"),
            region=self.get("storageRegion") or "auto",
            bucket=bucket,
            access_key_id=keys[0],
            secret_access_key=keys[1],
            ca_certificate=self.get("storageCaCertificate") or None,
        )


def read(
    project: Path, stack: str, given: Mapping[str, str], secrets_of: tuple[Path, str] | None = None
) -> StackValues:
    """Return a stack's values; those that are given with their full keys count before the stack's own.

    Args:
        project: folder of the Pulumi program.
        stack: the stack's name.
        given: the values that count before its own.
        secrets_of: project and name of a stack that has the same secrets; None where the stack itself is there.

    Raises:
        Stopped: there is no project, or its files can't be read.
    """
    name = stack_file.project_name(project)
    plain = stack_file.everything(project, stack, given)
    if SECRET not in plain.values():
        return StackValues(name, plain)
    of_project, of_stack = secrets_of or (project, stack)
    try:
        told = _decrypted(of_project, of_stack, stack_file.path_of(of_project, of_stack).read_text())
    except (Stopped, OSError, ValueError, subprocess.TimeoutExpired) as error:
        return StackValues(name, plain, problem=_first_line(str(error)) or type(error).__name__)
    opened = {key: told.get(key, value) if value == SECRET else value for key, value in plain.items()}
    hidden = tuple(str(told[key]) for key, value in plain.items() if value == SECRET and key in told)
    return StackValues(name, opened, hidden)


def of_clouds(project: Path, stack: str) -> StackValues:
    """Return a stack's values for asking its cloud; the engine is asked for secrets only if the cloud's are among them.

    Raises:
        Stopped: there is no project, or its files can't be read.
    """
    plain = stack_file.everything(project, stack, {})
    if any(plain.get(key) == SECRET for key in ENVIRONMENT):
        return read(project, stack, {})
    return StackValues(stack_file.project_name(project), plain)


def hidden_values(values: StackValues, environment: Mapping[str, str]) -> Iterator[str]:
    """Return every text that may not be shown: the stack's secrets, and the keys that the environment holds."""
    yield from values.secrets
    for name in (
        *("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "ARM_CLIENT_SECRET", "ARM_OIDC_TOKEN"),
        *("GOOGLE_CREDENTIALS", "GOOGLE_CLOUD_KEYFILE_JSON", "GCLOUD_KEYFILE_JSON", "GOOGLE_OAUTH_ACCESS_TOKEN"),
        *("PULUMI_CONFIG_PASSPHRASE", "PULUMI_ACCESS_TOKEN"),
    ):
        yield environment.get(name, "")


@lru_cache(maxsize=4)
def _decrypted(project: Path, stack: str, text: str) -> Mapping[str, str]:  # noqa: ARG001 - another text, other values
    """Return a stack's values in plain; all launches of a server begin with the same file, of which this is the text.

    The engine takes half a second of a processor for it.
    """
    command = [str(backend.engine_folder() / "pulumi"), "--non-interactive", "config", "--json", "--show-secrets"]
    environment = {**os.environ, **backend.environment(os.environ)}
    with stack_file.untouched(project, stack):
        done = subprocess.run(
            [*command, "--stack", stack],
            cwd=project,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=_READ_SECONDS,
            stdin=subprocess.DEVNULL,
        )
    if done.returncode != 0:
        raise OSError(_first_line(done.stderr.removeprefix("error: ")))
    return {key: str(item["value"]) for key, item in json.loads(done.stdout).items() if "value" in item}


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "")
