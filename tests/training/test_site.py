"""What few images say stays at the hospital, in the jobs that train as in the one that measures."""

import json
from pathlib import Path
from typing import Any

import pytest

from fedefm.data.dataset import SiteData, load_site
from fedefm.data.synth import write_site
from fedefm.errors import ConfigError
from fedefm.exchange.messages import START, STUDENT, Assignment, Stage, Task
from fedefm.finetune.settings import FineTune
from fedefm.finetune.tuner import TUNED, Tuner
from fedefm.foundation.hospital import Hospital
from fedefm.foundation.settings import Settings
from fedefm.metrics.suppression import DIGITS, LEAST_IMAGES, told_count
from fedefm.models.build import initial_weights
from support.small_networks import SMALLEST

CLASSES = ("catheter", "guidewire", "vessel")
WEIGHTS = initial_weights(SMALLEST, 4, 32, seed=0)
FOUNDATION = Settings(CLASSES, size=32, model=SMALLEST)
TUNING = FineTune(CLASSES, size=32, model=SMALLEST, steps=2, rounds=2)
ALONE = FineTune(CLASSES, size=32, model=SMALLEST, steps=2, rounds=2, federated=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("hospital") / "north"
    write_site(place, "animal", frames=28, size=64, seed=1, corpus=("guidewire", "vessel"))
    return place


@pytest.fixture(scope="module")
def data(folder: Path) -> SiteData:
    return load_site(folder, CLASSES, 32)


def report(site: Any, stage: Stage, *models: str, visitor: str = "north") -> dict[str, Any]:
    task = Task(stage, 0, "north", visitor, steps=2)
    return dict(site.perform(Assignment(task, dict.fromkeys(models, WEIGHTS))).report)


def leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [x for inner in value.values() for x in leaves(inner)]
    return [x for inner in value for x in leaves(inner)] if isinstance(value, list) else [value]


def all_reports(folder: Path, least: int) -> dict[str, dict[str, Any]]:
    """Every report that rests on images, of both jobs that train."""
    hospital = Hospital("north", folder, FOUNDATION, least=least)
    tuner, alone = (Tuner("north", folder, job, least=least) for job in (TUNING, ALONE))
    return {
        "foundation prepare": report(hospital, Stage.PREPARE),
        "local": report(hospital, Stage.LOCAL, STUDENT),
        "overseas": report(hospital, Stage.OVERSEAS, STUDENT, visitor="west"),
        "assess": report(hospital, Stage.ASSESS, STUDENT, visitor="west"),
        "lone": report(hospital, Stage.LONE, STUDENT),
        "evaluate": report(hospital, Stage.EVALUATE, "theta"),
        "finetune prepare": report(tuner, Stage.PREPARE),
        "tune": report(tuner, Stage.TUNE, STUDENT),
        "validate": report(tuner, Stage.VALIDATE, STUDENT),
        "evaluate tuned": report(tuner, Stage.EVALUATE, START, TUNED),
        "alone": report(alone, Stage.TUNE, STUDENT),
    }


def test_with_a_least_above_every_split_but_one_only_figures_of_that_split_leave(folder: Path, data: SiteData) -> None:
    least = max(len(data.val), len(data.test)) + 1
    assert least <= len(data.train)
    told = all_reports(folder, least)
    for stage in ("foundation prepare", "finetune prepare"):
        assert told[stage]["images"] == {"train": len(data.train), "val": None, "test": None}
    assert told["finetune prepare"]["metrics"] == []
    for stage in ("local", "overseas"):
        assert told[stage]["val_dice"] is None and told[stage]["loss"] is not None
    for stage in ("lone", "evaluate", "evaluate tuned", "validate"):
        assert told[stage] and set(leaves(told[stage])) <= {None}
    history, best = told["alone"]["history"], told["alone"]["best"]
    assert set(leaves([entry["metrics"] for entry in history])) == {None} == {best["value"]}
    assert set(leaves(told["alone"]["scores"])) == {None}
    holding = {name: sum(k in labels for labels in data.train.labels) for k, name in enumerate(CLASSES, 1)}
    assert set(told["assess"]["agreement"]) == {name for name in data.corpus if holding[name] >= least}


def test_a_hospital_that_holds_nothing_back_tells_it_with_four_decimals(folder: Path, data: SiteData) -> None:
    told = all_reports(folder, 1)
    assert told["foundation prepare"]["images"]["val"] == len(data.val)
    assert (
        told["local"]["val_dice"] is not None and told["evaluate"]["scores"]["theta"]["vessel"]["support"] is not None
    )
    for stage in told.values():
        for key, value in stage.items():
            numbers = [x for x in leaves(value) if isinstance(x, float) and key != "rate_sum"]
            assert numbers == [round(x, DIGITS) for x in numbers]
    json.dumps(told, allow_nan=False)


@pytest.mark.parametrize("job", [FOUNDATION, TUNING, ALONE], ids=["foundation", "federated", "alone"])
def test_with_fewer_training_images_than_its_least_a_hospital_does_not_train(
    job: Any, folder: Path, data: SiteData
) -> None:
    """It abstains when it prepares, so no stage asks it for weights."""
    kind = Hospital if isinstance(job, Settings) else Tuner
    assert report(kind("north", folder, job, least=len(data.train)), Stage.PREPARE)["images"]["train"] == len(
        data.train
    )
    with pytest.raises(ConfigError, match="lower 'least_images'"):
        report(kind("north", folder, job, least=len(data.train) + 1), Stage.PREPARE)


def test_that_there_is_no_image_is_no_secret_of_any() -> None:
    assert [told_count(n, LEAST_IMAGES) for n in (0, 1, LEAST_IMAGES - 1, LEAST_IMAGES)] == [
        0,
        None,
        None,
        LEAST_IMAGES,
    ]
