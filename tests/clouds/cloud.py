"""What the three emulated clouds have in common: kinds of resources, and how one comes, changes and goes."""

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Literal

from tests.clouds.faults import Faults
from tests.clouds.market import Market
from tests.clouds.properties import DEFAULTS, Path, Values, matches, without_indices
from tests.clouds.sdk_types import Problem, resource_type
from tests.clouds.truth import Record, Truth, digest

OnMachine = Callable[[str, Values, bytes, Values], Mapping[str, str] | None]
OnMachineDeleted = Callable[[str], None]
OnAddress = Callable[[str, Values], str | None]


class Refused(Exception):  # noqa: N818 - named after the decision
    """The cloud says no. The text is the plugin's error, in the cloud's own words."""


@dataclass(frozen=True)
class Latency:
    """How long things take, in seconds, by the start of a token and the method; what is not there takes no time."""

    seconds: Mapping[tuple[str, str], float] = field(default_factory=dict)

    def of(self, token: str, method: str) -> float:
        """Return the seconds of the longest token start that fits."""
        fitting = [
            (len(start), value)
            for (start, of), value in self.seconds.items()
            if of == method and token.startswith(start)
        ]
        return max(fitting)[1] if fitting else 0.0


@dataclass
class World:
    """What the clouds share with the test.

    Attributes:
        on_vm: called when a machine is made: provider, inputs, user data, outputs so far. It may boot a real one, and
            return `publicIp` and `privateIp` for the outputs. What it raises fails the create.
        on_vm_deleted: called with the machine's id when it goes, by a delete or an eviction.
        on_address: called when a public address is asked for: provider and inputs. It may return the address.
        on_call: called with provider, method and request before each call of a plugin is answered; it may wait.
        is_listed: whether a resource is in a cloud's own listings already: they lag behind what was made.
        refuses_listings: whether no machines can be listed (AWS; the others' APIs have refusals of their own).
        tokens: whether a request for a machine that is sent twice makes one, by its token (AWS) or its name.
    """

    truth: Truth = field(default_factory=Truth)
    faults: Faults = field(default_factory=Faults)
    market: Market = field(default_factory=Market)
    latency: Latency = field(default_factory=Latency)
    on_vm: OnMachine | None = None
    on_vm_deleted: OnMachineDeleted | None = None
    on_address: OnAddress | None = None
    on_call: Callable[[str, str, "Request"], None] = lambda provider, method, request: None
    is_listed: Callable[[Record], bool] = lambda record: True
    refuses_listings: bool = False
    tokens: bool = True
    _addresses: dict[str, int] = field(default_factory=dict)
    _timers: list[threading.Timer] = field(default_factory=list)

    def address(self, provider: str, inputs: Values) -> str:
        """Return a public address, from the ranges that are kept for documentation (RFC 5737)."""
        given = self.on_address(provider, inputs) if self.on_address else None
        if given:
            return given
        with self.truth.lock:
            number = self._addresses.get(provider, 0) + 1
            self._addresses[provider] = number
        network = {"aws": "203.0.113", "azure-native": "198.51.100"}.get(provider, "192.0.2")
        return f"{network}.{(number - 1) % 254 + 1}"

    def later(self, seconds: float, act: Callable[[], object]) -> None:
        """Do something so many seconds from now, unless the test has ended."""
        timer = threading.Timer(seconds, act)
        timer.daemon = True
        self._timers.append(timer)
        timer.start()

    def close(self) -> None:
        """Forget what was to be done later."""
        for timer in self._timers:
            timer.cancel()


@dataclass(frozen=True)
class Request:
    """What the plugin was asked to do with one resource; `config` is the provider's own."""

    world: World
    token: str
    urn: str
    inputs: Values
    config: Values

    @property
    def name(self) -> str:
        """The resource's name in the program."""
        return self.urn.rsplit("::", maxsplit=1)[-1]

    def hexadecimal(self, *parts: object, digits: int = 17) -> str:
        """Return digits that differ from what this URN has made before, and repeat from run to run."""
        return digest(self.urn, self.world.truth.number(self.urn), *parts, digits=digits)


CheckRule = Callable[[Request], Iterable[Problem]]
"""Refuses before anything is asked of the cloud, with the property that is at fault."""
ApiRule = Callable[[Request], str | None]
"""Refuses as the cloud's API does: the text, or None. Called with everything known and the truth locked."""
UpdateRule = Callable[[Request, Record, tuple[Path, ...]], str | None]
"""Refuses a change of an existing resource."""


@dataclass(frozen=True)
class Kind:
    """How one type of resource behaves.

    Attributes:
        name: the property that holds its name; empty where it has none.
        naming: how a name is made where none is given: `dash` (name-1a2b3c4), `joined` (name1a2b3c4d), `copy` (name).
        replaces: dotted paths whose change makes a new resource.
        checks, rules, updates: what is refused, and when.
        identify: gives the id.
        outputs: gives the outputs on top of the inputs, by request and id.
        machine: whether it is one.
        address: whether it holds a public address.
    """

    identify: Callable[[Request], str]
    outputs: Callable[[Request, str], Values]
    name: str = ""
    naming: Literal["dash", "joined", "copy", "none"] = "none"
    replaces: tuple[str, ...] = ()
    checks: tuple[CheckRule, ...] = ()
    rules: tuple[ApiRule, ...] = ()
    updates: tuple[UpdateRule, ...] = ()
    machine: bool = False


