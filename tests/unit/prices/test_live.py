"""Live prices where a cloud answers in time; else the catalog's, and it is told."""

import datetime as dt
import json
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from automation import commands, market, offer_commands
from automation.cloud_api.refused import Refused
from automation.errors import Kind, Stopped
from automation.market import Need
from automation.offers import Listing, Wanted
from automation.prices import live
from automation.prices.aws import AwsPrices
from automation.prices.azure import AzurePrices
from automation.prices.cache import Cache
from automation.prices.gcp import GcpPrices
from automation.prices.live import LivePrices
from automation.prices.reading import Quote, Reading
from components import catalog
from components.catalog import InstanceType

LLAMA = "meta-llama/Llama-3.1-8B-Instruct"
EAST = Wanted(providers=frozenset({"aws"}), regions=frozenset({"us-east-1"}), gpus=frozenset({"L4"}))
KINDS = [catalog.instance_type("aws", name) for name in ("g6.xlarge", "g6.2xlarge")]
READ = dt.datetime(2026, 11, 26, 10, 30, tzinfo=dt.UTC)


class Told:
    """A cloud that tells these prices in every region, or refuses, and remembers what it was asked."""

    title = "AWS"

    def __init__(self, *quotes: Quote, refuses: Refused | None = None) -> None:
        self.asked: list[str] = []
        self._quotes = quotes
        self._refuses = refuses

    def read(self, region: str, kinds: Sequence[InstanceType]) -> Reading:
        self.asked.append(region)
        if self._refuses is not None:
            raise self._refuses
        names = frozenset(kind.name for kind in kinds)
        return Reading(quotes=self._quotes, spot=names, on_demand=frozenset())


class Silent(Told):
    """A cloud that answers when the test is over."""

    def __init__(self) -> None:
        super().__init__()
        self.over = threading.Event()

    def read(self, region: str, kinds: Sequence[InstanceType]) -> Reading:
        self.over.wait(30)
        return super().read(region, kinds)


class Scores:
    def __init__(self, told: dict[str, int] | None = None) -> None:
        self.asked: list[tuple[list[str], list[str]]] = []
        self._told = told

    def scores(self, regions: Sequence[str], names: Sequence[str]) -> dict[str, int]:
        self.asked.append((list(regions), list(names)))
        if self._told is None:
            raise Refused("MaxConfigLimitExceeded", "too many questions today")
        return self._told


def quote(price: float, name: str = "g6.xlarge", zone: str = "use1-az1", region: str = "us-east-1") -> Quote:
    return Quote(instance_type=name, region=region, zone=zone, spot=price)


def prices(source: Any, tmp_path: Path, **more: Any) -> tuple[LivePrices, list[str]]:
    said: list[str] = []
    scores = more.pop("scores", None)
    made = LivePrices(
        {"aws": source}, {"aws": scores} if scores else {}, Cache(tmp_path / "prices.sqlite"), said.append, **more
    )
    return made, said


def test_a_live_price_takes_the_place_of_the_catalogs_and_says_when_it_was_read(tmp_path: Path) -> None:
    asked, said = prices(Told(quote(0.3)), tmp_path, clock=READ.timestamp)
    found = market.find(Need(LLAMA), EAST, asked).offers
    assert [(offer.instance_type, offer.zone, offer.price) for offer in found] == [("g6.xlarge", "use1-az1", 0.3)]
    assert (found[0].source, found[0].seen, found[0].read_at) == ("live", READ.date(), READ)
    assert said == []


def test_a_place_for_which_the_cloud_told_no_price_is_no_offer_though_the_catalog_has_one(tmp_path: Path) -> None:
    listed = [listing for listing in market.catalog_prices(KINDS, EAST) if listing.spot]
    assert len({listing.zone for listing in listed}) > 1
    asked, _ = prices(Told(quote(0.3)), tmp_path)
    assert {listing.zone for listing in asked(KINDS, EAST) if listing.spot} == {"use1-az1"}


def test_on_demand_prices_stay_the_catalogs_where_the_cloud_tells_only_spot(tmp_path: Path) -> None:
    asked, _ = prices(Told(quote(0.3)), tmp_path)
    wanted = EAST.model_copy(update={"market": "on-demand"})
    found = market.find(Need(LLAMA), wanted, asked).offers
    assert found == market.find(Need(LLAMA), wanted).offers
    assert all(offer.source.startswith("https://") and offer.read_at is None for offer in found)


@pytest.mark.parametrize(
    ("refused", "reason"),
    [
        (Refused("no_credentials", "…"), "no credentials"),
        (Refused("unreachable", "…"), "can't be reached"),
        (Refused("UnauthorizedOperation", "…", 403), "UnauthorizedOperation"),
    ],
)
def test_what_could_not_be_asked_is_the_catalogs_and_told_in_one_line(
    tmp_path: Path, refused: Refused, reason: str
) -> None:
    wanted = Wanted(providers=frozenset({"aws"}), gpus=frozenset({"L4"}))
    asked, said = prices(Told(refuses=refused), tmp_path)
    assert market.find(Need(LLAMA), wanted, asked).offers == market.find(Need(LLAMA), wanted).offers
    assert said == [f"AWS: {reason}; prices of the catalog, read 2026-11-24"]


