"""From the engine's events to how far a launch is: pure, and never backwards."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from provider import status
from provider.status import Stage, Status

MACHINE_TYPES: Final = frozenset(
    {
        "liftoff:index:LocalMachine",
        "aws:ec2/instance:Instance",
        "azure-native:compute:VirtualMachine",
        "gcp:compute/instance:Instance",
    }
)
_READINESS: Final = "liftoff:index:Readiness"
_STACK: Final = "pulumi:pulumi:Stack"
MAKES: Final = frozenset({"create", "create-replacement", "replace"})
# What these declare is not a resource of a cloud's: nothing has been asked of anybody yet.
_NOT_ASKED: Final = frozenset({_STACK, "liftoff:index:ModelNode"})

EventKind = Literal["pre", "outputs", "failed", "diagnostic"]


@dataclass(frozen=True)
class Event:
    """One engine event, as far as a launch needs it.

    Attributes:
        sequence: its place in the engine's order.
        time: when it came, in seconds of this host's monotonic clock.
        kind: `pre` before an operation, `outputs` after it, `failed`, or `diagnostic`.
        urn: of the resource; empty when there is none.
        type: the resource's type token; empty when there is none.
        op: what is done to it: create, same, delete, …
        message: the diagnostic's text.
        severity: info, info#err, warning, or error.
        ephemeral: whether the text is a status only.
    """

    sequence: int
    time: float
    kind: EventKind
    urn: str = ""
    type: str = ""
    op: str = ""
    message: str = ""
    severity: str = ""
    ephemeral: bool = False

    @property
    def name(self) -> str:
        """The resource's name in the program."""
        return name_of(self.urn)


def name_of(urn: str) -> str:
    """Return the last part of a URN, or an empty text."""
    return urn.rsplit("::", maxsplit=1)[-1]


def read(record: Mapping[str, Any]) -> Event:
    """Return the event that a JSON record holds; fields that are not known are left out."""
    return Event(**{name: record[name] for name in Event.__dataclass_fields__ if name in record})


_START: Final = Status(Stage.VALIDATE.start, Stage.VALIDATE)


@dataclass(frozen=True)
class Progress:
    """How far a launch is, and what has to be known to judge the next event.

    Attributes:
        status: percentage, stage and message.
        asked: whether a cloud has been asked for anything.
    """

    status: Status = _START
    asked: bool = False


def step(progress: Progress, event: Event) -> Progress:
    """Return how far the launch is after one more event."""
    if event.kind == "pre" and event.op in MAKES and is_resource(event.type):
        message = f"creating {event.name}"
        asked = replace(progress, asked=True)
        return _forward(asked, Status(Stage.REQUEST.start, Stage.REQUEST, message))
    if event.kind == "outputs" and event.type in MACHINE_TYPES and event.op != "delete":
        return _forward(progress, Status(Stage.PROVISION.start, Stage.PROVISION, f"{event.name} has started"))
    if event.kind == "diagnostic" and event.ephemeral:
        return _speak(progress, event)
    return progress


def _speak(progress: Progress, event: Event) -> Progress:
    type_ = event.type or type_of(event.urn)
    if type_ == _READINESS:
        told = status.parse(event.message)
        # Only the end of the update registers a node.
        return progress if told is None or told.stage is Stage.REGISTER else _forward(progress, told)
    if progress.asked and is_resource(type_) and progress.status.stage in {Stage.REQUEST, Stage.PROVISION}:
        # What another resource says is news of the stage that is on.
        line = status.render(replace(progress.status, message=f"{event.name}: {event.message}"))
        spoken = status.parse(line)
        return progress if spoken is None else replace(progress, status=spoken)
    return progress


def registered(progress: Progress, message: str = "") -> Progress:
    """Return the end of an update that went well."""
    return replace(progress, status=Status(Stage.REGISTER.start, Stage.REGISTER, message))


def walk(events: Iterable[Event]) -> Iterator[Status]:
    """Return the status after each event that changed it."""
    progress = Progress()
    yield progress.status
    for event in events:
        following = step(progress, event)
        if following.status != progress.status:
            yield following.status
        progress = following


def type_of(urn: str) -> str:
    """Return the type token in a URN, without its parents, or an empty text."""
    parts = urn.split("::")
    return parts[2].rsplit("$", maxsplit=1)[-1] if len(parts) > 3 else ""


def is_resource(type_: str) -> bool:
    """Tell whether a cloud is asked for it: stacks, components and providers are none of its business."""
    return type_ not in _NOT_ASKED and not type_.startswith("pulumi:")


def _forward(progress: Progress, told: Status) -> Progress:
    # A line may be late, and two resources may speak at once: what is behind is not shown.
    return replace(progress, status=told) if told.percent >= progress.status.percent else progress
