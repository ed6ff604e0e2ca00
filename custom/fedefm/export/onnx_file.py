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

from fedefm.data.normalise import BLACK, PERCENTILES
from fedefm.errors import CheckpointError, ConfigError
from fedefm.models.checkpoint import Checkpoint
from fedefm.models.restore import restore

TOLERANCE = 1e-4
_BATCHES = (1, 3)  # the file was traced with two images: another number shows whether the batch is free
NORMALISATION = (
    f"grey, brighter for more; percentiles {PERCENTILES[0]} and {PERCENTILES[1]} of the file to -2 and 2, "
    f"clipped to -6 and 6; letterboxed into the square, border {BLACK:g}"
)


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


def write_onnx(checkpoint: Checkpoint, path: Path) -> float:
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
    model = restore(checkpoint)
    try:
        _trace(model, checkpoint.size, path)
        _annotate(onnx, checkpoint, path)
        worst = _difference(onnxruntime, model, checkpoint.size, path)
        if not worst <= TOLERANCE:  # NaN too
            raise CheckpointError(
                f"the ONNX file differs from torch by {worst:.2g}, above {TOLERANCE:g}; nothing was written"
            )
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return worst


def metadata(checkpoint: Checkpoint) -> dict[str, str]:
    """What the file says about itself."""
    return {
        "classes": json.dumps(["background", *checkpoint.classes]),
        "size": str(checkpoint.size),
        "normalisation": NORMALISATION,
        "sha256": checkpoint.sha256,
        "architecture": checkpoint.spec.architecture,
        "encoder": checkpoint.spec.encoder,
        "use": "research only; not a medical device",
    }


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


def _annotate(onnx: Any, checkpoint: Checkpoint, path: Path) -> None:
    model = onnx.load(str(path))
    onnx.helper.set_model_props(model, metadata(checkpoint))
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
