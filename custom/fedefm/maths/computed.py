"""Weights of which a tensor is made when it is asked for, so that never more than one of them is in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from torch import Tensor

from fedefm.maths.size import nbytes


class Computed(Mapping[str, Tensor]):
    """Named tensors, each computed anew whenever it is asked for; equal to itself alone, and never changed.

    Args:
        like: tensors of the same names, shapes and dtypes.
        compute: gives the tensor of a name; what it reads must not change.

    Attributes:
        like: the same, and none that are computed.
    """

    def __init__(self, like: Mapping[str, Tensor], compute: Callable[[str], Tensor]):
        self.like: Mapping[str, Tensor] = like.like if isinstance(like, Computed) else like
        self._compute = compute

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors; none is computed."""
        return nbytes(self.like)

    def __getitem__(self, name: str) -> Tensor:
        if name not in self.like:
            raise KeyError(name)
        return self._compute(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.like)

    def __len__(self) -> int:
        return len(self.like)

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)
