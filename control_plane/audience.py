"""Who waits, in the process that carries it out, for a launch in their own stack."""

from dataclasses import dataclass

from automation.errors import Stopped
from automation.failover import PlanResult
from automation.launch import LaunchResult
from automation.preview.gate import Gate
from automation.session import Interrupts, Reporter


@dataclass
class Audience:
    """A command that shows a launch as it goes.

    Attributes:
        reporter: is told how it goes, beside the store.
        interrupts: the user's Ctrl-C.
        gate: what the user has the launch held to.
        ended: how it ended: the result, or why it could not begin.
    """

    reporter: Reporter
    interrupts: Interrupts
    gate: Gate
    ended: LaunchResult | PlanResult | Stopped | None = None
