"""`liftoff check` as a user types it, against the clouds' APIs."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from automation import check_command
from tests.clouds.aws_api import AwsApi
from tests.clouds.azure_api import CONTRIBUTOR, AzureApi
from tests.clouds.cloud import World
from tests.clouds.gcp_api import GcpApi
from tests.clouds.http_api import Refusal

from .bucket_server import SECRET, BucketServer
from .conftest import MODEL, STACKS, WriteStack

DOCS = (Path(__file__).parents[3] / "docs" / "cli.md").read_text()


def run(folder: Path, *arguments: str) -> Result:
    app = typer.Typer()
    app.command()(check_command.check)
    return CliRunner().invoke(app, ["--project", str(folder), "--stack", "s", *arguments])


def records(done: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def states(done: Result) -> dict[str, set[str]]:
    """Return the states of each cloud's findings."""
    found: dict[str, set[str]] = {}
    for one in records(done):
        if one["type"] == "finding":
            found.setdefault(one["provider"], set()).add(one["state"])
    return found


@pytest.fixture
def project(bucket: BucketServer, write_stack: WriteStack) -> Path:
    return write_stack({**bucket.values(), "model": MODEL, **STACKS["gcp"]})


def changed(write_stack: WriteStack, bucket: BucketServer, values: Mapping[str, Any]) -> Path:
    return write_stack({**bucket.values(), "model": MODEL, **values})


def test_a_stack_that_lacks_nothing_is_told_so_line_by_line(project: Path, gcp: GcpApi) -> None:
    done = run(project, "--json", "--provider", "gcp")
    assert done.exit_code == 0, done.output
    subjects = [(one["subject"], one["state"]) for one in records(done)[:-1]]
    assert subjects == [
        (name, "ok") for name in ("credentials", "permissions", "services", "quota", "bucket", "mailbox")
    ]
    assert records(done)[-1] == {"type": "result", "operation": "check", "ok": True, "stack": "s", "kind": None}


def test_a_cloud_without_credentials_fails_only_where_it_is_named(project: Path, gcp: GcpApi) -> None:
    every = run(project, "--json")
    assert every.exit_code == 0, every.output
    assert states(every) == {"aws": {"skipped"}, "azure": {"skipped"}, "gcp": {"ok"}, "storage": {"ok"}}
    named = run(project, "--json", "--provider", "aws")
    assert named.exit_code == 12
    assert states(named) == {"aws": {"missing"}, "storage": {"ok"}}


def test_a_local_stack_needs_a_bucket_only_where_a_cloud_is_named(write_stack: WriteStack, gcp: GcpApi) -> None:
    folder = write_stack({"provider": "local", "model": "tiny-llama", "weights": "s3://liftoff/models/tiny-llama"})
    assert run(folder).exit_code == 0
    named = run(folder, "--provider", "gcp", "--json")
    assert (named.exit_code, states(named)["storage"]) == (13, {"missing"})


def test_the_stacks_own_cloud_counts_as_named(bucket: BucketServer, write_stack: WriteStack) -> None:
    done = run(changed(write_stack, bucket, STACKS["aws"]), "--json")
    assert done.exit_code == 12
    assert states(done)["aws"] == {"missing"}
    assert states(done)["gcp"] == {"skipped"}


def test_each_sort_of_lack_has_its_exit_code(
    bucket: BucketServer, write_stack: WriteStack, gcp: GcpApi, world: World
) -> None:
    folder = changed(write_stack, bucket, STACKS["gcp"])
    gcp.refusals.append(Refusal("testIamPermissions", 429, {"error": {"code": 429, "message": "too many"}}))
    assert run(folder, "--provider", "gcp").exit_code == 14
    world.market.quotas["gcp", "us-central1", "PREEMPTIBLE_NVIDIA_L4_GPUS"] = 0
    assert run(folder, "--provider", "gcp").exit_code == 11
    bucket.objects.clear()
    assert run(folder, "--provider", "gcp").exit_code == 13
    bucket.denied.add("PUT")
    assert run(folder, "--provider", "gcp").exit_code == 12


