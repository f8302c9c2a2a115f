"""`liftoff offers` lists what fits, cheapest first, and says why the rest does not."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from automation import market, offer_commands
from automation.market import Need
from automation.offers import Wanted

DOCS = (Path(__file__).parents[3] / "docs" / "cli.md").read_text()
LLAMA = "meta-llama/Llama-3.1-8B-Instruct"


@pytest.fixture(autouse=True)
def _prices_are_the_catalogs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIFTOFF_CATALOG_PRICES", "1")


def run(*arguments: str) -> Result:
    import typer

    app = typer.Typer()
    app.command()(offer_commands.offers)
    return CliRunner().invoke(app, list(arguments))


def test_offers_are_in_the_order_of_their_price_and_fit_the_model() -> None:
    done = run(LLAMA, "--json")
    records = [json.loads(line) for line in done.stdout.splitlines()]
    prices = [record["price"] for record in records]
    assert prices == sorted(prices)
    assert {record["provider"] for record in records} == {"aws", "azure", "gcp"}
    assert all(record["spot"] and record["max_model_len"] >= 1024 for record in records)


def test_the_seed_case_is_among_them() -> None:
    done = run(
        LLAMA, "--provider", "azure", "--region", "eastus", "--instance-type", "Standard_NV36ads_A10_v5", "--json"
    )
    (record,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert record["max_model_len"] == 45056
    assert record["tensor_parallel_size"] == 1


def test_a_table_says_that_its_prices_are_not_live() -> None:
    done = run(LLAMA, "--gpu", "L4", "--max-price", "0.5")
    assert done.exit_code == 0
    assert "g6.xlarge" in done.stdout
    assert "A10" not in done.stdout
    assert "not live" in done.stdout


def test_what_does_not_fit_is_told_with_how_much_is_missing() -> None:
    done = run("meta-llama/Llama-3.3-70B-Instruct", "--gpu", "T4")
    assert "No offer fits" in done.stdout
    assert "GiB more than g4dn.xlarge" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["llama-3.1-8b"], "nearest: meta-llama/Llama-3.1-8B-Instruct"),
        ([LLAMA, "--region", "useast1"], "given 'useast1'"),
        ([LLAMA, "--gpu", "L5"], "given 'L5'"),
        ([LLAMA, "--quantisation", "int3"], "given 'int3'"),
    ],
)
def test_a_name_that_is_not_known_is_told_with_those_that_are(arguments: list[str], words: str) -> None:
    done = run(*arguments)
    assert done.exit_code == 13
    assert words in done.output


def test_every_option_is_documented() -> None:
    import typer

    app = typer.Typer(add_completion=False)
    app.command()(offer_commands.offers)
    section = re.search(r"^## `liftoff offers .*?(?=^## )", DOCS, re.MULTILINE | re.DOTALL)
    assert section is not None
    options = [option for parameter in typer.main.get_command(app).params for option in parameter.opts]
    assert [name for name in options if name.startswith("--") and f"`{name}`" not in section[0]] == []


def test_every_offer_is_a_place_that_sells_the_type() -> None:
    found = market.find(Need(LLAMA), Wanted(market="auto"))
    assert all(offer.region for offer in found.offers)
    assert {(offer.provider, offer.instance_type) for offer in found.offers} <= found.fits.keys()
