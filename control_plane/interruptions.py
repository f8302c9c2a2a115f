"""When a cloud takes a node back: its place is left alone for a while, another node is launched, and this one goes."""

import logging
import time
import uuid
from typing import Final

from automation.blocked import after_interruption
from automation.errors import Kind, kind_of
from automation.offers import Offer
from control_plane.request import LaunchAsked
from control_plane.services import Services
from control_plane.store.launches import Launch, UnknownLaunch
from control_plane.store.nodes import Node
from provider.status import Mailbox

NOTICE_SECONDS: Final = 120.0
"""No cloud's notice is longer than two minutes: a machine that is told to go, or is silent, has gone by then."""
_LONGEST_PAUSE: Final = 3600.0
_WATCHED: Final = frozenset({"healthy", "unhealthy", "interrupted"})
_LATER: Final = frozenset({Kind.CAPACITY, Kind.THROTTLED, Kind.QUOTA})
"""What may be otherwise later without anybody doing anything: the machine that goes may be what fills the quota."""

log = logging.getLogger(__name__)


class Interruptions:
    """What is done about them. Each step may be done again, by any server: it changes nothing then."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def is_watched(self, node: Node) -> bool:
        """Tell whether a node's cloud may take it back, and nothing is done about it yet or is still under way."""
        new = node.interrupted_at is None or node.state == "interrupted"
        return node.state in _WATCHED and bool(node.offer["spot"]) and new

    def heard(self, node: Node, letter: Mailbox | None) -> None:
        """Act on the latest letter of a node that is watched; None where there is none."""
        now = time.time()
        if node.state != "interrupted":
            if letter is None or letter.state != "interrupted" or letter.notice is None:
                return
            # The node's clock may be wrong; that it was healthy then, and isn't now, is known.
            since = min(now, max(letter.notice.noticed_at, node.last_healthy_at))
            self._begin(node, since, f"its cloud takes it back ({letter.notice.action}); it answers what it has begun")
            return
        # Whoever began may have died in the middle.
        self._begin(node, now, node.state_reason)
        if _has_ended(node, letter, now):
            self._end(node, _last_words(letter))

    def silent(self, node: Node, why: str) -> None:
        """Act on a node that has gone without a notice."""
        if self._begin(node, node.last_healthy_at, why):
            self._end(node, why)

    def try_again(self) -> None:
        """Launch again what could not be launched in a node's place because there was nothing to be had."""
        services = self._services
        for node in services.nodes.without_successor(time.time()):
            try:
                launch = services.launches.get(str(node.relaunched_as))
            except UnknownLaunch:
                continue
            if _is_worth_another_try(node, launch):
                # Named after the one that failed: however many servers try, there is one more.
                self._launch(node, f"launch-{uuid.uuid5(uuid.NAMESPACE_URL, launch.id)}", launch.id)

    def _begin(self, node: Node, since: float, reason: str) -> bool:
        """Record it, leave its place alone, and launch again where that was asked for; False if it is too late."""
        services = self._services
        begun = services.nodes.interrupt(node.id, "interrupted", since, reason)
        if begun is None or begun.interrupted_at is None:
            return False
        # The place first, so that the launch does not choose it.
        services.blocks.add(after_interruption(Offer.model_validate(dict(node.offer)), begun.interrupted_at))
        launch = services.launches.get(node.launch_id)
        # What comes after a node in a person's own stack is that person's to say.
        if LaunchAsked.model_validate(launch.request).keep and launch.stack is None:
            self._launch(node, f"launch-{node.id}", None)
        return True

    def _launch(self, node: Node, launch_id: str, instead_of: str | None) -> None:
        services = self._services
        request = services.launches.get(node.launch_id).request
        # Before there is such a launch, so that its node finds whose place it takes.
        services.nodes.set_relaunch(node.id, launch_id, instead_of)
        new_id, is_new = services.launches.add(launch_id, request, f"relaunch-{launch_id}")
        if is_new:
            log.warning("launching %s again as %s", node.launch_id, new_id)
            services.launches.note(new_id, f"In place of node {node.id}, which its cloud takes back")
        services.workflows.submit(new_id)

    def _end(self, node: Node, reason: str) -> None:
        services = self._services
        site = services.template.site_of(services.launches.get(node.launch_id))
        if site.is_persons:
            reason = f"{reason}; liftoff destroy --stack {site.stack} takes down what is left of it"
        ended = services.nodes.interrupt(node.id, "evicted", node.last_healthy_at, reason)
        if ended is not None and not site.is_persons:
            services.take_down(node.launch_id)


def _is_worth_another_try(node: Node, launch: Launch) -> bool:
    """Tell whether a launch in a node's place may go better now; the longer it takes, the seldomer it is tried."""
    if launch.status != "failed" or launch.error is None or kind_of(str(launch.error["kind"])) not in _LATER:
        return False
    ended, began = launch.ended_at or 0.0, node.interrupted_at or 0.0
    return time.time() - ended > min((ended - began) / 2, _LONGEST_PAUSE)


def _has_ended(node: Node, letter: Mailbox | None, now: float) -> bool:
    """Tell whether nothing is lost when the machine goes: it waits for no request any more, or its time is over."""
    if letter is not None and letter.notice is not None and letter.notice.drained_at is not None:
        return True
    return now - (node.interrupted_at or 0.0) > NOTICE_SECONDS


def _last_words(letter: Mailbox | None) -> str:
    answered = letter.notice.all_answered if letter is not None and letter.notice is not None else None
    if answered is None:
        return "its cloud has taken it back; it did not say what became of its last requests"
    return f"its cloud takes it back; {'every request was answered' if answered else 'not every request was answered'}"
