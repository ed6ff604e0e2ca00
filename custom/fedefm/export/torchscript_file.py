"""A network with all around it as one TorchScript file that torch alone loads."""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32
from torch import nn

from fedefm.errors import ConfigError
from fedefm.export.card import write_card
from fedefm.export.parcel import CARD_FILE, Parcel, Written, must_agree
from fedefm.export.whole import WholeWay
from fedefm.inference.model import Segmenter
from fedefm.inference.predict import Network
from fedefm.models.checkpoint import Checkpoint
from fedefm.models.restore import restore

TORCHSCRIPT_FILE = "model.ts"
FACTS = "fedefm.json"
_LOAD = """```python
import torch

model = torch.jit.load("{file}", map_location="cpu")  # or "cuda"
labels = model.labels(image)  # (frames, 1, rows, columns), grey, any size -> (frames, rows, columns), uint8
```
`model(image)` gives the probability of each class, `model.prepare(image)` what the network sees, and `model.classes`
the names of the labels. The frames of one call share one grey scale, so give the frames of one file together, and a
picture alone. Marks on the X-ray shutter are kept, as with `fedefm segment --keep-shutter`.
"""


def load_text(file: str) -> str:
    """How to load a file of `write_torchscript`, in Markdown."""
    return _LOAD.format(file=file)


def write_torchscript_folder(parcel: Parcel, folder: Path) -> Written:
    """`model.ts` and its card.

    Raises:
        ConfigError, CheckpointError: as `write_torchscript`.
    """
    difference = write_torchscript(parcel, folder / TORCHSCRIPT_FILE)
    write_card(folder / CARD_FILE, parcel, load_text(TORCHSCRIPT_FILE), [told(difference)])
    return Written(TORCHSCRIPT_FILE, CARD_FILE, difference)


def told(difference: float) -> str:
    """The line of the card that says how far the file is from torch."""
    return f"TorchScript differs from torch by at most {difference:.1e} in a probability"


def write_torchscript(parcel: Parcel, path: Path) -> float:
    """Write network, preparation and restoration as `WholeWay`, then compare the file with `Segmenter`.

    The file holds no path of this machine. Its facts (classes, size, fingerprint) are in
    `torch.jit.load(path, _extra_files={"fedefm.json": ""})`.

    Returns:
        The largest difference of a probability.

    Raises:
        ConfigError: this network, or this torch, cannot write it.
        CheckpointError: the weights do not fit their architecture, or the two disagree by more than 1e-4; the file is
            removed.
    """
    checkpoint = parcel.checkpoint
    model = restore(checkpoint).requires_grad_(False)
    try:
        _save(_scripted(model, checkpoint), parcel, path)
        worst = _difference(path, model, checkpoint)
        must_agree("TorchScript", worst)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return worst


def _scripted(model: nn.Module, checkpoint: Checkpoint) -> Any:
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # of torch, that other formats are newer; of branches that a size decides
            traced = torch.jit.trace(model, torch.zeros(2, 1, checkpoint.size, checkpoint.size), check_trace=False)
            return torch.jit.script(WholeWay(traced, checkpoint.size, checkpoint.classes).eval())
    except Exception as error:  # the tracer raises many kinds
        reason = (str(error).strip().splitlines() or ["no reason given"])[0][:120]
        raise ConfigError(f"this network cannot be written as TorchScript: {reason}; try --format onnx") from error


def _save(scripted: Any, parcel: Parcel, path: Path) -> None:
    """Save without what the tracer notes of each line of code: where its file lies on this machine."""
    facts = json.dumps(parcel.facts(), sort_keys=True)
    whole = io.BytesIO(scripted.save_to_buffer(_extra_files={FACTS: facts}))
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as target:
        for entry in source.infolist():
            if not entry.filename.endswith(".debug_pkl"):
                target.writestr(zipfile.ZipInfo(entry.filename), source.read(entry))


def _difference(path: Path, model: nn.Module, checkpoint: Checkpoint) -> float:
    ours = Segmenter(Network(model, checkpoint, torch.device("cpu")))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch, that other formats are newer
        theirs = torch.jit.load(str(path), map_location="cpu")
    worst = 0.0
    for image in _trials(checkpoint.size):
        for _ in range(2):  # torch rewrites a script after its first run
            found = theirs(torch.from_numpy(image)[:, None]).numpy()
            worst = max(worst, float(np.abs(found - ours.probabilities(image)).max()))
    return worst


def _trials(size: int) -> Iterator[Float32[np.ndarray, "n h w"]]:
    """Frames of the network's own size, of others, with padding, and more of them than go together."""
    source = np.random.default_rng(0)
    for frames, rows, columns in ((1, size, size), (5, size + 9, 2 * size), (2, 2 * size, size // 2 + 1)):
        image = source.normal(900, 300, (frames, rows, columns)).astype(np.float32)
        image[:, 0] = np.nan
        yield image
