"""Whether a model fits, how long its context may be, and what else would do."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components import catalog
from components.catalog.fit import GIB, GPU_MEMORY_UTILIZATION, MIB

LLAMA = "meta-llama/Llama-3.1-8B-Instruct"
A10 = ("azure", "Standard_NV36ads_A10_v5")

MODELS = st.sampled_from(catalog.models())
TYPES = st.sampled_from(catalog.instance_types())
GPUS = st.sampled_from(sorted(catalog.gpus().values(), key=lambda gpu: gpu.name))


def fit(model: str, place: tuple[str, str], **wanted: object) -> catalog.Fit | catalog.TooLarge | catalog.NotSupported:
    return catalog.fits(catalog.model(model), catalog.instance_type(*place), **wanted)  # type: ignore[arg-type]


def fitting(model: str, place: tuple[str, str], **wanted: object) -> catalog.Fit:
    found = fit(model, place, **wanted)
    assert isinstance(found, catalog.Fit), found
    return found


def too_large(model: str, place: tuple[str, str], **wanted: object) -> catalog.TooLarge:
    found = fit(model, place, **wanted)
    assert isinstance(found, catalog.TooLarge), found
    return found


def test_llama_8b_on_one_a10_takes_a_context_of_32768() -> None:
    found = fitting(LLAMA, A10, max_model_len=32768)

    assert (found.max_model_len, found.dtype, found.tensor_parallel_size) == (32768, "bfloat16", 1)
    assert found.weights_bytes == 2 * 8030261248
    assert found.kv_cache_bytes == 32768 * 128 * 1024
    assert 1 < found.sequences < 2


def test_llama_8b_on_one_a10_does_not_take_its_native_context() -> None:
    found = too_large(LLAMA, A10, max_model_len=131072)

    assert 10 < found.missing_gib < 11
    assert found.longest_model_len > 41000
    assert "131072 tokens needs 10.4 GiB more than Standard_NV36ads_A10_v5 (1 x A10-24Q)" in found.reason


def test_the_longest_context_of_llama_8b_on_one_a10_is_between_41000_and_50000() -> None:
    found = fitting(LLAMA, A10)

    assert 41000 < found.max_model_len < 50000
    assert found.max_model_len % 1024 == 0
    assert found.max_model_len == found.longest_model_len


def test_the_longest_context_of_llama_8b_on_one_l4_is_between_30000_and_38000() -> None:
    assert 30000 < fitting(LLAMA, ("gcp", "g2-standard-8")).max_model_len < 38000


def test_float16_is_taken_and_told_where_the_gpu_has_no_bfloat16() -> None:
    found = fitting("Qwen/Qwen3-4B", ("aws", "g4dn.2xlarge"))

    assert found.dtype == "float16"
    assert "T4 has no bfloat16: float16 is taken instead" in found.notes


def test_a_model_that_vllm_does_not_serve_in_float16_is_refused_on_a_t4() -> None:
    found = fit("google/gemma-3-4b-it", ("azure", "Standard_NC4as_T4_v3"))

    assert isinstance(found, catalog.NotSupported)
    assert "T4 has no bfloat16" in found.reason
    assert found.alternatives
    assert all(catalog.gpu(other.gpu).bfloat16 for other in found.alternatives)


def test_a_quantisation_that_the_gpu_cannot_compute_is_refused() -> None:
    found = fit("openai/gpt-oss-20b", ("azure", "Standard_NC64as_T4_v3"))

    assert isinstance(found, catalog.NotSupported)
    assert "mxfp4 needs compute capability 8.0 or later; T4 has 7.5" in found.reason


def test_fp8_weights_on_a_gpu_without_fp8_are_told_to_save_memory_only() -> None:
    assert any("weights only" in note for note in fitting(LLAMA, A10, quantisation="fp8").notes)
    assert not fitting(LLAMA, ("aws", "g6.2xlarge"), quantisation="fp8").notes


def test_too_little_host_memory_is_told() -> None:
    assert any("host RAM" in note for note in fitting(LLAMA, ("aws", "g5.xlarge")).notes)
    assert not fitting(LLAMA, ("aws", "g5.2xlarge")).notes


def test_all_gpus_share_the_model_where_its_shape_allows() -> None:
    found = fitting("meta-llama/Llama-3.1-70B-Instruct", ("aws", "p4de.24xlarge"))

    assert found.tensor_parallel_size == 8
    assert found.weights_bytes == 70553706496 * 2 // 8


def test_gpus_that_the_models_heads_cannot_be_cut_for_stay_idle() -> None:
    found = fitting("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", ("aws", "p5.48xlarge"))

    assert found.tensor_parallel_size == 4
    assert any("4 of 8 GPUs stay idle" in note for note in found.notes)


def test_quantised_experts_are_not_cut_through_a_group_of_scales() -> None:
    place = ("aws", "p5.48xlarge")

    assert fitting("Qwen/Qwen3-30B-A3B", place, quantisation="fp8").tensor_parallel_size == 2
    assert fitting("Qwen/Qwen3-30B-A3B", place).tensor_parallel_size == 8


def test_more_gpus_than_kv_heads_hold_copies_of_the_cache() -> None:
    model = catalog.model("Qwen/Qwen3-30B-A3B")
    eight = catalog.instance_type("aws", "p5.48xlarge")
    found = catalog.fits(model, eight, max_model_len=1024)
    half = catalog.fits(model, eight.model_copy(update={"gpu_count": 4}), max_model_len=1024)

    assert isinstance(found, catalog.Fit)
    assert isinstance(half, catalog.Fit)
    assert (found.tensor_parallel_size, half.tensor_parallel_size) == (8, 4)
    assert found.kv_cache_bytes == half.kv_cache_bytes


def test_layers_with_a_sliding_window_stop_growing_with_the_context() -> None:
    place = ("aws", "p5.48xlarge")
    short, long = (fitting("openai/gpt-oss-20b", place, max_model_len=length) for length in (65536, 131072))

    # 12 of the 24 layers keep all tokens: on 8 GPUs one KV head each, 64 wide, keys and values of 2 bytes.
    assert long.kv_cache_bytes - short.kv_cache_bytes == 65536 * 12 * 2 * 64 * 2


def test_an_embedding_model_keeps_no_kv_cache() -> None:
    found = fitting("BAAI/bge-m3", ("azure", "Standard_NC4as_T4_v3"))

    assert (found.max_model_len, found.kv_cache_bytes, found.sequences) == (8192, 0, 0.0)


def test_the_alternatives_come_cheapest_first_and_those_without_a_price_last() -> None:
    found = too_large("meta-llama/Llama-3.3-70B-Instruct", A10)

    costs = [catalog.cheapest(other.provider, other.name) for other in found.alternatives]
    known = [cost for cost in costs if cost is not None]
    assert known == sorted(known)
    assert costs == known + [None] * (len(costs) - len(known))
    assert len(known) > 5


def test_the_alternatives_can_be_kept_to_one_cloud() -> None:
    found = too_large("meta-llama/Llama-3.3-70B-Instruct", A10, among=catalog.instance_types("gcp"))

    assert found.alternatives
    assert {other.provider for other in found.alternatives} == {"gcp"}


def test_a_smaller_share_of_the_memory_leaves_less_context() -> None:
    usual, small = fitting(LLAMA, A10), fitting(LLAMA, A10, gpu_memory_utilization=0.85)

    assert small.longest_model_len < usual.longest_model_len


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ({"quantisation": "mxfp4"}, r"quantisation: given 'mxfp4'; allowed for .*: bf16, fp8, awq"),
        ({"max_model_len": 131073}, r"max_model_len: given 131073; allowed for .*: 1 to 131072 tokens"),
        ({"max_model_len": 0}, r"max_model_len: given 0; allowed"),
        ({"gpu_memory_utilization": 1.5}, r"gpu_memory_utilization: given 1.5; allowed: above 0, at most 1"),
    ],
)
def test_what_can_never_be_served_is_refused_with_what_is_allowed(wanted: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        fit(LLAMA, A10, **wanted)


@given(MODELS, TYPES, st.data())
def test_what_fits_stays_within_the_share_of_each_gpu(
    model: catalog.Model, place: catalog.InstanceType, data: st.DataObject
) -> None:
    quantised = data.draw(st.sampled_from(model.quantisations))
    found = catalog.fits(model, place, quantisation=quantised)
    if isinstance(found, catalog.Fit):
        used = found.weights_bytes + found.kv_cache_bytes + found.overhead_bytes
        assert used <= found.budget_bytes <= catalog.gpu(place.gpu).memory_mib * MIB * GPU_MEMORY_UTILIZATION
        assert 1024 <= found.max_model_len <= model.context
        assert found.max_model_len % 1024 == 0
        assert 1 <= found.tensor_parallel_size <= place.gpu_count
        assert found.tensor_parallel_size.bit_count() == 1


@given(MODELS, TYPES)
def test_the_longest_context_fits_when_asked_for_and_the_next_longer_one_does_not(
    model: catalog.Model, place: catalog.InstanceType
) -> None:
    found = catalog.fits(model, place)
    if isinstance(found, catalog.Fit):
        assert catalog.fits(model, place, max_model_len=found.max_model_len) == found
        longer = found.max_model_len + 1024
        if longer <= model.context:
            assert isinstance(catalog.fits(model, place, max_model_len=longer, among=()), catalog.TooLarge)


@given(MODELS, TYPES, GPUS, st.integers(min_value=0, max_value=300_000), st.data())
def test_more_memory_on_the_gpu_never_makes_it_fit_worse(
    model: catalog.Model, place: catalog.InstanceType, gpu: catalog.Gpu, more_mib: int, data: st.DataObject
) -> None:
    length = data.draw(st.none() | st.integers(min_value=1, max_value=model.context))
    larger = gpu.model_copy(update={"memory_mib": gpu.memory_mib + more_mib})
    before = catalog.fits(model, place, gpu=gpu, max_model_len=length, among=())
    after = catalog.fits(model, place, gpu=larger, max_model_len=length, among=())

    if isinstance(before, catalog.NotSupported):
        assert isinstance(after, catalog.NotSupported)
    elif isinstance(before, catalog.Fit):
        assert isinstance(after, catalog.Fit)
        assert after.longest_model_len >= before.longest_model_len
        assert after.sequences >= before.sequences or length is None
    elif isinstance(after, catalog.TooLarge):
        assert after.missing_gib <= before.missing_gib
        assert after.longest_model_len >= before.longest_model_len


@given(MODELS, TYPES, st.data())
def test_a_gpu_with_what_was_missing_on_top_is_large_enough(
    model: catalog.Model, place: catalog.InstanceType, data: st.DataObject
) -> None:
    length = data.draw(st.none() | st.integers(min_value=1, max_value=model.context))
    found = catalog.fits(model, place, max_model_len=length, among=())
    if isinstance(found, catalog.TooLarge):
        assert found.missing_gib > 0
        gpu = catalog.gpu(place.gpu)
        missing_mib = int(found.missing_gib * GIB / MIB / GPU_MEMORY_UTILIZATION) + 2
        enough = gpu.model_copy(update={"memory_mib": gpu.memory_mib + missing_mib})
        assert isinstance(catalog.fits(model, place, gpu=enough, max_model_len=length), catalog.Fit)


@given(MODELS, TYPES)
def test_every_alternative_really_fits(model: catalog.Model, place: catalog.InstanceType) -> None:
    found = catalog.fits(model, place)
    if not isinstance(found, catalog.Fit):
        assert place not in found.alternatives
        for other in found.alternatives:
            assert isinstance(catalog.fits(model, other), catalog.Fit)


@given(MODELS, TYPES, st.integers(min_value=1))
def test_a_shorter_context_fits_wherever_a_longer_one_does(
    model: catalog.Model, place: catalog.InstanceType, shorter: int
) -> None:
    found = catalog.fits(model, place)
    if isinstance(found, catalog.Fit):
        length = min(shorter, found.max_model_len)
        again = catalog.fits(model, place, max_model_len=length)
        assert isinstance(again, catalog.Fit)
        assert again.kv_cache_bytes <= found.kv_cache_bytes


def test_an_answer_cannot_be_changed() -> None:
    found = fitting(LLAMA, A10)

    with pytest.raises(dataclasses.FrozenInstanceError):
        found.max_model_len = 1  # type: ignore[misc]