class Cloud:
    """One cloud. Subclasses say what is there and what it says; this class does the bookkeeping."""

    provider: ClassVar[str]
    settles_on_cancel: ClassVar[bool]
    """Whether the plugin keeps a resource in state whose create was cancelled half-way."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.kinds: Mapping[str, Kind] = {}

    # What subclasses say.

    def generic(self, token: str) -> Kind:
        """Return how a type behaves that is not in `kinds`."""
        raise NotImplementedError

    def defaults(self, request: Request) -> Values:
        """Return the inputs that the plugin fills in from its configuration."""
        raise NotImplementedError

    def region(self, request: Request) -> str:
        """Return the region that a resource is in; empty for a global one."""
        raise NotImplementedError

    def taken(self, request: Request, resource_id: str) -> str:
        """Return what the cloud says of an id that is taken."""
        raise NotImplementedError

    def in_use(self, record: Record, user: Record) -> str:
        """Return what the cloud says of a delete while another resource needs this one."""
        raise NotImplementedError

    def references(self, record: Record) -> set[str]:
        """Return the texts by which others refer to a resource."""
        return {record.id}

    def user_data(self, inputs: Values) -> bytes:
        """Return the bytes that a machine would find as its user data."""
        raise NotImplementedError

    def with_addresses(self, record: Record, addresses: Mapping[str, str]) -> Values:
        """Return a machine's outputs with the addresses that the hook gave (`publicIp`, `privateIp`)."""
        raise NotImplementedError

    def tags(self, inputs: Values) -> dict[str, str]:
        """Return tags or labels."""
        return dict(inputs.get("tags") or {})

    def left_behind(self, request: Request, record: Record) -> list[Record]:
        """Return what comes into being along with a machine: its disk."""
        return []

    def gone_with(self, record: Record) -> list[Record]:
        """Return what goes when a resource goes."""
        return []

    def evicted(self, record: Record) -> Values | None:
        """Return a machine's outputs after an eviction, or None when it is gone."""
        return None

    def invoke(self, token: str, arguments: Values, config: Values) -> Values:
        """Answer a function.

        Raises:
            Refused: the cloud says no, or this emulation does not have the function.
        """
        raise NotImplementedError

    # The bookkeeping.

    def kind(self, token: str) -> Kind:
        """Return how a type behaves."""
        return self.kinds.get(token) or self.generic(token)

    def named(self, request: Request, olds: Values) -> Values:
        """Return the name that a resource gets where none is given: the one it has, or a new one."""
        kind = self.kind(request.token)
        if (
            not kind.name
            or kind.naming == "none"
            or kind.name in request.inputs
            or f"{kind.name}Prefix" in request.inputs
        ):
            return {}
        if kind.name in olds.get(DEFAULTS, []) and kind.name in olds:
            return {kind.name: olds[kind.name]}
        name = {
            "dash": f"{request.name}-{request.hexadecimal(digits=7)}",
            "joined": f"{request.name}{request.hexadecimal(digits=8)}",
            "copy": request.name,
        }[kind.naming]
        return {kind.name: name}

    def replacing(self, token: str, inputs: Values, changed: Iterable[Path]) -> list[Path]:
        """Return which of the changed paths make a new resource."""
        patterns = self.replaces(token, inputs)
        return [path for path in changed if matches(without_indices(path), patterns)]

    def replaces(self, token: str, inputs: Values) -> tuple[str, ...]:
        """Return the dotted paths whose change makes a new resource, given the new inputs."""
        kind = self.kind(token)
        return (*kind.replaces, *((kind.name,) if kind.name else ()))

    def clashes(self, token: str, inputs: Values) -> bool:
        """Say whether a second resource with these inputs could not exist beside the first: its name was given."""
        kind = self.kind(token)
        return bool(kind.name) and kind.name in inputs and kind.name not in inputs.get(DEFAULTS, [])

    def admit(self, request: Request, state: Literal["creating", "failed"]) -> Record:
        """Judge a create and take the resource in, in one step.

        Raises:
            Refused: the cloud says no.
        """
        kind = self.kind(request.token)
        with self.world.truth.lock:
            for rule in kind.rules:
                refusal = rule(request)
                if refusal is not None:
                    raise Refused(refusal)
            resource_id = kind.identify(request)
            if self.world.truth.get(self.provider, resource_id) is not None:
                raise Refused(self.taken(request, resource_id))
            given = {name: value for name, value in request.inputs.items() if name != DEFAULTS}
            record = Record(
                provider=self.provider,
                token=request.token,
                urn=request.urn,
                id=resource_id,
                inputs=dict(request.inputs),
                outputs={**given, **kind.outputs(request, resource_id)},
                region=self.region(request),
                tags=self.tags(request.inputs),
                created_at=self.world.truth.clock(),
                state=state,
            )
            self.world.truth.add(record)
            if kind.machine:
                for more in self.left_behind(request, record):
                    self.world.truth.add(more)
            return record

    def repeat(self, request: Request) -> None:
        """Take the same request for a machine once more: the cloud knows it, unless the world has no tokens."""
        if self.world.tokens or not self.kind(request.token).machine:
            return
        try:
            twin = self.admit(request, "creating")
        except Refused:
            # Its name is taken, which is all the token that Azure and GCP need.
            return
        self.start(twin)

    def start(self, record: Record) -> Record:
        """Tell the hook of a machine, and take over the addresses that it gives."""
        if not self.kind(record.token).machine or self.world.on_vm is None:
            return self.world.truth.change(self.provider, record.id, state="ready")
        addresses = self.world.on_vm(
            self.provider, record.inputs, self.user_data(record.inputs), {**record.outputs, "id": record.id}
        )
        outputs = self.with_addresses(record, addresses) if addresses else record.outputs
        return self.world.truth.change(self.provider, record.id, outputs=outputs, state="ready")

    def update(self, request: Request, resource_id: str, changed: tuple[Path, ...]) -> Record:
        """Change a resource in place.

        Raises:
            Refused: the cloud says no, or the resource is gone.
        """
        kind = self.kind(request.token)
        with self.world.truth.lock:
            record = self.world.truth.get(self.provider, resource_id)
            if record is None:
                raise Refused(f"updating {request.urn}: the resource {resource_id} was not found")
            for rule in kind.updates:
                refusal = rule(request, record, changed)
                if refusal is not None:
                    raise Refused(refusal)
            given = {name: value for name, value in request.inputs.items() if name != DEFAULTS}
            computed = {name: value for name, value in record.outputs.items() if name not in record.inputs}
            tags = self.tags(request.inputs)
            derived: Values = {name: tags for name in _TAG_OUTPUTS if name in computed}
            return self.world.truth.change(
                self.provider,
                resource_id,
                inputs=dict(request.inputs),
                outputs={**computed, **_kept(given, record.outputs), **derived},
                tags=tags,
            )

    def delete(self, resource_id: str) -> None:
        """Remove a resource; one that has gone already is no error.

        Raises:
            Refused: another resource needs it.
        """
        with self.world.truth.lock:
            record = self.world.truth.get(self.provider, resource_id)
            if record is None:
                return
            gone = self.gone_with(record)
            going = {record.id, *(other.id for other in gone)}
            if not self.kind(record.token).machine:  # a machine may go while others still name it
                for user in self.world.truth.users(self.provider, self.references(record), but=record.id):
                    if user.id not in going:
                        raise Refused(self.in_use(record, user))
            for one in (*gone, record):
                self.world.truth.remove(self.provider, one.id)
        self._tell_gone((*gone, record))

    def evict(self, resource_id: str) -> None:
        """Take a machine away, as the cloud does when it needs the place."""
        with self.world.truth.lock:
            record = self.world.truth.get(self.provider, resource_id)
            if record is None:
                return
            outputs = self.evicted(record)
            if outputs is None:
                for one in (*self.gone_with(record), record):
                    self.world.truth.remove(self.provider, one.id, "Evict")
            else:
                self.world.truth.change(self.provider, resource_id, outputs=outputs, state="stopped")
        self._tell_gone((record,))

    def _tell_gone(self, records: Iterable[Record]) -> None:
        for record in records:
            if self.world.on_vm_deleted is not None and record.urn and self.kind(record.token).machine:
                self.world.on_vm_deleted(record.id)


def _kept(given: Values, outputs: Values) -> Values:
    """Return new inputs with what the cloud had added inside them (an address in a network interface)."""
    return {name: _merged(value, outputs.get(name)) for name, value in given.items()}


def _merged(value: Any, old: Any) -> Any:
    if isinstance(value, dict) and isinstance(old, dict):
        added = {name: item for name, item in old.items() if name in _ADDED}
        return {**added, **{name: _merged(item, old.get(name)) for name, item in value.items()}}
    if isinstance(value, list) and isinstance(old, list) and len(value) == len(old):
        return [_merged(item, before) for item, before in zip(value, old, strict=True)]
    return value


_ADDED: Final = frozenset(
    {"deviceName", "id", "natIp", "networkIp", "privateIPAddress", "provisioningState", "source", "volumeId"}
)
"""What a cloud adds inside objects that the program gave."""
_TAG_OUTPUTS: Final = ("tagsAll", "effectiveLabels", "pulumiLabels")


def computed_names(token: str, inputs: Values) -> set[str]:
    """Return the outputs that are not known in a preview."""
    return set(resource_type(token).outputs) - inputs.keys()
