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
            "max_executor_threads": engines + 16,
        }
        DBOS(config=config)
        # Who is asked for by name after a restart has to have the same name then.
        self._launch = _workflow("launch", conductor.carry_out)
        self._take_down = _workflow("take_down", conductor.take_down)
        self._engines = engines

    def start(self) -> None:
        """Begin to work, and take up what was recorded or begun before the last end."""
        logging.getLogger("dbos").setLevel(logging.WARNING)
        DBOS.launch()
        for name in (_LAUNCHES, _TAKE_DOWNS):
            DBOS.register_queue(name, worker_concurrency=self._engines, polling_interval_sec=_POLL_SECONDS)
        for launch in self._launches.open():
            # That of a person's own stack is carried out by the command that began it.
            if launch.stack is None:
                self.submit(launch.id)

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

    def stop(self) -> None:
        """End without waiting for what runs: it is begun again at the next start."""
        DBOS.destroy(workflow_completion_timeout_sec=0)


def _workflow(name: str, work: Callable[[str], None]) -> Callable[[str], None]:
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
        step(launch_id)

    return run


def _again_after() -> Iterator[float]:
    yield from (1.0, 2.0, 5.0, 10.0)
    yield from itertools.repeat(30.0)


def engines_of_this_host() -> int:
    """Return how many engines may run at once: each waits most of the time, and takes about 400 MiB."""
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    by_memory = pages * size // (1024**3)
    return max(1, min(by_memory, 4 * (os.cpu_count() or 1)))
