"""The data files: complete, consistent with one another, and each fact with where it comes from."""

import datetime as dt

import pytest
from pydantic import ValidationError

from components import catalog
from components.catalog import checks, price_file, source_files
from components.catalog.models import quantisation
from components.catalog.prices import price_sources

EARLIEST = dt.date(2024, 1, 1)


@pytest.mark.parametrize("provider", catalog.PROVIDERS)
def test_every_cloud_has_a_choice_of_instance_types_and_of_gpus(provider: str) -> None:
    types = catalog.instance_types(provider)

    assert len(types) >= 12
    assert len({found.gpu for found in types}) >= 5
    assert {found.provider for found in types} == {provider}


def test_every_instance_type_has_a_gpu_of_the_catalog_and_every_gpu_but_the_bare_a10_is_sold() -> None:
    sold = {found.gpu for found in catalog.instance_types()}

    assert sold == set(catalog.gpus()) - {"A10"}


def test_every_fact_has_a_source_and_a_day_on_which_it_was_looked_up() -> None:
    facts: list[catalog.Gpu | catalog.InstanceType | catalog.Model] = [
        *catalog.gpus().values(),
        *catalog.instance_types(),
        *catalog.models(),
    ]

    assert all("https://" in fact.source for fact in facts)
    assert all(EARLIEST < fact.date <= dt.datetime.now(tz=dt.UTC).date() + dt.timedelta(days=1) for fact in facts)


def test_a_virtual_gpu_needs_the_grid_driver_and_no_other_gpu_does() -> None:
    for found in catalog.instance_types():
        assert (found.driver == "grid") == found.vgpu == (found.gpu == "A10-24Q"), found.name


def test_the_grid_driver_of_the_a10_brings_cuda_12_8() -> None:
    assert catalog.instance_type("azure", "Standard_NV36ads_A10_v5").cuda == "12.8"


def test_only_the_machines_of_gcp_that_do_not_carry_their_gpus_name_a_guest_accelerator() -> None:
    named = {found.name: found.accelerator for found in catalog.instance_types() if found.accelerator is not None}

    assert named == {"n1-standard-4": "nvidia-tesla-t4", "n1-standard-8": "nvidia-tesla-t4"}


def test_gpus_before_ampere_have_no_bfloat16_and_those_before_ada_no_fp8() -> None:
    for found in catalog.gpus().values():
        assert found.bfloat16 == (found.capability >= (8, 0)), found.name
        assert found.fp8 == (found.capability >= (8, 9)), found.name


def test_no_row_of_the_price_file_is_wrong_in_itself() -> None:
    rows = price_file.rows(source_files.text(price_file.NAME))
    sold: checks.Sold = {(found.provider, found.name): found.regions for found in catalog.instance_types()}

    assert len(rows) > 300
    assert [(row, told) for row in rows if (told := checks.problem(row, sold))] == []


def test_no_row_of_the_price_file_stands_twice_and_each_is_read() -> None:
    rows = price_file.rows(source_files.text(price_file.NAME))
    read = [row for found in catalog.instance_types() for row in catalog.prices(found.provider, found.name)]

    assert checks.twice(rows) == []
    assert len(read) == len(rows)


def test_a_price_file_is_written_as_it_was_read() -> None:
    rows = price_file.rows(source_files.text(price_file.NAME))

    assert sorted(price_file.rows(price_file.render(rows)), key=str) == sorted(rows, key=str)


def test_the_types_that_most_people_start_with_have_a_spot_price() -> None:
    for provider, name in [
        ("aws", "g5.xlarge"),
        ("aws", "g6.xlarge"),
        ("azure", "Standard_NV36ads_A10_v5"),
        ("gcp", "g2-standard-8"),
    ]:
        assert any(row.spot for row in catalog.prices(provider, name)), name


def test_a_price_source_says_when_its_prices_were_made_or_what_is_known_instead() -> None:
    for source in price_sources().values():
        assert source.date is not None or "date" in source.note


def test_a_spot_price_above_the_on_demand_price_is_refused() -> None:
    row = catalog.prices("aws", "g5.xlarge")[0].model_dump()

    with pytest.raises(ValidationError, match="at least the spot price"):
        catalog.Price.model_validate({**row, "spot": 2.0, "on_demand": 1.0})


def test_an_empty_cell_of_the_price_file_is_no_price() -> None:
    row = catalog.prices("aws", "g5.xlarge")[0].model_dump()

    price = catalog.Price.model_validate({**row, "spot": "", "zone": ""})

    assert (price.spot, price.zone) == (None, None)


def test_the_cheapest_price_is_the_least_of_all_regions() -> None:
    rows = catalog.prices("aws", "g5.xlarge")

    assert catalog.cheapest("aws", "g5.xlarge") == min(row.spot for row in rows if row.spot)
    assert catalog.cheapest("gcp", "a4-highgpu-8g") is None


def test_what_stays_unquantised_is_a_part_of_the_parameters() -> None:
    for found in catalog.models():
        assert 0 < found.unquantised < found.parameters / 2, found.name
        assert found.sliding is None or found.sliding.layers < found.layers


@pytest.mark.parametrize(
    ("name", "quantised", "gigabytes"),
    [
        # Sizes of the checkpoints on Hugging Face, in 10^9 bytes.
        ("meta-llama/Llama-3.1-8B-Instruct", "bf16", 16.06),
        ("openai/gpt-oss-20b", "mxfp4", 13.76),
        ("openai/gpt-oss-120b", "mxfp4", 65.25),
    ],
)
def test_the_weights_are_as_large_as_the_checkpoint(name: str, quantised: str, gigabytes: float) -> None:
    size = catalog.model(name).weights_bytes(quantisation(quantised))

    assert size / 1e9 == pytest.approx(gigabytes, rel=0.01)


def test_the_data_is_read_once() -> None:
    assert catalog.gpus() is catalog.gpus()
    assert catalog.instance_type("aws", "g5.xlarge") is catalog.instance_type("aws", "g5.xlarge")
    assert catalog.model("Qwen/Qwen3-8B") is catalog.model("Qwen/Qwen3-8B")


def test_an_entry_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        catalog.gpu("T4").memory_mib = 1
