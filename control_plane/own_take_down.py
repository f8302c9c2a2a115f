"""The take-down of a launch of this host's own control plane, by a command instead of its server."""

import time

from automation import takedown
from automation.errors import Stopped
from automation.session import Interrupts, Reporter
from automation.takedown import DestroyResult
from control_plane.own import Own
from control_plane.store.nodes import NOT_TAKEN_DOWN


def take_down(own: Own, job_id: str, reporter: Reporter, interrupts: Interrupts) -> DestroyResult:
    """Delete everything that a launch has made, its stack and its folder.

    Raises:
        Stopped: it can't begin, such as where a server works on the same stack.
    """
    began = time.monotonic()
    site = own.template.site_of(own.launches.get(job_id))
    if not site.folder.exists():
        return DestroyResult(job_id, 0.0)
    try:
        result = takedown.destroy(site.folder, site.stack, reporter, interrupts, remove=not site.is_persons)
    except Stopped as error:
        if error.code != "stack_missing":
            raise
        result = DestroyResult(job_id, round(time.monotonic() - began, 3))
    if result.failure is None and not result.left and not site.is_persons:
        own.template.forget(job_id)
    return DestroyResult(
        job_id, result.seconds, result.deleted, result.left, result.failure, f"liftoff destroy {job_id}"
    )


def destroy(own: Own, job_id: str, reporter: Reporter, interrupts: Interrupts) -> DestroyResult | None:
    """Take a launch down; one that has not ended is cancelled by the server that works on it, and None is returned.

    Raises:
        Stopped: the launch is not known, or its take-down can't begin.
    """
    if own.cancel(job_id)["ended_at"] is None:
        return None
    # Said first: a server that finds the node silent would launch it again.
    own.tell_node(job_id, "terminating", "somebody asked for it")
    result = take_down(own, job_id, reporter, interrupts)
    if result.failure is None and not result.left:
        own.tell_node(job_id, "gone", "taken down")
    else:
        own.tell_node(job_id, "terminating", f"{NOT_TAKEN_DOWN}: {', '.join(result.left) or 'see its launch'}")
    return result
