"""What every operation on one stack shares: the engine, its environment, the journal, and the user's interrupts."""

import os
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Protocol, Self

from automation import backend, errors, stack_file, stages
from automation.errors import Kind, LaunchFailure, Stopped
from automation.journal import Journal
from automation.stages import Event
from automation.worker import DIED, ENGINE_DIED, LOOKS, Operation, Request, Result, Worker
from provider.status import Stage, Status

_LOOK_SECONDS: Final = 0.1
_LOCKED_SECONDS: Final = 1.0
_LOCK_SECONDS: Final = 240.0
"""How long an engine whose driver was killed may take to finish what was in flight."""


class Reporter(Protocol):
    """Who is told how it goes. Called from one thread."""

    def status(self, status: Status, elapsed: float) -> None:
        """Show how far the launch is, `elapsed` seconds after its beginning."""

    def note(self, text: str) -> None:
        """Show a line that stays."""


class Interrupts:
    """The user's Ctrl-C: the first ends cleanly, the second at once. `press` may be called from a signal handler."""

    def __init__(self) -> None:
        self.count = 0
        self._worker: Worker | None = None

    def press(self) -> None:
        """Pass one more interrupt on to the operation that runs."""
        self.count += 1
        if self._worker is not None:
            self._pass_on(self._worker)

    def wait(self, seconds: float) -> bool:
        """Wait, or return True as soon as the user has interrupted."""
        end = time.monotonic() + seconds
        while self.count == 0 and time.monotonic() < end:
            time.sleep(min(_LOOK_SECONDS, seconds))
        return self.count > 0

    def watch(self, worker: Worker | None) -> None:
        """Say which operation runs; one that begins after the second interrupt is ended, too."""
        self._worker = worker
        if worker is not None and self.count > 1:
            worker.kill()

    def _pass_on(self, worker: Worker) -> None:
        if self.count == 1:
            worker.cancel()
        else:
            worker.kill()


class Session:
    """Operations on one stack, one after the other; each of them is in the journal."""

    def __init__(
        self,
        project: Path,
        stack: str,
        interrupts: Interrupts,
        reporter: Reporter,
        launch_id: str | None = None,
    ) -> None:
        self.project = project.resolve()
        self.stack = stack
        self.interrupts = interrupts
        self.reporter = reporter
        self.launch_id = launch_id or f"launch-{uuid.uuid4()}"
        self.engine = backend.engine_folder()
        self.environment = backend.environment(os.environ)
        self._release_stale_locks()
        self.journal = Journal(self.launch_id)
        self._ahead: Worker | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._ahead is not None:
            self._ahead.dismiss()
        self.journal.close()

    def start_ahead(self, *modules: str) -> None:
        """Start the next operation's process now, with these modules imported, so that it can begin at once."""
        if self._ahead is None:
            self._ahead = Worker(self.journal.worker_log, modules)

    def run(
        self,
        operation: Operation,
        limit_seconds: float,
        on_event: Callable[[Event], None] = lambda _: None,
        *,
        config: Mapping[str, str] | None = None,
        remove: bool = False,
        only_types: frozenset[str] = frozenset(),
    ) -> Result:
        """Run one operation to its end."""
        request = Request(
            project=self.project,
            stack=self.stack,
            operation=operation,
            engine=self.engine,
            version=backend.version(),
            config=dict(config or {}),
            environment=self.environment,
            limit_seconds=limit_seconds,
            remove=remove,
            only_types=only_types,
        )
        keeps = stack_file.restored if operation == "preview" else stack_file.untouched
        with keeps(self.project, self.stack):
            worker, self._ahead = self._ahead, None
            if worker is None or not worker.lives:
                worker = Worker(self.journal.worker_log)
            worker.begin(request)
            self.interrupts.watch(worker)
            if operation == "up" and self.interrupts.count == 1:
                # It came while the update was being prepared.
                worker.cancel()
            try:
                for event in worker.events():
                    self.journal.event(event)
                    on_event(event)
            except BaseException:
                # Such as a database that is away: nobody would read the engine's words, and its lock would stay.
                worker.abandon()
                raise
            finally:
                self.interrupts.watch(None)
        result = worker.result()
        if result.error in DIED:
            self._wait_for_lock()
        elif operation in LOOKS:
            self._ahead = worker
        self.journal.write("result", {"operation": operation, **result.model_dump(mode="json")})
        return result

    def _wait_for_lock(self) -> None:
        """Let an engine whose driver was killed finish what is in flight; the lock of one that was killed goes."""
        limit = time.monotonic() + _LOCK_SECONDS
        while True:
            try:
                self._release_stale_locks()
            except Stopped:
                if time.monotonic() > limit or self.interrupts.count > 1:
                    raise
                time.sleep(_LOCKED_SECONDS)
            else:
                return

    def _release_stale_locks(self) -> None:
        url = backend.url_of_user(os.environ) or self.environment["PULUMI_BACKEND_URL"]
        for lock in backend.release_stale_locks(url, stack_file.project_name(self.project), self.stack):
            self.reporter.note(f"Released the lock of {lock.holder}: that process is dead")


def judge(result: Result, failing: list[Event], stage: Stage) -> LaunchFailure:
    """Return why an operation failed: cancelled, else what the engine said of a resource, else what it wrote."""
    told = [event for event in failing if event.kind == "diagnostic"]
    # The engine's own summary ("update failed") has no resource; a resource's own words say more.
    cause = next((event for event in told if event.urn), None) or next(iter(told), None)
    failed = next((event for event in failing if event.kind == "failed"), None)
    resource = stages.name_of(cause.urn) if cause and cause.urn else failed.name if failed else ""
    own_words = cause is not None and (bool(cause.urn) or errors.is_traceback(cause.message))
    raw = cause.message if cause is not None and own_words else result.text or (cause.message if cause else "")
    failure = errors.classify(raw, stage, resource)
    if result.error in DIED:
        code, who = ("engine_died", "the engine") if result.error == ENGINE_DIED else ("worker_died", "the update")
        return LaunchFailure(
            Kind.UNKNOWN,
            code,
            stage,
            resource,
            f"the process of {who} was killed: {result.text.strip() or 'it left no word'}",
            "look whether this host has too little memory; then run the same again: it takes up where it stands",
            retryable=True,
            raw=raw,
        )
    if result.cancelled == "user":
        return LaunchFailure(
            Kind.CANCELLED, "cancelled", stage, resource, "cancelled", "run the command again", True, raw, failure.log
        )
    if result.cancelled == "time_limit" and failure.kind in {Kind.UNKNOWN, Kind.CANCELLED}:
        return LaunchFailure(
            Kind.BOOT if stage.start >= Stage.INSTALL.start else Kind.CAPACITY,
            "time_limit",
            stage,
            resource,
            f"the update had not ended after {result.seconds:.0f} s and was cancelled",
            "a cloud without capacity may keep an update waiting: try another zone, region or instance type",
            retryable=True,
            raw=raw,
            log=failure.log,
        )
    return failure
