"""The stack's config as frozen models, one per provider, and every reason why it is refused at once."""

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal, Protocol
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, ValidationInfo, field_validator
from pydantic.alias_generators import to_camel

from provider.manifest import split_uri

ModelName = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$")]

_NAME_CHARACTERS: Final = 41


class SettingsRefused(Exception):  # noqa: N818 - named after the decision
    """The stack's config can't be used. The text has a line for each field: what was given and what is allowed."""


class Config(Protocol):
    """The part of `pulumi.Config` that is used."""

    def get(self, key: str) -> str | None:
        """Return a value as text."""

    def get_object(self, key: str) -> Any | None:  # noqa: ANN401 - JSON
        """Return a value that is JSON."""


class NodeSettings(BaseModel):
    """What every provider has in common. Times are in seconds."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
    )

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,40}$")
    """The node's name, made from the stack's."""
    model: ModelName
    """Name under which the model is served."""
    weights: str
    """`s3://BUCKET/PREFIX` of the weights."""
    storage_endpoint: str = ""
    """https:// URL of the bucket's S3 API; empty where the provider has storage of its own."""
    storage_region: str = "auto"
    """Region of the bucket; `auto` for R2."""
    storage_access_key_id: str = Field(default="", repr=False)
    """Access key that may read and write the bucket."""
    storage_secret_access_key: str = Field(default="", repr=False)
    """Its secret."""
    max_model_len: int = Field(default=0, ge=0)
    """Longest context in tokens; 0 leaves it to vLLM."""
    vllm_arguments: tuple[str, ...] = ()
    """Further arguments for vLLM's server."""
    boot_deadline_seconds: int = Field(ge=10, le=24 * 3600)
    """A node that has not answered a completion after this time has failed."""
    lifetime_seconds: int = Field(ge=600, le=31 * 24 * 3600)
    """The node ends itself after this time."""

    @field_validator("storage_endpoint")
    @classmethod
    def _only_https(cls, value: str) -> str:
        if value and (urlsplit(value).scheme != "https" or not urlsplit(value).hostname):
            raise ValueError("must be an https:// URL")
        return value

    @field_validator("storage_access_key_id", "storage_secret_access_key")
    @classmethod
    def _given_with_endpoint(cls, value: str, info: ValidationInfo) -> str:
        if not value and info.data.get("storage_endpoint"):
            raise ValueError("a key, since storageEndpoint is set")
        return value

    @property
    def bucket(self) -> str:
        """The bucket of weights and mailbox."""
        return split_uri(self.weights)[0]

    @field_validator("weights")
    @classmethod
    def _is_uri(cls, value: str) -> str:
        split_uri(value)
        return value


class LocalSettings(NodeSettings):
    """A machine on this host."""

    provider: Literal["local"]
    isolation: Literal["auto", "nspawn", "process"]
    image: Literal["baked", "base"]
    memory_mib: int = Field(alias="memoryMiB", ge=1024)
    """Memory limit of the machine in MiB."""
    cpus: int = Field(ge=1)
    """Processors of the machine."""


Settings = LocalSettings
"""The union of all providers' settings, told apart by `provider`."""

_MODELS: Final[Mapping[str, type[LocalSettings]]] = {"local": LocalSettings}
SECRETS: Final = frozenset({"storageAccessKeyId", "storageSecretAccessKey"})
"""Keys that have to be encrypted in the stack's file."""
_LISTS: Final = frozenset({"vllmArguments"})


def load(config: Config, stack: str, *, is_encrypted: Callable[[str], bool]) -> Settings:
    """Return the stack's settings.

    Args:
        config: the project's config.
        stack: the stack's name.
        is_encrypted: whether the value of a key is encrypted in the stack's file.

    Raises:
        SettingsRefused: with every field that can't be used.
    """
    provider = config.get("provider") or ""
    if provider not in _MODELS:
        raise SettingsRefused(_line("provider", provider, f"one of {', '.join(_MODELS)}"))
    model = _MODELS[provider]
    keys = {field.alias or name for name, field in model.model_fields.items()} - {"name"}
    given = {key: config.get_object(key) if key in _LISTS else config.get(key) for key in keys}
    plain = [key for key in sorted(SECRETS) if given[key] and not is_encrypted(key)]
    if plain:
        raise SettingsRefused("\n".join(_line(key, given[key], "an encrypted value") for key in plain))
    # Given as empty, so that a missing one is validated, too.
    values = dict.fromkeys(SECRETS, "") | {key: value for key, value in given.items() if value is not None}
    try:
        return TypeAdapter(model).validate_python({**values, "name": node_name(stack)})
    except ValidationError as error:
        raise SettingsRefused(
            "\n".join(
                _line(
                    ".".join(map(str, problem["loc"])),
                    given.get(str(problem["loc"][0])),
                    problem["msg"].removeprefix("Value error, "),
                )
                for problem in error.errors(include_url=False, include_input=False)
            )
        ) from error


def node_name(stack: str) -> str:
    """Return a stack's name in the characters that every cloud takes for a machine."""
    return re.sub(r"[^a-z0-9]+", "-", stack.lower()).strip("-")[:_NAME_CHARACTERS] or "node"


def _line(field: str, given: object, allowed: str) -> str:
    shown = "nothing" if given in (None, "") else "a value in plain text" if field in SECRETS else repr(given)
    command = "pulumi config set --secret" if field in SECRETS else "pulumi config set"
    return f"liftoff:{field}: given {shown}; allowed: {allowed}. Set it: {command} liftoff:{field} VALUE"
