"""How weights travel: as they are, or rounded to half precision."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from weakref import WeakKeyDictionary

from torch import Tensor

from fedefm.maths.computed import Computed
from fedefm.maths.fingerprint import FINGERPRINTS, Fingerprints, weights_sha256
from fedefm.maths.half import half_nbytes, narrow, widen
from fedefm.maths.size import nbytes
from fedefm.models.build import Weights
from fedefm.models.stored import Shelf, opened

FLOAT32, FLOAT16 = "float32", "float16"
WIRES = (FLOAT32, FLOAT16)


class TensorWire:
    """`exchange.ports.Wire` for state dicts. What was rounded once is not changed by the next way.

    Args:
        dtype: `float32`, or `float16` for half precision.
        shelf: takes what arrives; None keeps it as it came.
    """

    def __init__(self, dtype: str = FLOAT32, shelf: Shelf | None = None):
        self._is_half, self._shelf = dtype == FLOAT16, shelf
        self._sizes: WeakKeyDictionary[Mapping[str, Tensor], int] = WeakKeyDictionary()
        self._fingerprints = Fingerprints(lambda weights: weights_sha256(narrow(weights)))

    @property
    def fingerprints(self) -> Fingerprints:
        """Of weights as they travel."""
        return self._fingerprints if self._is_half else FINGERPRINTS

    def digest(self, weights: Mapping[str, Tensor]) -> str:
        """SHA-256 of what travels."""
        return self.fingerprints.of(weights)

    def nbytes(self, weights: Mapping[str, Tensor]) -> int:
        """Bytes of what travels."""
        if not self._is_half:
            return nbytes(weights)
        if isinstance(weights, dict):
            return half_nbytes(weights)
        if weights not in self._sizes:  # each of its tensors would come from the disk
            self._sizes[weights] = half_nbytes(weights)
        return self._sizes[weights]

    def packed(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What travels, with all its tensors.

        Raises:
            ProtocolError: a value is beyond half precision.
        """
        return narrow(weights) if self._is_half else opened(weights)

    def unpacked(self, weights: Mapping[str, Tensor], sha256: str) -> Weights:
        """What arrives, from what travelled under this hash."""
        wide: Weights = weights
        if self._is_half:  # widened when asked for: what travelled is half as large, and mapped
            wide = Computed(widen(_outline(weights)), partial(_wide, weights))
        if self._shelf is not None:
            wide = self._shelf.put(wide)
        self.fingerprints.note(wide, sha256)
        return wide

    def carried(self, weights: Weights) -> Weights:
        """What arrives, in one step; what lies on the disk stays there."""
        if not self._is_half:
            return weights if self._shelf is None else self._shelf.put(weights)
        if isinstance(weights, dict):
            home: Weights = widen(narrow(weights))
            return home if self._shelf is None else self._shelf.put(home)
        return Computed(weights, lambda name: _wide(narrow({name: weights[name]}), name))


def _outline(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Names, shapes and dtypes without any values."""
    return {name: value.to("meta") for name, value in weights.items()}


def _wide(weights: Mapping[str, Tensor], name: str) -> Tensor:
    return widen({name: weights[name]})[name]
