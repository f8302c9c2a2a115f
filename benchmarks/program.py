"""How long the program itself takes for each provider: from Python's start until every resource has been declared.

    .venv/bin/python -m benchmarks.program --runs 5

Each run is a process of its own, as in a preview; the engine's part is taken by the SDK's mocks, which answer at once.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

import pulumi
import yaml

from tests.unit.components.conftest import RecordingMocks, engine_test

_ROOT: Final = Path(__file__).parent.parent
_BUCKET: Final = {"storageEndpoint": "https://storage.example", "allowedCidrs": ["203.0.113.7/32"]}
_STACKS: Final[dict[str, dict[str, Any]]] = {
    "local": {},
    "aws": {**_BUCKET, "provider": "aws", "region": "us-east-1", "instanceType": "g6.2xlarge"},
    "azure": {**_BUCKET, "provider": "azure", "region": "eastus", "instanceType": "Standard_NV36ads_A10_v5"},
    "gcp": {
        **_BUCKET,
        "provider": "gcp",
        "region": "us-central1",
        "zone": "us-central1-a",
        "instanceType": "g2-standard-8",
    },
}


def main() -> None:
    """Print the table, or be one of its runs."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--one", choices=_STACKS, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        _declare(asked.one)
        return
    print(f"median of {asked.runs} runs\n\n| provider | program (s) |\n|---|---|")
    for provider in _STACKS:
        print(f"| {provider} | {statistics.median(_seconds(provider) for _ in range(asked.runs)):.2f} |")


def _seconds(provider: str) -> float:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    began = time.monotonic()
    subprocess.run([sys.executable, "-m", "benchmarks.program", "--one", provider], check=True, env=environment)
    return time.monotonic() - began


def _declare(provider: str) -> None:
    import runpy

    declared = yaml.safe_load((_ROOT / "Pulumi.yaml").read_text())["config"]
    values = {key: setting["default"] for key, setting in declared.items() if "default" in (setting or {})}
    values |= {"liftoff:model": "meta-llama/Llama-3.1-8B-Instruct", "liftoff:weights": "s3://liftoff/models/llama"}
    values |= {f"liftoff:{key}": value for key, value in _STACKS[provider].items()}
    keys = ["liftoff:storageAccessKeyId", "liftoff:storageSecretAccessKey"] if provider != "local" else []
    values |= dict.fromkeys(keys, "key")
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}
    engine = RecordingMocks()
    pulumi.runtime.set_mocks(engine, project="liftoff", stack="bench", preview=True)
    pulumi.runtime.set_all_config(texts, keys)

    def program() -> None:
        runpy.run_path(str(_ROOT / "__main__.py"), run_name="__main__")

    engine_test(program)()
    # Network, session, machine and readiness at least: an early end would look quick.
    assert "Readiness" in engine.made, engine.made


if __name__ == "__main__":
    main()
