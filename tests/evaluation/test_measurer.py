"""One hospital measures: the figures are those of the metrics, and small counts stay at home."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from fedefm.data.dataset import load_site
from fedefm.data.label_sets import NOTHING_KNOWN, set_label
from fedefm.errors import ProtocolError
from fedefm.evaluation.measurer import Measurer, label
from fedefm.evaluation.settings import Evaluation
from fedefm.exchange.bounds import Asked, read_report
from fedefm.exchange.messages import STUDENT, Assignment, Result, Stage, Task
from fedefm.metrics.overlap import dice
from fedefm.metrics.table import of_images, ranges
from fedefm.models.build import Weights, build_model, initial_weights
from support.small_networks import SMALLEST
from support.splits import images_of, masks_of, split_of

CLASSES = ("catheter", "guidewire", "vessel")
WEIGHTS = initial_weights(SMALLEST, 4, 32, seed=3)
PREPARE = Assignment[Weights](Task(Stage.PREPARE, 0, "east", "east"), {})
MEASURE = Assignment(Task(Stage.MEASURE, 0, "east", "east"), {STUDENT: WEIGHTS})


def settings(**changes: Any) -> Evaluation:
    return Evaluation(**{"classes": CLASSES, "models": ("theta",), "size": 32, "model": SMALLEST, **changes})


def measurer(folder: Path, least: int = 1, **changes: Any) -> Measurer:
    return Measurer("east", folder, settings(**changes), least=least)


def every_number(value: Any) -> list[float]:
    if isinstance(value, dict):
        return [number for inner in value.values() for number in every_number(inner)]
    return [] if value is None else [value]


def test_the_dice_is_that_of_each_test_image(consortium: dict[str, Path]) -> None:
    test = load_site(consortium["east"], CLASSES, 32).test
    model = build_model(SMALLEST, 4, 32).eval()
    model.load_state_dict(WEIGHTS)
    with torch.no_grad():
        marked = model(images_of(test)).argmax(1).numpy()
    result = measurer(consortium["east"], least_images=1).perform(MEASURE)
    for number, name in enumerate(CLASSES, 1):
        pairs = [
            (found == number, truth == number) for found, truth in zip(marked, masks_of(test).numpy(), strict=True)
        ]
        values = [dice(p, t) for p, t in pairs if p.any() or t.any()]
        figure = result.report["scores"]["by_class"][name]["dice"]
        assert (figure["mean"], figure["support"]) == (pytest.approx(np.mean(values), abs=1e-4), len(values))


def test_figures_of_few_images_stay(consortium: dict[str, Path]) -> None:
    count = len(load_site(consortium["east"], CLASSES, 32).test)
    told: Result[Weights] = measurer(consortium["east"], least_images=count).perform(PREPARE)
    held = measurer(consortium["east"], least_images=count + 1)
    assert told.report["images"] == {"test": count}
    assert held.perform(PREPARE).report["images"] == {"test": None}
    assert every_number(held.perform(MEASURE).report["scores"]) == []


def test_a_site_may_ask_for_more_images_than_the_job_and_never_gets_less(consortium: dict[str, Path]) -> None:
    strict = measurer(consortium["east"], least=1000, least_images=1)
    assert every_number(strict.perform(MEASURE).report["scores"]) == []
    strict = measurer(consortium["east"], least=1, least_images=1000)
    assert every_number(strict.perform(MEASURE).report["scores"]) == []


def test_no_weights_leave_and_the_report_passes_the_servers_check(consortium: dict[str, Path]) -> None:
    for assignment in (PREPARE, MEASURE):
        result = measurer(consortium["east"], least_images=1).perform(assignment)
        assert result.weights is None and result.images == 0
        asked = Asked(assignment.task, assignment.models, CLASSES, ranges(of_images()))
        assert read_report(result.report, asked) == result.report


@pytest.mark.parametrize(
    "wrong",
    [
        Assignment(Task(Stage.MEASURE, 0, "west", "west"), {STUDENT: WEIGHTS}),
        Assignment(Task(Stage.TUNE, 0, "east", "east", steps=1), {STUDENT: WEIGHTS}),
        Assignment(MEASURE.task, {"other": WEIGHTS}),
        Assignment(MEASURE.task, {STUDENT: initial_weights(SMALLEST, 3, 32, seed=0)}),
    ],
    ids=["another site", "another stage", "another role", "another class count"],
)
def test_another_task_is_refused(wrong: Assignment[Weights], consortium: dict[str, Path]) -> None:
    with pytest.raises(ProtocolError):
        measurer(consortium["east"]).perform(wrong)


def test_labels_come_with_the_probability_of_the_class_that_was_chosen(consortium: dict[str, Path]) -> None:
    class Sure(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bias = nn.Parameter(torch.tensor([0.0, 2.0]))

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.bias.view(1, 2, 1, 1).expand(len(images), 2, *images.shape[-2:])

    test = load_site(consortium["east"], CLASSES, 32).test
    cases = list(label(Sure(), test, batch=2))
    assert len(cases) == len(test)
    for case, mask, patient in zip(cases, masks_of(test).numpy(), test.patients, strict=True):
        assert (case.prediction == 1).all() and (case.truth == mask).all() and case.patient == patient
        assert case.confidence == pytest.approx(torch.sigmoid(torch.tensor(2.0)).item())


def test_a_union_and_what_is_not_known_are_nothing_that_was_missed() -> None:
    masks = torch.zeros(1, 8, 8, dtype=torch.int64)
    masks[0, 0], masks[0, 1], masks[0, 2] = set_label([1, 2]), NOTHING_KNOWN, 3

    class Threes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1))

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.scale * torch.eye(4)[3].view(1, 4, 1, 1).expand(1, 4, 8, 8)

    [case] = label(Threes(), split_of(torch.zeros(1, 1, 8, 8), masks))
    assert case.truth[:4, 0].tolist() == [0, 0, 3, 0] and case.prediction[:4, 0].tolist() == [3, 0, 3, 3]
