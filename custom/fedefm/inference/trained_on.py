"""What a network has seen, as far as it is known: the report of its run says whose images were generated."""

from fedefm.errors import FedefmError
from fedefm.models.checkpoint import Checkpoint
from fedefm.report.origin import read_origin

SYNTHETIC_ONLY = "These weights know only synthetic images: what they mark in a real picture means nothing yet."
_MOST_STRANGE = 0.2
NOT_CALIBRATED = "the weights were never calibrated; `fedefm calibrate` does it with images of your own"
NO_LOOKS = "the weights do not say what they were trained on; `fedefm calibrate` measures it with images of your own"


def knows_synthetic_only(checkpoint: Checkpoint) -> bool | None:
    """Whether every hospital of the run that made the weights had generated images.

    Returns:
        None where no report beside the weights, or one folder up, names them.
    """
    try:
        origin = read_origin(checkpoint.file, checkpoint.sha256)
    except FedefmError:  # a damaged report is of no use, and no reason to segment nothing
        return None
    return None if origin is None else set(origin.corpora) <= origin.synthetic


def unlike_training(strange: int, frames: int) -> str | None:
    """A sentence for a run of which many frames look like nothing in training; one in twenty does so by chance."""
    if strange <= _MOST_STRANGE * frames:
        return None
    which = "All frames look" if strange == frames else f"{strange} of {frames} frames look"
    return f"{which} like nothing that these weights were trained on: what is marked there may mean nothing."
