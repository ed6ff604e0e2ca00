import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
import torch

from fedefm.errors import DataError, FedefmError, ProtocolError
from fedefm.exchange.messages import Assignment, Result, Stage, Task
from fedefm.exchange.schedule import Schedule
from fedefm.foundation.hospital import Hospital
from fedefm.foundation.settings import Distillation, Settings
from fedefm.maths import weighted_mean, weights_sha256
from fedefm.models.build import Weights, initial_weights
from fedefm.models.spec import ModelSpec
from fedefm.training.loop import StoppedError
from fedefm.training.optimisation import Optimisation
from support.small_networks import SMALLEST

CLASSES = ("catheter", "guidewire", "vessel")
SETTINGS = Settings(CLASSES, size=64, model=SMALLEST, optimisation=Optimisation(batch_size=2))
START = initial_weights(SMALLEST, 4, 64, seed=0)
OTHER = initial_weights(SMALLEST, 4, 64, seed=1)


def task(stage: Stage, site: str = "east", visitor: str | None = None, seed: int = 3, **fields: Any) -> Task:
    steps = {Stage.PREPARE: 0, Stage.EVALUATE: 0}.get(stage, 2)
    return Task(stage, 0, site, visitor or site, steps=steps, seed=seed, **fields)


LOCAL = Assignment(task(Stage.LOCAL), {"student": START})
HOSTED = Assignment(task(Stage.OVERSEAS, visitor="west"), {"student": OTHER})
TAUGHT = Assignment(
    task(Stage.DISTIL, teachers={"north": ("guidewire", "vessel"), "west": ("vessel",)}),
    {"student": START, "north": OTHER, "west": START},
)
PREPARED = Assignment(task(Stage.PREPARE), {})


def trained_hash(result: Result[Weights]) -> str:
    assert result.weights is not None
    return weights_sha256(result.weights)


def plain(report: Mapping[str, Any]) -> Any:
    """A report as it crosses the wire: JSON without NaN."""
    return json.loads(json.dumps(report, allow_nan=False))


@pytest.fixture(scope="module")
def east(consortium: dict[str, Path]) -> Hospital:
    return Hospital("east", consortium["east"], SETTINGS)


# A result depends on its assignment alone


@pytest.mark.parametrize("assignment", [LOCAL, HOSTED, TAUGHT], ids=["local", "overseas", "distil"])
def test_the_same_assignment_gives_the_same_bytes(
    east: Hospital, consortium: dict[str, Path], assignment: Assignment[Weights]
) -> None:
    first = east.perform(assignment)
    for between in (LOCAL, TAUGHT, HOSTED):
        east.perform(replace(between, task=replace(between.task, seed=99)))
    torch.manual_seed(123)
    again, fresh = east.perform(assignment), Hospital("east", consortium["east"], SETTINGS).perform(assignment)
    assert trained_hash(first) == trained_hash(again) == trained_hash(fresh)
    assert first.report == again.report == fresh.report


def test_dropout_does_not_tell_a_first_task_from_a_second(consortium: dict[str, Path]) -> None:
    """A network is built at the first task and kept; building it draws random numbers, and so does stochastic depth."""
    settings = replace(SETTINGS, model=ModelSpec("Segformer", "mit_b0"))
    start = initial_weights(settings.model, 4, 64, seed=0)
    assignment = Assignment(replace(task(Stage.LOCAL), steps=1), {"student": start})
    hospital = Hospital("east", consortium["east"], settings)
    assert trained_hash(hospital.perform(assignment)) == trained_hash(hospital.perform(assignment))


def test_another_seed_gives_other_bytes(east: Hospital) -> None:
    changed = replace(LOCAL, task=replace(LOCAL.task, seed=4))
    assert trained_hash(east.perform(LOCAL)) != trained_hash(east.perform(changed))


def test_the_weights_that_came_are_left_as_they_were(east: Hospital) -> None:
    before = weights_sha256(START), weights_sha256(OTHER)
    for assignment in (LOCAL, HOSTED, TAUGHT):
        assert trained_hash(east.perform(assignment)) not in before
    assert (weights_sha256(START), weights_sha256(OTHER)) == before


def test_a_result_does_not_change_under_later_work(east: Hospital) -> None:
    result = east.perform(LOCAL)
    before = trained_hash(result)
    east.perform(HOSTED)
    assert trained_hash(result) == before


# What each stage gives


def test_prepare_names_the_corpus_and_counts(east: Hospital) -> None:
    result = east.perform(PREPARED)
    report = plain(result.report)
    data = east.data
    assert report["corpus"] == ["catheter"] and report["quarantined"] == 0
    assert report["images"] == {"train": len(data.train), "val": len(data.val), "test": len(data.test)}
    assert sum(report["images"].values()) == 12 and result.images == len(data.train)
    assert result.weights is None


