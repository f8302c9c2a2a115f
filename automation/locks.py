"""Who holds a stack: the locks that the engine keeps beside the state, where they can be read.

The engine writes one object per update, `.pulumi/locks/organization/PROJECT/STACK/ID.json`, in every backend of its own
(https://github.com/pulumi/pulumi/blob/master/pkg/backend/diy/lock.go). Files and S3 are looked at before an operation
begins; elsewhere the engine refuses, and `parse` reads its words. Pulumi Cloud has leases that end by themselves.
"""

import contextlib
import json
import re
import shlex
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

_FOLDER: Final = ".pulumi/locks/organization"
_TIMEOUT_SECONDS: Final = 10.0
_WRITING_SECONDS: Final = 1.0
_IN_TEXT: Final = re.compile(
    rf"/{re.escape(_FOLDER)}/[^/\s]+/(?P<stack>[^/\s]+)/[^\s]+: "
    r"created by (?P<user>\S+)@(?P<host>\S+) \(pid (?P<pid>\d+)\) at (?P<since>\S+)"
)


@dataclass(frozen=True)
class Lock:
    """A lock of a stack, and who holds it.

    Attributes:
        place: where it is: a path, or a URL of the bucket's.
        pid: the process that took it, on its own host.
        user: who that process ran as.
        host: the name of the host; two hosts may have the same.
        since: when it was taken, as the engine tells it.
        release: the command that releases it, for whoever knows that its holder is dead.
    """

    place: str
    pid: int
    user: str
    host: str
    since: str
    release: str

    @property
    def holder(self) -> str:
        """Who holds it, for a person."""
        return f"process {self.pid} of {self.user} on {self.host}, since {self.since}"


def release_command(stack: str) -> str:
    """Return what releases all locks of a stack, whatever its backend."""
    return f'eval "$(liftoff env)"; pulumi cancel --yes --stack {shlex.quote(stack)}'


def read(backend_url: str, project: str, stack: str) -> Iterator[Lock]:
    """Return the locks of a stack in a file or S3 backend; nothing where the backend's locks can't be read."""
    parts = urlsplit(backend_url)
    if parts.scheme == "file":
        yield from _in_folder(root_of(parts), project, stack)
    elif parts.scheme == "s3":
        yield from _in_bucket(parts, project, stack)


def remove_broken(backend_url: str, project: str, stack: str) -> None:
    """Remove the locks in a file backend that can't be read.

    The engine reads its locks before it takes one, and fails on one that a full disk has cut off. Whoever wrote it was
    told so and did not go on.
    """
    parts = urlsplit(backend_url)
    if parts.scheme != "file":
        return
    root = root_of(parts)
    found = _broken(root, project, stack)
    if found:
        # One that is just being written can be read in a moment.
        time.sleep(_WRITING_SECONDS)
        found &= _broken(root, project, stack)
    for path in found:
        path.unlink(missing_ok=True)


def root_of(parts: SplitResult) -> Path:
    """Return the folder of a file backend's URL."""
    return Path(unquote(parts.netloc + parts.path)).expanduser()


def parse(text: str) -> tuple[str, Lock] | None:
    """Return the stack and the first lock that the engine names in a refusal, or None where it names none."""
    match = _IN_TEXT.search(text)
    if match is None:
        return None
    stack = match["stack"]
    held = {"pid": match["pid"], "username": match["user"], "hostname": match["host"], "timestamp": match["since"]}
    return stack, _lock("", held, release_command(stack))


def _in_folder(root: Path, project: str, stack: str) -> Iterator[Lock]:
    for path in sorted(_files(root, project, stack)):
        # What can't be read went away just now, or is being written.
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            yield _lock(str(path), json.loads(path.read_text()), f"rm {shlex.quote(str(path))}")


def _broken(root: Path, project: str, stack: str) -> set[Path]:
    found = set()
    for path in _files(root, project, stack):
        try:
            json.loads(path.read_text())
        except ValueError:
            found.add(path)
        except OSError:
            continue
    return found


def _files(root: Path, project: str, stack: str) -> Iterator[Path]:
    """Yield what the engine takes for locks: also the `.tmp` of one whose writing came to no end."""
    for path in (root / _FOLDER / project / stack).glob("*"):
        if path.suffix != ".attrs":
            yield path


def _in_bucket(parts: SplitResult, project: str, stack: str) -> Iterator[Lock]:
    from botocore.exceptions import BotoCoreError, ClientError

    prefix = f"{parts.path.strip('/')}/{_FOLDER}/{project}/{stack}/".removeprefix("/")
    try:
        client = client_of(parts)
        keys = [item["Key"] for item in client.list_objects_v2(Bucket=parts.netloc, Prefix=prefix).get("Contents", ())]
        for key in sorted(keys):
            held = json.loads(client.get_object(Bucket=parts.netloc, Key=key)["Body"].read())
            yield _lock(f"s3://{parts.netloc}/{key}", held, release_command(stack))
    except (BotoCoreError, ClientError, OSError, ValueError, KeyError, TypeError):
        # The engine asks the same server in a moment, and tells what is wrong.
        return


def client_of(parts: SplitResult) -> Any:  # noqa: ANN401 - boto3 makes its clients' types when it runs
    """Return a client for a backend's URL, whose options are those of https://gocloud.dev/howto/blob/#s3-compatible."""
    import boto3
    from botocore.config import Config

    given = {name.lower(): values[-1] for name, values in parse_qs(parts.query).items()}
    endpoint = given.get("endpoint")
    if endpoint and "://" not in endpoint:
        plain = "true" in {given.get("disablessl"), given.get("disable_https")}
        endpoint = f"{'http' if plain else 'https'}://{endpoint}"
    by_path = "true" in {given.get("s3forcepathstyle"), given.get("use_path_style")}
    return boto3.Session(profile_name=given.get("profile"), region_name=given.get("region")).client(
        "s3",
        endpoint_url=endpoint,
        config=Config(
            connect_timeout=_TIMEOUT_SECONDS,
            read_timeout=_TIMEOUT_SECONDS,
            retries={"total_max_attempts": 2},
            s3={"addressing_style": "path" if by_path else "auto"},
        ),
    )


def _lock(place: str, held: dict[str, Any], release: str) -> Lock:
    who = str(held["username"]), str(held["hostname"])
    return Lock(place, int(held["pid"]), *who, str(held["timestamp"])[:19], release)
