"""Recording of previews: `python -m pytest tests/previews/record.py` writes recordings/ anew from the real engine.

The clouds are emulated ones. What differs from one recording to the next (the stack's name, the bucket's port, the CA
certificate, run ids and signatures) is given names of its own, so that a new recording shows only what has changed.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from automation.session import Interrupts, Session
from provider.storage import Storage
from tests.clouds.fixtures import Clouds, clouds
from tests.e2e.conftest import ROOT
from tests.launches.conftest import PLACES, Site, site_of
from tests.session.conftest import storage, weights

__all__ = ["clouds", "storage", "weights"]

RECORDINGS = Path(__file__).parent / "recordings"
pytestmark = pytest.mark.engine
_LONG = 400


class _Quiet:
    def status(self, status: object, elapsed: float) -> None:
        return None

    def note(self, text: str) -> None:
        return None


@pytest.fixture
def site(
    tmp_path: Path, clouds: Clouds, storage: Storage, weights: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Site]:
    for made in site_of(tmp_path, clouds, storage, weights):
        for key, value in made.desk.environment.items():
            monkeypatch.setenv(key, value)
        yield made


@pytest.mark.parametrize("provider", ["aws", "azure", "gcp"])
def test_first_creates(site: Site, provider: str) -> None:
    _keep(f"{provider}-create", site, _values(site, provider))


def test_a_local_node(site: Site) -> None:
    values = {"provider": "local", "model": "tiny-llama", "weights": "s3://liftoff/models/tiny-llama"}
    _keep("dev-create", site, values)


@pytest.mark.parametrize("provider", ["aws", "azure", "gcp"])
def test_what_changes_a_node(site: Site, provider: str) -> None:
    launched = site.launch(provider=provider, **PLACES[provider])
    assert launched.code == 0, launched.text
    values = _values(site, provider)
    bigger = {"aws": "g6e.2xlarge", "azure": "Standard_NV72ads_A10_v5", "gcp": "g2-standard-12"}[provider]
    _keep(f"{provider}-same", site, values)
    _keep(f"{provider}-owner", site, {**values, "owner": "ml-team"})
    _keep(f"{provider}-max-price", site, {**values, "maxPricePerHour": "0.9"})
    _keep(f"{provider}-instance-type", site, {**values, "instanceType": bigger})
    _keep(f"{provider}-destroy", site, {}, destroy=True)


def test_a_failed_preview(site: Site) -> None:
    _keep("aws-failed", site, {**_values(site, "aws"), "instanceType": "g6.enormous"})


def _values(site: Site, provider: str) -> dict[str, str]:
    return {**site.config, **PLACES[provider], "provider": provider}


def _keep(name: str, site: Site, values: Mapping[str, str], *, destroy: bool = False) -> None:
    config = {key if ":" in key else f"liftoff:{key}": value for key, value in values.items()}
    told: list[dict[str, Any]] = []
    with Session(ROOT, site.desk.stack, Interrupts(), _Quiet()) as session:
        result = session.run(
            "preview-destroy" if destroy else "preview",
            120,
            lambda event: told.append(vars(event)) if event.severity == "error" else None,
            config=config,
            remove=True,
        )
    text = json.dumps(
        {
            "ok": result.ok,
            "text": result.text,
            "errors": [{"urn": one["urn"], "message": one["message"]} for one in told],
            "steps": [_short(step) for step in result.steps],
        },
        indent=1,
    )
    for known, shown in (
        (site.desk.stack, "prod"),
        (site.config["weights"], "s3://liftoff/models/llama-3.1-8b-instruct"),
        (site.config["storageEndpoint"], "https://storage.example"),
        (str(ROOT), "/project"),
    ):
        text = text.replace(known, shown)
    text = re.sub(r"127\.8\.\d+\.\d+", "203.0.113.80", text)
    RECORDINGS.mkdir(exist_ok=True)
    (RECORDINGS / f"{name}.json").write_text(text + "\n")


def _short(value: Any) -> Any:
    """Return a value whose longest texts are cut, for a recording that can be read."""
    if isinstance(value, dict):
        return {key: _short(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_short(item) for item in value]
    return f"{value[:60]}…" if isinstance(value, str) and len(value) > _LONG else value
