"""Names that the catalog does not have are refused with the nearest ones that it has."""

import pytest

from components import catalog


def test_an_unknown_instance_type_is_told_with_the_nearest_names() -> None:
    with pytest.raises(catalog.UnknownName) as refused:
        catalog.instance_type("azure", "Standard_NV36ads")

    assert refused.value.given == "Standard_NV36ads"
    assert refused.value.nearest[0] == "Standard_NV36ads_A10_v5"
    assert "instance type of azure: given 'Standard_NV36ads'" in str(refused.value)


@pytest.mark.parametrize("given", ["Llama-3.1-8B-Instruct", "meta-llama/llama-3.1-8b-instruct", "Llama-3.1-8B"])
def test_a_model_without_its_organisation_or_in_other_letters_leads_to_the_right_name(given: str) -> None:
    with pytest.raises(catalog.UnknownName) as refused:
        catalog.model(given)

    assert refused.value.nearest[0] == "meta-llama/Llama-3.1-8B-Instruct"


@pytest.mark.parametrize("provider", ["local", "", "AWS"])
def test_an_unknown_provider_is_refused(provider: str) -> None:
    with pytest.raises(catalog.UnknownName, match="provider: given"):
        catalog.instance_types(provider)
    with pytest.raises(catalog.UnknownName, match="provider: given"):
        catalog.instance_type(provider, "g5.xlarge")


def test_an_instance_type_is_known_at_its_own_provider_only() -> None:
    with pytest.raises(catalog.UnknownName):
        catalog.instance_type("gcp", "g5.xlarge")
    with pytest.raises(catalog.UnknownName):
        catalog.prices("gcp", "g5.xlarge")


def test_a_name_like_no_other_is_told_with_all_that_are_known() -> None:
    with pytest.raises(catalog.UnknownName) as refused:
        catalog.gpu("§")

    assert refused.value.nearest == ()
    assert "known: A10, A10-24Q, A100-40" in str(refused.value)


def test_all_instance_types_are_those_of_the_providers_together() -> None:
    assert catalog.instance_types() == tuple(
        found for provider in catalog.PROVIDERS for found in catalog.instance_types(provider)
    )
