"""What exists in the emulated clouds, whatever any stack's state says of it."""

import copy
import hashlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from tests.clouds.properties import Values, texts

State = Literal["creating", "ready", "failed", "stopped"]


@dataclass
class Record:
    """One resource.

    Attributes:
        provider: `aws`, `azure-native` or `gcp`.
        token: its type token.
        urn: of the resource that made it; empty for what a cloud made by itself (a disk of a machine).
        id: the cloud's id.
        inputs: as the program gave them, with the provider's defaults.
        outputs: as the cloud tells them.
        region: where it is.
        tags: tags or labels.
        created_at: in seconds since 1970.
        state: `failed` for what a failed create left behind, `stopped` for an evicted machine that still exists.
    """

    provider: str
    token: str
    urn: str
    id: str
    inputs: Values
    outputs: Values
    region: str
    tags: dict[str, str]
    created_at: float
    state: State = "ready"


@dataclass(frozen=True)
class Happening:
    """Something that was done to a resource: at what time, and by which method (or `Evict`)."""

    at: float
    method: str
    provider: str
    token: str
    id: str


@dataclass
class Truth:
    """The resources of all clouds. Every method may be called from any thread; records are given out as copies.

    Attributes:
        clock: gives the time in seconds since 1970.
        lock: held by whoever has to look and change in one step.
        watchers: told of what was done (`Create`, `Update`, `Delete`, `Evict`) and to which resource, in order and with
            the lock held.
    """

    clock: Callable[[], float] = time.time
    lock: threading.RLock = field(default_factory=threading.RLock)
    watchers: list[Callable[[str, Record], None]] = field(default_factory=list)
    _records: dict[tuple[str, str], Record] = field(default_factory=dict)
    _made: dict[str, int] = field(default_factory=dict)
    _happenings: list[Happening] = field(default_factory=list)

    def add(self, record: Record) -> None:
        """Add a resource; whoever adds has made sure that its id is free."""
        with self.lock:
            assert (record.provider, record.id) not in self._records, record.id
            self._records[record.provider, record.id] = record
            self._made[record.urn] = self._made.get(record.urn, 0) + 1
            self._note("Create", record)

    def change(
        self,
        provider: str,
        resource_id: str,
        *,
        inputs: Values | None = None,
        outputs: Values | None = None,
        state: State | None = None,
        tags: dict[str, str] | None = None,
    ) -> Record:
        """Change what is given of a resource, for tests that want drift, too.

        Raises:
            KeyError: it does not exist.
        """
        with self.lock:
            record = self._records[provider, resource_id]
            record.inputs = record.inputs if inputs is None else inputs
            record.outputs = record.outputs if outputs is None else outputs
            record.state = record.state if state is None else state
            record.tags = record.tags if tags is None else tags
            self._note("Update", record)
            return copy.deepcopy(record)

    def remove(self, provider: str, resource_id: str, method: str = "Delete") -> Record | None:
        """Remove a resource; return what it was, or None where there was none."""
        with self.lock:
            record = self._records.pop((provider, resource_id), None)
            if record is not None:
                self._note(method, record)
            return record

    def get(self, provider: str, resource_id: str) -> Record | None:
        """Return a resource by its id."""
        with self.lock:
            return copy.deepcopy(self._records.get((provider, resource_id)))

    def find(
        self,
        provider: str | None = None,
        token: str | None = None,
        *,
        urn: str | None = None,
        where: Callable[[Record], bool] = lambda _: True,
    ) -> list[Record]:
        """Return the resources of a provider, of a token or its ending (`:Instance`), or of one URN, oldest first.

        `where` narrows it further, and changes nothing.
        """
        with self.lock:
            return [
                copy.deepcopy(record)
                for record in self._records.values()
                if (provider is None or record.provider == provider)
                and (token is None or record.token.endswith(token))
                and (urn is None or record.urn == urn)
                and where(record)
            ]

    def one(self, provider: str, token: str) -> Record:
        """Return the only resource of a token or its ending."""
        found = self.find(provider, token)
        assert len(found) == 1, [record.id for record in found]
        return found[0]

    def users(self, provider: str, names: set[str], but: str = "") -> list[Record]:
        """Return the resources in whose inputs one of these texts stands."""
        return self.find(provider, where=lambda record: record.id != but and not names.isdisjoint(texts(record.inputs)))

    @property
    def happenings(self) -> list[Happening]:
        """Everything that was done, in order."""
        with self.lock:
            return list(self._happenings)

    def number(self, urn: str) -> int:
        """Return how many resources this URN has ever made."""
        with self.lock:
            return self._made.get(urn, 0)

    def __len__(self) -> int:
        with self.lock:
            return len(self._records)

    def _note(self, method: str, record: Record) -> None:
        self._happenings.append(Happening(self.clock(), method, record.provider, record.token, record.id))
        for watcher in self.watchers:
            watcher(method, record)


def digest(*parts: object, digits: int = 17) -> str:
    """Return hexadecimal digits that stand for these parts: where a cloud's are random, ours repeat from run to run."""
    return hashlib.sha256("|".join(map(str, parts)).encode()).hexdigest()[:digits]


def uuid_of(*parts: object) -> str:
    """Return a UUID that stands for these parts."""
    text = digest(*parts, digits=32)
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
