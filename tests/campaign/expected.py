"""What a failure may be called after a fault: the kinds and codes in which a person would know it again."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from tests.campaign.schedule import Fault

_LOST: Final = r"unknown/.*"
_LEFT: Final = r"unknown/left_behind"
"""A launch that was cancelled, and what it had made could not be deleted at once: the sweep goes on with it."""
_SILENT: Final = r"boot/(node_silent|deadline_exceeded|endpoint_unreachable|time_limit)"
_PROCESS: Final = r"unknown/(worker_died|engine_died|provider_died|interrupted)"

_OF_THE_MARKET: Final = re.compile(r"configuration/not_in_zone|capacity/SkuNotAvailable")
"""The emulated clouds do not sell everything in each place that the catalog has: no fault of ours."""

NAMES: Final[Mapping[Fault, str]] = {
    Fault.SERVER_KILLED: r"unknown/interrupted",
    Fault.HOST_CRASHED: rf"unknown/interrupted|{_SILENT}",
    Fault.WORKER_KILLED: _PROCESS,
    Fault.ENGINE_KILLED: _PROCESS,
    Fault.NODE_DIED: _SILENT,
    Fault.ANSWER_LOST: r"unknown/answer_lost",
    Fault.ADDRESS_LOST: r"unknown/answer_lost",
    Fault.ANSWER_NEVER: r"cancelled/.*",
    Fault.PROVIDER_GONE: r"unknown/provider_died",
    Fault.THROTTLED: r"throttled/.*",
    Fault.STORM: rf"throttled/.*|{_LEFT}",
    Fault.CAPACITY: r"capacity/(?!nothing_tried|time_limit).*",
    Fault.QUOTA: r"quota/.*",
    Fault.REGION_DOWN: rf"unknown/cloud_unavailable|{_LEFT}",
    Fault.LISTING_REFUSED: rf"unknown/pending_unknown|{_LEFT}",
    Fault.DELETE_REFUSED: rf"throttled/.*|{_LEFT}",
    Fault.DELETE_LOST: rf"unknown/answer_lost|{_LEFT}",
    Fault.EVICTED: _SILENT,
    Fault.BOOT_FAILED: r"boot/serve_failed",
    Fault.BUCKET_REFUSES: rf"unknown/storage_(failed|unreachable)|{_SILENT}|unknown/check_storage|throttled/.*",
    Fault.BUCKET_SLOW: _SILENT,
    Fault.DISK_FULL: rf"unknown/(disk_full|state_unreadable)|{_LEFT}",
    Fault.CANCELLED: r"cancelled/.*",
}
"""A fault that is not here is lived through: no failure may come of it."""


def unexplained(errors: Iterable[Mapping[str, Any]], faults: Iterable[Fault]) -> list[str]:
    """Return the names of failures that none of these faults explains."""
    patterns = [re.compile(NAMES[fault]) for fault in set(faults) if fault in NAMES]
    names = [f"{error['kind']}/{error['code']}" for error in errors]
    known = [*patterns, _OF_THE_MARKET]
    return [name for name in names if not any(pattern.fullmatch(name) for pattern in known)]
