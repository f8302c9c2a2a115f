"""A refresh of the catalog takes what the clouds told, keeps the rest, and believes no price that can't be true."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from automation.prices import catalog_files, update
from automation.prices.reading import Quote, Reading, Sold
from automation.prices.update import Refresh, Told
from components import catalog
from components.catalog import InstanceType, price_file, source_files
from components.catalog.instance_types import _by_provider
from components.catalog.price_file import Row
from components.catalog.prices import _by_instance_type, price_sources

DAY = dt.date(2026, 11, 26)
KIND = catalog.instance_type("aws", "g6.xlarge").model_copy(update={"regions": ("us-east-1", "us-west-2")})
AZURE = catalog.instance_type("azure", "Standard_NV36ads_A10_v5").model_copy(update={"regions": ("eastus",)})


def row(zone: str = "use1-az1", region: str = "us-east-1", **changes: object) -> Row:
    known = {"provider": "aws", "instance_type": KIND.name, "spot": 0.3, "on_demand": 0.8, "source": "old"}
    return Row.model_validate({**known, "region": region, "zone": zone, **changes})


def azure_row(**changes: object) -> Row:
    return row("", "eastus", provider="azure", instance_type=AZURE.name, **changes)


def spot(*quotes: tuple[str, float], region: str = "us-east-1") -> dict[str, Reading]:
    """Amazon's answer: spot prices of a region's zones."""
    told = tuple(Quote(instance_type=KIND.name, region=region, zone=zone, spot=price) for zone, price in quotes)
    return {region: Reading(quotes=told, spot=frozenset({KIND.name}), on_demand=frozenset())}


def refreshed(
    *rows: Row,
    readings: dict[str, Reading] | None = None,
    sold: Sold | None = None,
    provider: str = "aws",
    kinds: tuple[InstanceType, ...] = (KIND, AZURE),
) -> Refresh:
    return update.refresh(rows, kinds, {provider: Told("new", sold, readings or {})})


def changes(made: Refresh) -> list[str]:
    return [str(change) for change in made.changes]


def test_a_spot_price_is_replaced_and_the_on_demand_price_keeps_its_own_source() -> None:
    made = refreshed(row(), readings=spot(("use1-az1", 0.36)))
    assert made.rows == (row(spot=0.36, source="new", on_demand_source="old"),)
    assert changes(made) == ["aws g6.xlarge use1-az1 spot: 0.3 to 0.36 USD/hour (+20%)"]


def test_a_price_that_is_the_same_has_its_new_date_and_is_no_change() -> None:
    made = refreshed(row(), readings=spot(("use1-az1", 0.3)))
    assert made.rows[0].source == "new"
    assert made.changes == ()


def test_a_zone_without_a_spot_price_keeps_its_on_demand_price_or_goes() -> None:
    made = refreshed(row(), row("use1-az2", on_demand=None), readings=spot(("use1-az4", 0.2)))
    assert made.rows == (
        row(spot=None),
        row("use1-az4", spot=0.2, source="new", on_demand_source="old"),
    )
    assert changes(made) == [
        "aws g6.xlarge use1-az1 spot: gone, 0.3 USD/hour",
        "aws g6.xlarge use1-az2 spot: gone, 0.3 USD/hour",
        "aws g6.xlarge use1-az4 spot: new, 0.2 USD/hour",
        "aws g6.xlarge use1-az4 on-demand: new, 0.8 USD/hour",
    ]


def test_clouds_and_regions_that_told_nothing_keep_their_rows() -> None:
    kept = (row("usw2-az1", "us-west-2"), azure_row())
    made = refreshed(row(), *kept, readings=spot(("use1-az1", 0.31)))
    assert set(kept) < set(made.rows)
    assert len(made.changes) == 1


def test_what_a_list_cannot_price_keeps_its_row() -> None:
    reading = Reading(quotes=(), spot=frozenset(), on_demand=frozenset())
    made = refreshed(azure_row(), readings={"eastus": reading}, provider="azure")
    assert (made.rows, made.changes) == ((azure_row(),), ())


def test_a_cloud_that_tells_both_prices_is_the_source_of_both() -> None:
    quote = Quote(instance_type=AZURE.name, region="eastus", spot=0.7, on_demand=3.2)
    reading = Reading(quotes=(quote,), spot=frozenset({AZURE.name}), on_demand=frozenset({AZURE.name}))
    made = refreshed(azure_row(), readings={"eastus": reading}, provider="azure")
    assert made.rows == (azure_row(spot=0.7, on_demand=3.2, source="new"),)


@pytest.mark.parametrize(
    ("price", "reason"),
    [(0.059, "changed by more than 5 times"), (0.8, "not below the on-demand price"), (200.0, "not between 0 and 150")],
)
def test_a_price_that_cannot_be_true_is_refused_by_itself(price: float, reason: str) -> None:
    both = (row(), row("use1-az2"))
    made = refreshed(*both, readings=spot(("use1-az1", price), ("use1-az2", 0.35)))
    assert made.rows == (both[0], row("use1-az2", spot=0.35, source="new", on_demand_source="old"))
    (refused,) = made.refused
    assert reason in str(refused)
    assert str(refused).startswith("aws g6.xlarge use1-az1: refused")


def test_a_zone_of_another_region_is_refused() -> None:
    made = refreshed(row(), readings=spot(("use1-az1", 0.3), ("use2-az1", 0.3)))
    assert [refused.reason for refused in made.refused] == ["use2-az1 is no zone of us-east-1"]
    assert len(made.rows) == 1


def test_regions_follow_the_cloud_where_it_was_asked() -> None:
    sold = Sold(regions={KIND.name: frozenset({"eu-north-1"})}, asked=frozenset({"us-east-1", "eu-north-1"}))
    made = refreshed(row(), row("usw2-az1", "us-west-2"), sold=sold)
    # us-west-2 was not asked: the account may not use it.
    assert made.regions["aws", KIND.name] == ("us-west-2", "eu-north-1")
    assert made.rows == (row("usw2-az1", "us-west-2"),)
    assert changes(made) == [
        "aws g6.xlarge eu-north-1: now sold",
        "aws g6.xlarge us-east-1: no longer sold",
        "aws g6.xlarge use1-az1 spot: gone, 0.3 USD/hour",
        "aws g6.xlarge use1-az1 on-demand: gone, 0.8 USD/hour",
    ]


def test_a_type_that_would_be_sold_nowhere_stays() -> None:
    made = refreshed(row(), sold=Sold(regions={KIND.name: frozenset()}))
    assert made.regions["aws", KIND.name] == KIND.regions
    assert made.changes == ()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The user's own folder of data files; what was read before is forgotten, and so is it afterwards."""
    monkeypatch.setenv("LIFTOFF_CATALOG", str(tmp_path / "own"))
    _forget()
    yield tmp_path / "own"
    monkeypatch.undo()
    _forget()


