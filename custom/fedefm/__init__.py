"""FedEFM: federated endovascular foundation models on NVIDIA FLARE.

The mathematics stands at the top: `from fedefm import emd, emd_similarity`. It is imported when first asked for, so
that the command line answers without loading torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fedefm.maths import cosine_cost, emd, emd_plan, emd_similarity, node_weights, regional_similarity

__all__ = ["cosine_cost", "emd", "emd_plan", "emd_similarity", "node_weights", "regional_similarity"]


def __getattr__(name: str) -> Any:
    """Import a public name of `fedefm.maths` when it is first used."""
    if name in __all__:
        return getattr(import_module("fedefm.maths"), name)
    raise AttributeError(f"module 'fedefm' has no attribute '{name}'")
