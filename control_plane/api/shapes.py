"""The answers of the API, in the form of docs/api.md."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from control_plane.request import LaunchAsked, Provider

LaunchStatus = Literal["queued", "running", "cancelling", "succeeded", "failed", "cancelled"]
NodeState = Literal["healthy", "unhealthy", "interrupted", "evicted", "terminating", "gone"]
Moment = Annotated[str, Field(json_schema_extra={"format": "date-time"}, description="RFC 3339, in UTC")]
Usd = Annotated[float, Field(ge=0)]


class Shape(BaseModel):
    """A part of an answer."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())


class WrongField(Shape):
    """What is wrong with one field of a request."""

    field: str
    given: str | int | float | bool | None = Field(description="as it was given, unless it is a secret")
    allowed: str


class Problem(Shape):
    """Why a request is not carried out: https://www.rfc-editor.org/rfc/rfc9457."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    hint: str = Field(description="what to do next; may be empty")
    errors: list[WrongField] | None = Field(default=None, description="left out where no field is to blame")


class Failure(Shape):
    """Why an attempt, or a launch, failed."""

    kind: str
    code: str
    stage: str
    resource: str
    message: str
    hint: str
    log: list[str]


class Offered(Shape):
    """One machine to be had at a price in USD/hour."""

    provider: Provider
    region: str
    zone: str
    instance_type: str
    gpu: str
    spot: bool
    price: Usd
    source: str


class Offer(Offered):
    """An offer, and how the model fits it; memory is null where it is this host's own."""

    seen: str | None = Field(description="the day of the price; null where it is not known")
    read_at: Moment | None = Field(description="when a live price was read; null for one of the catalog")
    placement_score: int | None = Field(description="AWS's guess, 1 to 10, of how likely spot capacity is")
    max_model_len: int
    gpu_memory_gib: float | None
    needed_gib: float | None
    notes: list[str]


class Offers(Shape):
    """What a launch would try, cheapest first, and what it would not."""

    offers: list[Offer]
    refused: list[str]


class Attempt(Shape):
    """What became of one offer."""

    number: int
    offer: Offered
    state: Literal["skipped", "running", "succeeded", "failed"]
    reason: str = Field(description="why it was skipped; else empty")
    started_at: Moment | None
    ended_at: Moment | None
    error: Failure | None


class Span(Shape):
    """When a stage was on; `ended_at` is null while it is."""

    stage: str
    started_at: Moment
    ended_at: Moment | None


class Interruption(Shape):
    """That its cloud takes a node back, and what comes in its place."""

    since: Moment = Field(description="since when it takes no more requests")
    relaunch_job_id: str | None = Field(
        description="the launch of the node in its place; null where none was asked for"
    )
    restored_at: Moment | None = Field(description="when that node was there; null until then")
    seconds_without_endpoint: Annotated[float, Field(ge=0)] | None = Field(
        description="until that node was there, or until now; null where none is to come"
    )


class Replaced(Shape):
    """The node in whose place another one stands."""

    node_id: str
    seconds_without_endpoint: Annotated[float, Field(ge=0)] = Field(description="between the two")


class Node(Shape):
    """A node, without its key."""

    id: str
    job_id: str
    model: str
    endpoint: str
    provider: Provider
    region: str
    zone: str
    instance_type: str
    gpu: str
    spot: bool
    price_per_hour: Usd
    cost_so_far: Usd
    state: NodeState
    state_reason: str
    registered_at: Moment
    last_healthy_at: Moment | None
    expires_at: Moment
    idle_minutes: float | None
    idle_since: Moment | None
    ended_at: Moment | None
    interruption: Interruption | None = Field(description="null where its cloud has not taken it back")
    replaces: Replaced | None = Field(description="null where it stands in no other node's place")


class Nodes(Shape):
    """The nodes, newest first."""

    items: list[Node]


class LaunchInShort(Shape):
    """A launch as it stands in a list."""

    job_id: str
    model_name: str
    request: LaunchAsked
    stack: str | None = Field(description="the person's own stack in which it is; null where it has one of its own")
    status: LaunchStatus
    stage: str
    percentage: Annotated[float, Field(ge=0, le=100)]
    message: str
    created_at: Moment
    started_at: Moment | None
    ended_at: Moment | None
    error: Failure | None
    cost_so_far: Usd = Field(description="of every machine that it has asked for, those of failed attempts too")
    node: Node | None


class Launch(LaunchInShort):
    """Everything about a launch."""

    waiting_before: int | None = Field(description="how many wait before it; null where it does not wait")
    estimated_seconds_left: float | None = Field(description="from earlier launches of the same provider")
    timeline: list[Span]
    attempts: list[Attempt]
    event_id: int = Field(description="the last event that this answer includes")


class Launches(Shape):
    """One page of the launches; `next` is the cursor of the page after it."""

    items: list[LaunchInShort]
    next: str | None


class Access(Shape):
    """How a node is asked, its key included."""

    endpoint: str
    model: str
    api_key: str
    certificate: str
    curl: str
    python: str


class CatalogModel(Shape):
    """A model that can be launched."""

    name: str
    parameters: int
    context: int
    quantisations: list[str]
    gated: bool | None = Field(description="whether its licence has to be accepted; null where it is not known")


class InstanceType(Shape):
    """A machine that is sold."""

    provider: Provider
    name: str
    gpu: str
    gpu_count: int
    gpu_memory_gib: float
    regions: list[str]


class Catalog(Shape):
    """What can be asked for."""

    providers: list[Provider]
    models: list[CatalogModel]
    instance_types: list[InstanceType]


class Finding(Shape):
    """What one look-up found; `kind` is what a launch would end with, or null where it stands in no launch's way."""

    provider: str
    subject: str
    state: Literal["ok", "missing", "unknown", "skipped"]
    message: str
    hint: str
    kind: str | None


class Findings(Shape):
    """What a launch needs and does not have."""

    findings: list[Finding]
    ok: bool
    kind: str | None


class Health(Shape):
    """That it answers."""

    status: Literal["ok"]


class PrometheusTargets(Shape):
    """A group of targets: https://prometheus.io/docs/prometheus/latest/http_sd/."""

    targets: list[str]
    labels: dict[str, str]


class VllmRouter(Shape):
    """Static backends of vLLM's router: https://github.com/vllm-project/production-stack."""

    service_discovery: Literal["static"]
    static_backends: str
    static_models: str
