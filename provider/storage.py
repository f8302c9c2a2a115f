"""The S3 bucket that holds weights and mailboxes: Cloudflare R2, AWS S3, or the local server."""

import hashlib
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from pydantic import Field, field_validator

from provider import places
from provider.resource import Inputs, Refused

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PRESIGNED_SECONDS_MAX: Final = 7 * 24 * 3600
"""Longest life of a presigned URL (AWS Signature Version 4: https://developers.cloudflare.com/r2/api/s3/presigned-urls/)."""

_DENIED: Final = frozenset(
    {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "401", "403"}
)
_ABSENT: Final = frozenset({"NoSuchKey", "NoSuchBucket", "404"})


class Storage(Inputs):
    """Where a bucket is and the keys that open it."""

    endpoint: str
    region: str = "auto"
    bucket: str = Field(min_length=3, max_length=63)
    access_key_id: str = Field(min_length=1)
    secret_access_key: str = Field(min_length=1, repr=False)
    ca_certificate: str | None = None
    """PEM of the authority that signed the endpoint's certificate, where the system does not know it."""

    @field_validator("endpoint")
    @classmethod
    def _only_https(cls, value: str) -> str:
        if urlsplit(value).scheme != "https" or not urlsplit(value).hostname:
            raise ValueError("must be an https:// URL")
        return value


class Bucket:
    """The few things that are done with a bucket. Every failure is raised as `Refused`, without keys or URLs in it."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._client: S3Client = boto3.client(
            "s3",
            endpoint_url=storage.endpoint,
            region_name=storage.region,
            aws_access_key_id=storage.access_key_id,
            aws_secret_access_key=storage.secret_access_key,
            verify=_authority(storage.ca_certificate),
            config=Config(
                signature_version="s3v4",
                s3={"addressing_style": "path"},
                retries={"mode": "standard", "max_attempts": 5},
                connect_timeout=10,
                read_timeout=30,
                # R2 refuses the SDK's newer default checksums: https://developers.cloudflare.com/r2/examples/aws/boto3/
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )

    def get(self, key: str, limit_bytes: int = 64 << 20) -> bytes | None:
        """Return the first `limit_bytes` of an object, or None when there is none."""
        try:
            return self._client.get_object(Bucket=self._storage.bucket, Key=key)["Body"].read(limit_bytes)
        except ClientError as error:
            if _code(error) == "NoSuchKey":
                return None
            raise self._refused("read", key, error) from error
        except BotoCoreError as error:
            raise self._refused("read", key, error) from error

    def put(self, key: str, body: bytes) -> None:
        """Write an object."""
        try:
            self._client.put_object(Bucket=self._storage.bucket, Key=key, Body=body, ContentType="application/json")
        except (ClientError, BotoCoreError) as error:
            raise self._refused("write", key, error) from error

    def delete(self, key: str) -> None:
        """Delete an object; one that is not there is no error."""
        try:
            self._client.delete_object(Bucket=self._storage.bucket, Key=key)
        except (ClientError, BotoCoreError) as error:
            raise self._refused("delete", key, error) from error

    def delete_below(self, prefix: str) -> None:
        """Delete every object whose key starts with a prefix; no object is no error."""
        try:
            for page in self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._storage.bucket, Prefix=prefix
            ):
                for item in page.get("Contents", []):
                    self._client.delete_object(Bucket=self._storage.bucket, Key=item["Key"])
        except ClientError as error:
            if _code(error) != "NoSuchBucket":
                raise self._refused("delete", prefix, error) from error
        except BotoCoreError as error:
            raise self._refused("delete", prefix, error) from error

    def url(self, method: str, key: str, seconds: int) -> str:
        """Return a presigned URL for GET or PUT of one object; it opens nothing else and ends by itself."""
        return self._client.generate_presigned_url(
            {"GET": "get_object", "PUT": "put_object"}[method],
            Params={"Bucket": self._storage.bucket, "Key": key},
            ExpiresIn=min(seconds, PRESIGNED_SECONDS_MAX),
        )

    def _refused(self, verb: str, key: str, error: ClientError | BotoCoreError) -> Refused:
        where = f"s3://{self._storage.bucket}/{key} at {self._storage.endpoint}"
        if isinstance(error, BotoCoreError):
            return Refused(
                "unknown",
                "storage_unreachable",
                f"could not {verb} {where}: {type(error).__name__}",
                hint="check storageEndpoint and the network; for the local provider: liftoff local list",
            )
        code = _code(error)
        if code in _DENIED:
            return Refused(
                "credentials",
                "storage_denied",
                f"could not {verb} {where}: the storage answered {code}",
                hint="check storageAccessKeyId and storageSecretAccessKey; the key has to read and write this bucket",
            )
        if code in _ABSENT:
            return Refused(
                "configuration",
                "bucket_missing",
                f"could not {verb} {where}: the storage answered {code}",
                hint=f"create the bucket {self._storage.bucket!r} or name another one in weights",
            )
        return Refused(
            "unknown",
            "storage_failed",
            f"could not {verb} {where}: the storage answered {code}",
            hint="try again; if it stays, look the code up in the storage's documentation",
        )


def _code(error: ClientError) -> str:
    details: Any = error.response.get("Error", {})
    return str(details.get("Code", "unknown"))


def _authority(certificate: str | None) -> str | bool:
    """Return what boto3 verifies the endpoint with; it takes a file's path only."""
    if certificate is None:
        return True
    folder = places.cache_folder() / "authorities"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{hashlib.sha256(certificate.encode()).hexdigest()}.pem"
    if not path.exists():
        partial = path.with_suffix(f".{id(path)}")
        partial.write_text(certificate)
        partial.rename(path)
    return str(path)
