"""`liftoff weights push` at the command line: whose storage, and its bar."""

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from automation import weights
from automation.errors import Kind, Stopped
from automation.weights import Progress, Target
from provider import status


@dataclass(frozen=True)
class Where:
    """Which storage: a stack's, or the one at an endpoint."""

    project: Path
    stack: str | None
    endpoint_url: str | None
    region: str | None
    ca_bundle: str | None


def run(folder: Path, uri: str, where: Where, *, as_json: bool) -> None:
    """Push and tell how it went.

    Raises:
        Stopped: as `weights.push`, or the options contradict each other.
    """
    with _target(where) as target, _progress(as_json=as_json) as on_progress:
        pushed = weights.push(folder, uri, target, on_progress)
    total = pushed.manifest.total_bytes
    if as_json:
        print(
            json.dumps(
                {"type": "result", "operation": "weights push", "ok": True, "uri": uri, "bytes": total}
                | {"uploaded": list(pushed.uploaded), "skipped": list(pushed.skipped)}
            )
        )
        return
    there = f", {len(pushed.skipped)} were there already" if pushed.skipped else ""
    print(
        f"{uri} holds {len(pushed.manifest.files)} files, {total / 1e9:.2f} GB: {len(pushed.uploaded)} uploaded{there}"
    )
    print(f"Serve it: liftoff launch NAME --config weights={uri}")


def _target(where: Where) -> AbstractContextManager[Target]:
    if where.stack is not None and (where.endpoint_url or where.ca_bundle):
        raise Stopped(
            Kind.CONFIGURATION,
            "options_contradict",
            "given both --stack and --endpoint-url or --ca-bundle; allowed: one of them",
            "leave out --stack for a storage of your own",
        )
    if where.endpoint_url and not where.endpoint_url.startswith("https://"):
        raise Stopped(
            Kind.CONFIGURATION,
            "endpoint_invalid",
            f"--endpoint-url: given {where.endpoint_url!r}; allowed: an https:// URL",
            "for R2: https://ACCOUNT_ID.r2.cloudflarestorage.com",
        )
    if where.stack is None:
        return contextlib.nullcontext(Target(where.endpoint_url, where.region, ca_bundle=where.ca_bundle))
    from automation import dev_model, stack_file

    provider = stack_file.read(where.project, where.stack, {}).get("provider")
    if provider == "local":
        return dev_model.local_target()
    raise Stopped(
        Kind.CONFIGURATION,
        "stack_without_storage",
        f"--stack: given {where.stack!r}, whose provider is {provider!r}; allowed: a stack with the provider local",
        "name the storage itself: --endpoint-url URL",
    )


@contextlib.contextmanager
def _progress(*, as_json: bool) -> Iterator[Callable[[Progress], None]]:
    if as_json:
        yield _Lines(lambda now: print(json.dumps({"type": "push", **vars(now)}), flush=True))
    elif not sys.stdout.isatty():
        yield _Lines(lambda now: print(f"{now.doing} {status.progress(now.done, now.total)}", flush=True))
    else:
        from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
        from rich.progress import Progress as Bars

        columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
        with Bars(TextColumn("{task.description}"), *columns) as bars:
            tasks = {doing: bars.add_task(doing, total=None) for doing in ("Hashing", "Uploading")}
            yield lambda now: bars.update(tasks[now.doing], completed=now.done, total=now.total)


class _Lines:
    """Passes on a tenth at a time, so that a log stays readable."""

    def __init__(self, show: Callable[[Progress], None]) -> None:
        self._show = show
        self._shown: tuple[str, int] | None = None

    def __call__(self, now: Progress) -> None:
        tenth = (now.doing, now.done * 10 // max(now.total, 1))
        if tenth != self._shown:
            self._shown = tenth
            self._show(now)