def test_a_region_that_refused_is_told_beside_those_that_answered(tmp_path: Path) -> None:
    class OnlyEast(Told):
        def read(self, region: str, kinds: Sequence[InstanceType]) -> Reading:
            if region != "us-east-1":
                raise Refused("AuthFailure", "not enabled")
            return super().read(region, kinds)

    wanted = EAST.model_copy(update={"regions": frozenset({"us-east-1", "us-west-2", "ap-south-1"})})
    asked, said = prices(OnlyEast(quote(0.3)), tmp_path)
    sources = {(offer.region, offer.source == "live") for offer in market.find(Need(LLAMA), wanted, asked).offers}
    assert sources == {("us-east-1", True), ("us-west-2", False)}
    # The catalog has no price in ap-south-1, either: nothing stands in for it.
    assert said == ["AWS: 1 regions: AuthFailure; prices of the catalog, read 2026-11-24"]


def test_a_cloud_that_is_late_holds_nobody_up(tmp_path: Path) -> None:
    source = Silent()
    asked, said = prices(source, tmp_path, limit_seconds=0.2)
    began = time.monotonic()
    found = asked(KINDS, EAST)
    assert time.monotonic() - began < 5
    source.over.set()
    assert found == tuple(market.catalog_prices(KINDS, EAST))
    assert said == ["AWS: no answer within 0.2 s; prices of the catalog, read 2026-11-24"]


def test_an_answer_that_nobody_foresaw_is_no_reason_to_stop(tmp_path: Path) -> None:
    class Odd(Told):
        def read(self, region: str, kinds: Sequence[InstanceType]) -> Reading:
            raise KeyError("SpotPriceHistory")

    asked, said = prices(Odd(), tmp_path)
    assert asked(KINDS, EAST) == tuple(market.catalog_prices(KINDS, EAST))
    assert said == ["AWS: unreadable; prices of the catalog, read 2026-11-24"]


def test_a_price_is_not_asked_for_again_within_ten_minutes(tmp_path: Path) -> None:
    now = READ.timestamp()
    source, scores = Told(quote(0.3)), Scores({"use1-az1": 7})
    for later, requests in ((0, 1), (599, 1), (601, 2)):
        asked, _ = prices(source, tmp_path, scores=scores, clock=lambda later=later: now + later)
        (listing,) = (listing for listing in asked(KINDS, EAST) if listing.spot)
        assert (len(source.asked), len(scores.asked)) == (requests, requests)
        assert listing.placement_score == 7
        assert listing.read_at == (READ if requests == 1 else READ + dt.timedelta(seconds=601))


def test_another_model_finds_its_prices_in_the_same_answer(tmp_path: Path) -> None:
    source = Told(quote(0.3), quote(9.0, "g6e.xlarge"))
    prices(source, tmp_path)[0](KINDS, EAST)
    found = prices(source, tmp_path)[0]([catalog.instance_type("aws", "g6e.xlarge")], EAST)
    assert [listing.spot for listing in found if listing.spot] == [9.0]
    assert source.asked == ["us-east-1"]


def test_a_refusal_is_asked_again_by_the_next_command(tmp_path: Path) -> None:
    source = Told(refuses=Refused("unreachable", "…"))
    for _ in range(2):
        prices(source, tmp_path)[0](KINDS, EAST)
    assert source.asked == ["us-east-1"] * 2


def test_a_cache_that_cannot_be_used_costs_nothing_but_time(tmp_path: Path) -> None:
    (tmp_path / "prices.sqlite").write_bytes(b"this is no database, and it is longer than a header " * 40)
    asked, said = prices(Told(quote(0.3)), tmp_path)
    assert [listing.spot for listing in asked(KINDS, EAST) if listing.spot] == [0.3]
    assert said == []


def test_only_the_clouds_and_regions_that_are_wanted_are_asked(tmp_path: Path) -> None:
    source, scores = Told(quote(0.3)), Scores({})
    prices(source, tmp_path, scores=scores)[0](KINDS, EAST)
    assert source.asked == ["us-east-1"]
    assert scores.asked == [(["us-east-1"], ["g6.2xlarge", "g6.xlarge"])]


def test_scores_are_not_asked_for_where_no_spot_machine_is_wanted(tmp_path: Path) -> None:
    scores = Scores({"use1-az1": 7})
    wanted = EAST.model_copy(update={"market": "on-demand"})
    prices(Told(quote(0.3)), tmp_path, scores=scores)[0](KINDS, wanted)
    assert scores.asked == []


def test_a_score_that_is_refused_is_not_known(tmp_path: Path) -> None:
    asked, said = prices(Told(quote(0.3)), tmp_path, scores=Scores())
    (offer,) = market.find(Need(LLAMA), EAST, asked).offers
    assert (offer.placement_score, said) == (None, [])


