"""Segmented runs of each kind, and a person's hand in a folder of corrections."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from fedefm.corrections.choose import parse_frames
from fedefm.corrections.folder import correct
from fedefm.corrections.manifest import MANIFEST, Corrections
from fedefm.data.nifti_file import nifti_bytes
from fedefm.data.nifti_header import Geometry
from fedefm.data.readers import read_mask
from fedefm.inference.segment import Wanted, segment
from fedefm.inference.source import open_run
from support.runs import bright, cine, pictures, square

FRAMES = 5


def source(kind: str, folder: Path) -> Path:
    """A run of five frames with a bright rectangle that moves; `picture` has one."""
    frames = np.stack([square(at=k) for k in range(FRAMES)])
    if kind == "cine":
        return cine(folder / "run.dcm", frames)
    if kind == "stack":
        (folder / "run.nii.gz").write_bytes(nifti_bytes(frames, Geometry.flat((0.5, 0.4))))
        return folder / "run.nii.gz"
    if kind == "series":
        (folder / "run").mkdir()
        for k, frame in enumerate(frames):
            cine(folder / "run" / f"f{k}.dcm", frame[None], InstanceNumber=str(k + 1), SeriesInstanceUID="1.2.3")
        return folder / "run"
    if kind == "picture":
        return pictures(folder / "run", 1) / "frame1.png"
    return pictures(folder / "run", FRAMES)


def segmented(folder: Path, kind: str = "cine", formats: tuple[str, ...] = ("nifti",)) -> Path:
    segment(open_run(source(kind, folder)), bright(), folder / "segmented", Wanted(formats, None))
    return folder / "segmented"


def to_correct(folder: Path, frames: str = "2,4-5", kind: str = "cine") -> Path:
    correct([segmented(folder, kind)], [parse_frames(frames, "--frames")], folder / "fix")
    return folder / "fix"


def edit(fix: Path, change: Callable[[np.ndarray], None], name: str = "run") -> Path:
    """Change the masks of a run, as a viewer would save them."""
    place = fix / "masks" / f"{name}.nii.gz"
    masks = read_mask(place).astype(np.uint8)
    change(masks)
    place.write_bytes(nifti_bytes(masks, Geometry.flat(None)))
    return place


def draw(masks: np.ndarray) -> None:
    """500 pixels of a guidewire in the first slice."""
    masks[0, 30:40, :50] = 2


def rewritten(fix: Path, change: Callable[[dict], None]) -> None:
    """Change the manifest of a folder, as somebody might."""
    plain = json.loads((fix / MANIFEST).read_text())
    change(plain)
    (fix / MANIFEST).write_text(json.dumps(plain))


def made(fix: Path) -> Corrections:
    return Corrections.from_dict(json.loads((fix / MANIFEST).read_text()))
