"""Starts the language host: `pulumi-language-python [options] ENGINE_ADDRESS` prints its port and serves."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
from pulumi.runtime.proto.language_pb2_grpc import add_LanguageRuntimeServicer_to_server

from .servicer import LanguageHost

if TYPE_CHECKING:
    from types import FrameType

_MESSAGE_BYTES = 400 * 1024 * 1024  # the limit of the engine and the SDKs (grpc's own is 4 MiB)
_PARENT_SECONDS = 1.0
_STOP_SECONDS = 6.0


def main() -> int:
    """Serve until SIGINT or SIGTERM, or until the engine is gone; return the exit status."""
    parser = argparse.ArgumentParser(prog="pulumi-language-python")
    parser.add_argument("--executor", type=Path, required=True, help="pulumi-language-python-exec")
    parser.add_argument("engine", nargs="?", default="", help="the engine's address")
    for flag in ("--tracing", "-v"):  # what the engine passes on; this host has nothing to trace
        parser.add_argument(flag, help=argparse.SUPPRESS)
    parser.add_argument("--logtostderr", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()

    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGINT, on_signal)
    signal.signal(signal.SIGTERM, on_signal)

    host = LanguageHost(arguments.executor, arguments.engine)
    server = grpc.server(
        ThreadPoolExecutor(max_workers=16, thread_name_prefix="language-host"),
        options=[
            ("grpc.max_receive_message_length", _MESSAGE_BYTES),
            ("grpc.max_send_message_length", _MESSAGE_BYTES),
        ],
    )
    add_LanguageRuntimeServicer_to_server(host, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)

    parent = os.getppid()
    while not stop.wait(_PARENT_SECONDS):
        if os.getppid() != parent:  # a killed engine sends no signal, and must not leave programs behind
            break
    host.cancel()
    server.stop(_STOP_SECONDS).wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