@pytest.mark.parametrize("assignment", [LOCAL, HOSTED, TAUGHT], ids=["local", "overseas", "distil"])
def test_training_returns_finite_weights_and_figures(east: Hospital, assignment: Assignment[Weights]) -> None:
    result = east.perform(assignment)
    assert result.task_id == assignment.task.id and result.weights is not None
    assert {k: (v.shape, v.dtype) for k, v in result.weights.items()} == {
        k: (v.shape, v.dtype) for k, v in START.items()
    }
    assert all(bool(v.isfinite().all()) for v in result.weights.values())
    report = plain(result.report)
    assert report["loss"] > 0 and 0 <= report["val_dice"] <= 1


def test_distillation_reports_each_teacher(east: Hospital) -> None:
    similarity = east.perform(TAUGHT).report["emd_similarity"]
    assert set(similarity) == {"north", "west"} and all(0 < s <= 1 for s in similarity.values())


def test_evaluation_scores_every_model_on_all_classes_of_the_test_split(east: Hospital) -> None:
    models = {"theta": START, "east": OTHER}
    result = east.perform(Assignment(task(Stage.EVALUATE), models))
    scores = plain(result.report)["scores"]
    assert result.weights is None and set(scores) == set(models)
    assert all(set(by_class) == set(CLASSES) for by_class in scores.values())
    swapped = east.perform(Assignment(task(Stage.EVALUATE), {"theta": OTHER, "east": START})).report["scores"]
    assert (swapped["theta"], swapped["east"]) == (scores["east"], scores["theta"])


def test_a_lone_model_never_leaves(east: Hospital) -> None:
    result = east.perform(Assignment(task(Stage.LONE), {"student": START}))
    assert result.weights is None and set(result.report) == {"scores"}
    trained = east.perform(Assignment(task(Stage.LOCAL), {"student": START})).weights
    measured = east.perform(Assignment(task(Stage.EVALUATE), {"theta": trained})).report["scores"]["theta"]
    assert result.report["scores"] == measured


def test_returned_experts_are_averaged_into_the_student(east: Hospital) -> None:
    """Averaging in the hospital is the same as sending the mean and not averaging."""
    by_hand = {**TAUGHT.models, "student": weighted_mean(TAUGHT.models)}
    folder, off = east._folder, replace(SETTINGS, distillation=Distillation(average_experts=False))
    plain_hospital = Hospital("east", folder, off)
    expected = plain_hospital.perform(replace(TAUGHT, models=by_hand))
    assert trained_hash(east.perform(TAUGHT)) == trained_hash(expected)
    assert trained_hash(plain_hospital.perform(TAUGHT)) != trained_hash(expected)


def test_every_step_is_told(consortium: dict[str, Path]) -> None:
    steps: list[tuple[str, int]] = []
    told = Hospital("east", consortium["east"], SETTINGS, on_step=lambda task, k, loss: steps.append((task.id, k)))
    told.perform(HOSTED)
    assert steps == [(HOSTED.task.id, 0), (HOSTED.task.id, 1)]


# What is refused


@pytest.mark.parametrize(
    "assignment",
    [
        Assignment(task(Stage.LOCAL, "west"), {"student": START}),
        Assignment(task(Stage.OVERSEAS, "west", visitor="east"), {"student": START}),
        Assignment(task(Stage.AGGREGATE), {}),
        Assignment(task(Stage.LOCAL), {}),
        Assignment(task(Stage.LOCAL), {"theta": START}),
        Assignment(TAUGHT.task, {"student": START, "north": OTHER}),
        Assignment(TAUGHT.task, {**TAUGHT.models, "east": OTHER}),
        Assignment(TAUGHT.task, {"north": OTHER, "west": START}),
        Assignment(task(Stage.LOCAL), {"student": dict(list(START.items())[1:])}),
        Assignment(task(Stage.LOCAL), {"student": START | {"more": torch.zeros(1)}}),
        Assignment(task(Stage.LOCAL), {"student": {k: v[..., :0] for k, v in START.items()}}),
    ],
)
def test_an_assignment_that_does_not_fit_is_refused(east: Hospital, assignment: Assignment[Weights]) -> None:
    with pytest.raises(ProtocolError) as caught:
        east.perform(assignment)
    assert "\n" not in str(caught.value)


def test_after_a_refusal_the_next_task_is_as_if_nothing_had_been(east: Hospital) -> None:
    before = trained_hash(east.perform(LOCAL))
    with pytest.raises(FedefmError):
        east.perform(Assignment(task(Stage.LOCAL), {"student": START | {"more": torch.zeros(1)}}))
    assert trained_hash(east.perform(LOCAL)) == before


def test_an_aborted_job_ends_in_the_middle_of_a_task(east: Hospital) -> None:
    with pytest.raises(StoppedError):
        east.perform(LOCAL, should_stop=lambda: True)


# Poor sites


def write_folder(folder: Path, images: list[np.ndarray], masks: list[np.ndarray], annotated: list[str]) -> Path:
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    for k, (image, mask) in enumerate(zip(images, masks, strict=True)):
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(image), folder / "images" / f"p{k}.png")
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(mask), folder / "masks" / f"p{k}.png")
    classes = {"0": "background"} | {str(k): name for k, name in enumerate(CLASSES, 1)}
    (folder / "dataset.json").write_text(json.dumps({"classes": classes, "annotated": annotated}))
    return folder


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (48, 40), dtype=np.uint8)


