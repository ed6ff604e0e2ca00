"""How large weights are."""

from collections.abc import Mapping

from torch import Tensor


def nbytes(weights: Mapping[str, Tensor]) -> int:
    """Bytes of all tensors, in memory and on the wire alike; weights on the disk, and computed ones, know theirs."""
    known = getattr(weights, "nbytes", None)
    return known if isinstance(known, int) else sum(tensor.nbytes for tensor in weights.values())
