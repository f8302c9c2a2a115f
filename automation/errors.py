"""Why a launch failed, sorted by what to do next.

Kind            exit  what Liftoff or the user does next
├── capacity      10  no such machine to be had there now: another zone or region, or later
├── quota         11  the account may not have it: ask the cloud for more, or take another type
├── credentials   12  the cloud or the storage refused the keys: repair them
├── configuration 13  what was asked for can't be: change it
├── throttled     14  too many requests: wait and try the same again
├── boot          15  the machine came, the endpoint did not: read the node's last lines
├── policy        16  a mandatory rule forbids it: change the stack, or the rule in policy.yaml
├── changed       17  the steps are not those that were reviewed: review them again
├── cancelled    130  the user said so
└── unknown        1  none of these: the raw text is shown
"""

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

from automation import cloud_errors, locks
from automation.cloud_errors import Scope
from provider.status import INTERRUPTED, Stage


class Kind(Enum):
    """The kind of a failure; `exit_code` is what the command line ends with."""

    CAPACITY = ("capacity", 10)
    QUOTA = ("quota", 11)
    CREDENTIALS = ("credentials", 12)
    CONFIGURATION = ("configuration", 13)
    THROTTLED = ("throttled", 14)
    BOOT = ("boot", 15)
    POLICY = ("policy", 16)
    CHANGED = ("changed", 17)
    CANCELLED = ("cancelled", 130)
    UNKNOWN = ("unknown", 1)

    def __init__(self, title: str, exit_code: int) -> None:
        self.title = title
        self.exit_code = exit_code

    @property
    def retryable(self) -> bool:
        """Whether the very same request may succeed later without anybody changing anything."""
        return self in {Kind.CAPACITY, Kind.THROTTLED}


@dataclass(frozen=True)
class LaunchFailure:
    """One failed operation, for its reader.

    Attributes:
        kind: what sort of failure.
        code: the exact reason: ours in snake_case, or the cloud's own word.
        stage: how far the launch was.
        resource: name of the resource that failed; empty when it was none.
        message: what failed.
        hint: what to do next.
        retryable: whether the same request may succeed later as it is.
        raw: the text that all this was read from.
        log: the node's last lines.
        scope: where else the same request would fail now.
        blocked_seconds: for how long that is taken to hold.
    """

    kind: Kind
    code: str
    stage: Stage
    resource: str
    message: str
    hint: str
    retryable: bool
    raw: str
    log: tuple[str, ...] = ()
    scope: Scope = Scope.NONE
    blocked_seconds: float = 0.0


LOCKED: Final = "stack_locked"
"""Code of a failure to begin: another update works on the stack, and nothing was changed."""
OF_THIS_HOST: Final = frozenset({"disk_full", "state_unreadable"})
"""Codes of failures that every other offer would fail with, too, and that may be over in a while."""


class Stopped(Exception):  # noqa: N818 - named after what happened
    """A command can't go on. The text is for the user; `hint` says what to do next."""

    def __init__(self, kind: Kind, code: str, message: str, hint: str) -> None:
        self.kind = kind
        self.code = code
        self.hint = hint
        super().__init__(message)


def of_stopped(error: Stopped, stage: Stage) -> LaunchFailure:
    """Return why a launch can't go on as the failure of an operation."""
    text = str(error)
    return LaunchFailure(error.kind, error.code, stage, "", text, error.hint, error.kind.retryable, text)


@dataclass(frozen=True)
class _Rule:
    """A text and what it means; its code is what stands here, else a group of the pattern, else the kind's own name."""

    pattern: re.Pattern[str]
    kind: Kind
    hint: str
    code: str = ""


_CHECK_KEYS: Final = "check the cloud's credentials and that they may create machines and networks"
_CHANGE: Final = "change the setting that the text names: pulumi config set liftoff:KEY VALUE"
_WAIT: Final = "wait a minute and run the same command again"
_LOOK: Final = "read the text; `liftoff launch` may be run again, it takes up where it stands"


