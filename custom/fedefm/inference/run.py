"""A run to segment, named by its path: what the command `fedefm segment` does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fedefm.inference.segment import FORMATS, Wanted
from fedefm.inference.several import segment_each


def segment(
    source: str | Path,
    model: str | Path,
    out: str | Path,
    *,
    formats: Sequence[str] = FORMATS,
    video: str | None = "auto",
    batch: int = 4,
    keep_shutter: bool = False,
    steady: bool = False,
    device: str = "auto",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Segment a run into a new folder, or leave nothing.

    Frames are read one at a time, so a run may be longer than the memory holds.

        summary = fedefm.segment("run.dcm", "theta.safetensors", "segmented", formats=["nifti"], video=None)
        summary["frames_with"]  # {"catheter": 211, "guidewire": 187}

    Args:
        source: a DICOM cine, a folder with one DICOM series or with pictures, one picture, or a NIfTI stack.
        model: a weights file, such as `theta.safetensors`.
        out: a folder that does not exist, or is empty.
        formats: of `png` (label maps), `nifti` (one stack), `seg` (DICOM segmentation object), `overlay` (pictures),
            `page` (`index.html`, to look through the run).
        video: `auto`, `mp4`, `gif` or None.
        batch: frames that go through the network together.
        keep_shutter: keep marks on the X-ray shutter and on the image's border, which are left out otherwise.
        steady: average the scores of each frame of a film with those of the frames beside it.
        device: `cpu`, `cuda`, `cuda:1` ..., or `auto` for a GPU where there is one.
        progress: called with (frames done, frames in all).

    Returns:
        The content of `summary.json`: frames, rows, columns, `spacing_mm`, labels, and in how many frames each class
        was found.

    Raises:
        ConfigError: an unknown format or device, or the folder holds something.
        CheckpointError: the weights are missing, damaged or of no segmentation network.
        DataError: the source or one of its frames cannot be read.
    """
    wanted, place = Wanted(tuple(formats), video, batch, keep_shutter, steady), Path(out)
    return segment_each([Path(source)], Path(model), place, wanted, device, progress)[place]
