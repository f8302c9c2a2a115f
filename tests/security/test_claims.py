"""docs/security.md names a test for each claim: one that is renamed or deleted takes its claim along."""

import ast
import re
from functools import cache
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
TEXT: Final = (ROOT / "docs" / "security.md").read_text()
NAMED: Final = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)))
CLAIMS: Final = ("## The control plane", "## A node", "## What a thief can and can't do", "## Supply chain")


@cache
def functions_of(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text())
    return frozenset(
        node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    )


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_every_test_that_the_threat_model_names_exists(path: str, name: str) -> None:
    assert name in functions_of(path)


def test_every_mention_of_a_test_is_in_the_form_that_is_checked() -> None:
    assert len(NAMED) > 60
    assert TEXT.count("::test_") == len(re.findall(r"`tests/[\w/]+\.py::test_\w+`", TEXT))


@pytest.mark.parametrize("title", CLAIMS)
def test_every_claim_names_a_test(title: str) -> None:
    section = TEXT.split(f"\n{title}\n")[1].split("\n## ")[0]
    claims = re.split(r"\n- ", section)[1:]
    assert claims
    assert [claim for claim in claims if "::test_" not in claim] == []


def test_every_file_of_security_tests_stands_behind_a_claim() -> None:
    files = {f"tests/security/{path.name}" for path in (ROOT / "tests" / "security").glob("test_*.py")}
    assert files <= {path for path, _ in NAMED}


def test_the_readme_leads_here() -> None:
    assert "docs/security.md" in (ROOT / "README.md").read_text()
