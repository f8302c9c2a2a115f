"""The queue of work: each launch and each take-down is a durable workflow, begun again where its server died.

A launch is one step of one workflow: where it stands is in the store and in the stack's state, which are right at every
moment, and the step may be begun again at any line. DBOS holds the queue, its limit, and what has to be begun again.
"""

import itertools
import logging
import os
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from dbos import DBOS, DBOSConfig, SetEnqueueOptions, SetWorkflowID

from control_plane.conductor import Conductor
from control_plane.store.launches import Launches

_VERSION: Final = "1"
"""Of the workflows' form, not of Liftoff: an upgraded server goes on with what the one before it began."""
_LAUNCHES: Final = "launches"
_TAKE_DOWNS: Final = "take-downs"
_POLL_SECONDS: Final = 0.2
_RECOVERIES: Final = 1_000_000
"""DBOS gives a workflow up that was begun again too often; a launch is never given up."""

log = logging.getLogger(__name__)


class Workflows:
    """The workflows of one server. One at a time may be started in a process."""

    def __init__(self, conductor: Conductor, launches: Launches, url: str, server: str, engines: int) -> None:
        self._launches = launches
        config: DBOSConfig = {
            "name": "liftoff",
            "system_database_url": url,
            "executor_id": server,
            "application_version": _VERSION,
            "log_level": "WARNING",
            # Both queues at their limits: what has left one must not wait for a thread.
            "max_executor_threads": 2 * engines + 16,
        }
        self._dbos = DBOS(config=config)
        self._server = server
        self._worked_on: set[str] = set()
        self._idle: set[str] = set()
        # Who is asked for by name after a restart has to have the same name then.
        self._launch = _workflow("launch", conductor.carry_out, self._worked_on)
        self._take_down = _workflow("take_down", conductor.take_down, self._worked_on)
        self._engines = engines

    def start(self) -> None:
        """Begin to work, and take up what was recorded or begun before the last end."""
        logging.getLogger("dbos").setLevel(logging.WARNING)
        DBOS.launch()
        for name in (_LAUNCHES, _TAKE_DOWNS):
            DBOS.register_queue(name, worker_concurrency=self._engines, polling_interval_sec=_POLL_SECONDS)
        self._submit_open()

    def carry_out(self, launch_id: str) -> None:
        """Carry one launch out in a process that takes nothing else from the queue, and return when it has ended."""
        DBOS.listen_queues([])
        DBOS.launch()
        with SetWorkflowID(launch_id):
            handle = DBOS.start_workflow(self._launch, launch_id)
        handle.get_result()

    def submit(self, launch_id: str) -> None:
        """Put a launch into the queue; it is there once, however often it is put."""
        with SetWorkflowID(launch_id):
            DBOS.enqueue_workflow(_LAUNCHES, self._launch, launch_id)

    def take_down(self, launch_id: str) -> None:
        """Put the take-down of a launch into the queue, unless it is there; asked for later, it is tried again."""
        once = SetEnqueueOptions(deduplication_id=f"take-down-{launch_id}", duplication_policy="return-existing")
        with SetWorkflowID(f"take-down-{launch_id}-{uuid.uuid4()}"), once:
            DBOS.enqueue_workflow(_TAKE_DOWNS, self._take_down, launch_id)

    def adopt(self, dead: Sequence[str]) -> None:
        """Let servers that live go on with what dead ones worked on: launches and take-downs.

        However many servers do so at once, each workflow is begun again once: DBOS puts one back into its queue only
        while the dead server still has it.
        """
        # What is public of DBOS does not look who has a workflow.
        DBOS._recover_pending_workflows(list(dead))

    def catch_up(self) -> None:
        """Go on with what this server has and nobody works on.

        On a full disk, or while the database is away, a launch may be recorded and not come into the queue, and what
        DBOS could not put back at the start, or not mark as done, it leaves as it is until the next start. Whatever was
        found idle the last time, too, was not only about to begin.
        """
        self._submit_open()
        # What is public of DBOS begins such a workflow again without its queue's limit.
        found = self._dbos._sys_db.get_pending_workflows(self._server, _VERSION)
        idle = {one.workflow_id for one in found} - self._worked_on
        for workflow in sorted(idle & self._idle):
            log.warning("%s is not worked on; it is begun again", workflow)
            self._dbos._sys_db.reenqueue_for_recovery(workflow, [self._server], _LAUNCHES)
        self._idle = idle - self._idle

    def _submit_open(self) -> None:
        # That of a person's own stack is carried out by the command that began it.
        ids = [launch.id for launch in self._launches.open() if launch.stack is None]
        if not ids:
            return
        found = DBOS.list_workflows(workflow_ids=ids, load_input=False, load_output=False)
        queued = {one.workflow_id for one in found}
        for launch_id in ids:
            if launch_id not in queued:
                self.submit(launch_id)

    def stop(self) -> None:
        """End without waiting for what runs: it is begun again at the next start."""
        DBOS.destroy(workflow_completion_timeout_sec=0)


def _workflow(name: str, work: Callable[[str], None], worked_on: set[str]) -> Callable[[str], None]:
    @DBOS.step(name=f"{name}_step")
    def step(launch_id: str) -> None:
        # DBOS never begins a workflow again that has raised: the database may only have been away for a moment.
        for seconds in _again_after():
            try:
                work(launch_id)
            except Exception:
                log.exception("%s of %s; it is tried again in %.0f s", name, launch_id, seconds)
                time.sleep(seconds)
            else:
                return

    @DBOS.workflow(name=name, max_recovery_attempts=_RECOVERIES)
    def run(launch_id: str) -> None:
        own = str(DBOS.workflow_id)
        worked_on.add(own)
        try:
            step(launch_id)
        finally:
            worked_on.discard(own)

    return run


def _again_after() -> Iterator[float]:
    yield from (1.0, 2.0, 5.0, 10.0)
    yield from itertools.repeat(30.0)


def engines_of_this_host() -> int:
    """Return how many engines may run at once: each waits most of the time, and takes about 400 MiB."""
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    by_memory = pages * size // (1024**3)
    return max(1, min(by_memory, 4 * (os.cpu_count() or 1)))