def bar(value: int) -> np.ndarray:
    mask = np.zeros((48, 40), np.uint8)
    mask[10:14] = value
    return mask


def flat(value: int) -> np.ndarray:
    return np.full((48, 40), value, np.uint8)


POOR = {
    "one image": ([noise(0)], [bar(1)]),
    "one class": ([noise(k) for k in range(5)], [bar(2)] * 5),
    "nothing labelled": ([noise(k) for k in range(5)], [flat(0)] * 5),
    "all one class": ([noise(k) for k in range(5)], [flat(3)] * 5),
    "constant images": ([flat(120)] * 5, [bar(1)] * 5),
    "black images": ([flat(0)] * 5, [flat(0)] * 5),
}


@pytest.mark.parametrize(("weighting", "augment"), [("emd", 0.0), ("regional", 1.0)])
@pytest.mark.parametrize("kind", POOR)
def test_a_poor_site_gives_finite_weights_at_every_stage(
    tmp_path: Path, kind: str, weighting: str, augment: float
) -> None:
    folder = write_folder(tmp_path / "site", *POOR[kind], list(CLASSES))
    chosen = replace(SETTINGS.optimisation, augment=augment)
    hospital = Hospital(
        "east", folder, replace(SETTINGS, optimisation=chosen, distillation=Distillation(weighting=weighting))
    )
    assert plain(hospital.perform(PREPARED).report)["images"]["train"] >= 1
    own, expert = trained(hospital, LOCAL), trained(hospital, HOSTED)
    taught = trained(hospital, Assignment(TAUGHT.task, {"student": own, "north": expert, "west": own}))
    plain(hospital.perform(Assignment(task(Stage.EVALUATE), {"theta": taught})).report)


def trained(hospital: Hospital, assignment: Assignment[Weights]) -> Weights:
    """The weights that come back, all finite, with a report that JSON can hold."""
    result = hospital.perform(assignment)
    plain(result.report)
    assert result.weights is not None and all(bool(v.isfinite().all()) for v in result.weights.values())
    return result.weights


def test_a_site_without_images_says_so(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "site", [], [], ["catheter"])
    with pytest.raises(DataError):
        Hospital("east", folder, SETTINGS).perform(PREPARED)


def test_a_missing_folder_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        Hospital("east", tmp_path / "none", SETTINGS).perform(PREPARED)


def test_a_teacher_without_reputation_changes_nothing(east: Hospital) -> None:
    """Neither as a teacher nor in the mean of the experts that the student starts from."""
    teachers = {"north": ("guidewire", "vessel"), "west": ("vessel",)}
    models = {"student": START, "north": OTHER, "west": START}
    doubted = Assignment(task(Stage.DISTIL, teachers=teachers, reputation={"north": 0.0, "west": 1.0}), models)
    trusted = replace(doubted, task=replace(doubted.task, reputation={}))
    without = Assignment(task(Stage.DISTIL, teachers={"west": ("vessel",)}), {"student": START, "west": START})
    alone, in_doubt, in_trust = (trained_hash(east.perform(given)) for given in (without, doubted, trusted))
    assert in_doubt == alone != in_trust


@pytest.fixture(scope="module")
def seeing(east: Hospital) -> Weights:
    """Weights that see the hospital's own class."""
    fast = replace(SETTINGS, optimisation=Optimisation(batch_size=4, learning_rate=0.01))
    work = Task(Stage.LOCAL, 0, "east", "east", steps=60, seed=3)
    return trained(Hospital("east", east._folder, fast), Assignment(work, {"student": START}))


def test_a_teacher_that_sees_nothing_of_a_class_that_it_annotates_is_not_believed(
    east: Hospital, seeing: Weights
) -> None:
    """It neither teaches nor enters the mean that the student starts from, as if it had no reputation."""
    models = {"student": seeing, "north": seeing, "west": OTHER}
    teachers = {"north": ("catheter",), "west": ("catheter", "vessel")}
    asked = Assignment(task(Stage.DISTIL, teachers=teachers), models)
    found = east.perform(asked)
    assert found.report["agreement"]["catheter"]["north"] > 0.1
    assert found.report["shares"] == {"north": 1.0, "west": 0.0}
    named = Assignment(task(Stage.DISTIL, teachers=teachers, reputation={"north": 1.0, "west": 0.0}), models)
    believing = Hospital("east", east._folder, replace(SETTINGS, schedule=Schedule(reputation_limit=0.0)))
    assert trained_hash(found) == trained_hash(believing.perform(named)) != trained_hash(believing.perform(asked))


def test_where_no_teacher_annotates_a_class_of_the_hospital_nothing_is_compared(
    east: Hospital, seeing: Weights
) -> None:
    models = {"student": seeing, "west": OTHER}
    report = east.perform(Assignment(task(Stage.DISTIL, teachers={"west": ("vessel",)}), models)).report
    assert report["agreement"] == {} and report["shares"] == {"west": 1.0}
