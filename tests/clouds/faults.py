"""What a test wants to go wrong, when, and how often."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.clouds import errors
from tests.clouds.properties import Values


@dataclass
class Fault:
    """One thing that goes wrong. See `Faults.add`."""

    provider: str
    token: str
    method: str
    error: str | None
    times: int
    when: Callable[[Values], bool]
    after_seconds: float
    delay_seconds: float
    lost_answer: bool
    evict_after_seconds: float | None
    partial: bool | None
    repeated: bool = False
    gone: bool = False
    added_at: float = 0.0
    seen: int = 0

    def fits(self, provider: str, token: str, method: str, inputs: Values, now: float) -> bool:
        """Say whether it is this call's turn to go wrong."""
        return (
            self.seen < self.times
            and self.provider == provider
            and token.startswith(self.token)
            and self.method in {method, "*"}
            and now - self.added_at >= self.after_seconds
            and self.when(inputs)
        )


@dataclass
class Faults:
    """The script of faults; the first one that fits a call is taken."""

    clock: Callable[[], float] = time.monotonic
    _faults: list[Fault] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(
        self,
        provider: str,
        token: str = "",
        method: str = "Create",
        *,
        error: str | None = None,
        times: int = 1,
        when: Callable[[Values], bool] = lambda _: True,
        after_seconds: float = 0.0,
        delay_seconds: float = 0.0,
        lost_answer: bool = False,
        evict_after_seconds: float | None = None,
        partial: bool | None = None,
        repeated: bool = False,
        gone: bool = False,
    ) -> Fault:
        """Let calls go wrong.

        Args:
            provider: `aws`, `azure-native` or `gcp`.
            token: the type token, or how it starts; empty for all.
            method: `Create`, `Read`, `Update`, `Delete`, `Invoke`, `Check` or `*`.
            error: the text of the answer, verbatim; see `errors.text`. None: the call goes well, once it is delayed.
            times: how many calls.
            when: what their inputs are like.
            after_seconds: from when on, counted from now.
            delay_seconds: how long the answer takes.
            lost_answer: the cloud does what it was asked, and then answers with the error, or never.
            evict_after_seconds: the machine that is made is evicted so long after.
            partial: a failed create leaves the resource behind, failed, and the stack keeps it. None: as the cloud
                does, which is so for a machine of Azure unless the text has a refusal's status (400 and more).
            repeated: the request reaches the cloud twice, as where an SDK tries again whose first answer was lost.

            gone: the plugin ends before it can pass the answer on; the engine finds nobody at the other end.

        Returns:
            the fault; its `seen` counts the calls it has met.
        """
        fault = Fault(
            provider,
            token,
            method,
            error,
            times,
            when,
            after_seconds,
            delay_seconds,
            lost_answer,
            evict_after_seconds,
            partial,
            repeated,
            gone,
        )
        with self._lock:
            fault.added_at = self.clock()
            self._faults.append(fault)
        return fault

    def throttle(self, provider: str, method: str = "Create", times: int = 1) -> Fault:
        """Let the cloud answer that it gets too many requests."""
        return self.add(provider, method=method, error=errors.text(provider, "throttled"), times=times)

    def take(self, provider: str, token: str, method: str, inputs: Values) -> Fault | None:
        """Return the fault that a call meets, and count it."""
        with self._lock:
            now = self.clock()
            for fault in self._faults:
                if fault.fits(provider, token, method, inputs, now):
                    fault.seen += 1
                    return fault
        return None

    def clear(self) -> None:
        """Let everything go well from now on."""
        with self._lock:
            self._faults.clear()
