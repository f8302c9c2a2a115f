"""`liftoff catalog update`: what it says, what it writes, and where."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from automation import catalog_commands
from automation.cloud_api.refused import Refused
from automation.prices.aws import AwsPrices
from automation.prices.azure import AzurePrices
from automation.prices.reading import Quote, Reading, Sold
from components import catalog
from components.catalog import InstanceType, source_files
from components.catalog.instance_types import _by_provider
from components.catalog.prices import _by_instance_type, price_sources

from .conftest import Answers, Api

DOCS = (Path(__file__).parents[3] / "docs" / "cli.md").read_text()
NAME = "Standard_NV36ads_A10_v5"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(catalog_commands.app, ["update", *arguments])


def record(done: Result) -> dict[str, Any]:
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _forget() -> None:
    for cached in (_by_instance_type, price_sources, _by_provider):
        cached.cache_clear()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("LIFTOFF_CATALOG", str(tmp_path / "own"))
    _forget()
    yield tmp_path / "own"
    monkeypatch.undo()
    _forget()


class Azure:
    """Azure, where the A10 costs this in eastus and nothing else is told."""

    title, url = "Azure", "https://prices.azure.com/api/retail/prices"

    def __init__(self, spot: float) -> None:
        self._spot = spot

    def sold(self, kinds: Sequence[InstanceType]) -> Sold:
        raise Refused("no_credentials", "az login")

    def read(self, region: str, kinds: Sequence[InstanceType]) -> Reading:
        if region != "eastus":
            raise Refused("HTTP 429", "too many requests", 429)
        told = frozenset({NAME})
        return Reading(
            quotes=(Quote(instance_type=NAME, region=region, spot=self._spot),), spot=told, on_demand=frozenset()
        )


@pytest.fixture
def azure(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    def costs(spot: float) -> None:
        monkeypatch.setattr(catalog_commands, "sources", lambda _providers: {"azure": Azure(spot)})

    return costs


def known() -> float:
    (row,) = [row for row in catalog.prices("azure", NAME) if row.region == "eastus"]
    assert row.spot is not None
    return row.spot


def test_a_change_is_written_and_told_and_the_next_run_finds_none(folder: Path, azure: Callable[[float], None]) -> None:
    before = known()
    azure(before + 0.01)
    done = run("--provider", "azure")
    assert done.exit_code == 0, done.output
    assert "1 prices changed" in done.output
    assert f"azure {NAME} eastus spot: {before:.4g} to {before + 0.01:.4g} USD/hour" in done.output
    assert "Azure: regions not read (no_credentials: az login); they stay" in done.output
    assert "Azure: prices of 10 of 11 regions not read (HTTP 429: too many requests); they stay" in done.output
    _forget()
    assert known() == before + 0.01
    assert run("--check").exit_code == 0


def test_a_check_writes_nothing_and_ends_with_1_if_something_would_change(
    folder: Path, azure: Callable[[float], None]
) -> None:
    azure(known() + 0.01)
    done = run("--check", "--json")
    assert done.exit_code == 1
    told = record(done)
    assert told["written"] is None
    assert [(change["kind"], change["instance_type"]) for change in told["changes"]] == [("price", NAME)]
    assert not folder.exists()


def test_a_price_that_cannot_be_true_is_told_and_the_known_one_stays(
    folder: Path, azure: Callable[[float], None]
) -> None:
    before = known()
    azure(before / 6)
    done = run("--json")
    assert done.exit_code == 0
    (refused,) = record(done)["refused"]
    assert refused["instance_type"] == NAME
    assert "changed by more than 5 times" in refused["reason"]
    _forget()
    assert known() == before


def test_a_catalog_of_which_nothing_could_be_read_stays_as_it_is(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prices = AzurePrices("http://127.0.0.1:9/prices", _refuse)
    monkeypatch.setattr(catalog_commands, "sources", lambda _providers: {"aws": AwsPrices(), "azure": prices})
    done = run()
    assert done.exit_code == 1
    assert "no cloud could be read" in done.output
    assert "AWS: regions not read (no_credentials" in done.output
    assert "Azure: prices of 11 of 11 regions not read (unreachable" in done.output
    assert not folder.exists()


def _refuse() -> Any:
    raise Refused("no_credentials", "az login")


def test_prices_of_motos_sort_are_refused_row_by_row_and_its_regions_are_taken(
    folder: Path, amazon: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog_commands, "sources", lambda _providers: {"aws": AwsPrices()})
    done = run("--json")
    assert done.exit_code == 0, done.output
    told = record(done)
    # Moto's 0.00001 USD/hour is a jump wherever a price was known.
    jumps = [row for row in told["refused"] if "changed by more than" in row["reason"]]
    assert {row["zone"].partition("-")[0] for row in jumps} >= {"use1", "usw2"}
    assert all(change["market"] != "spot" or change["kind"] != "price" for change in told["changes"])
    _forget()
    assert "us-east-1" in catalog.instance_type("aws", "g6.xlarge").regions
    assert (folder / "regions.yaml").is_file()


def test_azures_list_over_http_becomes_rows(
    folder: Path, serve: Callable[[Answers], Api], monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(_path: str, query: dict[str, str]) -> Any:
        item = {
            "currencyCode": "USD",
            "retailPrice": 3.3,
            "armRegionName": "westeurope",
            "effectiveStartDate": "2024-01-01T00:00:00Z",
            "meterName": "NV36ads A10 v5",
            "productName": "Virtual Machines NVadsA10v5 Series",
            "skuName": "NV36ads A10 v5",
            "unitOfMeasure": "1 Hour",
            "type": "Consumption",
            "armSkuName": NAME,
        }
        return {"Items": [item] if "'westeurope'" in query["$filter"] else [], "NextPageLink": None}

    prices = AzurePrices(serve(answer).url, _refuse)
    monkeypatch.setattr(catalog_commands, "sources", lambda _providers: {"azure": prices})
    done = run("--json")
    assert done.exit_code == 0, done.output
    _forget()
    (row,) = [row for row in catalog.prices("azure", NAME) if row.region == "westeurope"]
    assert (row.spot, row.on_demand, row.source.url) == (None, 3.3, "https://prices.azure.com/api/retail/prices")


def test_a_provider_that_is_not_sold_by_the_catalog_is_refused() -> None:
    done = run("--provider", "oracle")
    assert done.exit_code == 13
    assert "--provider: given 'oracle'; allowed: aws, azure, gcp" in done.output


def test_a_git_checkout_is_written_to_and_an_installed_package_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LIFTOFF_CATALOG", raising=False)
    packaged = tmp_path / "components" / "catalog" / "data"
    monkeypatch.setattr(source_files, "package_folder", lambda: packaged)
    done = run()
    assert done.exit_code == 13
    assert "LIFTOFF_CATALOG: given nothing; allowed: a folder that may be written to" in done.output
    (tmp_path / ".git").mkdir()
    assert catalog_commands.target() == packaged


def test_a_folder_that_cannot_be_written_to_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, azure: Callable[[float], None]
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LIFTOFF_CATALOG", str(tmp_path / "file" / "own"))
    azure(known())
    done = run()
    assert done.exit_code == 13
    assert "can't be written to" in done.output


def test_every_option_is_documented() -> None:
    section = re.search(r"^## `liftoff catalog update`.*?(?=^## )", DOCS, re.MULTILINE | re.DOTALL)
    assert section is not None
    command: Any = typer.main.get_command(catalog_commands.app)
    options = [option for parameter in command.commands["update"].params for option in parameter.opts]
    assert [name for name in options if name.startswith("--") and f"`{name}" not in section[0]] == []