def test_the_table_says_what_to_do_next(
    bucket: BucketServer, write_stack: WriteStack, azure_login: AzureApi, world: World
) -> None:
    azure_login.permissions = [CONTRIBUTOR]
    world.market.quotas["azure-native", "eastus", "LowPriorityCores"] = 3
    done = run(changed(write_stack, bucket, STACKS["azure"]), "--provider", "azure")
    text = " ".join(done.stdout.split())
    assert done.exit_code == 12
    assert "36 vCPUs needed, 0 of 3 used" in text
    assert "→ assign" in text
    assert "A launch would end with: credentials." in text


def test_without_a_type_the_models_cheapest_of_each_cloud_is_looked_up(
    bucket: BucketServer, write_stack: WriteStack, aws: AwsApi, azure_login: AzureApi, gcp: GcpApi
) -> None:
    done = run(changed(write_stack, bucket, {"provider": "local"}), "--json")
    quotas = [one["message"] for one in records(done) if one.get("subject") == "quota"]
    assert len(quotas) == 3
    # Only the role for spot machines is missing in an account that was never used.
    missing = [one["subject"] for one in records(done) if one.get("state") == "missing"]
    assert (missing, done.exit_code) == (["spot role"], 12)


def test_types_and_regions_can_be_named_and_belong_to_one_cloud(project: Path, gcp: GcpApi) -> None:
    choice = ("--instance-type", "a2-highgpu-1g", "--region", "us-central1", "--region", "europe-west4")
    done = run(project, "--json", "--market", "on-demand", *choice)
    quotas = [one["message"].split(":")[0] for one in records(done) if one.get("subject") == "quota"]
    assert quotas == ["a2-highgpu-1g on-demand in us-central1", "a2-highgpu-1g on-demand in europe-west4"]


def test_with_either_market_room_on_one_of_them_is_enough(project: Path, gcp: GcpApi, world: World) -> None:
    world.market.quotas["gcp", "us-central1", "PREEMPTIBLE_NVIDIA_L4_GPUS"] = 0
    assert run(project, "--provider", "gcp").exit_code == 11
    done = run(project, "--provider", "gcp", "--market", "auto", "--json")
    quotas = [(one["state"], one["kind"]) for one in records(done) if one.get("subject") == "quota"]
    assert (quotas, done.exit_code) == ([("missing", None), ("ok", None)], 0)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--provider", "aqs"], "--provider: given 'aqs'; allowed: aws, azure, gcp"),
        (["--instance-type", "g9.xlarge"], "g9.xlarge"),
        (["--region", "useast1"], "useast1"),
    ],
)
def test_a_name_that_is_not_known_is_told_with_those_that_are(project: Path, arguments: list[str], words: str) -> None:
    done = run(project, *arguments)
    assert done.exit_code == 13
    assert words in done.output


def test_no_key_is_ever_shown_even_where_a_cloud_repeats_it(
    bucket: BucketServer,
    write_stack: WriteStack,
    azure_login: AzureApi,
    aws: AwsApi,
    gcp: GcpApi,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keys = {
        "ARM_CLIENT_SECRET": "a-wrong-client-secret",
        "AWS_SECRET_ACCESS_KEY": "an-aws-secret-key",
        "GOOGLE_OAUTH_ACCESS_TOKEN": "a-google-token-1234",
    }
    for name, value in keys.items():
        monkeypatch.setenv(name, value)
    said = {"error": {"code": 401, "message": f"bad token {keys['GOOGLE_OAUTH_ACCESS_TOKEN']}"}}
    gcp.refusals.append(Refusal("/projects/", 401, said))
    bucket.denied.update({"GET", "PUT"})
    folder = changed(write_stack, bucket, STACKS["azure"])
    for form in ([], ["--json"]):
        done = run(folder, *form)
        assert done.exit_code == 12
        for value in (*keys.values(), SECRET):
            assert value not in done.output
    # Azure repeats the secret, and its words are shown without it.
    assert "Invalid client secret provided: [secret]" in done.output


def test_the_command_and_its_options_are_documented() -> None:
    app = typer.Typer(add_completion=False)
    app.command()(check_command.check)
    section = re.search(r"^## `liftoff check`.*?(?=^## |\Z)", DOCS, re.MULTILINE | re.DOTALL)
    assert section is not None
    command: Any = typer.main.get_command(app)
    options = [option for one in command.params for option in one.opts if option.startswith("--")]
    assert [option for option in options if f"`{option}" not in section[0]] == []
    assert "| `finding` |" in DOCS
