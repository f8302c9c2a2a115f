"""Whether a model fits an instance type, how long its context may be there, and what would fit if it does not.

All of it is arithmetic on the catalog, in bytes for each GPU: weights + KV cache of one sequence + overhead must stay
within the share of the memory that vLLM takes. docs/catalog.md has the formulas and how far to trust them.
"""

import bisect
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from components.catalog.gpus import Gpu
from components.catalog.gpus import gpu as _gpu
from components.catalog.instance_types import InstanceType, instance_types
from components.catalog.models import Model, Quantisation
from components.catalog.models import quantisation as _quantisation
from components.catalog.prices import cheapest

MIB: Final = 2**20
GIB: Final = 2**30

GPU_MEMORY_UTILIZATION: Final = 0.92
"""The share of a GPU's memory that vLLM takes unless told otherwise (as of 0.32)."""

OVERHEAD_BYTES: Final = 3 * GIB // 2
"""For each GPU: CUDA context, activations of the largest batch, CUDA graphs, and what the driver keeps for itself.
Between 1 and 2 GiB for a model of 8B; an estimate, unverified by a measurement of ours."""

TENSOR_PARALLEL_OVERHEAD_BYTES: Final = GIB // 2
"""For each GPU on top, where there are several: NCCL's and all-reduce's buffers. An estimate, unverified."""

CONTEXT_STEP: Final = 1024
"""The longest context is a multiple of this many tokens."""

_BYTES_PER_CACHED_VALUE: Final = 2
_BATCHED_TOKENS: Final = 8192
"""Tokens that a sliding window's layer may hold beyond the window: vLLM's largest default batch, unverified."""
_HOST_RESERVE_GIB: Final = 4
"""Host RAM for the system and vLLM's own processes."""


@dataclass(frozen=True)
class Fit:
    """The model fits.

    Attributes:
        model: its name.
        instance_type: where.
        quantisation: how its weights are stored.
        dtype: vLLM's --dtype: `bfloat16`, or `float16` where the GPU has no bfloat16.
        tensor_parallel_size: vLLM's --tensor-parallel-size.
        max_model_len: vLLM's --max-model-len in tokens: what was asked for, else the longest that fits.
        longest_model_len: the longest that fits, in tokens: a multiple of 1024, or what was asked for if longer.
        budget_bytes: what vLLM may use of each GPU.
        weights_bytes: of each GPU.
        kv_cache_bytes: of each GPU, for one sequence of `max_model_len`.
        overhead_bytes: of each GPU.
        sequences: how many sequences of `max_model_len` the KV cache holds at once; 0 for a model that keeps none.
        notes: what the user should know.
    """

    model: str
    instance_type: InstanceType
    quantisation: str
    dtype: str
    tensor_parallel_size: int
    max_model_len: int
    longest_model_len: int
    budget_bytes: int
    weights_bytes: int
    kv_cache_bytes: int
    overhead_bytes: int
    sequences: float
    notes: tuple[str, ...]


