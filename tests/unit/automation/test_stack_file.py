from pathlib import Path

import pytest

from automation import stack_file
from automation.errors import Stopped

PROJECT = """
name: liftoff
runtime: python
config:
  liftoff:provider: {type: string, default: local}
  liftoff:cpus: {type: integer, default: 2}
  liftoff:model: {type: string}
  liftoff:vllmArguments: {type: array, items: {type: string}, default: []}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "Pulumi.yaml").write_text(PROJECT)
    (tmp_path / "Pulumi.dev.yaml").write_text(
        "# mine\nconfig:\n  liftoff:model: tiny\n  liftoff:key:\n    secure: v1:abc\n"
    )
    return tmp_path


def test_a_flag_wins_over_the_stack_and_the_stack_over_the_project(project: Path) -> None:
    values = stack_file.read(project, "dev", {"liftoff:cpus": "4"})
    assert (values.get("provider"), values.get("cpus"), values.get("model")) == ("local", "4", "tiny")
    assert values.get_object("vllmArguments") == []
    assert values.get("absent") is None


def test_an_encrypted_value_stays_encrypted(project: Path) -> None:
    assert stack_file.read(project, "dev", {}).get("key") == "[secret]"


def test_a_number_is_text_for_whoever_asks_for_text(project: Path) -> None:
    assert stack_file.read(project, "other", {}).get("cpus") == "2"


def test_keys_get_the_projects_name(project: Path) -> None:
    given = {"cpus": "4", "aws:region": "eu-central-1", "vllmArguments[0]": "--x"}
    assert stack_file.overrides(project, given) == {
        "liftoff:cpus": "4",
        "aws:region": "eu-central-1",
        "liftoff:vllmArguments[0]": "--x",
    }


def test_an_element_of_a_list_is_set_as_the_engine_sets_it(project: Path) -> None:
    read = stack_file.read(project, "dev", {"liftoff:vllmArguments[0]": "--a", "liftoff:vllmArguments[1]": "--b"})
    assert read.get_object("vllmArguments") == ["--a", "--b"]


def test_an_unknown_key_is_told_with_the_known_ones(project: Path) -> None:
    with pytest.raises(Stopped, match="allowed: cpus, model, provider, vllmArguments"):
        stack_file.overrides(project, {"cpu": "4"})


@pytest.mark.parametrize("key", ["storageSecretAccessKey", "aws:secretKey", "liftoff:apiKey", "hfToken"])
def test_a_secret_is_not_taken_from_the_command_line(project: Path, key: str) -> None:
    with pytest.raises(Stopped, match="list of processes") as caught:
        stack_file.overrides(project, {key: "hush"})
    assert "hush" not in str(caught.value)


def test_the_salt_and_quotes_that_the_engine_adds_are_taken_out_again(project: Path) -> None:
    path = project / "Pulumi.prod.yaml"
    before = "# mine\nconfig:\n  liftoff:cpus: 2\n"
    path.write_text(before)
    with stack_file.untouched(project, "prod"):
        path.write_text(before.replace("2", '"2"') + "encryptionsalt: v1:abc:v1:def\n")
    assert path.read_text() == before


def test_a_value_that_was_changed_stays_changed(project: Path) -> None:
    path = project / "Pulumi.prod.yaml"
    path.write_text("config:\n  liftoff:cpus: 2\n")
    with stack_file.untouched(project, "prod"):
        path.write_text("config:\n  liftoff:cpus: 4\n")
    assert "4" in path.read_text()


def test_a_salt_that_was_there_or_is_needed_stays(project: Path) -> None:
    path = project / "Pulumi.dev.yaml"
    with stack_file.untouched(project, "dev"):
        path.write_text(path.read_text() + "encryptionsalt: v1:abc:v1:def\n")
    assert "encryptionsalt" in path.read_text(), "its secret needs it"
    with stack_file.untouched(project, "dev"):
        pass
    assert "encryptionsalt" in path.read_text()


def test_a_folder_without_a_project_is_named(tmp_path: Path) -> None:
    with pytest.raises(Stopped, match=str(tmp_path)):
        stack_file.project_name(tmp_path)


def test_yaml_that_is_none_is_told(project: Path) -> None:
    (project / "Pulumi.dev.yaml").write_text("config: [")
    with pytest.raises(Stopped, match=r"Pulumi\.dev\.yaml"):
        stack_file.read(project, "dev", {})
