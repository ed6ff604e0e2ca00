"""Frames that nobody looked at: neither a class nor background, from the files to losses and metrics."""

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
import torch

from fedefm.data.dataset import SiteData, load_site
from fedefm.data.describe import describe_folder
from fedefm.data.exporters.frames import class_names, site_frames
from fedefm.data.label_sets import NOTHING_KNOWN
from fedefm.data.manifest import load_manifest
from fedefm.errors import DataError
from fedefm.evaluation.measurer import label
from fedefm.finetune.presence import load_presence
from fedefm.losses.segmentation import segmentation_loss
from fedefm.metrics.scores import score_cases
from fedefm.training.scores import overlap_scores
from support.dicom_files import dicom
from support.splits import masks_of

CLASSES = ("catheter", "guidewire")
FRAMES, SEEN = 8, (2, 5)
DECLARED = {"0": "background", "1": "catheter", "2": "guidewire", "255": "ignore"}


def cine(seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    grey = random.integers(0, 1024, (FRAMES, 24, 40)).astype(np.uint16)
    labels = np.zeros(grey.shape, np.uint8)
    labels[:, 4:8, 5:30], labels[:, 12:15, 8:35] = 1, 2
    return grey, labels


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Cines of which two frames each were looked at; not square, so that the network's square has a border."""
    folder = tmp_path / "site"
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    (folder / "dataset.json").write_text(json.dumps({"classes": DECLARED}))
    for k in range(8):
        grey, labels = cine(k)
        (folder / f"images/p{k}.dcm").write_bytes(dicom(grey, 10))
        masks = np.full_like(labels, 255)
        masks[list(SEEN)] = labels[list(SEEN)]
        sitk.WriteImage(sitk.GetImageFromArray(masks), str(folder / f"masks/p{k}.nii.gz"))
    return folder


@pytest.fixture
def data(site: Path) -> SiteData:
    return load_site(site, CLASSES, 40)


def test_it_is_no_class(site: Path, data: SiteData) -> None:
    manifest = load_manifest(site)
    assert manifest.foreground == manifest.annotated == data.corpus == data.test_corpus == CLASSES
    found = describe_folder(site)
    assert not found.stops and "ignore" in {one.name for one in found.mask_values}
    assert not any("in few frames" in line for line in found.anomalies)


def test_frames_come_with_nothing_known_and_the_others_are_as_they_were(data: SiteData) -> None:
    masks = masks_of(data.train)
    for number, mask in enumerate(masks):
        if number % FRAMES in SEEN:
            assert set(mask.unique().tolist()) == {0, 1, 2}
        else:
            assert (mask == NOTHING_KNOWN).all()
    assert data.train.labels[0] == (NOTHING_KNOWN,)


def test_they_teach_nothing_whatever_a_network_says(data: SiteData) -> None:
    masks = masks_of(data.train)[:FRAMES]
    logits = torch.randn(len(masks), 3, 40, 40, generator=torch.Generator().manual_seed(0), requires_grad=True)
    losses = segmentation_loss(logits, masks, (1, 2))
    losses.sum().backward()
    for number in range(FRAMES):
        gradient, alone = logits.grad[number], masks[number : number + 1]
        if number in SEEN:
            torch.testing.assert_close(
                losses[number : number + 1], segmentation_loss(logits[number : number + 1], alone, (1, 2))
            )
            assert gradient.abs().max() > 0
        else:
            assert losses[number] == 0 and (gradient == 0).all()


def test_they_are_not_scored_and_part_of_a_frame_is(data: SiteData) -> None:
    truth = masks_of(data.test)
    wrong = torch.where(truth == NOTHING_KNOWN, 1, truth)  # right where somebody looked, all catheter elsewhere
    scores = overlap_scores(wrong, truth, CLASSES, CLASSES)
    assert {name: one["dice"] for name, one in scores.items()} == dict.fromkeys(CLASSES, 1.0)
    assert scores["catheter"]["support"] == len(truth) // FRAMES * len(SEEN)
    assert not overlap_scores(wrong[:1], truth[:1], CLASSES, CLASSES)  # nothing to be scored: no figure

    class Says(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.tensor([0.0, 5.0, 0.0]).view(1, 3, 1, 1).expand(len(images), 3, 40, 40)

    cases = list(label(Says(), data.test))
    assert len(cases) == len(truth) // FRAMES * len(SEEN)
    truth[SEEN[0], :20] = NOTHING_KNOWN
    found = score_cases(cases, CLASSES)
    assert found["by_class"]["catheter"]["support"] == len(cases)


def test_a_class_that_may_be_in_them_is_not_said_to_be_absent(site: Path) -> None:
    stated = load_presence(site, CLASSES, 40).labels["train"]
    assert stated[SEEN[0]].tolist() == [1.0, 1.0]
    assert stated[0].isnan().all()


def test_an_export_keeps_them_apart(site: Path) -> None:
    manifest = load_manifest(site)
    assert class_names(manifest) == (*CLASSES, "ignore")
    frame = next(iter(site_frames(site, manifest)))
    assert (frame.labels == 3).all()


def test_a_class_in_few_frames_of_a_cine_is_told(site: Path) -> None:
    for k in range(8):
        _, labels = cine(k)
        masks = np.zeros_like(labels)
        masks[list(SEEN)] = labels[list(SEEN)]
        sitk.WriteImage(sitk.GetImageFromArray(masks), str(site / f"masks/p{k}.nii.gz"))
    found = describe_folder(site)
    told = [line for line in found.anomalies if "in few frames" in line]
    assert [
        line.startswith(f"class {name!r} is in few frames of 8 cines or series, first p0: 2 of 8; ")
        for name, line in zip(CLASSES, told, strict=True)
    ] == [True, True]
    assert all('declare it in dataset.json, as "255": "ignore"' in line for line in told)
    assert not any("p0" in line for line in found.nameless)


@pytest.mark.parametrize(
    ("classes", "word"),
    [({"0": "background", "255": "ignore"}, "names nothing but"), ({**DECLARED, "7": "ignore|catheter"}, "union")],
)
def test_it_is_neither_the_only_class_nor_part_of_one(tmp_path: Path, classes: dict[str, str], word: str) -> None:
    (tmp_path / "dataset.json").write_text(json.dumps({"classes": classes}))
    with pytest.raises(DataError, match=word):
        load_manifest(tmp_path)
