"""COCO instance annotations with run-length masks: one for each class of a frame."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from fedefm.data.exporters.frames import SiteFrame, class_names, site_frames
from fedefm.data.importers.coco_rle import encode_coco
from fedefm.data.manifest import IGNORE, SPLIT_NAMES, load_manifest
from fedefm.data.png_file import write_png
from fedefm.files import new_folder


def write(site: Path, out: Path) -> Mapping[str, int]:
    """Write a silo as COCO.

    Returns:
        Frames by split.

    Raises:
        DataError: the silo cannot be read.
        ConfigError: the place is taken.
    """
    manifest = load_manifest(site)
    names = tuple(name for name in class_names(manifest) if name != IGNORE)  # the last, which COCO does not have
    categories = [{"id": k, "name": name} for k, name in enumerate(names, 1)]
    parts: dict[str, dict[str, list[Any]]] = {
        split: {"images": [], "annotations": [], "categories": categories} for split in SPLIT_NAMES
    }
    with new_folder(out) as folder:
        (folder / "annotations").mkdir()
        for split in SPLIT_NAMES:
            (folder / "images" / split).mkdir(parents=True)
        for frame in site_frames(site, manifest):
            write_png(folder / "images" / frame.split / f"{frame.name}.png", frame.grey)
            _add(parts[frame.split], frame, len(names))
        for split, part in parts.items():
            if part["images"]:
                path = folder / "annotations" / f"instances_{split}.json"
                path.write_text(json.dumps(part, ensure_ascii=False) + "\n", encoding="utf-8")
    return {split: len(part["images"]) for split, part in parts.items()}


def _add(part: dict[str, list[Any]], frame: SiteFrame, classes: int) -> None:
    number = len(part["images"]) + 1
    rows, columns = (int(side) for side in frame.labels.shape)
    part["images"].append({"id": number, "file_name": f"{frame.name}.png", "height": rows, "width": columns})
    for k in range(1, classes + 1):
        region = frame.labels == k
        if region.any():
            entry = {"id": len(part["annotations"]) + 1, "image_id": number, "category_id": k}
            part["annotations"].append(entry | _outline(region))


def _outline(region: Bool[np.ndarray, "h w"]) -> dict[str, Any]:
    """Mask, box and area; COCO marks masks by run lengths as crowds."""
    rows, columns = np.flatnonzero(region.any(1)), np.flatnonzero(region.any(0))
    box = [int(columns[0]), int(rows[0]), int(columns[-1] - columns[0] + 1), int(rows[-1] - rows[0] + 1)]
    return {"segmentation": encode_coco(region), "area": int(region.sum()), "bbox": box, "iscrowd": 1}
