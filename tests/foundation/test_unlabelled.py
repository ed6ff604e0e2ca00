"""Frames without masks are taught by experts, and change nothing else that a hospital does."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from fedefm.data.folder import IMAGES, UNLABELLED
from fedefm.data.label_sets import NOTHING_KNOWN
from fedefm.exchange.messages import Assignment, Stage, Task
from fedefm.foundation.hospital import Hospital
from fedefm.foundation.settings import Settings
from fedefm.losses.segmentation import segmentation_loss
from fedefm.maths import weights_sha256
from fedefm.models.build import initial_weights
from fedefm.training.optimisation import Optimisation
from support.small_networks import SMALLEST

CLASSES = ("catheter", "guidewire", "vessel")
SETTINGS = Settings(CLASSES, size=32, model=SMALLEST, optimisation=Optimisation(batch_size=4))
START, OTHER = (initial_weights(SMALLEST, 4, 32, seed=seed) for seed in (0, 1))


@pytest.fixture(scope="module")
def hospitals(consortium: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Hospital, Hospital]:
    """The same hospital without and with unlabelled frames, which are the images of another."""
    folder = tmp_path_factory.mktemp("more") / "east"
    shutil.copytree(consortium["east"], folder, ignore=shutil.ignore_patterns(".*"))
    (folder / UNLABELLED).mkdir()
    for path in (consortium["west"] / IMAGES).iterdir():
        shutil.copy(path, folder / UNLABELLED / f"other{path.name}")
    said = json.loads((folder / "dataset.json").read_text())
    (folder / "dataset.json").write_text(json.dumps(said | {"unlabelled": True}))
    return Hospital("east", consortium["east"], SETTINGS), Hospital("east", folder, SETTINGS)


def done(hospital: Hospital, stage: Stage, models: dict[str, Any], **fields: Any) -> tuple[str, Any]:
    task = Task(stage, 0, "east", fields.pop("visitor", "east"), steps=fields.pop("steps", 3), seed=5, **fields)
    result = hospital.perform(Assignment(task, models))
    return "" if result.weights is None else weights_sha256(result.weights), dict(result.report)


def test_only_the_distillation_sees_them(hospitals: tuple[Hospital, Hospital]) -> None:
    without, with_them = hospitals
    assert with_them.data.unlabelled is not None and with_them.images == without.images
    for stage, models, fields in (
        (Stage.PREPARE, {}, {"steps": 0}),
        (Stage.LOCAL, {"student": START}, {}),
        (Stage.OVERSEAS, {"student": START}, {"visitor": "west"}),
        (Stage.ASSESS, {"student": START}, {"visitor": "west", "steps": 0}),
        (Stage.LONE, {"student": START}, {}),
        (Stage.EVALUATE, {"theta": START}, {"steps": 0}),
        (Stage.DISTIL, {"student": START}, {}),  # without teachers nobody could say anything of them
    ):
        assert done(without, stage, models, **fields) == done(with_them, stage, models, **fields), stage
    taught = {"teachers": {"west": ("vessel",)}}
    models = {"student": START, "west": OTHER}
    assert done(without, Stage.DISTIL, models, **taught)[0] != done(with_them, Stage.DISTIL, models, **taught)[0]
    assert done(with_them, Stage.DISTIL, models, **taught) == done(with_them, Stage.DISTIL, models, **taught)


def test_at_least_half_of_what_is_drawn_has_labels(hospitals: tuple[Hospital, Hospital]) -> None:
    _, hospital = hospitals
    task = Task(Stage.DISTIL, 0, "east", "east", seed=5, teachers={"west": ("vessel",)})
    taught = hospital._taught(task)
    assert len(taught) == 2 * len(hospital.data.train)
    assert sum(labels == (NOTHING_KNOWN,) for labels in taught.labels) == len(hospital.data.train)


def test_no_label_teaches_anything_on_them() -> None:
    logits = torch.randn(2, 4, 8, 8, requires_grad=True)
    mask = torch.full((2, 8, 8), NOTHING_KNOWN)
    mask[1] = 1
    loss = segmentation_loss(logits, mask, (1, 2))
    loss.sum().backward()
    assert logits.grad is not None
    assert float(loss[0].detach()) == 0 and not logits.grad[0].any() and logits.grad[1].any()
