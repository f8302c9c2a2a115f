"""Creates whose end the engine never saw: what the cloud made of them is looked for, and the state forgets them."""

import os
from typing import Final

from automation import stack_file, stages
from automation.cloud_api.refused import Refused
from automation.errors import Kind, Stopped
from automation.session import Session
from automation.worker import Result

_SECONDS: Final = 120.0
_CLOUDS: Final = frozenset({"aws", "azure", "gcp"})


def resolve(session: Session) -> Result:
    """Delete the machines of the stack that its state does not know, and clear the state of pending creates.

    Nothing is asked of any cloud where the engine saw the end of everything.

    Returns:
        What the state held before.

    Raises:
        Stopped: the cloud can't be asked, or the state can't be written.
    """
    found = session.run("resources", _SECONDS)
    if not found.ok or not found.pending:
        return found
    names = ", ".join(stages.name_of(urn) for urn in found.pending)
    session.reporter.note(f"The engine did not see what became of {names}: looking for it in the cloud")
    _sweep(session, found, names)
    done = session.run("forget", _SECONDS)
    if not done.ok:
        text = f"the state of stack {session.stack!r} can't be cleared of {names}: {done.text}"
        raise Stopped(Kind.UNKNOWN, "state_unwritable", text, "see what the text says")
    return found


def _sweep(session: Session, found: Result, names: str) -> None:
    # The clouds' SDKs: no other launch has to wait for their import.
    from automation import sweep
    from automation.checks import stack_values

    values = stack_values.read(session.project, session.stack, {})
    provider, region = values.get("provider"), values.get("region")
    if provider not in _CLOUDS:
        # A machine of this host goes by its name: the next create, or delete, finds it.
        return
    project = stack_file.project_name(session.project)
    known = {resource.id for resource in found.resources}
    try:
        cloud = sweep.connect(provider, region, values.environment(os.environ))
        for machine in sweep.unknown(cloud, project, session.stack, known):
            session.reporter.note(f"Deleting {machine.id}, which no state knows")
            cloud.delete(machine)
    except Refused as error:
        text = f"what became of {names} can't be looked up at {provider}: {error.code}: {error}"
        hint = f"look there for machines with the tag liftoff-stack={session.stack}, and delete them"
        raise Stopped(Kind.UNKNOWN, "pending_unknown", text, hint) from error
