"""What a shell offers: every command, every option, and the names that a value may have."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from automation import commands

from .workplace import ROOT


def offered(words: str, folder: Path = ROOT) -> list[str]:
    parts = words.split(" ")
    environment = {"COMP_WORDS": words, "COMP_CWORD": str(len(parts) - 1), "_LIFTOFF_COMPLETE": "complete_bash"}
    code = "import sys; sys.argv = ['liftoff']; from automation.__main__ import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment, "PYTHONPATH": str(ROOT)},
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


def test_every_command_is_offered() -> None:
    assert offered("liftoff ") == list(commands.names())


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("liftoff nodes ac", {"access"}),
        ("liftoff launch --det", {"--detach"}),
        ("liftoff launch meta-llama/Llama-3.1-8", {"meta-llama/Llama-3.1-8B-Instruct"}),
        ("liftoff launch --provider a", {"aws", "azure", "any"}),
        ("liftoff check --provider g", {"gcp"}),
        ("liftoff offers m --provider aws --region us-e", {"us-east-1", "us-east-2"}),
        ("liftoff offers m --instance-type Standard_NV36ads", {"Standard_NV36ads_A10_v5"}),
        ("liftoff offers m --provider gcp --gpu L", {"L4"}),
        ("liftoff status --status ca", {"cancelling", "cancelled"}),
    ],
)
def test_names_are_offered_by_how_they_begin(words: str, expected: set[str]) -> None:
    assert set(offered(words)) == expected


def test_stacks_are_those_with_a_settings_file(tmp_path: Path) -> None:
    for name in ("Pulumi.yaml", "Pulumi.mine.yaml", "Pulumi.other.yaml"):
        (tmp_path / name).touch()
    assert offered("liftoff launch --stack ", tmp_path) == ["mine", "other"]
