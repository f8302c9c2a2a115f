"""The stack's config as frozen models, one per provider, and every reason why it is refused at once."""

import re
from collections.abc import Callable, Mapping
from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Any, Final, Literal, Protocol, Self, get_args
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails

from components import catalog
from components.refusal import Refusal
from provider.manifest import split_uri

Network = IPv4Network | IPv6Network
ModelName = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$")]

_NAME_CHARACTERS: Final = 41


class SettingsRefused(Refusal):
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
    storage_ca_certificate: str = ""
    """PEM of the authority that signed the storage's certificate, where it is a private one."""
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


class CloudSettings(NodeSettings):
    """What the clouds have in common. Prices are in USD/hour."""

    region: str = Field(pattern=r"^[a-z0-9-]+$")
    zone: str = Field(pattern=r"^[a-z0-9-]*$")
    """A zone of the region; empty where the cloud may choose one."""
    instance_type: str = Field(min_length=1)
    """The cloud's name for the machine's size, as in the catalog."""
    spot: bool
    """Whether the cloud may take the machine back, for a lower price."""
    max_price_per_hour: float = Field(ge=0)
    """The most to pay for a spot machine; 0 means up to the on-demand price."""
    allowed_cidrs: tuple[Network, ...]
    """Who may reach the endpoint. There is no open default."""
    ssh_public_key: str = Field(pattern=r"^(ssh-\S+ \S+.*)?$")
    """Who may log in; empty lets nobody."""
    ssh_allowed_cidrs: tuple[Network, ...]
    """From where; empty from nowhere."""
    disk_gib: int = Field(ge=50, le=16384)
    """Size of the encrypted disk in GiB."""
    on_eviction: Literal["delete", "stop"]
    """What becomes of a spot machine that the cloud takes back; `stop` keeps its disk, which costs."""
    subnet: str
    """An existing subnet by the cloud's own id; empty makes a network for this node."""
    owner: str = Field(pattern=r"^[a-z0-9_-]{0,63}$")
    """Who pays, for the tags."""
    plane: str = Field(default="", pattern=r"^[a-z0-9-]{0,63}$")
    """Which control plane launches it, for the tags; empty where a person does."""

    @field_validator("storage_endpoint")
    @classmethod
    def _has_a_bucket(cls, value: str) -> str:
        if not value:
            raise ValueError("the https:// URL of the bucket's S3 API: the clouds have no storage of their own here")
        return value

    @field_validator("instance_type")
    @classmethod
    def _is_sold(cls, value: str) -> str:
        try:
            catalog.instance_type(cls.provider_name(), value)
        except catalog.UnknownName as error:
            raise ValueError(str(error)) from error
        return value

    @field_validator("allowed_cidrs")
    @classmethod
    def _is_for_somebody(cls, value: tuple[Network, ...]) -> tuple[Network, ...]:
        if not value:
            raise ValueError("at least one network, such as 203.0.113.7/32; 0.0.0.0/0 is everybody")
        return value

    @field_validator("ssh_allowed_cidrs")
    @classmethod
    def _has_a_key(cls, value: tuple[Network, ...], info: ValidationInfo) -> tuple[Network, ...]:
        if value and not info.data.get("ssh_public_key"):
            raise ValueError("nothing, since sshPublicKey is not set")
        return value

    @model_validator(mode="after")
    def _region_sells_it(self) -> Self:
        regions = self.machine_type.regions
        if self.region not in regions:
            raise ValueError(
                f"region {self.region!r} does not sell {self.instance_type}; allowed: {', '.join(regions)}"
            )
        return self

    @classmethod
    def provider_name(cls) -> str:
        """Return the provider's name in the catalog."""
        (name,) = get_args(cls.model_fields["provider"].annotation)
        return str(name)

    @property
    def machine_type(self) -> catalog.InstanceType:
        """What the catalog knows of the machine."""
        return catalog.instance_type(self.provider_name(), self.instance_type)

    @property
    def catalog_price(self) -> float:
        """The catalog's price in the region in USD/hour, of the day that it is from; 0 where it knows none."""
        rows = [
            row
            for row in catalog.prices(self.provider_name(), self.instance_type)
            if row.region == self.region and row.zone in (None, self.zone or row.zone)
        ]
        known = [price for row in rows if (price := row.spot if self.spot else row.on_demand) is not None]
        return min(known, default=0.0)


class AwsSettings(CloudSettings):
    """An EC2 instance."""

    provider: Literal["aws"]


class AzureSettings(CloudSettings):
    """A virtual machine of Azure."""

    provider: Literal["azure"]
    zone: str = Field(pattern=r"^[1-3]?$")
    """1, 2 or 3; empty lets Azure choose."""
    resource_group: str = Field(pattern=r"^[A-Za-z0-9_.()-]{0,89}$")
    """An existing resource group; empty makes one."""


class GcpSettings(CloudSettings):
    """An instance of Compute Engine."""

    provider: Literal["gcp"]
    zone: str = Field(pattern=r"^[a-z]+-[a-z]+[0-9]+-[a-z]$")
    """Compute Engine has no machine without a zone."""

    @field_validator("zone")
    @classmethod
    def _is_of_region(cls, value: str, info: ValidationInfo) -> str:
        region = info.data.get("region", "")
        if not value.startswith(f"{region}-"):
            raise ValueError(f"a zone of {region}, such as {region}-b")
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


Settings = LocalSettings | AwsSettings | AzureSettings | GcpSettings
"""The union of all providers' settings, told apart by `provider`."""

_MODELS: Final[Mapping[str, type[Settings]]] = {
    "local": LocalSettings,
    "aws": AwsSettings,
    "azure": AzureSettings,
    "gcp": GcpSettings,
}
SECRETS: Final = frozenset({"storageAccessKeyId", "storageSecretAccessKey"})
"""Keys that have to be encrypted in the stack's file."""
_LISTS: Final = frozenset({"vllmArguments", "allowedCidrs", "sshAllowedCidrs"})


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
        return model.model_validate({**values, "name": node_name(stack)})
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
        raise SettingsRefused("\n".join(_problem(problem, given) for problem in problems)) from error


def node_name(stack: str) -> str:
    """Return a stack's name in the characters that every cloud takes for a machine."""
    return re.sub(r"[^a-z0-9]+", "-", stack.lower()).strip("-")[:_NAME_CHARACTERS] or "node"


def _problem(problem: ErrorDetails, given: Mapping[str, object]) -> str:
    allowed = problem["msg"].removeprefix("Value error, ")
    # A rule between several fields names them itself; it is the region that is easiest to change.
    location = problem["loc"] or ("region",)
    return _line(".".join(map(str, location)), given.get(str(location[0])), allowed)


def _line(field: str, given: object, allowed: str) -> str:
    shown = "nothing" if given in (None, "") else "a value in plain text" if field in SECRETS else repr(given)
    command = "pulumi config set --secret" if field in SECRETS else "pulumi config set"
    return f"liftoff:{field}: given {shown}; allowed: {allowed}. Set it: {command} liftoff:{field} VALUE"
