"""`fedefm evaluate`: the matrix, the page, and one line with nothing written for every wrong input."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from fedefm.cli import main
from fedefm.errors import CheckpointError, ConfigError, DataError, FedefmError
from fedefm.models.build import initial_weights, take_weights
from fedefm.models.checkpoint import load_weights, save_weights
from fedefm.models.classifier import CLASSIFIER, build_tuned
from fedefm.models.spec import ModelSpec
from support.small_networks import SMALLEST

CLASSES = ("catheter", "guidewire", "vessel")


def write(path: Path, seed: int, classes: tuple[str, ...] = CLASSES, size: int = 32) -> Path:
    weights = initial_weights(SMALLEST, len(classes) + 1, size, seed)
    save_weights(path, weights, spec=SMALLEST, classes=classes, size=size)
    return path


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished foundation run: Theta and two theta_i."""
    folder = tmp_path / "foundation"
    for seed, name in enumerate(("theta", "models/east", "models/north")):
        write(folder / f"{name}.safetensors", seed)
    return folder


@pytest.fixture
def sites(consortium: dict[str, Path]) -> list[str]:
    return [word for site in ("east", "north") for word in ("--site", f"{site}={consortium[site]}")]


@pytest.mark.simulator
def test_in_process_and_in_the_simulator_the_figures_are_the_same(
    run: Path, consortium: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = ["--site", f"north={consortium['north']}"]
    tuned = write(tmp_path / "tuned.safetensors", 9)
    records = {}
    for name, extra in (("here", ["--in-process"]), ("flare", [])):
        command = ["evaluate", "--run", str(run), "--model", f"tuned={tuned}", *site, "--least-images", "1", "--json"]
        assert main([*command, *extra, "--out", str(tmp_path / name)]) == 0
        records[name] = json.loads(capsys.readouterr().out)
        assert json.loads((tmp_path / name / "report.json").read_text()) == records[name]
    for key in ("scores", "matrix", "models", "sites", "images", "corpora", "synthetic", "bytes"):
        assert records["flare"][key] == records["here"][key]
    assert [m["name"] for m in records["flare"]["models"]] == ["theta", "east", "north", "tuned"]
    assert records["flare"]["models"][3]["sha256"] == load_weights(tuned).sha256
    names = {path.name for path in (tmp_path / "flare").iterdir()}
    assert names == {"report.json", "report.html", "simulator.log"}


def test_the_page_shows_what_the_report_says(
    run: Path, sites: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["evaluate", "--run", str(run), *sites, "--in-process", "--least-images", "1", "--out", str(out)]) == 0
    printed, page = capsys.readouterr().out, (out / "report.html").read_text()
    record = json.loads((out / "report.json").read_text())
    assert set(record["matrix"]["dice"]) == {"theta", "east", "north"}
    for model, row in record["matrix"]["dice"].items():
        assert set(row) == {"east", "north"}
        for value in row.values():
            assert f"{value:.3f}" in printed and f"{value:.3f}" in page
        assert model in printed
    figure = record["scores"]["theta"]["north"]["by_class"]["vessel"]["dice"]
    assert f"{figure['mean']:.3f} ({figure['low']:.3f}–{figure['high']:.3f})" in page
    missed = record["scores"]["theta"]["north"]["by_class"]["vessel"]["missed"]
    assert f"{round(missed['mean'] * missed['support'])} of {missed['support']}: {missed['mean']:.3f}" in page
    assert "Missed: images with the class" in page and "missed" in record["matrix"]
    assert "synthetic data" in page and "as in the authors" in page and "<script" not in page


def test_with_too_few_images_no_figure_is_told(
    run: Path, sites: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["evaluate", "--run", str(run), *sites, "--in-process", "--least-images", "1000", "--json"]
    assert main([*command, "--out", str(tmp_path / "out")]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["images"] == {"east": None, "north": None}
    assert {v for row in record["matrix"]["dice"].values() for v in row.values()} == {None}
    assert "No figure rests on enough images" in (tmp_path / "out" / "report.html").read_text()


Prepare = Callable[[Path], list[str]]


def altered(run: Path) -> list[str]:
    path = run / "models" / "north.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    return []


def another_architecture(run: Path) -> list[str]:
    path = run / "models" / "north.safetensors"
    save_weights(path, load_weights(path).weights, spec=ModelSpec("Unet", "resnet18"), classes=CLASSES, size=32)
    return []


def lying(run: Path) -> list[str]:
    """A header that names the right classes over weights of another class count."""
    weights = initial_weights(SMALLEST, 3, 32, 0)
    save_weights(run / "models" / "north.safetensors", weights, spec=SMALLEST, classes=CLASSES, size=32)
    return []


def no_weights(run: Path) -> list[str]:
    (run / "models" / "north.safetensors").write_text("{}")
    return []


def other_classes(run: Path) -> list[str]:
    write(run / "models" / "north.safetensors", 0, classes=("catheter",))
    return []


def a_classifier(run: Path) -> list[str]:
    path = run / "models" / "north.safetensors"
    spec = ModelSpec(CLASSIFIER, SMALLEST.encoder, {"of": "Unet", "options": dict(SMALLEST.options)})
    weights = take_weights(build_tuned(spec, len(CLASSES), 32))
    save_weights(path, weights, spec=spec, classes=CLASSES, size=32)
    return []


def other_size(run: Path) -> list[str]:
    write(run / "models" / "north.safetensors", 0, size=64)
    return []


def options(*words: str) -> Prepare:
    return lambda run: list(words)


WRONG: dict[str, tuple[Prepare, type[FedefmError], str]] = {
    "altered": (altered, CheckpointError, "altered"),
    "wrong architecture": (another_architecture, CheckpointError, "not those of Unet with 'resnet18'"),
    "wrong class count": (other_classes, CheckpointError, "knows 1 classes (catheter), the run measures 3"),
    "wrong class count in the weights": (lying, CheckpointError, "and 3 classes"),
    "a classifier": (a_classifier, CheckpointError, "marks no pixels"),
    "wrong size": (other_size, CheckpointError, "at 64 pixels"),
    "unreadable": (no_weights, CheckpointError, "damaged or not safetensors"),
    "one name twice": (lambda run: ["--run", str(run)], ConfigError, "two models are named 'theta'"),
    "no name": (options("--model", "theta.safetensors"), ConfigError, "write NAME=WEIGHTS"),
    "a name with a blank": (lambda run: ["--model", f"a b={run}/theta.safetensors"], ConfigError, "'a b'"),
    "a run without weights": (lambda run: ["--run", str(run.parent)], CheckpointError, "holds no weights"),
    "no such folder": (options("--site", "far=nowhere"), DataError, "nowhere"),
    "no least": (options("--least-images", "0"), ConfigError, "least_images"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_ends_in_one_line_and_writes_nothing(
    case: str, run: Path, sites: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare, kind, named = WRONG[case]
    extra = prepare(run)
    before = sorted(tmp_path.rglob("*"))
    code = main(["evaluate", "--run", str(run), *sites, *extra, "--out", str(tmp_path / "out")])
    printed = capsys.readouterr()
    assert code == kind.exit_code != 0
    assert printed.err.startswith("fedefm: ") and printed.err.count("\n") == 1 and len(printed.err) < 500
    assert named in printed.err and printed.out == ""
    assert sorted(tmp_path.rglob("*")) == before


def test_without_a_model_it_says_how_to_name_one(sites: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", *sites]) == ConfigError.exit_code
    assert "--run FOLDER" in capsys.readouterr().err
