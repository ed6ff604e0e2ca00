"""FedEFM: federated endovascular foundation models on NVIDIA FLARE.

What a researcher needs in a notebook stands here:

    import fedefm

    model = fedefm.load("theta.safetensors", device="auto")  # an nn.Module, ready to predict, on a GPU if there is one
    labels = model(image)  # grey image (h, w) of any size -> uint8 label map (h, w)

- `load`: weights of a run as a `Segmenter`, which labels arrays.
- `segment`: a DICOM cine, a series, pictures or NIfTI to a folder of results, as the command `fedefm segment` does.
- `simulate`: train with all hospitals on this machine, as `fedefm simulate` does. `Settings` says what, with its parts
  `Schedule`, `ModelSpec`, `Optimisation` and `Distillation`.
- `emd`, `emd_plan`, `emd_similarity`, `regional_similarity`, `cosine_cost`, `node_weights`: the mathematics.
- `FedefmError`: the base of every error that this package raises on purpose.

A name is imported when it is first used, so that `import fedefm` and the command line answer without loading torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fedefm.errors import FedefmError
    from fedefm.exchange.schedule import Schedule
    from fedefm.foundation.settings import Distillation, Settings
    from fedefm.inference.model import Segmenter, load
    from fedefm.inference.run import segment
    from fedefm.maths import cosine_cost, emd, emd_plan, emd_similarity, node_weights, regional_similarity
    from fedefm.models.spec import ModelSpec
    from fedefm.simulation.run import simulate
    from fedefm.training.optimisation import Optimisation

__all__ = [
    "Distillation",
    "FedefmError",
    "ModelSpec",
    "Optimisation",
    "Schedule",
    "Segmenter",
    "Settings",
    "cosine_cost",
    "emd",
    "emd_plan",
    "emd_similarity",
    "load",
    "node_weights",
    "regional_similarity",
    "segment",
    "simulate",
]

_HOMES = {
    "Distillation": "fedefm.foundation.settings",
    "FedefmError": "fedefm.errors",
    "ModelSpec": "fedefm.models.spec",
    "Optimisation": "fedefm.training.optimisation",
    "Schedule": "fedefm.exchange.schedule",
    "Segmenter": "fedefm.inference.model",
    "Settings": "fedefm.foundation.settings",
    "cosine_cost": "fedefm.maths",
    "emd": "fedefm.maths",
    "emd_plan": "fedefm.maths",
    "emd_similarity": "fedefm.maths",
    "load": "fedefm.inference.model",
    "node_weights": "fedefm.maths",
    "regional_similarity": "fedefm.maths",
    "segment": "fedefm.inference.run",
    "simulate": "fedefm.simulation.run",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, and keep it."""
    if name not in _HOMES:
        raise AttributeError(f"module 'fedefm' has no attribute '{name}'")
    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    """What is here, with what is not imported yet."""
    return sorted({*globals(), *__all__})
