"""`liftoff weights push`: a folder of weights into a bucket, each part hashed, the manifest last."""

import hashlib
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from automation.errors import Kind, Stopped
from provider.manifest import NAME, Manifest, WeightsFile, split_uri

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import HeadObjectOutputTypeDef

PART_BYTES: Final = 64 * 1024 * 1024
"""Length of a part: what a node downloads, verifies and resumes at a time."""
_READ_BYTES: Final = 4 * 1024 * 1024
_SHA256_KEY: Final = "liftoff-sha256"
_DENIED: Final = frozenset(
    {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "401", "403", "Forbidden"}
)


@dataclass(frozen=True)
class Target:
    """Where a bucket is. Keys that are None are looked for where boto3 looks: environment, profile, instance."""

    endpoint_url: str | None = None
    region: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = None
    ca_bundle: str | None = None
    """Path of the PEM that the endpoint's certificate is verified with; None takes the system's."""

    def __repr__(self) -> str:
        """Return the endpoint only: the rest is nobody's business."""
        return f"Target({self.endpoint_url or 'AWS S3'})"


@dataclass(frozen=True)
class Progress:
    """How far a push is: what it is doing, and bytes done of bytes in total."""

    doing: str
    done: int
    total: int


@dataclass(frozen=True)
class Pushed:
    """What a push did."""

    manifest: Manifest
    uploaded: tuple[str, ...]
    skipped: tuple[str, ...]


def push(
    folder: Path,
    uri: str,
    target: Target,
    on_progress: Callable[[Progress], None],
    *,
    part_bytes: int = PART_BYTES,
) -> Pushed:
    """Upload every file below a folder and then the manifest; a file that is there already is left alone.

    Raises:
        Stopped: the folder holds no model, the URI is none, or the bucket refused.
    """
    try:
        bucket, prefix = split_uri(uri)
    except ValueError as error:
        raise Stopped(
            Kind.CONFIGURATION,
            "uri_invalid",
            f"weights URI: given {uri!r}; allowed: s3://BUCKET/PREFIX",
            "name the bucket and a prefix of its own for this model",
        ) from error
    files = find(folder)
    bucket_of = _Upload(target, bucket, prefix)
    # Keys that open nothing are told before minutes of hashing.
    bucket_of.head(NAME)
    total = sum(path.stat().st_size for path in files.values())
    hashed = _Counter("Hashing", total, on_progress)
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        described = list(pool.map(lambda item: describe(item[0], item[1], part_bytes, hashed.add), files.items()))
    manifest = Manifest(part_bytes=part_bytes, files=tuple(described))
    uploaded, skipped = [], []
    sent = _Counter("Uploading", total, on_progress)
    for file in manifest.files:
        if bucket_of.holds(file):
            sent.add(file.size)
            skipped.append(file.path)
        else:
            bucket_of.send(file, files[file.path], sent.add)
            uploaded.append(file.path)
    # The manifest names whole files only: whoever reads it in the middle of a push finds the former one or none.
    bucket_of.finish(manifest)
    return Pushed(manifest, tuple(uploaded), tuple(skipped))


def find(folder: Path) -> dict[str, Path]:
    """Return each file's path in the manifest and on disk, in order; hidden files are left out.

    Raises:
        Stopped: the folder is missing or empty, has no config.json, or a link leads nowhere.
    """
    if not folder.is_dir():
        raise Stopped(
            Kind.CONFIGURATION,
            "folder_missing",
            f"weights folder: given {str(folder)!r}; it is no folder",
            "name the folder that holds config.json and the weights",
        )
    found = dict(sorted(_walk(folder)))
    if not found:
        raise Stopped(
            Kind.CONFIGURATION,
            "folder_empty",
            f"weights folder: {str(folder)!r} holds no files",
            "download the model into it first",
        )
    if "config.json" not in found:
        raise Stopped(
            Kind.CONFIGURATION,
            "config_json_missing",
            f"weights folder: {str(folder)!r} has no config.json, so vLLM can't tell which model it is",
            "name the folder that holds config.json itself, not one above or below it",
        )
    return found


def _walk(folder: Path) -> Iterator[tuple[str, Path]]:
    root = folder.resolve()
    for parent, names, files in os.walk(root):
        names[:] = [name for name in names if not name.startswith(".")]
        for name in files:
            path = Path(parent) / name
            relative = path.relative_to(root).as_posix()
            if name.startswith(".") or relative == NAME:
                continue
            real = path.resolve()
            if not real.is_file():
                raise Stopped(
                    Kind.CONFIGURATION,
                    "link_broken",
                    f"weights folder: {relative!r} leads to {str(real)!r}, which is no file",
                    "download the model again",
                )
            yield relative, real


def describe(path: str, file: Path, part_bytes: int, on_bytes: Callable[[int], None]) -> WeightsFile:
    """Return a file's entry in the manifest: its SHA-256 and that of each part, read once."""
    whole, parts, size = hashlib.sha256(), [], 0
    with file.open("rb") as stream:
        part, room = hashlib.sha256(), part_bytes
        while chunk := stream.read(min(_READ_BYTES, room)):
            whole.update(chunk)
            part.update(chunk)
            size += len(chunk)
            room -= len(chunk)
            on_bytes(len(chunk))
            if room == 0:
                parts.append(part.hexdigest())
                part, room = hashlib.sha256(), part_bytes
        if room < part_bytes:
            parts.append(part.hexdigest())
    return WeightsFile(path=path, size=size, sha256=whole.hexdigest(), parts=tuple(parts))


