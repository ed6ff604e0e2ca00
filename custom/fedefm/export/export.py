"""Weights to a folder that can be given away: ONNX and model card, both or neither."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fedefm.export.card import NO_LICENCE, model_card
from fedefm.export.onnx_file import require_onnx, write_onnx
from fedefm.files import check_free, new_folder
from fedefm.models.checkpoint import load_weights
from fedefm.report.origin import read_measured, read_origin

ONNX_FILE, CARD_FILE = "model.onnx", "MODEL_CARD.md"


def export(weights: Path, out: Path, *, evaluation: Path | None = None, licence: str = NO_LICENCE) -> dict[str, Any]:
    """Export weights into a new folder, or leave nothing.

    Args:
        weights: a file of `save_weights`; `report.json` is taken from beside it, if it names these weights.
        out: a folder that does not exist, or is empty.
        evaluation: `report.json` of an evaluation of these weights, for the card.
        licence: for the card.

    Returns:
        What was written: names, fingerprint, the difference to torch, and whether a report was found.

    Raises:
        ConfigError: a package is missing, the place is taken, a report is damaged or of other weights, or the network
            cannot be written as ONNX.
        CheckpointError: the weights are damaged or do not fit, or ONNX disagrees with torch.
    """
    require_onnx()
    check_free(out)
    checkpoint = load_weights(weights)
    origin = read_origin(weights, checkpoint.sha256)
    measured = None if evaluation is None else read_measured(evaluation, checkpoint.sha256)
    with new_folder(out) as folder:
        difference = write_onnx(checkpoint, folder / ONNX_FILE)
        card = model_card(checkpoint, origin, difference, measured, licence)
        (folder / CARD_FILE).write_text(card, encoding="utf-8")
    return {
        "onnx": ONNX_FILE,
        "card": CARD_FILE,
        "sha256": checkpoint.sha256,
        "classes": list(checkpoint.classes),
        "difference": difference,
        "report": origin is not None,
    }