def _rule(pattern: str, kind: Kind, hint: str, code: str = "") -> _Rule:
    return _Rule(re.compile(pattern, re.IGNORECASE), kind, hint, code)


# What the engine and every provider say; the clouds' own words stand in `error_tables/`. The first that fits counts.
_RULES: Final = (
    _rule(r"(?:HTTP|status|error)[^\n]{0,20}\b429\b", Kind.THROTTLED, _WAIT),
    _rule(r"could not find default credentials|az login", Kind.CREDENTIALS, _CHECK_KEYS),
    _rule(
        r"(incorrect passphrase)|passphrase must be set",
        Kind.CREDENTIALS,
        "set PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE to what this stack was made with",
    ),
    _rule(
        r"\b(SettingsRefused|InvalidParameterValue|InvalidParameterCombination|InvalidParameter)\b|"
        r"Missing required configuration variable|(validating stack config)",
        Kind.CONFIGURATION,
        _CHANGE,
    ),
    # What the program itself refuses: components/settings.py.
    _rule(r"liftoff:\w+: given .*?; allowed: ", Kind.CONFIGURATION, _CHANGE),
    _rule(
        r"(stack is currently locked)|\[409\] Conflict: Another update",
        Kind.CONFIGURATION,
        "wait for the other update of this stack to end",
    ),
    _rule(
        r"unexpected end of JSON input|unmarshalling checkpoint|could not deserialize (?:deployment|checkpoint)",
        Kind.UNKNOWN,
        "the stack's state can't be read: liftoff repair takes it from its last copy",
        "state_unreadable",
    ),
    _rule(
        r"no space left on device|database or disk is full",
        Kind.UNKNOWN,
        "make room on this host's disk; what was made meanwhile is found by its tags",
        "disk_full",
    ),
    _rule(
        r"error reading from server: EOF|code = Unavailable desc =|"
        # The engine and its plugins speak over loopback; clouds have other addresses.
        r"Error while dialing: dial tcp (?:127\.0\.0\.1|\[::1\]):\d+|"
        r"(?:plugin|provider)[^\n]{0,80}exited (?:unexpectedly|prematurely)",
        Kind.UNKNOWN,
        "look whether this host has too little memory; then run the same again",
        "provider_died",
    ),
    _rule(
        r"connection reset by peer|unexpected EOF|i/o timeout|TLS handshake timeout|broken pipe|Client\.Timeout",
        Kind.UNKNOWN,
        "what the cloud did is looked up before it is asked again; look at the network between it and this host",
        "answer_lost",
    ),
    _rule(
        r"(?:StatusCode: |Status=|Error )50[0234]\b",
        Kind.UNKNOWN,
        "the cloud has trouble of its own: look at its status page, or allow other regions",
        "cloud_unavailable",
    ),
)

_OURS: Final = re.compile(r"\[(?P<kind>[a-z]+)/(?P<code>[A-Za-z0-9_]+)\] (?P<message>.*)")
_HINT: Final = re.compile(r"^\s*hint: (?P<hint>.*)$")
_LOG_TITLE: Final = "Last lines of the node:"
_KINDS: Final = {kind.title: kind for kind in Kind}
_BY_CODE: Final = {"cancelled": Kind.CANCELLED}
INTERRUPTED_SECONDS: Final = 900.0
"""For how long a place is left alone that has taken a spot machine back: it lacked capacity, and others ask for it."""
_BLOCKS: Final = {INTERRUPTED: (Scope.ZONE, INTERRUPTED_SECONDS)}


def kind_of(title: str) -> Kind:
    """Return the kind of that name; a name that is not known is unknown."""
    return _KINDS.get(title, Kind.UNKNOWN)


