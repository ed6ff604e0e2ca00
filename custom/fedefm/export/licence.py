"""The licence of what is given away: that of the weights, and those of the code that the network came from."""

from __future__ import annotations

from pathlib import Path

from fedefm.export.parcel import USE, Parcel

# TorchScript holds the operations of these packages' layers, not their source.
SOURCES = {
    "segmentation-models-pytorch": "MIT, Copyright (c) 2019 Pavel Iakubovskii",
    "timm": "Apache-2.0, Copyright (c) 2019 Ross Wightman",
    "torch": "BSD-3-Clause, Copyright (c) 2016- Facebook, Inc. and others",
}


def write_licence(path: Path, parcel: Parcel) -> None:
    """Write the file `LICENSE`.

    Raises:
        OSError: the system refuses to write it.
    """
    lines = [f"Weights: {parcel.licence}", f"Use: {USE}", ""]
    if parcel.checkpoint.spec.pretrained:
        lines += [f"The encoder started from published weights: {parcel.checkpoint.spec.pretrained}.", ""]
    lines += ["The network was built with", *(f"- {name}: {licence}" for name, licence in SOURCES.items())]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