def is_pushed(uri: str, target: Target) -> bool:
    """Tell whether there is a manifest at the URI."""
    bucket, prefix = split_uri(uri)
    return _Upload(target, bucket, prefix).head(NAME) is not None


class _Counter:
    """Counts bytes from several threads."""

    def __init__(self, doing: str, total: int, on_progress: Callable[[Progress], None]) -> None:
        self._doing, self._total, self._on_progress = doing, total, on_progress
        self._done = 0
        self._lock = threading.Lock()

    def add(self, count: int) -> None:
        with self._lock:
            self._done += count
            self._on_progress(Progress(self._doing, self._done, self._total))


class _Upload:
    """One prefix of one bucket. Every refusal is raised as `Stopped`, without keys in it."""

    def __init__(self, target: Target, bucket: str, prefix: str) -> None:
        self._bucket, self._prefix, self._target = bucket, prefix, target
        self._client = _client(target)

    def holds(self, file: WeightsFile) -> bool:
        found = self.head(file.path)
        return (
            found is not None
            and found["ContentLength"] == file.size
            and found["Metadata"].get(_SHA256_KEY) == file.sha256
        )

    def head(self, path: str) -> "HeadObjectOutputTypeDef | None":
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return self._client.head_object(Bucket=self._bucket, Key=f"{self._prefix}/{path}")
        except ClientError as error:
            # A HEAD has no body: "404" stands for a missing object and for a missing bucket, which the PUT tells.
            if error.response.get("Error", {}).get("Code") in {"404", "NoSuchKey", "NoSuchBucket"}:
                return None
            raise self._refused(error) from error
        except BotoCoreError as error:
            raise self._refused(error) from error

    def send(self, file: WeightsFile, source: Path, on_bytes: Callable[[int], None]) -> None:
        from boto3.exceptions import S3UploadFailedError
        from boto3.s3.transfer import TransferConfig
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            self._client.upload_file(
                str(source),
                self._bucket,
                f"{self._prefix}/{file.path}",
                ExtraArgs={"Metadata": {_SHA256_KEY: file.sha256}},
                Callback=on_bytes,
                # R2 wants all parts but the last of one length: https://developers.cloudflare.com/r2/objects/multipart-objects/
                Config=TransferConfig(
                    multipart_threshold=PART_BYTES, multipart_chunksize=PART_BYTES, max_concurrency=8
                ),
            )
        except (S3UploadFailedError, ClientError, BotoCoreError) as error:
            raise self._refused(error) from error

    def finish(self, manifest: Manifest) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            self._client.put_object(
                Bucket=self._bucket,
                Key=f"{self._prefix}/{NAME}",
                Body=manifest.model_dump_json().encode(),
                ContentType="application/json",
            )
        except (ClientError, BotoCoreError) as error:
            raise self._refused(error) from error

    def _refused(self, error: Exception) -> Stopped:
        where = f"s3://{self._bucket}/{self._prefix} at {self._target.endpoint_url or 'AWS S3'}"
        code = next(iter(_codes(error)), type(error).__name__)
        if code in _DENIED or code == "NoCredentialsError":
            return Stopped(
                Kind.CREDENTIALS,
                "storage_denied",
                f"could not use {where}: {code}",
                "give keys that may read and write this bucket: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
                "or AWS_PROFILE",
            )
        if code in {"NoSuchBucket", "404"}:
            return Stopped(
                Kind.CONFIGURATION,
                "bucket_missing",
                f"could not use {where}: there is no bucket {self._bucket!r}",
                "create the bucket, or name another one in the URI",
            )
        return Stopped(
            Kind.UNKNOWN,
            "storage_failed",
            f"could not use {where}: {code}",
            "check --endpoint-url and the network, then run it again: what is uploaded already is not sent twice",
        )


def _codes(error: BaseException | None) -> Iterable[str]:
    """Return the storage's code in an error or in what caused it: boto3 wraps a failed upload in one without."""
    while error is not None:
        response = getattr(error, "response", None)
        if isinstance(response, dict):
            yield str(response.get("Error", {}).get("Code", "unknown"))
        error = error.__cause__ or error.__context__


def _client(target: Target) -> "S3Client":
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3",
        endpoint_url=target.endpoint_url,
        region_name=target.region,
        aws_access_key_id=target.access_key_id,
        aws_secret_access_key=target.secret_access_key,
        verify=target.ca_bundle or True,
        config=Config(
            signature_version="s3v4",
            s3={"addressing_style": "path"} if target.endpoint_url else {},
            retries={"mode": "standard", "max_attempts": 5},
            connect_timeout=10,
            read_timeout=60,
            # R2 refuses the SDK's newer default checksums: https://developers.cloudflare.com/r2/examples/aws/boto3/
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )
