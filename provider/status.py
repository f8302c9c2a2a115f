"""The words of a launch: the seven stages, the status line in both directions, and what a node's mailbox amounts to."""

import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator


class Stage(Enum):
    """What a launch is doing: the words that the user sees, and the percentage at which it begins."""

    VALIDATE = ("Validating configuration", 10.0)
    REQUEST = ("Requesting spot instance", 25.0)
    PROVISION = ("Provisioning instance", 45.0)
    INSTALL = ("Installing dependencies", 65.0)
    LOAD = ("Loading model from R2", 80.0)
    SERVE = ("Starting vLLM", 90.0)
    REGISTER = ("Registering node", 100.0)

    def __init__(self, title: str, start: float) -> None:
        self.title = title
        self.start = start

    @property
    def end(self) -> float:
        """The percentage at which the next stage begins."""
        stages = list(Stage)
        return stages[min(stages.index(self) + 1, len(stages) - 1)].start


@dataclass(frozen=True)
class Status:
    """How far a launch is: a percentage from 0 to 100, its stage, and what is being done in it (may be empty)."""

    percent: float
    stage: Stage
    message: str = ""


_LINE: Final = re.compile(
    r"(?P<percent>\d{1,3}\.\d)% (?P<title>" + "|".join(re.escape(stage.title) for stage in Stage) + r")"
    r"(?:: (?P<message>.+))?"
)
_STAGES: Final = {stage.title: stage for stage in Stage}
_LOG_MARK: Final = "Log of the node:"


def render(status: Status) -> str:
    """Return the status as one line: `82.4% Loading model from R2: 1.2 of 16.1 GB`."""
    message = _one_line(status.message)
    return f"{status.percent:.1f}% {status.stage.title}" + (f": {message}" if message else "")


def parse(line: str) -> Status | None:
    """Return the status that `render` wrote, its percentage to one decimal, or None for any other text."""
    match = _LINE.fullmatch(line.strip())
    if match is None or float(match["percent"]) > Stage.REGISTER.start:
        return None
    return Status(float(match["percent"]), _STAGES[match["title"]], match["message"] or "")


def _one_line(text: str) -> str:
    """Return text without line breaks, and without the control characters that would steer a terminal."""
    return " ".join(printable(text).split())


def printable(text: str) -> str:
    """Return text with a plain space for each control character and each kind of space."""
    return "".join(" " if unicodedata.category(char)[0] in "CZ" else char for char in text)


def render_log(lines: Sequence[str]) -> str:
    """Return lines of the node's own log as one text that is no status line."""
    return "\n".join((_LOG_MARK, *lines))


def parse_log(text: str) -> list[str] | None:
    """Return the lines that `render_log` was given, or None for any other text."""
    first, *lines = text.rstrip("\n").split("\n")
    return lines if first == _LOG_MARK else None


def added_lines(before: Sequence[str], now: Sequence[str]) -> list[str]:
    """Return what the end of a log has that an earlier look at its end did not have."""
    for size in range(min(len(before), len(now)), 0, -1):
        if list(before[-size:]) == list(now[:size]):
            return list(now[size:])
    return list(now)


PhaseName = Literal["install", "weights", "serve"]

_PHASE_STAGES: Final[dict[PhaseName, Stage]] = {
    "install": Stage.INSTALL,
    "weights": Stage.LOAD,
    "serve": Stage.SERVE,
}

_Time = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Text = Annotated[str, Field(max_length=2000), AfterValidator(_one_line)]
_Line = Annotated[str, Field(max_length=400), AfterValidator(lambda line: printable(line).rstrip())]
_Count = Annotated[int, Field(ge=0, lt=1 << 63)]


class _FromNode(BaseModel):
    # A node is not trusted: exact types and bounded sizes. A field that is not known yet does no harm.
    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", hide_input_in_errors=True)


class Phase(_FromNode):
    """One phase of the boot. Times are in seconds since 1970; `done` and `total` count `unit`s, total 0 is unknown."""

    name: PhaseName
    state: Literal["pending", "running", "done", "failed"]
    started_at: _Time | None = None
    ended_at: _Time | None = None
    done: _Count = 0
    total: _Count = 0
    unit: Literal["packages", "bytes", "shards", "steps"] = "steps"
    message: _Text = ""


class BootError(_FromNode):
    """Why the boot failed, in the node's own words."""

    code: str = Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")
    phase: str = Field(max_length=40, pattern=r"^[a-z_]*$")
    message: _Text
    hint: _Text = ""


INTERRUPTED: Final = "spot_interrupted"
"""The code of a boot that the cloud has ended by taking its spot machine back."""


class Notice(_FromNode):
    """What the cloud has announced. Times are in seconds since 1970 by the node's clock.

    Attributes:
        kind: `interruption`: the machine goes; `rebalance`: it is likelier now that it will have to.
        action: the cloud's own word for what it will do.
        noticed_at: when the node read it.
        deadline: when the cloud begins; None where it does not say.
        drained_at: when the node stopped to wait for requests in flight; None while it waits, or had none to wait for.
        all_answered: whether every one of them was answered; None while it waits.
    """

    kind: Literal["interruption", "rebalance"]
    action: str = Field(pattern=r"^[A-Za-z]{1,40}$")
    noticed_at: _Time
    deadline: _Time | None = None
    drained_at: _Time | None = None
    all_answered: bool | None = None


class Mailbox(_FromNode):
    """The one object that a node overwrites while it lives. Times are in seconds since 1970 by the node's clock."""

    version: Literal[1]
    run_id: str = Field(min_length=1, max_length=100)
    sequence: _Count
    written_at: _Time
    started_at: _Time
    instance_id: str = Field(default="", max_length=100)
    state: Literal["booting", "ready", "failed", "stopped", "interrupted"]
    phases: tuple[Phase, ...] = Field(min_length=3, max_length=3)
    error: BootError | None = None
    notice: Notice | None = None
    log: tuple[_Line, ...] = Field(default=(), max_length=60)

    @model_validator(mode="after")
    def _each_phase_once(self) -> Self:
        names = {phase.name for phase in self.phases}
        if names != _PHASE_STAGES.keys():
            raise ValueError(f"phases must be install, weights and serve, each once; given: {', '.join(sorted(names))}")
        return self

    def phase(self, name: PhaseName) -> Phase:
        """Return the phase of that name."""
        return next(phase for phase in self.phases if phase.name == name)


def status_of(mailbox: Mailbox) -> Status:
    """Return how far the node is: the first of install, weights, serve that is not done, and the share of it done.

    A node that is ready stands just below the end: it is registered only once its endpoint has answered.
    """
    for name, stage in _PHASE_STAGES.items():
        phase = mailbox.phase(name)
        if phase.state != "done":
            share = min(phase.done / phase.total, 1.0) if phase.total else 0.0
            return Status(_within(stage, share), stage, _describe(phase))
    return Status(_within(Stage.SERVE, 1.0), Stage.SERVE, "answered on the node, asking through the endpoint")


def passed_since(stage: Stage, mailbox: Mailbox) -> list[Status]:
    """Return the node's stages that are over since one was shown: a quick one begins and ends between two letters."""
    now = status_of(mailbox).stage
    order = list(Stage)
    return [
        Status(_within(between, 1.0), between, _describe(mailbox.phase(name)))
        for name, between in _PHASE_STAGES.items()
        if order.index(stage) < order.index(between) < order.index(now)
    ]


def _within(stage: Stage, share: float) -> float:
    """Return the percentage for a share of a stage, to one decimal, always below the next stage's beginning."""
    percent = math.floor((stage.start + (stage.end - stage.start) * share) * 10) / 10
    return min(percent, round(stage.end - 0.1, 1))


def _describe(phase: Phase) -> str:
    if not phase.total:
        return phase.message
    done = min(phase.done, phase.total)
    count = progress(done, phase.total) if phase.unit == "bytes" else f"{done} of {phase.total} {phase.unit}"
    return f"{count}, {phase.message}" if phase.message else count


_BYTE_UNITS: Final = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def progress(done: int, total: int) -> str:
    """Return two amounts of bytes in the unit that suits the larger: `1.2 of 16.1 GB`."""
    for size, unit in _BYTE_UNITS:
        if total >= size:
            return f"{done / size:.1f} of {total / size:.1f} {unit}"
    return f"{done} of {total} B"
