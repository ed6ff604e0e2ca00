"""What is given away, and what a format says of what it wrote."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from fedefm.data.normalise import BLACK, PERCENTILES
from fedefm.errors import CheckpointError
from fedefm.models.checkpoint import Checkpoint
from fedefm.report.origin import Figures, Origin

CARD_FILE = "MODEL_CARD.md"
TOLERANCE = 1e-4
"""How far a format may be from torch: a logit or a probability, absolute, or relative where it is above 1."""
NO_LICENCE = "not chosen: ask the consortium before using the weights"
USE = "research only; not a medical device"
NORMALISATION = (
    f"grey, brighter for more; percentiles {PERCENTILES[0]} and {PERCENTILES[1]} of the file to -2 and 2, "
    f"clipped to -6 and 6; letterboxed into the square, border {BLACK:g}"
)


@dataclass(frozen=True)
class Parcel:
    """Weights, and all that is known of them.

    Attributes:
        checkpoint: the weights.
        origin: of `read_origin`; None where no report names them.
        measured: of `read_measured`; None where they were not evaluated in a job of its own.
        licence: under which whoever exports gives them away.
        signed: who signed them, in words; None where nobody asked.
    """

    checkpoint: Checkpoint
    origin: Origin | None = None
    measured: Mapping[str, Mapping[str, Figures]] | None = None
    licence: str = NO_LICENCE
    signed: str | None = None

    @property
    def labels(self) -> list[str]:
        """The name of each label, background first."""
        return ["background", *self.checkpoint.classes]

    def facts(self) -> dict[str, Any]:
        """What every format says of the weights where it has room for a few values."""
        spec = self.checkpoint.spec
        return {
            "classes": self.labels,
            "size": self.checkpoint.size,
            "normalisation": NORMALISATION,
            "sha256": self.checkpoint.sha256,
            "architecture": spec.architecture,
            "encoder": spec.encoder,
            "use": USE,
        }


class Written(NamedTuple):
    """What a format left in its folder.

    Attributes:
        model: the file to load.
        card: the model card.
        difference: the largest one to torch, of `model`.
    """

    model: str
    card: str
    difference: float


def must_agree(form: str, difference: float) -> None:
    """Refuse a file that does not give what torch gives.

    Args:
        form: name of the format.
        difference: the largest that was found.

    Raises:
        CheckpointError: it is above `TOLERANCE`, or no number.
    """
    if not difference <= TOLERANCE:  # NaN too
        raise CheckpointError(
            f"the {form} file differs from torch by {difference:.2g}, above {TOLERANCE:g}; nothing was written"
        )
