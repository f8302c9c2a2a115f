"""What the clouds say before they take a spot machine back: one class a cloud that asks, pure functions that read."""

from __future__ import annotations

import dataclasses
import datetime as dt
import email.utils
import json
import time
import urllib.parse
from typing import TYPE_CHECKING, Any, Protocol

from boot.metadata import Answer, Metadata

if TYPE_CHECKING:
    from collections.abc import Callable

    from boot.settings import Settings

INTERRUPTION = "interruption"
"""The machine goes at the deadline."""
REBALANCE = "rebalance"
"""It is likelier now that the machine will have to go; it may as well stay."""

_AWS_TOKEN_SECONDS = 21600
_AZURE_FIRST_SECONDS = 130.0
_GCP_HANGING_SECONDS = 60
_GCP_NOTICE_SECONDS = 30.0
_SECONDS = 2.0
_HTTP_OK = 200
_HTTP_UNAUTHORIZED = 401
_HTTP_NOT_FOUND = 404


@dataclasses.dataclass(frozen=True)
class Notice:
    """What a cloud announced.

    Attributes:
        kind: `interruption` or `rebalance`.
        action: the cloud's own word for what it will do.
        noticed_at: when this machine read it, in seconds since 1970.
        deadline: when the cloud begins, in seconds since 1970; None where it does not say.
    """

    kind: str
    action: str
    noticed_at: float
    deadline: float | None

    @property
    def text(self) -> str:
        """What it says, for a person."""
        if self.kind == REBALANCE:
            return "the cloud recommends to move elsewhere: an interruption has become likelier"
        left = "" if self.deadline is None else f" in {max(0.0, self.deadline - self.noticed_at):.0f} s"
        return f"the cloud takes the spot machine back{left} ({self.action})"


class Unreadable(Exception):
    """The service answered with what is no answer to the question. The text says with what."""


class Source(Protocol):
    """Where one cloud's notices come from.

    Attributes:
        every_seconds: how long to wait between two looks.
    """

    every_seconds: float

    def look(self, *, at_once: bool = False) -> Notice | None:
        """Return the notice, or None while there is none; `at_once` never waits for one to come.

        Raises:
            MetadataSilent: nobody answers.
            Unreadable: what was answered is no answer.
        """


class Aws:
    """The instance metadata service, version 2.

    EC2 announces an interruption two minutes before it, and asks to look every 5 seconds; 404 means that there is none:
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html.
    A rebalance recommendation may come earlier, or never:
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/rebalance-recommendations.html.
    The token and how long it may live: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html
    """

    every_seconds = 5.0

    def __init__(self, metadata: Metadata, clock: Callable[[], float] = time.time) -> None:
        self._metadata = metadata
        self._clock = clock
        self._token = ""

    def look(self, *, at_once: bool = False) -> Notice | None:
        """See `Source`."""
        interrupted = self._get("/latest/meta-data/spot/instance-action")
        if interrupted is not None:
            return aws_interruption(interrupted, self._clock())
        recommended = self._get("/latest/meta-data/events/recommendations/rebalance")
        return None if recommended is None else aws_rebalance(recommended, self._clock())

    def _get(self, path: str) -> str | None:
        answer = self._asked(path)
        if answer.status == _HTTP_UNAUTHORIZED:
            # The token's time is over.
            self._token = ""
            answer = self._asked(path)
        if answer.status == _HTTP_NOT_FOUND:
            return None
        return _text(answer)

    def _asked(self, path: str) -> Answer:
        if not self._token:
            ttl = {"X-aws-ec2-metadata-token-ttl-seconds": str(_AWS_TOKEN_SECONDS)}
            self._token = _text(self._metadata.put("/latest/api/token", ttl, _SECONDS))
        return self._metadata.get(path, {"X-aws-ec2-metadata-token": self._token}, _SECONDS)


class Azure:
    """Scheduled events, of which `Preempt` is announced at least 30 seconds before.

    Azure asks to look every second; the very first answer may take two minutes, and a service that nobody has asked for
    a day is off again: https://learn.microsoft.com/azure/virtual-machines/linux/scheduled-events. The machine stands
    alone, in no set and no scale set, so that every event is its own.

    A `Preempt` is not approved (`StartRequests`): that would only let it begin sooner than in its 30 seconds, to the
    harm of a request that is still being answered.
    """

    every_seconds = 1.0

    def __init__(self, metadata: Metadata, clock: Callable[[], float] = time.time) -> None:
        self._metadata = metadata
        self._clock = clock

    def look(self, *, at_once: bool = False) -> Notice | None:
        """See `Source`."""
        path = "/metadata/scheduledevents?api-version=2020-07-01"
        seconds = _SECONDS if at_once else _AZURE_FIRST_SECONDS
        text = _text(self._metadata.get(path, {"Metadata": "true"}, seconds))
        return azure_preempt(text, self._clock())


