"""How weights travel: as they are, or rounded to half precision."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from fedefm.maths.fingerprint import FINGERPRINTS, Fingerprints, weights_sha256
from fedefm.maths.half import half_nbytes, narrow, widen
from fedefm.maths.size import nbytes
from fedefm.models.build import Weights

FLOAT32, FLOAT16 = "float32", "float16"
WIRES = (FLOAT32, FLOAT16)


class TensorWire:
    """`exchange.ports.Wire` for state dicts. What was rounded once is not changed by the next way.

    Args:
        dtype: `float32`, or `float16` for half precision.
    """

    def __init__(self, dtype: str = FLOAT32):
        self._is_half = dtype == FLOAT16
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
        return half_nbytes(weights) if self._is_half else nbytes(weights)

    def packed(self, weights: Mapping[str, Tensor]) -> Weights:
        """What travels.

        Raises:
            ProtocolError: a value is beyond half precision.
        """
        return narrow(weights) if self._is_half else dict(weights)

    def unpacked(self, weights: Mapping[str, Tensor], sha256: str) -> Weights:
        """What arrives, from what travelled under this hash."""
        wide = widen(weights) if self._is_half else dict(weights)
        self.fingerprints.note(wide, sha256)
        return wide

    def carried(self, weights: Weights) -> Weights:
        """What arrives, in one step."""
        return widen(narrow(weights)) if self._is_half else weights
