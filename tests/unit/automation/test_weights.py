import hashlib
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, NoCredentialsError
from hypothesis import given
from hypothesis import strategies as st

from automation import weights
from automation.errors import Kind, Stopped
from automation.weights import Progress, Target
from provider.manifest import Manifest

URI = "s3://liftoff/models/tiny"


class Bucket:
    """An S3 client that keeps objects in memory."""

    def __init__(self) -> None:
        self.objects: dict[str, tuple[bytes, dict[str, str]]] = {}
        self.order: list[str] = []
        self.refuse: Exception | None = None

    def head_object(self, **request: Any) -> dict[str, Any]:
        self._check()
        if request["Key"] not in self.objects:
            raise ClientError({"Error": {"Code": "404"}}, "HeadObject")
        body, metadata = self.objects[request["Key"]]
        return {"ContentLength": len(body), "Metadata": metadata}

    def upload_file(self, source: str, bucket: str, key: str, **options: Any) -> None:
        self._check()
        body = Path(source).read_bytes()
        options["Callback"](len(body))
        self._put(key, body, options["ExtraArgs"]["Metadata"])

    def put_object(self, **request: Any) -> None:
        self._check()
        self._put(request["Key"], request["Body"], {})

    def _put(self, key: str, body: bytes, metadata: dict[str, str]) -> None:
        self.objects[key] = (body, metadata)
        self.order.append(key)

    def _check(self) -> None:
        if self.refuse is not None:
            raise self.refuse


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Bucket:
    made = Bucket()
    monkeypatch.setattr(weights, "_client", lambda target: made)
    return made


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    (folder / "sub").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"w" * 250)
    (folder / "sub" / "tokenizer.json").write_text("")
    (folder / ".gitattributes").write_text("hidden")
    (folder / ".cache").mkdir()
    (folder / ".cache" / "x").write_text("hidden")
    return folder


def push(folder: Path, on_progress: Any = lambda _: None) -> weights.Pushed:
    return weights.push(folder, URI, Target(), on_progress, part_bytes=100)


@given(st.binary(max_size=2000), st.integers(1, 700))
def test_parts_and_whole_are_the_hashes_of_the_bytes(tmp_path_factory: Any, body: bytes, part: int) -> None:
    file = tmp_path_factory.mktemp("w") / "f"
    file.write_bytes(body)
    counted: list[int] = []
    found = weights.describe("f", file, part, counted.append)
    assert found.sha256 == hashlib.sha256(body).hexdigest()
    assert list(found.parts) == [hashlib.sha256(body[i : i + part]).hexdigest() for i in range(0, len(body), part)]
    assert (found.size, sum(counted)) == (len(body), len(body))


def test_the_manifest_comes_last_and_names_what_was_uploaded(bucket: Bucket, model: Path) -> None:
    pushed = push(model)
    assert bucket.order[-1] == "models/tiny/manifest.json"
    manifest = Manifest.model_validate_json(bucket.objects["models/tiny/manifest.json"][0])
    assert manifest == pushed.manifest
    assert [file.path for file in manifest.files] == ["config.json", "model.safetensors", "sub/tokenizer.json"]
    assert [len(file.parts) for file in manifest.files] == [1, 3, 0]
    assert set(bucket.objects) == {f"models/tiny/{f.path}" for f in manifest.files} | {"models/tiny/manifest.json"}


def test_what_is_there_already_is_not_sent_twice(bucket: Bucket, model: Path) -> None:
    push(model)
    (model / "config.json").write_text('{"changed": true}')
    again = push(model)
    assert again.uploaded == ("config.json",)
    assert again.skipped == ("model.safetensors", "sub/tokenizer.json")


def test_progress_counts_every_byte_once_for_each_of_hashing_and_uploading(bucket: Bucket, model: Path) -> None:
    told: list[Progress] = []
    push(model, told.append)
    assert {one.total for one in told} == {252}
    assert [max(one.done for one in told if one.doing == doing) for doing in ("Hashing", "Uploading")] == [252, 252]


def test_a_link_is_followed_as_model_caches_use_them(bucket: Bucket, model: Path, tmp_path: Path) -> None:
    blob = tmp_path / "blob"
    blob.write_text("linked")
    (model / "linked.json").symlink_to(blob)
    push(model)
    assert bucket.objects["models/tiny/linked.json"][0] == b"linked"


def test_a_link_that_leads_nowhere_is_refused(model: Path, tmp_path: Path) -> None:
    (model / "gone.json").symlink_to(tmp_path / "gone")
    with pytest.raises(Stopped, match=r"gone\.json"):
        weights.find(model)


def test_a_manifest_of_before_is_no_part_of_the_model(model: Path) -> None:
    (model / "manifest.json").write_text("{}")
    assert "manifest.json" not in weights.find(model)


@pytest.mark.parametrize(
    ("prepare", "code"),
    [
        (lambda folder: None, "folder_missing"),
        (lambda folder: folder.mkdir(), "folder_empty"),
        (lambda folder: (folder.mkdir(), (folder / "x.bin").write_text("x")), "config_json_missing"),
    ],
)
def test_a_folder_without_a_model_is_refused(tmp_path: Path, prepare: Any, code: str) -> None:
    folder = tmp_path / "f"
    prepare(folder)
    with pytest.raises(Stopped) as caught:
        weights.find(folder)
    assert caught.value.code == code
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize("uri", ["liftoff/models", "s3://liftoff", "https://x/y", "s3:///x"])
def test_a_uri_that_is_none_is_told_with_what_is_allowed(model: Path, uri: str) -> None:
    with pytest.raises(Stopped, match="s3://BUCKET/PREFIX") as caught:
        weights.push(model, uri, Target(), lambda _: None)
    assert uri in str(caught.value)


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (ClientError({"Error": {"Code": "AccessDenied"}}, "PutObject"), Kind.CREDENTIALS, "storage_denied"),
        (NoCredentialsError(), Kind.CREDENTIALS, "storage_denied"),
        (ClientError({"Error": {"Code": "SlowDown"}}, "PutObject"), Kind.UNKNOWN, "storage_failed"),
    ],
)
def test_a_bucket_that_refuses_is_told_by_what_to_do(
    bucket: Bucket, model: Path, error: Exception, kind: Kind, code: str
) -> None:
    bucket.refuse = error
    with pytest.raises(Stopped) as caught:
        push(model)
    assert (caught.value.kind, caught.value.code) == (kind, code)


def test_a_missing_bucket_is_told_by_its_name(bucket: Bucket, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def upload(*_: Any, **__: Any) -> None:
        raise ClientError({"Error": {"Code": "NoSuchBucket"}}, "PutObject")

    monkeypatch.setattr(bucket, "upload_file", upload)
    with pytest.raises(Stopped, match="'liftoff'") as caught:
        push(model)
    assert caught.value.code == "bucket_missing"


def test_keys_are_never_shown() -> None:
    assert "topsecret" not in repr(Target("https://h", "auto", "topsecretid", "topsecret"))
