"""The manifest of weights: what `liftoff weights push` writes and a boot session reads."""

from pathlib import PurePosixPath
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

NAME = "manifest.json"

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class WeightsFile(_Frozen):
    """One file: its path below the prefix, size in bytes, SHA-256, and the SHA-256 of each part."""

    path: str = Field(min_length=1, max_length=1024)
    size: int = Field(ge=0)
    sha256: Sha256
    parts: tuple[Sha256, ...]

    @field_validator("path")
    @classmethod
    def _stays_below(cls, value: str) -> str:
        path = PurePosixPath(value)
        if path.is_absolute() or ".." in path.parts or "\\" in value or str(path) != value:
            raise ValueError("must be a plain relative path without '..'")
        return value


class Manifest(_Frozen):
    """All files of a model and the length of a part in bytes."""

    version: Literal[1] = 1
    part_bytes: int = Field(gt=0)
    files: tuple[WeightsFile, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _parts_cover_files(self) -> Self:
        for file in self.files:
            expected = -(-file.size // self.part_bytes)
            if len(file.parts) != expected:
                raise ValueError(f"{file.path}: given {len(file.parts)} parts; {file.size} bytes make {expected}")
        return self

    @property
    def total_bytes(self) -> int:
        """Sum of the files' sizes in bytes."""
        return sum(file.size for file in self.files)


def split_uri(uri: str) -> tuple[str, str]:
    """Return bucket and prefix of `s3://bucket/prefix`.

    Raises:
        ValueError: the text is no such URI.
    """
    parts = urlsplit(uri)
    prefix = parts.path.strip("/")
    if parts.scheme != "s3" or not parts.netloc or not prefix or parts.query or parts.fragment:
        raise ValueError("must be s3://BUCKET/PREFIX")
    return parts.netloc, prefix
