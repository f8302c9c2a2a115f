"""A manifest can't point outside its folder, and a URI of weights is what it says."""

from typing import Any

import pytest
from pydantic import ValidationError

from provider.manifest import Manifest, split_uri


def _manifest(**changes: Any) -> dict[str, Any]:
    return {
        "version": 1,
        "part_bytes": 4,
        "files": [{"path": "a/b.bin", "size": 5, "sha256": "0" * 64, "parts": ["1" * 64, "2" * 64], **changes}],
    }


def test_sizes_add_up() -> None:
    assert Manifest.model_validate(_manifest()).total_bytes == 5


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../../x", "a//b", "./a", "a\\b", ""])
def test_a_path_that_could_leave_the_folder_is_refused(path: str) -> None:
    with pytest.raises(ValidationError):
        Manifest.model_validate(_manifest(path=path))


@pytest.mark.parametrize("parts", [[], ["1" * 64], ["1" * 64] * 3])
def test_parts_have_to_cover_the_size(parts: list[str]) -> None:
    with pytest.raises(ValidationError, match="parts"):
        Manifest.model_validate(_manifest(parts=parts))


def test_a_uri_is_split_into_bucket_and_prefix() -> None:
    assert split_uri("s3://models/llama/8b/") == ("models", "llama/8b")


@pytest.mark.parametrize(
    "uri", ["", "models/llama", "https://models/llama", "s3://models", "s3:///llama", "s3://m/p?x=1"]
)
def test_another_text_is_no_uri_of_weights(uri: str) -> None:
    with pytest.raises(ValueError, match="s3://BUCKET/PREFIX"):
        split_uri(uri)
