"""What is kept of a launch while it goes on: its stages, notes, attempts, log, and each machine that is paid for."""

import time
from typing import Final

from automation.errors import LaunchFailure
from automation.failover import made_nothing
from automation.journal import redact
from automation.offers import Offer
from automation.session import Reporter
from automation.stages import MACHINE_TYPES, MAKES, Event
from control_plane import recorded_error
from control_plane.store.launches import Launches
from provider.status import Status, added_lines, parse_log

_SPEAK_SECONDS: Final = 0.2
_NODE_LINES: Final = 200
"""So many lines of a node's log are remembered, more than the end of it that a failure brings."""


class Listener:
    """Keeps what happens to one launch."""

    def __init__(self, launches: Launches, launch_id: str, reporter: Reporter | None = None) -> None:
        self._launches = launches
        self._id = launch_id
        self._reporter = reporter
        self._number = 0
        self._spoke = 0.0
        self._shown: Status | None = None
        self._least = 0.0
        self._going_on: Offer | None = None
        self._node_log: list[str] = []
        self._offer: Offer | None = None
        self._began = 0.0

    def go_on_from(self, percent: float, offer: Offer) -> None:
        """Tell nothing of an offer that was told before its server died."""
        self._least, self._going_on = percent, offer

    def status(self, status: Status, elapsed: float) -> None:
        """Keep how far it is; of many in a moment only the first, but each new stage."""
        if self._reporter is not None:
            self._reporter.status(status, elapsed)
        if status.percent < self._least:
            return
        now = time.monotonic()
        same_stage = self._shown is not None and self._shown.stage is status.stage
        if same_stage and now - self._spoke < _SPEAK_SECONDS:
            return
        self._shown, self._spoke = status, now
        self._launches.set_status(self._id, status)

    def note(self, text: str) -> None:
        """Keep a decision."""
        if self._reporter is not None:
            self._reporter.note(text)
        self._launches.note(self._id, redact(text))

    def skipped(self, offer: Offer, reason: str) -> None:
        """Keep that an offer is not tried."""
        self._launches.skip_attempt(self._id, offer, reason)

    def trying(self, offer: Offer) -> None:
        """Keep which offer is tried."""
        if offer != self._going_on:
            self._least = 0.0
        self._number = self._launches.start_attempt(self._id, offer)
        self._offer, self._began = offer, self._launches.attempts_of(self._id)[-1].started_at or time.time()

    def happened(self, event: Event) -> None:
        """Keep what the engine says."""
        if event.type in MACHINE_TYPES:
            self._keep_machine(event)
        node_lines = parse_log(event.message) if event.kind == "diagnostic" and event.ephemeral else None
        if node_lines:
            lines = [redact(line) for line in node_lines]
            self._node_log = [*self._node_log, *lines][-_NODE_LINES:]
            self._launches.log(self._id, "node", lines)
        elif event.kind == "diagnostic" and not event.ephemeral:
            self._launches.log(self._id, "engine", redact(event.message).splitlines())
        elif event.kind in {"pre", "failed"} and event.op not in {"", "same"}:
            done = "failed to" if event.kind == "failed" else "will"
            self._launches.log(self._id, "engine", [f"{event.name}: {done} {event.op}"])

    def _keep_machine(self, event: Event) -> None:
        machines = self._launches.machines
        if event.op.startswith("delete"):
            if event.kind == "outputs":
                machines.gone(self._id)
        elif self._offer is None or event.kind != "pre":
            return
        elif event.op in MAKES:
            machines.asked(self._id, self._number, self._offer.price)
        else:
            machines.exists(self._id, self._number, self._offer.price, self._began)

    def never_made(self) -> None:
        """Keep that the machine that was asked for last has cost nothing."""
        self._launches.machines.refused(self._id)

    def cleared(self) -> None:
        """Keep that nothing of what was tried is left."""
        self._launches.machines.gone(self._id)

    def tried(self, offer: Offer, failure: LaunchFailure | None) -> None:
        """Keep how it went."""
        if failure is not None and made_nothing(offer, failure):
            self._launches.machines.refused(self._id)
        if failure is not None and failure.log:
            # The end of it was told while it was written.
            last = added_lines(self._node_log, [redact(line) for line in failure.log])
            self._launches.log(self._id, "node", last)
        self._node_log = []
        self._launches.end_attempt(self._id, self._number, recorded_error.of_failure(failure) if failure else None)
        # The next try of the same offer is a new one.
        self._going_on = None

    def gave_up(self) -> None:
        """Keep that no further offer is to be tried, though there are some."""
        self._launches.end_plan(self._id)
