"""Weights to a folder that can be given away, with a model card: both or neither."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from fedefm.errors import ConfigError
from fedefm.export.hugging_face import write_repository
from fedefm.export.monai_bundle import write_monai_bundle
from fedefm.export.onnx_file import require_onnx, write_onnx_folder
from fedefm.export.parcel import NO_LICENCE, Parcel, Written
from fedefm.export.torchscript_file import write_torchscript_folder
from fedefm.files import check_free, new_folder
from fedefm.models.checkpoint import load_weights
from fedefm.report.origin import read_measured, read_origin
from fedefm.trust.certificates import JOB_ROLES, load_certificate, name_of, role_of
from fedefm.trust.folder import verify_folder
from fedefm.trust.kinds import MODEL


class Format(NamedTuple):
    """A way to give weights away.

    Attributes:
        write: fills a folder.
        require: refuses a machine that lacks a package for it.
    """

    write: Callable[[Parcel, Path], Written]
    require: Callable[[], Any] = lambda: None


FORMATS: Mapping[str, Format] = {
    "onnx": Format(write_onnx_folder, require_onnx),
    "torchscript": Format(write_torchscript_folder),
    "monai": Format(write_monai_bundle),
    "hf": Format(write_repository),
}


def export(
    weights: Path,
    out: Path,
    *,
    kind: str = "onnx",
    evaluation: Path | None = None,
    licence: str = NO_LICENCE,
    root: Path | None = None,
) -> dict[str, Any]:
    """Export weights into a new folder, or leave nothing.

    Args:
        weights: a file of `save_weights`; `report.json` is taken from beside it, if it names these weights.
        out: a folder that does not exist, or is empty.
        kind: of `FORMATS`.
        evaluation: `report.json` of an evaluation of these weights, for the card.
        licence: for the card.
        root: the consortium's root certificate. With it, the folder of the weights must be signed (`fedefm trust
            sign`), and the card names who did.

    Returns:
        What was written: format, names, fingerprint, the difference to torch, and whether a report was found.

    Raises:
        ConfigError: an unknown format, a package is missing, the place is taken, a report is damaged or of other
            weights, or the format cannot hold the network.
        CheckpointError: the weights are damaged or do not fit, or what was written disagrees with torch.
        TrustError: the folder is unsigned, signed by someone who may not, or changed since.
    """
    if kind not in FORMATS:
        raise ConfigError(f"--format {kind}: choose from {', '.join(FORMATS)}")
    FORMATS[kind].require()
    check_free(out)
    signed = None if root is None else _signer(weights.parent, root)
    checkpoint = load_weights(weights)
    parcel = Parcel(
        checkpoint,
        read_origin(weights, checkpoint.sha256),
        None if evaluation is None else read_measured(evaluation, checkpoint.sha256),
        licence,
        signed,
    )
    with new_folder(out) as folder:
        written = FORMATS[kind].write(parcel, folder)
        files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return {
        "format": kind,
        **written._asdict(),
        "files": files,
        "sha256": checkpoint.sha256,
        "classes": list(checkpoint.classes),
        "report": parcel.origin is not None,
    }


def _signer(folder: Path, root: Path) -> str:
    """Who signed a folder of weights, verified."""
    manifest = verify_folder(folder, root, kind=MODEL.name, roles=JOB_ROLES)
    signer = load_certificate(manifest.certificate.encode(), "the signer's certificate")
    return f"{name_of(signer)} ({role_of(signer, load_certificate(root))}) as {manifest.subject}, {manifest.made}"