def _forget() -> None:
    for cached in (_by_instance_type, price_sources, _by_provider):
        cached.cache_clear()


def written(folder: Path) -> dict[str, str]:
    rows = price_file.rows(source_files.text(price_file.NAME))
    sold = Sold(regions={KIND.name: frozenset({"us-east-1", "eu-west-1"})}, asked=frozenset({"eu-west-1"}))
    told = {"aws": Told(update.source_name("aws", DAY), sold, spot(("use1-az1", 0.41)))}
    made = update.refresh(rows, catalog.instance_types(), told)
    return catalog_files.texts(made, rows, told, {"aws": "https://docs.aws.amazon.com/x"}, DAY)


def test_what_is_written_is_what_the_catalog_then_says_with_the_date_of_each_price(folder: Path) -> None:
    before = catalog.prices("aws", KIND.name)
    catalog_files.write(folder, written(folder))
    _forget()
    (found,) = [price for price in catalog.prices("aws", KIND.name) if price.zone == "use1-az1"]
    (known,) = [price for price in before if price.zone == "use1-az1"]
    assert (found.spot, found.source.date, found.source.url) == (0.41, DAY, "https://docs.aws.amazon.com/x")
    assert (found.on_demand, found.on_demand_source) == (known.on_demand, known.source)
    assert "eu-west-1" in catalog.instance_type("aws", KIND.name).regions
    assert catalog.prices("gcp", "g2-standard-8") != ()
    regions = yaml.safe_load((folder / "regions.yaml").read_text())
    assert regions["aws"]["read"] == DAY


@pytest.mark.parametrize("fails_at", [1, 2, 3])
def test_a_crash_while_writing_leaves_a_catalog_that_can_be_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch, fails_at: int
) -> None:
    files = written(folder)
    catalog_files.write(folder, {name: source_files.text(name) for name in ("prices.csv", "price_sources.yaml")})
    old = (folder / "prices.csv").read_text()
    replaced: list[Path] = []
    replace = Path.replace

    def crash(self: Path, target: Path) -> Path:
        replaced.append(target)
        if len(replaced) == fails_at:
            raise OSError("the power went")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", crash)
    with pytest.raises(OSError, match="the power went"):
        catalog_files.write(folder, files)
    _forget()
    assert (folder / "prices.csv").read_text() == old
    assert len(catalog.prices("aws", KIND.name)) > 1
    assert [path for path in folder.iterdir() if path.name.startswith(".")] == []


def test_the_sources_of_the_old_rows_are_kept_until_the_new_rows_are_written(folder: Path) -> None:
    before = price_file.rows(source_files.text(price_file.NAME))
    after = tuple(made for made in before if made.provider != "azure")
    text = catalog_files.texts(Refresh(after, {}, (), ()), before, {}, {}, DAY)["price_sources.yaml"]
    assert set(yaml.safe_load(text)) == {"skypilot-aws", "skypilot-azure", "gcosts"}


def test_the_sources_of_rows_that_are_gone_are_forgotten_once_nothing_names_them(folder: Path) -> None:
    catalog_files.write(folder, written(folder))
    rows = tuple(made for made in price_file.rows(source_files.text(price_file.NAME)) if made.provider == "aws")
    refresh = Refresh(rows, {}, (), ())
    text = catalog_files.texts(refresh, rows, {}, {}, DAY)["price_sources.yaml"]
    assert set(yaml.safe_load(text)) == {"skypilot-aws", "aws-api-2026-11-26"}
