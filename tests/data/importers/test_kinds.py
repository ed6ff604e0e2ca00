"""Every published layout, from the command to tensors."""

import hashlib
import json
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fedefm.cli import main
from fedefm.data.dataset import SiteData, load_site
from fedefm.data.describe import describe_folder
from fedefm.data.importers.kinds import KINDS
from fedefm.data.manifest import load_manifest
from support.published_layouts import LAYOUTS, Layout

PICTURES = (".png", ".jpg", ".tif", ".pgm")


@dataclass(frozen=True)
class Import:
    """A layout that was imported once: what was there before and after, and what was printed."""

    kind: str
    layout: Layout
    before: Mapping[str, str]
    after: Mapping[str, str]
    text: str
    counts: Mapping[str, Any]
    site: Path
    data: SiteData


def tree(folder: Path) -> dict[str, str]:
    return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.rglob("*")) if p.is_file()}


def said(*arguments: str) -> str:
    with redirect_stdout(StringIO()) as text:
        assert main(["data", "import", *arguments]) == 0
    return text.getvalue()


@pytest.fixture(scope="module", params=LAYOUTS)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Import:
    kind, write = LAYOUTS[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    source, site = folder / "source", folder / "north"
    source.mkdir()
    layout = write(source)
    before = tree(source)
    text = said(kind, str(layout.source), str(site), *layout.arguments)
    counts = json.loads(said(kind, str(layout.source), str(folder / "again"), "--json", *layout.arguments))
    data = load_site(site, load_manifest(site).foreground, 32)
    return Import(kind, layout, before, tree(source), text, counts, site, data)


def test_every_kind_has_a_layout_here() -> None:
    assert {kind for kind, _ in LAYOUTS.values()} == set(KINDS)


def test_masks_are_those_of_the_source(made: Import) -> None:
    masks = {path.stem: np.asarray(Image.open(path)) for path in (made.site / "masks").iterdir()}
    assert masks.keys() == made.layout.masks.keys()
    for stem, mask in masks.items():
        assert np.array_equal(mask, made.layout.masks[stem]), stem
    assert json.loads((made.site / "dataset.json").read_text())["classes"] == made.layout.classes


def test_images_are_copied_byte_for_byte_or_without_loss(made: Import) -> None:
    sources = [path for path in made.before if path.endswith(PICTURES)]
    pixels = {np.asarray(Image.open(path)).tobytes() for path in sources}
    for image in (made.site / "images").iterdir():
        assert hashlib.sha256(image.read_bytes()).hexdigest() in made.before.values() or made.kind == "dca1"
        assert np.asarray(Image.open(image)).tobytes() in pixels


def test_the_source_stays_as_it_was(made: Import) -> None:
    assert made.after == made.before


def test_two_commands_lead_to_tensors(made: Import) -> None:
    assert f"fedefm data check {made.site}\n" in made.text
    assert f"fedefm simulate --site north={made.site} " in made.text
    assert main(["data", "check", str(made.site)]) == 0
    assert not describe_folder(made.site).stops
    assert len(made.data.train) and made.data.quarantined == 0


def test_what_is_printed_is_what_training_reads(made: Import) -> None:
    splits = {"train": made.data.train, "val": made.data.val, "test": made.data.test}
    assert made.counts["frames"] == {split: len(frames) for split, frames in splits.items()}
    assert made.counts["patients"] == {split: len(set(frames.patients)) for split, frames in splits.items()}
    assert sum(made.counts["frames"].values()) == len(made.layout.masks)
    for value, name in made.layout.classes.items():
        if name != "background":
            there = sum(int((mask == int(value)).any()) for mask in made.layout.masks.values())
            assert sum(made.counts["class_frames"][split][name] for split in splits) == there


def test_stated_splits_are_kept_but_for_validation_out_of_training(made: Import) -> None:
    stated, splits = made.layout.split, load_manifest(made.site).splits
    if stated is None:
        assert splits is None
        return
    assert splits is not None
    for patient, split in stated.items():
        found = next(name for name, patients in splits.items() if patient in patients)
        assert found == split or (split == "train" and found == "val" and "val" not in stated.values())
