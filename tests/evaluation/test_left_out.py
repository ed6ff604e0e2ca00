"""Test images whose masks a model proposed itself are not counted, where the job says so."""

import json
import shutil
from pathlib import Path

import pytest

from fedefm.cli import main
from fedefm.data.dataset import load_site
from fedefm.errors import ConfigError, DataError
from fedefm.evaluation.measurer import Measurer
from fedefm.evaluation.settings import Evaluation
from fedefm.exchange.messages import STUDENT, Assignment, Stage, Task
from fedefm.models.build import initial_weights
from fedefm.models.checkpoint import load_weights
from support.small_networks import SMALLEST
from support.thetas import CLASSES, SIZE, write_theta

OURS, THEIRS = "a" * 64, "b" * 64
PREPARE, MEASURE = Task(Stage.PREPARE, 0, "east", "east"), Task(Stage.MEASURE, 0, "east", "east")
WEIGHTS = initial_weights(SMALLEST, len(CLASSES) + 1, SIZE, seed=3)


def propose(folder: Path, by: dict[int, str], split: str = "test") -> list[str]:
    """Say of some images of a split that weights proposed their masks; the stems of the split."""
    plain = json.loads((folder / "dataset.json").read_text())
    stems = [p.stem for p in sorted((folder / "images").iterdir()) if p.stem.split("_")[0] in plain["splits"][split]]
    plain["proposed"] = plain.get("proposed", {}) | {
        stems[k]: {
            **{"by": sha256, "mask": "c" * 64, "patient": stems[k].split("_")[0]},
            **{"changed_pixels": 3, "dice": 0.9, "added": "2026-01-31"},
        }
        for k, sha256 in by.items()
    }
    (folder / "dataset.json").write_text(json.dumps(plain))
    return stems


@pytest.fixture
def folder(consortium: dict[str, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(consortium["east"], tmp_path / "east"))


def measurer(folder: Path, *left_out: str, least: int = 1) -> Measurer:
    fields = {"classes": CLASSES, "models": ("theta",), "size": SIZE, "model": SMALLEST, "least_images": least}
    return Measurer("east", folder, Evaluation(**fields, leave_out_proposed_by=left_out))


def test_they_are_left_out_and_counted_and_others_are_not(folder: Path) -> None:
    stems = propose(folder, {0: OURS, 1: THEIRS, 2: OURS})
    propose(folder, {0: OURS}, "train")
    site = load_site(folder, CLASSES, SIZE, leave_out_proposed_by=[OURS])
    assert (len(site.test), site.left_out) == (len(stems) - 2, 2)
    everything = load_site(folder, CLASSES, SIZE)
    assert (len(everything.test), everything.left_out) == (len(stems), 0)
    assert len(site.train) == len(everything.train)  # what it is taught is another matter
    report = measurer(folder, OURS).perform(Assignment(PREPARE, {})).report
    assert (report["images"], report["left_out"]) == ({"test": len(stems) - 2}, 2)
    scores = measurer(folder, OURS).perform(Assignment(MEASURE, {STUDENT: WEIGHTS})).report["scores"]
    assert scores["all"]["support"] == len(stems) - 2
    both = measurer(folder, OURS, THEIRS).perform(Assignment(PREPARE, {})).report
    assert both["left_out"] == 3


def test_a_job_that_does_not_ask_counts_all_and_is_told_no_number(folder: Path) -> None:
    stems = propose(folder, {0: OURS})
    report = measurer(folder).perform(Assignment(PREPARE, {})).report
    assert report["images"] == {"test": len(stems)} and "left_out" not in report


def test_few_are_held_back(folder: Path) -> None:
    propose(folder, {0: OURS})
    assert measurer(folder, OURS, least=2).perform(Assignment(PREPARE, {})).report["left_out"] is None


def test_where_no_image_is_left_the_hospital_says_so(folder: Path) -> None:
    count = len(propose(folder, {}))
    propose(folder, dict.fromkeys(range(count), OURS))
    with pytest.raises(DataError, match="no test image is left"):
        _ = measurer(folder, OURS).data


@pytest.mark.parametrize("wrong", ["theta", OURS.upper(), OURS + "a"])
def test_only_fingerprints_may_be_named(wrong: str) -> None:
    with pytest.raises(ConfigError, match="leave_out_proposed_by"):
        Evaluation.from_dict({"classes": list(CLASSES), "models": ["theta"], "leave_out_proposed_by": [wrong]})


def test_the_command_names_the_models_and_those_that_they_come_from(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    tuned = load_weights(write_theta(run / "tuned.safetensors")).sha256
    record = {"kind": "finetune", "model": {"path": "tuned.safetensors", "sha256": tuned}, "theta": {"sha256": THEIRS}}
    (run / "report.json").write_text(json.dumps(record))
    stems = propose(folder, {0: tuned, 1: THEIRS, 2: OURS})
    command = ["evaluate", "--run", str(run), "--site", f"east={folder}", "--in-process", "--least-images", "1"]
    found = {}
    for name, option in (("all", []), ("fair", ["--leave-out-proposed"])):
        assert main([*command, *option, "--json", "--out", str(tmp_path / name)]) == 0
        found[name] = json.loads(capsys.readouterr().out)
    assert found["all"]["left_out"] == {} and found["all"]["images"] == {"east": len(stems)}
    assert found["fair"]["left_out"] == {"east": 2} and found["fair"]["images"] == {"east": len(stems) - 2}
    assert found["fair"]["config"]["leave_out_proposed_by"] == sorted([tuned, THEIRS])
    line = "east: 2 test images are not counted"
    assert line in (tmp_path / "fair/report.html").read_text()
    assert line not in (tmp_path / "all/report.html").read_text()
    assert main([*command, "--leave-out-proposed", "--out", str(tmp_path / "text")]) == 0
    assert line in " ".join(capsys.readouterr().out.split())