def test_a_region_price_of_google_is_listed_for_each_zone(tmp_path: Path) -> None:
    kind = catalog.instance_type("gcp", "g2-standard-8")
    wanted = Wanted(providers=frozenset({"gcp"}), regions=frozenset({"us-east1"}))
    source = Told(Quote(instance_type=kind.name, region="us-east1", spot=0.2, on_demand=0.8))
    found = LivePrices({"gcp": source}, {}, Cache(tmp_path / "p"), lambda _line: None)([kind], wanted)
    live_ = {listing.zone: (listing.spot, listing.on_demand) for listing in found if listing.source == "live"}
    assert live_ == dict.fromkeys(("us-east1-b", "us-east1-c", "us-east1-d"), (0.2, 0.8))


def test_what_a_list_cannot_price_is_told_and_stays_the_catalogs(tmp_path: Path) -> None:
    class Partly(Told):
        title = "GCP"

        def read(self, region: str, kinds: Sequence[InstanceType]) -> Reading:
            return Reading(
                quotes=(Quote(instance_type="g2-standard-8", region=region, spot=0.2),),
                spot=frozenset({"g2-standard-8"}),
                on_demand=frozenset(),
            )

    kinds = [catalog.instance_type("gcp", name) for name in ("g2-standard-8", "a3-highgpu-1g")]
    wanted = Wanted(providers=frozenset({"gcp"}), regions=frozenset({"us-central1"}))
    said: list[str] = []
    found = LivePrices({"gcp": Partly()}, {}, Cache(tmp_path / "p"), said.append)(kinds, wanted)

    def of(name: str) -> list[Listing]:
        return [listing for listing in found if listing.instance_type == name and listing.spot]

    assert {listing.source for listing in of("g2-standard-8")} == {"live"}
    assert of("a3-highgpu-1g") == [
        listing for listing in market.catalog_prices(kinds[1:], wanted) if listing.spot is not None
    ]
    assert said == ["GCP: no live price of a3-highgpu-1g; the catalog's, where it has one"]


def test_without_network_and_credentials_the_catalog_is_there_at_once(tmp_path: Path) -> None:
    sources: dict[str, Any] = {
        "aws": AwsPrices(),
        "azure": AzurePrices("http://127.0.0.1:9/prices"),
        "gcp": GcpPrices(),
    }
    said: list[str] = []
    asked = LivePrices(sources, {"aws": sources["aws"]}, Cache(tmp_path / "p"), said.append)
    began = time.monotonic()
    found = market.find(Need(LLAMA), Wanted(), asked).offers
    assert time.monotonic() - began < 6
    assert found == market.find(Need(LLAMA), Wanted()).offers
    assert [line.partition(";")[0] for line in said] == [
        "AWS: no credentials",
        "Azure: can't be reached",
        "GCP: no credentials",
    ]


def run(*arguments: str) -> list[dict[str, Any]]:
    app = typer.Typer()
    app.command()(offer_commands.offers)
    done = CliRunner().invoke(app, [LLAMA, "--json", *arguments])
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_the_command_tells_live_prices_by_zone_and_scores_that_moto_lacks_as_unknown(amazon: str) -> None:
    records = run("--provider", "aws", "--region", "us-east-1", "--gpu", "L4")
    found = [record for record in records if record["type"] == "offer"]
    assert {record["source"] for record in found} == {"live"}
    assert all(record["zone"].startswith("use1-az") and record["price"] == 0.00001 for record in found)
    assert all(record["read_at"].endswith("Z") and record["placement_score"] is None for record in found)


@pytest.mark.parametrize("by_variable", [False, True])
def test_a_user_may_have_the_catalogs_prices_alone(
    amazon: str, monkeypatch: pytest.MonkeyPatch, by_variable: bool
) -> None:
    monkeypatch.setattr(live, "LivePrices", None)
    if by_variable:
        monkeypatch.setenv("LIFTOFF_CATALOG_PRICES", "1")
    records = run("--provider", "aws", *([] if by_variable else ["--catalog-prices"]))
    assert {record["type"] for record in records} == {"offer"}
    assert all(record["source"].startswith("https://") for record in records)


@pytest.mark.parametrize("by_catalog", [False, True])
def test_a_launch_by_offers_asks_for_live_prices_unless_the_catalogs_are_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by_catalog: bool
) -> None:
    chosen: list[bool] = []

    def choose(*, catalog_only: bool, say: object) -> market.Prices:
        chosen.append(catalog_only)
        raise Stopped(Kind.CONFIGURATION, "far_enough", "nothing is launched in this test", "")

    monkeypatch.setattr(live, "choose", choose)
    arguments = ["launch", LLAMA, "--provider", "aws", "--project", str(tmp_path), "--json"]
    done = CliRunner().invoke(commands.app, [*arguments, *(["--catalog-prices"] if by_catalog else [])])
    assert (chosen, done.exit_code) == ([by_catalog], Kind.CONFIGURATION.exit_code)
