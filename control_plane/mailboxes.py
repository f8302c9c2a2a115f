"""What the registered nodes write about themselves; read with the keys of their bucket, which their stacks hold."""

import logging
import threading
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from automation import node_session
from automation.errors import Stopped
from control_plane.project import Site
from control_plane.store.nodes import Node
from provider.resource import Refused
from provider.status import Mailbox

if TYPE_CHECKING:
    from provider.storage import Bucket

_LETTER_BYTES = 256 << 10

log = logging.getLogger(__name__)


class Mailboxes:
    """The mailboxes of all nodes. May be asked by several threads at once."""

    def __init__(self, site_of: Callable[[Node], Site]) -> None:
        self._site_of = site_of
        self._lock = threading.Lock()
        self._places: dict[str, tuple[Bucket, str]] = {}
        self._silent: set[str] = set()

    def read(self, node: Node) -> Mailbox | None:
        """Return a node's latest letter; None where there is none, or it can't be read now."""
        try:
            bucket, run_id = self._place(node)
            letter = _letter(bucket, run_id)
        except (Stopped, Refused, OSError, ValueError) as error:
            self._tell_once(node, error)
            return None
        self._silent.discard(node.id)
        return letter

    def keep(self, node_ids: Collection[str]) -> None:
        """Forget the keys of all nodes but these."""
        with self._lock:
            self._places = {node_id: place for node_id, place in self._places.items() if node_id in node_ids}

    def _place(self, node: Node) -> "tuple[Bucket, str]":
        with self._lock:
            known = self._places.get(node.id)
        if known is not None:
            return known
        from provider.storage import Bucket

        site = self._site_of(node)
        session = node_session.read(site.folder, site.stack)
        # boto3 makes its clients one at a time:
        # https://docs.aws.amazon.com/boto3/latest/guide/clients.html#caveats-multithreading-or-multiprocessing
        with self._lock:
            return self._places.setdefault(node.id, (Bucket(session.storage), session.run_id))

    def _tell_once(self, node: Node, error: Exception) -> None:
        if node.id not in self._silent:
            self._silent.add(node.id)
            log.warning("the mailbox of node %s can't be read: %s", node.id, error)


def _letter(bucket: "Bucket", run_id: str) -> Mailbox | None:
    from provider.boot_session import mailbox_key

    body = bucket.get(mailbox_key(run_id), _LETTER_BYTES)
    if body is None:
        return None
    letter = Mailbox.model_validate_json(body)
    return letter if letter.run_id == run_id else None
