"""A network as an ONNX file that another runtime agrees on."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from fedefm.errors import CheckpointError, ConfigError
from fedefm.export.card import write_card
from fedefm.export.parcel import CARD_FILE, Parcel, Written, must_agree
from fedefm.models.restore import restore

ONNX_FILE = "model.onnx"
_BATCHES = (1, 3)  # the file was traced with two images: another number shows whether the batch is free
LOAD = """```python
import onnxruntime

session = onnxruntime.InferenceSession("model.onnx")
scores = session.run(None, {"image": images})[0]  # (b, 1, size, size), float32, normalised -> (b, k, size, size)
```
The file holds the network alone: normalise and letterbox before it as said above, and take the highest score after it.
`fedefm export --format torchscript` writes a file that does all of it.
"""


def write_onnx_folder(parcel: Parcel, folder: Path) -> Written:
    """`model.onnx` and its card.

    Raises:
        ConfigError, CheckpointError: as `write_onnx`.
    """
    difference = write_onnx(parcel, folder / ONNX_FILE)
    write_card(folder / CARD_FILE, parcel, LOAD, [f"ONNX differs from torch by at most {difference:.1e}"])
    return Written(ONNX_FILE, CARD_FILE, difference)


def require_onnx() -> tuple[Any, Any]:
    """The packages onnx and onnxruntime, where they are installed.

    Raises:
        ConfigError: one of them is not; it names the extra.
    """
    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401 (torch.onnx needs it)
    except ImportError as error:
        raise ConfigError(f"export needs the package '{error.name}': pip install 'fedefm[export]'") from error
    return onnx, onnxruntime


def write_onnx(parcel: Parcel, path: Path) -> float:
    """Write the network, then compare it with torch on random images; a file that disagrees is removed.

    Input `image` is (batch, 1, size, size) float32, normalised; output `scores` (batch, classes and background, size,
    size), logits. The file's metadata hold class names, size, normalisation and fingerprint.

    Returns:
        The largest difference of a logit, absolute, or relative where it is above 1.

    Raises:
        ConfigError: a package is missing, or the architecture cannot be written.
        CheckpointError: the weights do not fit their architecture, or the two disagree by more than 1e-4.
    """
    onnx, onnxruntime = require_onnx()
    checkpoint = parcel.checkpoint
    model = restore(checkpoint)
    try:
        _trace(model, checkpoint.size, path)
        _annotate(onnx, parcel, path)
        worst = _difference(onnxruntime, model, checkpoint.size, path)
        must_agree("ONNX", worst)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return worst


def metadata(parcel: Parcel) -> dict[str, str]:
    """What the file says about itself."""
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in parcel.facts().items()}


def _trace(model: nn.Module, size: int, path: Path) -> None:
    quiet = io.StringIO()
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
            warnings.simplefilter("ignore")
            torch.onnx.export(
                model,
                (torch.zeros(2, 1, size, size),),
                str(path),
                input_names=["image"],
                output_names=["scores"],
                dynamo=True,
                dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=4096)},),
                external_data=False,
                verbose=False,
            )
    except OSError:
        raise  # of the disk, not of the network
    except Exception as error:  # the exporter raises many kinds
        reason = (str(error).strip().splitlines() or ["no reason given"])[0][:120]
        raise ConfigError(f"this network cannot be written as ONNX: {reason}") from error


def _annotate(onnx: Any, parcel: Parcel, path: Path) -> None:
    model = onnx.load(str(path))
    onnx.helper.set_model_props(model, metadata(parcel))
    for node in model.graph.node:  # the tracer notes where each line of code stood: paths of this machine
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output, *model.graph.initializer):
        del value.metadata_props[:]
    del model.graph.metadata_props[:]
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def _difference(onnxruntime: Any, model: nn.Module, size: int, path: Path) -> float:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    source, worst = torch.Generator().manual_seed(0), 0.0
    for batch in _BATCHES:
        images = torch.randn(batch, 1, size, size, generator=source) * 2
        with torch.inference_mode():
            ours = model(images).numpy()
        theirs = session.run(None, {"image": images.numpy()})[0]
        if theirs.shape != ours.shape:
            raise CheckpointError(
                f"the ONNX file answers in shape {theirs.shape}, torch in {ours.shape}; nothing was written"
            )
        worst = max(worst, float((np.abs(ours - theirs) / np.maximum(1, np.abs(ours))).max()))
    return worst
