import json
from pathlib import Path

import pytest

from fedefm.errors import ConfigError
from fedefm.finetune.settings import FineTune, load_finetune
from fedefm.settings import check_id
from support.thetas import job


def test_a_job_survives_json() -> None:
    wanted = job(mode="lora", metric="dice/vessel", theta="job-1")
    assert FineTune.from_dict(json.loads(json.dumps(wanted.to_dict()))) == wanted


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"classes": ()}, "classes"),
        ({"classes": ("a", "a")}, "classes"),
        ({"classes": ("background",)}, "classes"),
        ({"task": "detection"}, "task 'detection'"),
        ({"mode": "adapter"}, "mode 'adapter'"),
        ({"theta": "../etc/passwd"}, "no path"),
        ({"steps": 0}, "steps"),
        ({"labels": 0.0}, "labels"),
        ({"labels": 1.5}, "labels"),
        ({"rounds": 9}, "9 rounds"),
        ({"patience": -1}, "patience"),
        ({"encoder_rate": -0.1}, "encoder_rate"),
        ({"head_rate": 0.0}, "head_rate"),
        ({"metric": "accuracy"}, "'accuracy' is never reported"),
        ({"metric": "auc"}, "never reported in segmentation"),
        ({"metric": "dice/heart"}, "never reported"),
        ({"metric": "loss/vessel"}, "never reported"),
        ({"task": "classification", "metric": "dice"}, "never reported in classification"),
    ],
)
def test_wrong_values_are_named(changes: dict, named: str) -> None:
    with pytest.raises(ConfigError, match=named.replace("(", r"\(")):
        job(**changes)


@pytest.mark.parametrize("metric", ["dice", "iou", "loss", "last", "dice/vessel", "iou/catheter"])
def test_metrics_of_segmentation(metric: str) -> None:
    assert job(metric=metric).metric == metric


@pytest.mark.parametrize("steps", [3, 4, 7, 100])
def test_the_rounds_steps_sum_to_the_jobs(steps: int) -> None:
    settings = job(steps=steps, rounds=3)
    assert sum(settings.steps_of(k) for k in range(3)) == steps


@pytest.mark.parametrize("text", ["", ".", "a/b", "a\\b", "../x", "a b", "-a", "x" * 64])
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="not the id of a job"):
        check_id(text)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "finetune.json"
    with pytest.raises(ConfigError, match=r"finetune\.json: cannot be read"):
        load_finetune(path)
    path.write_text("{")
    with pytest.raises(ConfigError, match=r"finetune\.json: not valid JSON"):
        load_finetune(path)
    path.write_text('{"classes": ["a"], "step": 3}')
    with pytest.raises(ConfigError, match="did you mean 'steps'"):
        load_finetune(path)