@dataclass(frozen=True)
class TooLarge:
    """It needs more memory than the GPUs have.

    Attributes:
        model: its name.
        instance_type: where.
        quantisation: how its weights are stored.
        missing_gib: by how much, in GiB, over all GPUs that would be used.
        longest_model_len: the longest context that would fit, in tokens; 0 = none.
        reason: a sentence for the user.
        alternatives: the instance types where it fits as asked for, cheapest first, those without a price last.
        notes: what the user should know.
    """

    model: str
    instance_type: InstanceType
    quantisation: str
    missing_gib: float
    longest_model_len: int
    reason: str
    alternatives: tuple[InstanceType, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class NotSupported:
    """The GPU can't compute it, however much memory it has.

    Attributes:
        model: its name.
        instance_type: where.
        quantisation: how its weights are stored.
        reason: a sentence for the user.
        alternatives: the instance types where it fits as asked for, cheapest first, those without a price last.
    """

    model: str
    instance_type: InstanceType
    quantisation: str
    reason: str
    alternatives: tuple[InstanceType, ...]


@dataclass(frozen=True)
class _Request:
    model: Model
    quantisation: Quantisation
    max_model_len: int | None
    utilization: float
    overhead_bytes: int


@dataclass(frozen=True)
class _Need:
    """What one GPU would hold, in bytes."""

    tensor_parallel_size: int
    budget: int
    weights: int
    overhead: int

    @property
    def room(self) -> int:
        """What is left for the KV cache; may be negative."""
        return self.budget - self.weights - self.overhead


def fits(
    model: Model,
    instance_type: InstanceType,
    *,
    quantisation: str | None = None,
    max_model_len: int | None = None,
    gpu: Gpu | None = None,
    gpu_memory_utilization: float = GPU_MEMORY_UTILIZATION,
    overhead_bytes: int = OVERHEAD_BYTES,
    among: Iterable[InstanceType] | None = None,
) -> Fit | TooLarge | NotSupported:
    """Return whether a model fits an instance type.

    Args:
        model: from the catalog.
        instance_type: from the catalog.
        quantisation: one that the model offers; None = the model's own.
        max_model_len: the context that is wanted, in tokens; None = as long as fits, at least 1024.
        gpu: the GPUs that the machine was seen to have; None = what the catalog says of the instance type.
        gpu_memory_utilization: vLLM's share of a GPU's memory, in (0, 1].
        overhead_bytes: what each GPU needs besides weights and KV cache.
        among: where to look for alternatives; None = the whole catalog.

    Raises:
        ValueError: the model does not offer the quantisation or so long a context, or the share is none.
    """
    name = quantisation or model.quantisations[0]
    if name not in model.quantisations:
        raise ValueError(f"quantisation: given {name!r}; allowed for {model.name}: {', '.join(model.quantisations)}")
    if max_model_len is not None and not 1 <= max_model_len <= model.context:
        raise ValueError(f"max_model_len: given {max_model_len}; allowed for {model.name}: 1 to {model.context} tokens")
    if not 0 < gpu_memory_utilization <= 1:
        raise ValueError(f"gpu_memory_utilization: given {gpu_memory_utilization}; allowed: above 0, at most 1")
    request = _Request(model, _quantisation(name), max_model_len, gpu_memory_utilization, overhead_bytes)
    seen = gpu or _gpu(instance_type.gpu)

    unsupported = _unsupported(request, seen)
    if unsupported:
        return NotSupported(model.name, instance_type, name, unsupported, _where(request, among))
    need = _need(request, instance_type, seen)
    notes = _notes(request, instance_type, seen, need)
    longest = _longest(model, need)
    missing = _missing(request, need)
    if missing > 0:
        missing_gib = missing * need.tensor_parallel_size / GIB
        return TooLarge(
            model=model.name,
            instance_type=instance_type,
            quantisation=name,
            missing_gib=missing_gib,
            longest_model_len=longest,
            reason=_too_large(request, instance_type, seen, missing_gib, longest),
            alternatives=_where(request, among),
            notes=notes,
        )
    length = max_model_len or longest
    cache = _kv_cache_bytes(model, length, need.tensor_parallel_size)
    return Fit(
        model=model.name,
        instance_type=instance_type,
        quantisation=name,
        dtype="bfloat16" if seen.bfloat16 else "float16",
        tensor_parallel_size=need.tensor_parallel_size,
        max_model_len=length,
        longest_model_len=max(length, longest),
        budget_bytes=need.budget,
        weights_bytes=need.weights,
        kv_cache_bytes=cache,
        overhead_bytes=need.overhead,
        sequences=need.room / cache if cache else 0.0,
        notes=notes,
    )


def _unsupported(request: _Request, gpu: Gpu) -> str:
    """Return why the GPU can't compute it, or nothing."""
    model, quantisation = request.model, request.quantisation
    if gpu.capability < quantisation.capability:
        return (
            f"{quantisation.name} needs compute capability {quantisation.minimum_compute_capability} or later; "
            f"{gpu.name} has {gpu.compute_capability}"
        )
    if not gpu.bfloat16 and not model.float16:
        return f"{gpu.name} has no bfloat16, and vLLM does not serve {model.name} in float16"
    return ""


def _need(request: _Request, instance_type: InstanceType, gpu: Gpu) -> _Need:
    size = _tensor_parallel_size(request.model, request.quantisation, instance_type.gpu_count)
    return _Need(
        tensor_parallel_size=size,
        budget=int(gpu.memory_mib * MIB * request.utilization),
        weights=-(-request.model.weights_bytes(request.quantisation) // size),
        overhead=request.overhead_bytes + (TENSOR_PARALLEL_OVERHEAD_BYTES if size > 1 else 0),
    )


def _tensor_parallel_size(model: Model, quantisation: Quantisation, gpu_count: int) -> int:
    """Return the largest power of two that the GPUs and the model's shape allow: all GPUs are paid for."""
    size = 1
    while size * 2 <= gpu_count and _divides(model, quantisation, size * 2):
        size *= 2
    return size


def _divides(model: Model, quantisation: Quantisation, size: int) -> bool:
    # More GPUs than KV heads hold copies of them, so the one number must divide the other.
    heads = model.attention_heads % size == 0 and (model.kv_heads % size == 0 or size % model.kv_heads == 0)
    return heads and model.shard % (size * quantisation.group) == 0


def _kv_cache_bytes(model: Model, tokens: int, tensor_parallel_size: int) -> int:
    """Return the bytes of one sequence's KV cache on one GPU."""
    if model.kind == "embed":
        return 0  # an encoder keeps no keys and values
    heads = max(1, model.kv_heads // tensor_parallel_size)
    layer_bytes = 2 * heads * model.head_dim * _BYTES_PER_CACHED_VALUE
    if model.sliding is None:
        return tokens * model.layers * layer_bytes
    full = model.layers - model.sliding.layers
    # vLLM groups layers by the number of full ones; the last group of sliding ones is padded.
    padded = -(-model.sliding.layers // full) * full
    within = min(tokens, model.sliding.window + _BATCHED_TOKENS)
    return (tokens * full + within * padded) * layer_bytes


def _longest(model: Model, need: _Need) -> int:
    """Return the longest context that fits in tokens, a multiple of 1024 or the native one; 0 = none."""
    lengths = [*range(CONTEXT_STEP, model.context, CONTEXT_STEP), model.context]
    fitting = bisect.bisect_right(
        lengths, need.room, key=lambda tokens: _kv_cache_bytes(model, tokens, need.tensor_parallel_size)
    )
    return lengths[fitting - 1] if fitting and need.room >= 0 else 0


def _missing(request: _Request, need: _Need) -> int:
    """Return by how many bytes each GPU is too small for what is wanted; negative or 0 = it fits."""
    wanted = request.max_model_len or min(CONTEXT_STEP, request.model.context)
    return _kv_cache_bytes(request.model, wanted, need.tensor_parallel_size) - need.room


def _too_large(request: _Request, instance_type: InstanceType, gpu: Gpu, missing_gib: float, longest: int) -> str:
    wanted = f" with a context of {request.max_model_len} tokens" if request.max_model_len else ""
    shorter = f"; {longest} tokens fit" if longest else ""
    return (
        f"{request.model.name} in {request.quantisation.name}{wanted} needs {missing_gib:.1f} GiB more than "
        f"{instance_type.name} ({instance_type.gpu_count} x {gpu.name}) has{shorter}"
    )


def _notes(request: _Request, instance_type: InstanceType, gpu: Gpu, need: _Need) -> tuple[str, ...]:
    notes = []
    if not gpu.bfloat16:
        notes.append(f"{gpu.name} has no bfloat16: float16 is taken instead")
    if request.quantisation.name == "fp8" and not gpu.fp8:
        notes.append(f"{gpu.name} does not compute in fp8: weights only, which saves memory but no time")
    if need.tensor_parallel_size < instance_type.gpu_count:
        idle = instance_type.gpu_count - need.tensor_parallel_size
        notes.append(f"{idle} of {instance_type.gpu_count} GPUs stay idle: the model's shape can't be cut further")
    weights_gib = request.model.weights_bytes(request.quantisation) / GIB
    if weights_gib + _HOST_RESERVE_GIB > instance_type.memory_gib:
        notes.append(
            f"{instance_type.memory_gib:g} GiB of host RAM for {weights_gib:.1f} GiB of weights: "
            "stream them to the GPU, or take a type with more"
        )
    return tuple(notes)


def _where(request: _Request, among: Iterable[InstanceType] | None) -> tuple[InstanceType, ...]:
    """Return the instance types where it fits, cheapest first."""
    fitting = [
        candidate
        for candidate in (instance_types() if among is None else among)
        for gpu in [_gpu(candidate.gpu)]
        if not _unsupported(request, gpu) and _missing(request, _need(request, candidate, gpu)) <= 0
    ]
    return tuple(sorted(fitting, key=_order))


def _order(instance_type: InstanceType) -> tuple[bool, float, str, str]:
    price = cheapest(instance_type.provider, instance_type.name)
    return price is None, price or 0.0, instance_type.provider, instance_type.name
