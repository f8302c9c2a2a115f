"""How vLLM is installed and started with NVIDIA GPUs: the build by the driver's CUDA, the arguments by the fit."""

from pathlib import Path
from typing import Final

from components import catalog
from components.cloud import Serving
from components.refusal import Refusal
from components.settings import CloudSettings

_IMAGES: Final = Path(__file__).parent.parent / "images"
_PACKAGES: Final = ("nginx-light", "python3-venv")


def serving(settings: CloudSettings) -> Serving:
    """Return how the settings' model is served on their machine.

    A model that is not in the catalog is started as vLLM thinks best; the longest context is then up to maxModelLen.
    """
    arguments: list[str] = []
    try:
        fit = catalog.fits(
            catalog.model(settings.model), settings.machine_type, max_model_len=settings.max_model_len or None
        )
    except catalog.UnknownName:
        arguments += ["--tensor-parallel-size", str(settings.machine_type.gpu_count)]
    else:
        if not isinstance(fit, catalog.Fit):
            raise ModelDoesNotFit(f"liftoff:instanceType: {fit.reason}. {_instead(fit)}")
        arguments += ["--dtype", fit.dtype, "--tensor-parallel-size", str(fit.tensor_parallel_size)]
        if not settings.max_model_len:
            arguments += ["--max-model-len", str(fit.max_model_len)]
    return Serving(requirements(settings.machine_type.cuda), _PACKAGES, tuple(arguments))


class ModelDoesNotFit(Refusal):
    """The GPUs of the instance type can't hold or compute the model. The text says by how much, and what would do."""


def requirements(cuda: str) -> str:
    """Return the requirements.txt whose vLLM runs on a driver of this CUDA version.

    vLLM's wheels are built for CUDA 13 since 0.20 and need a driver of release 580; older drivers get those for CUDA
    12.9, which a driver of release 570 (CUDA 12.8) runs: https://github.com/vllm-project/vllm/issues/44335.
    """
    name = "cuda13" if int(cuda.partition(".")[0]) >= 13 else "cuda129"
    return (_IMAGES / f"requirements-{name}.txt").read_text()


def _instead(fit: catalog.TooLarge | catalog.NotSupported) -> str:
    names = [f"{other.provider} {other.name}" for other in fit.alternatives[:3]]
    return f"It fits {', '.join(names)}" if names else "It fits no instance type of the catalog"
