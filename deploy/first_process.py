"""The first process of a container: ends only when the engines have finished what was in flight.

A container ends with its first process, and everything in it is killed at that moment. `liftoff serve` ends at once
when it is asked to, and the engines that it has started then finish by themselves: what a cloud is creating gets into
the state.
"""

import ctypes
import os
import signal
import subprocess
import sys
from types import FrameType

_PR_SET_CHILD_SUBREAPER = 36


def main() -> int:
    """Run the command of the arguments, wait for it and for whatever it leaves, and return its exit code."""
    # As the first process it gets orphans anyway; elsewhere it asks for them.
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    child = subprocess.Popen(sys.argv[1:])

    def pass_on(number: int, _frame: FrameType | None) -> None:
        if child.returncode is None:
            child.send_signal(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, pass_on)
    while True:
        try:
            pid, status = os.wait()
        except ChildProcessError:
            code = int(child.returncode or 0)
            # As a shell tells that a signal has ended a command.
            return code if code >= 0 else 128 - code
        if pid == child.pid:
            child.returncode = os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main())