class Gcp:
    """The metadata value `instance/preempted`, which turns to TRUE when the machine has 30 seconds left.

    https://cloud.google.com/compute/docs/instances/create-use-spot, and for the request that hangs until the value is
    no longer the one of `last_etag`: https://cloud.google.com/compute/docs/metadata/querying-metadata. At that moment
    the machine is told to shut down as well (ACPI), which stops the boot program: then it looks once more.
    """

    every_seconds = 1.0
    """A server that doesn't let the request hang is not asked more often than that."""

    def __init__(self, metadata: Metadata, clock: Callable[[], float] = time.time) -> None:
        self._metadata = metadata
        self._clock = clock
        self._etag = ""

    def look(self, *, at_once: bool = False) -> Notice | None:
        """See `Source`."""
        path, seconds = "/computeMetadata/v1/instance/preempted", _SECONDS
        if self._etag and not at_once:
            waiting = {"wait_for_change": "true", "last_etag": self._etag, "timeout_sec": _GCP_HANGING_SECONDS}
            path, seconds = f"{path}?{urllib.parse.urlencode(waiting)}", _GCP_HANGING_SECONDS + 10.0
        answer = self._metadata.get(path, {"Metadata-Flavor": "Google"}, seconds)
        if not gcp_preempted(_text(answer)):
            # Kept only with an answer that was read: otherwise the next question would wait for what has come already.
            self._etag = answer.etag
            return None
        now = self._clock()
        return Notice(INTERRUPTION, "preempted", now, now + _GCP_NOTICE_SECONDS)


def of(settings: Settings) -> Source | None:
    """Return where this machine's notices come from; a machine that nobody takes back has none."""
    sources: dict[str, Callable[[Metadata], Source]] = {"aws": Aws, "azure": Azure, "gcp": Gcp}
    make = sources.get(settings.provider)
    return None if make is None else make(Metadata(settings.metadata_url))


def aws_interruption(text: str, now: float) -> Notice:
    """Read `spot/instance-action`.

    Raises:
        Unreadable: the text is none.
    """
    found = _object(text)
    return Notice(INTERRUPTION, _word(found.get("action")), now, _rfc3339(found.get("time")))


def aws_rebalance(text: str, now: float) -> Notice:
    """Read `events/recommendations/rebalance`.

    Raises:
        Unreadable: the text is none.
    """
    _rfc3339(_object(text).get("noticeTime"))
    return Notice(REBALANCE, "rebalance", now, None)


def azure_preempt(text: str, now: float) -> Notice | None:
    """Read the scheduled events; of several the first to begin counts.

    Raises:
        Unreadable: the text is none.
    """
    events = _object(text).get("Events")
    if not isinstance(events, list) or not all(isinstance(event, dict) for event in events):
        raise Unreadable(f"no list of events: {text[:80]!r}")
    begins = [_begins(event, now) for event in events if event.get("EventType") == "Preempt"]
    return Notice(INTERRUPTION, "preempt", now, min(begins)) if begins else None


def gcp_preempted(text: str) -> bool:
    """Read `instance/preempted`.

    Raises:
        Unreadable: the text is neither TRUE nor FALSE.
    """
    word = text.strip().upper()
    if word not in {"TRUE", "FALSE"}:
        raise Unreadable(f"neither TRUE nor FALSE: {text[:80]!r}")
    return word == "TRUE"


def _begins(event: dict[str, Any], now: float) -> float:
    """Return when an event of Azure's begins: at once where it says no time, as one does that has started."""
    given = event.get("NotBefore")
    if not given:
        return now
    try:
        return email.utils.parsedate_to_datetime(str(given)).timestamp()
    except (TypeError, ValueError) as error:
        raise Unreadable(f"no time: {given!r}") from error


def _text(answer: Answer) -> str:
    if answer.status != _HTTP_OK:
        raise Unreadable(f"HTTP {answer.status}")
    return answer.text


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise Unreadable(f"no JSON: {text[:80]!r}") from error
    if not isinstance(found, dict):
        raise Unreadable(f"no JSON object: {text[:80]!r}")
    return found


def _word(given: object) -> str:
    if not isinstance(given, str) or not given.isalpha():
        raise Unreadable(f"no action: {given!r}")
    return given


def _rfc3339(given: object) -> float:
    try:
        return dt.datetime.strptime(str(given), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=dt.timezone.utc).timestamp()
    except ValueError as error:
        raise Unreadable(f"no time: {given!r}") from error
