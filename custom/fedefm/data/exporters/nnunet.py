"""nnU-Net's raw data, version 2, with the silo's own splits."""

import json
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from fedefm.data.exporters.frames import class_names, site_frames
from fedefm.data.manifest import BACKGROUND, FILE_NAME, Manifest, load_manifest
from fedefm.data.png_file import write_png
from fedefm.errors import ConfigError, DataError
from fedefm.files import new_folder


def write(site: Path, out: Path) -> Mapping[str, int]:
    """Write a silo for nnU-Net: test frames into imagesTs, the others into imagesTr.

    Returns:
        Frames by split.

    Raises:
        ConfigError: the name is none of nnU-Net's.
        DataError: the silo cannot be read, or has a class that nnU-Net cannot have.
    """
    if not re.fullmatch(r"Dataset\d{3}_\w+", out.name):
        raise ConfigError(f"{out.name}: nnU-Net wants names such as Dataset101_{re.sub(r'[^0-9A-Za-z]', '', out.name)}")
    manifest = load_manifest(site)
    _check_classes(manifest)
    cases: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    with new_folder(out) as folder:
        for part in ("imagesTr", "labelsTr", "imagesTs", "labelsTs"):
            (folder / part).mkdir()
        for frame in site_frames(site, manifest):
            part = "Ts" if frame.split == "test" else "Tr"
            write_png(folder / f"images{part}" / f"{frame.name}_0000.png", frame.grey)
            write_png(folder / f"labels{part}" / f"{frame.name}.png", frame.labels.astype(np.uint8))
            cases[frame.split].append(frame.name)
        _write_json(folder / FILE_NAME, _description(manifest, len(cases["train"]) + len(cases["val"])))
        _write_json(folder / "splits_final.json", [{"train": cases["train"], "val": cases["val"]}])
    return Counter({split: len(names) for split, names in cases.items()})


def _check_classes(manifest: Manifest) -> None:
    for name in class_names(manifest):
        if "|" in name:
            raise DataError(f"{name}: nnU-Net knows no pixel of one class or another; export as coco")


def _description(manifest: Manifest, count: int) -> dict[str, object]:
    labels = {BACKGROUND: 0, **{name: k for k, name in enumerate(class_names(manifest), 1)}}
    return {"channel_names": {"0": "grey"}, "labels": labels, "numTraining": count, "file_ending": ".png"}


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
