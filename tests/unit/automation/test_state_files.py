"""A state that can't be read is taken from the last copy that can."""

import json
from pathlib import Path

import pytest

from automation import state_files
from automation.errors import Stopped
from automation.state_files import Folder

NAME = state_files.state_name("liftoff", "chat")
BACKUPS = ".pulumi/backups/liftoff/chat"


def state(number: int) -> str:
    return json.dumps({"version": 3, "checkpoint": {"stack": "chat", "latest": {"number": number}}})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for folder in (Path(NAME).parent, Path(BACKUPS)):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / NAME).write_text(state(9))
    (tmp_path / f"{NAME}.bak").write_text(state(8))
    (tmp_path / BACKUPS / "chat.1700000000000000002.json").write_text(state(7))
    (tmp_path / BACKUPS / "chat.1700000000000000001.json").write_text(state(6))
    return tmp_path


def test_a_whole_state_is_left_as_it_is(root: Path) -> None:
    assert state_files.restore(Folder(root), "liftoff", "chat") is None
    assert (root / NAME).read_text() == state(9)


@pytest.mark.parametrize("broken", ["", state(9)[:20], "[]", '{"version": 3}', "\0" * 64])
def test_a_broken_state_is_taken_from_its_last_copy_and_kept_beside_it(root: Path, broken: str) -> None:
    (root / NAME).write_text(broken)
    assert state_files.restore(Folder(root), "liftoff", "chat") == f"{NAME}.bak"
    assert (root / NAME).read_text() == state(8)
    (kept,) = (root / NAME).parent.glob("chat.json.broken-*")
    assert kept.read_text() == broken


def test_a_state_that_is_gone_comes_back_too(root: Path) -> None:
    (root / NAME).unlink()
    assert state_files.restore(Folder(root), "liftoff", "chat") == f"{NAME}.bak"


def test_where_the_last_copy_is_broken_as_well_the_state_before_the_update_is_taken(root: Path) -> None:
    (root / NAME).write_text("")
    (root / f"{NAME}.bak").write_text("{")
    assert state_files.restore(Folder(root), "liftoff", "chat") == f"{BACKUPS}/chat.1700000000000000002.json"
    assert (root / NAME).read_text() == state(7)


def test_without_any_whole_copy_it_says_by_which_tag_the_rest_is_found(tmp_path: Path) -> None:
    with pytest.raises(Stopped) as stopped:
        state_files.restore(Folder(tmp_path), "liftoff", "chat")
    assert stopped.value.code == "state_lost"
    assert "liftoff-stack=chat" in stopped.value.hint


def test_a_state_tells_what_it_holds_as_the_engine_does() -> None:
    resources = [{"urn": "urn:pulumi:dev::liftoff::x::machine", "type": "x", "id": "i-1"}]
    made = {"version": 3, "checkpoint": {"latest": {"resources": resources}}}
    assert state_files.deployment(json.dumps(made)) == {"resources": resources}
    assert state_files.deployment(json.dumps({"version": 3, "checkpoint": {"stack": "dev"}})) == {}, "nothing was made"


@pytest.mark.parametrize("text", ["", '{"version": 3', "[]", '{"version": 4, "checkpoint": {"latest": {}}}'])
def test_what_is_no_state_that_is_known_is_left_to_the_engine(text: str) -> None:
    assert state_files.deployment(text) is None


@pytest.mark.parametrize(
    ("meta", "state", "missing"),
    [
        ("version: 1\n", None, True),
        ("version: 1\n", "dev.json", False),
        ("version: 1\n", "dev.json.gz", False),
        ("version: 2\n", None, False),
        (None, None, False),
    ],
)
def test_a_stack_is_missing_where_nothing_of_it_could_be_anywhere(
    tmp_path: Path, meta: str | None, state: str | None, missing: bool
) -> None:
    (tmp_path / ".pulumi" / "stacks" / "liftoff").mkdir(parents=True)
    if meta:
        (tmp_path / ".pulumi" / "meta.yaml").write_text(meta)
    if state:
        (tmp_path / ".pulumi" / "stacks" / "liftoff" / state).write_text("x")
    assert state_files.is_missing(Folder(tmp_path), "liftoff", "dev") is missing


def test_what_is_left_of_a_write_goes_with_a_stacks_copies(root: Path) -> None:
    folder = root / ".pulumi" / "stacks" / "liftoff"
    left = folder / "chat.json.bak.18ec93e5f8aaaf1b.tmp"
    left.write_text("")
    state_files.forget(Folder(root), "liftoff", "chat")
    assert not left.exists()
