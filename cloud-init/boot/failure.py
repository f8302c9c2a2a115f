"""Why a boot ends: one exception with a code, the phase, what happened and what to do about it."""

from __future__ import annotations


class BootFailed(Exception):
    """The boot can't go on.

    Attributes:
        code: one of deadline_exceeded, download_failed, checksum_mismatch, weights_incomplete, install_failed,
            serve_failed, settings_invalid, disk_full, spot_interrupted.
        phase: install, weights, serve, or empty for the boot as a whole.
        message: what happened, to what.
        hint: what the user should do next.
    """

    def __init__(self, code: str, phase: str, message: str, hint: str) -> None:
        super().__init__(message)
        self.code = code
        self.phase = phase
        self.message = message
        self.hint = hint
