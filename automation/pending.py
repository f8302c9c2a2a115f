"""Creates whose end the engine never saw: what the cloud made of them is deleted, and the state forgets them."""

from typing import Final

from automation import lost, stages
from automation.errors import Stopped
from automation.session import Session, judge
from automation.worker import Result
from provider.status import Stage

_SECONDS: Final = 120.0


def resolve(session: Session) -> Result:
    """Delete what the cloud has of the stack and its state does not know, and clear the state of pending creates.

    Nothing is asked of any cloud where the engine saw the end of everything.

    Returns:
        What the state held before.

    Raises:
        Stopped: the cloud can't be asked, or the state can't be written.
    """
    found = session.run("resources", _SECONDS)
    if found.ok and found.pending:
        settle(session, found)
    return found


def settle(session: Session, found: Result) -> None:
    """Do the same, where it is known what the state holds and that creates are pending in it.

    Raises:
        Stopped: the cloud can't be asked, or the state can't be written.
    """
    names = ", ".join(stages.name_of(one.urn) for one in found.pending)
    session.reporter.note(f"The engine did not see what became of {names}: looking for it in the cloud")
    lost.delete(session, found, patient=True)
    # A machine that is in a network keeps its parts from going.
    lost.delete_parts(session, found)
    done = session.run("forget", _SECONDS)
    if not done.ok:
        why = judge(done, [], Stage.REQUEST)
        text = f"the state of stack {session.stack!r} can't be cleared of {names}: {why.message}"
        raise Stopped(why.kind, why.code, text, why.hint)