def classify(raw: str, stage: Stage, resource: str = "") -> LaunchFailure:
    """Return what an error's text means: our plugin's own form first, then the clouds' words, then unknown."""
    return (
        _ours(raw, stage, resource)
        or _of_lock(raw, stage, resource)
        or _of_cloud(raw, stage, resource)
        or _by_rule(raw, stage, resource)
        or _unknown(raw, stage, resource)
    )


def _ours(raw: str, stage: Stage, resource: str) -> LaunchFailure | None:
    lines = raw.splitlines()
    for index, line in enumerate(lines):
        match = _OURS.search(line)
        if match is None or match["kind"] not in _KINDS:
            continue
        message, hint, log = [match["message"]], "", []
        rest = iter(lines[index + 1 :])
        for further in rest:
            found = _HINT.match(further)
            if found is not None:
                hint = found["hint"]
            elif further.strip() == _LOG_TITLE:
                log = [line.removeprefix("  ") for line in rest]
            elif not hint and further.strip():
                message.append(further.strip())
        kind = _BY_CODE.get(match["code"], _KINDS[match["kind"]])
        scope, seconds = _BLOCKS.get(match["code"], (Scope.NONE, 0.0))
        return LaunchFailure(
            kind,
            match["code"],
            stage,
            resource,
            "\n".join(message).strip(),
            hint or _LOOK,
            kind.retryable,
            raw,
            tuple(_without_blank_end(log)),
            scope,
            seconds,
        )
    return None


def _of_lock(raw: str, stage: Stage, resource: str) -> LaunchFailure | None:
    found = locks.parse(raw) if "stack is currently locked" in raw else None
    if found is None:
        return None
    stack, lock = found
    message = f"stack {stack!r} is locked by {lock.holder}"
    hint = f"wait for it to end; if you know that it is dead: {lock.release}"
    return LaunchFailure(Kind.CONFIGURATION, LOCKED, stage, resource, message, hint, retryable=False, raw=raw)


def _of_cloud(raw: str, stage: Stage, resource: str) -> LaunchFailure | None:
    found = cloud_errors.find(raw)
    if found is None:
        return None
    row, code = found
    kind = kind_of(row.kind)
    return LaunchFailure(
        kind,
        code,
        stage,
        resource,
        _gist(raw),
        row.advice,
        kind.retryable,
        raw,
        scope=row.scope,
        blocked_seconds=row.seconds,
    )


def _by_rule(raw: str, stage: Stage, resource: str) -> LaunchFailure | None:
    text = " ".join(raw.split())
    for rule in _RULES:
        match = rule.pattern.search(text)
        if match is not None:
            word = next((group for group in match.groups() if group), rule.kind.title)
            code = rule.code or word.replace(" ", "_")
            return LaunchFailure(rule.kind, code, stage, resource, _gist(raw), rule.hint, rule.kind.retryable, raw)
    return None


def _unknown(raw: str, stage: Stage, resource: str) -> LaunchFailure:
    return LaunchFailure(Kind.UNKNOWN, "unknown", stage, resource, _gist(raw), _LOOK, retryable=False, raw=raw)


_FRAME: Final = re.compile(r'^\s*(File "|Traceback|\^+\s*$|~+\^*)')


def is_traceback(text: str) -> bool:
    """Tell whether a program of Python's raised, and this is what it said."""
    return "Traceback (most recent call last)" in text


def _gist(raw: str) -> str:
    """Return the text with only the last frame of a traceback, at most 20 lines."""
    lines = raw.strip().splitlines()
    if is_traceback(raw):
        # The lines of code below a frame are indented, the exception's own text is not. The last frame says where.
        where = [line.strip() for line in lines if line.strip().startswith('File "')][-1:]
        lines = [*(line for line in lines if not _FRAME.match(line) and not line.startswith("    ")), *where]
    kept = [line.rstrip() for line in lines if line.strip()]
    return "\n".join(kept[-20:]) or "no text was given"


def _without_blank_end(lines: list[str]) -> list[str]:
    while lines and not lines[-1].strip():
        lines = lines[:-1]
    return lines
