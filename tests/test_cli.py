"""The command: help, and one line with the remedy for every wrong input."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from fedefm.cli import main
from fedefm.commands.job_options import free_folder
from fedefm.data.png_file import write_png
from fedefm.data.synth import write_site
from fedefm.errors import CheckpointError, ConfigError, DataError, FedefmError
from fedefm.foundation.methods import job_settings

ROOT = Path(__file__).parents[1]
COMMANDS = (
    ("simulate",), ("plan",), ("compare",), ("finetune",), ("evaluate",),
    ("data", "synth"), ("data", "check"), ("data", "import"), ("data", "export"), ("job", "write"),
)  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_shows_an_example_that_parses(command: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*command, "--help"])
    text = capsys.readouterr().out
    assert ended.value.code == 0
    examples = [line.strip() for line in text.partition("examples:")[2].splitlines() if line.strip()]
    assert examples and all(line.startswith(" ".join(("fedefm", *command))) for line in examples)
    for line in examples:
        for option in [word for word in line.split() if word.startswith("--")]:
            assert option in text.partition("examples:")[0]


@pytest.mark.parametrize(
    ("group", "named"),
    [((), ("simulate", "compare", "data")), (("data",), ("synth", "check", "import", "export"))],
)
def test_help_of_a_group_names_its_commands(
    group: tuple[str, ...], named: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*group, "--help"])
    assert ended.value.code == 0
    assert set(named) <= set(capsys.readouterr().out.split())


def test_a_command_that_does_not_exist_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["simulat"])
    assert ended.value.code == 2
    assert "simulat" in capsys.readouterr().err


@dataclass(frozen=True)
class Place:
    """Two good hospitals, `east` (catheter) and `west` (guidewire), and a folder that must not appear."""

    east: Path
    west: Path
    out: Path

    def sites(self) -> list[str]:
        return ["--site", f"east={self.east}", "--site", f"west={self.west}"]


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("two-hospitals")
    write_site(root / "east", "phantom", frames=10, size=64, seed=0, corpus=("catheter",))
    write_site(root / "west", "animal", frames=10, size=64, seed=1, corpus=("guidewire",))
    return root


@pytest.fixture
def place(originals: Path, tmp_path: Path) -> Place:
    for name in ("east", "west"):
        shutil.copytree(originals / name, tmp_path / name)
    return Place(tmp_path / "east", tmp_path / "west", tmp_path / "out")


def first_file(folder: Path) -> Path:
    return min(folder.iterdir())


def no_such_folder(place: Place) -> list[str]:
    return ["--site", f"east={place.east}-typo"]


def no_such_parent(place: Place) -> list[str]:
    return ["--sites", f"{place.east}-typo"]


def no_images(place: Place) -> list[str]:
    shutil.rmtree(place.east / "images")
    (place.east / "images").mkdir()
    return place.sites()


def no_mask(place: Place) -> list[str]:
    first_file(place.east / "masks").unlink()
    return place.sites()


def two_names_for_a_class(place: Place) -> list[str]:
    for site, name in ((place.east, "Guide wire"), (place.west, "guidewire")):
        classes = {"classes": {"0": "background", "1": name, "2": "b", "3": "c"}}
        (site / "dataset.json").write_text(json.dumps(classes))
    return place.sites()


def too_many_truncated(place: Place) -> list[str]:
    for path in sorted((place.east / "images").iterdir())[:4]:
        path.write_bytes(path.read_bytes()[:20])
    return place.sites()


def another_size(place: Place) -> list[str]:
    write_png(first_file(place.east / "masks"), np.zeros((32, 64), np.uint8))
    return place.sites()


def damaged_manifest(place: Place) -> list[str]:
    (place.east / "dataset.json").write_text('{"classes": ')
    return place.sites()


def topology_file(name: str, text: str) -> Callable[[Place], list[str]]:
    def prepare(place: Place) -> list[str]:
        path = place.east.parent / name
        path.write_text(text)
        return [*place.sites(), "--topology", str(path)]

    return prepare


def site_twice(place: Place) -> list[str]:
    return ["--site", f"east={place.east}", "--site", f"east={place.west}"]


def with_options(*options: str) -> Callable[[Place], list[str]]:
    return lambda place: [*place.sites(), *options]


WRONG: dict[str, tuple[Callable[[Place], list[str]], type[FedefmError], list[str]]] = {
    "no such folder": (no_such_folder, DataError, ["east-typo", "give the folder"]),
    "no such parent": (no_such_parent, ConfigError, ["--sites", "east-typo", "no such folder"]),
    "no images": (no_images, DataError, ["east", "images/ is empty", "put images into it"]),
    "no mask": (no_mask, DataError, ["east", "images/", "has no mask", "add masks/"]),
    "two names for a class": (two_names_for_a_class, DataError, ["'Guide wire'", "'guidewire'", "agree on one name"]),
    "truncated files": (too_many_truncated, DataError, ["east", ".png", "4 of 10"]),
    "image and mask differ": (another_size, DataError, ["east", ".png is 64 x 64", "64 x 32", "export the mask"]),
    "damaged dataset.json": (damaged_manifest, DataError, ["dataset.json of east", "not valid JSON"]),
    "unknown key": (with_options("--set", "shedule.rounds=1"), ConfigError, ["'shedule'", "did you mean 'schedule'"]),
    "unknown inner key": (with_options("--set", "schedule.round=1"), ConfigError, ["'round'", "did you mean 'rounds'"]),
    "key without a value": (with_options("--set", "size"), ConfigError, ["--set size", "KEY=VALUE"]),
    "key below a value": (with_options("--set", "size.x=1"), ConfigError, ["--set size.x", "'size'"]),
    "ill-typed value": (with_options("--set", "schedule.rounds=many"), ConfigError, ["rounds must be of type int"]),
    "size": (with_options("--size", "50"), ConfigError, ["size must be a multiple of 32", "50"]),
    "model without encoder": (with_options("--model", "Unet"), ConfigError, ["--model Unet", "ARCHITECTURE:ENCODER"]),
    "no such architecture": (with_options("--model", "Umet:resnet18"), ConfigError, ["'Umet'", "try Unet"]),
    "no such encoder": (with_options("--model", "Unet:resnet17"), ConfigError, ["'resnet17'", "cannot be built"]),
    "no such topology": (with_options("--topology", "star"), ConfigError, ["topology", "star"]),
    "damaged topology": (topology_file("g.json", '{"edges": [["east"'), ConfigError, ["topology", "g.json"]),
    "damaged GraphML": (topology_file("g.graphml", "<graphml><gra"), ConfigError, ["topology", "g.graphml"]),
    "stranger in topology": (
        topology_file("g.json", '{"edges": [["east", "north"]]}'),
        ConfigError,
        ["topology", "'north'", "not a site of this job"],
    ),
    "site without =": (lambda place: ["--site", str(place.east)], ConfigError, ["--site", "NAME=FOLDER"]),
    "site named twice": (site_twice, ConfigError, ["--site east=", "named twice"]),
    "no site": (lambda place: [], ConfigError, ["no hospital", "--site NAME=FOLDER"]),
    "name that FLARE cannot carry": (
        lambda place: ["--site", f"a b={place.east}"],
        ConfigError,
        ["site name 'a b'", "use letters"],
    ),
    "no such class": (with_options("--classes", "catheter"), DataError, ["class", "guidewire"]),
    "no such method": (with_options("--method", "moan"), ConfigError, ["'moan'", "did you mean 'moon'", "fedavg"]),
    "two methods": (
        with_options("--method", "moon", "--set", "schedule.method=fedavg"),
        ConfigError,
        ["--set schedule.method", "'moon'", "leave one"],
    ),
    "job without settings": (with_options("--job", str(ROOT / "tests")), ConfigError, ["foundation.json", "cannot be"]),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_ends_in_one_line_and_leaves_nothing(
    case: str, place: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare, kind, named = WRONG[case]
    arguments = prepare(place)
    monkeypatch.chdir(place.east.parent)
    before = sorted(place.east.parent.rglob("*"))
    code = main(["simulate", *arguments, "--out", str(place.out)])
    printed = capsys.readouterr()
    assert code == kind.exit_code
    assert printed.err.startswith("fedefm: ") and printed.err.count("\n") == 1 and len(printed.err) < 500
    assert [text for text in named if text not in printed.err] == []
    assert printed.out == ""
    assert sorted(place.east.parent.rglob("*")) == before


def test_every_kind_of_error_has_an_exit_code_of_its_own() -> None:
    kinds = [FedefmError, ConfigError, DataError, CheckpointError]
    assert len({kind.exit_code for kind in kinds}) == len(kinds) and 0 not in {kind.exit_code for kind in kinds}


@pytest.mark.parametrize("command", ["simulate", "compare"])
@pytest.mark.parametrize("name", ["theta.safetensors", "models", "report.json"])
def test_a_run_that_is_there_is_not_overwritten(
    command: str, name: str, place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    place.out.mkdir()
    (place.out / name).write_text("precious")
    assert main([command, *place.sites(), "--out", str(place.out)]) == ConfigError.exit_code
    error = capsys.readouterr().err
    assert error.startswith(f"fedefm: {place.out}: already holds a run") and error.count("\n") == 1
    assert [path.name for path in place.out.iterdir()] == [name]
    assert (place.out / name).read_text() == "precious"


@pytest.mark.parametrize(
    "options", [["--methods", "fedefm,fednone"], ["--methods", ""], ["--methods", "lone,lone"], ["--workers", "0"]]
)
def test_a_comparison_of_nothing_is_refused(
    options: list[str], place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", *place.sites(), "--out", str(place.out), *options]) == ConfigError.exit_code
    error = capsys.readouterr().err
    assert error.startswith("fedefm: ") and error.count("\n") == 1
    assert not place.out.exists()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    code = main(["data", "synth", "--out", str(tmp_path / "file" / "data"), "--frames", "10", "--size", "64"])
    error = capsys.readouterr().err
    assert code == ConfigError.exit_code
    assert error.startswith("fedefm: ") and str(tmp_path / "file") in error and error.count("\n") == 1
    assert "cannot be written (Not a directory); choose a writable folder" in error


def test_the_settings_of_the_command_line_reach_the_run(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--rounds", "1", "--seed", "5", "--size", "32", "--model", "Unet:tu-test_resnet", "--no-lone"]
    steps = [f"schedule.{name}_steps=1" for name in ("local", "overseas", "distil")]
    sets = [word for text in (*steps, "distillation.weighting=uniform") for word in ("--set", text)]
    code = main(["simulate", *place.sites(), *options, *sets, "--in-process", "--json", "--out", str(place.out)])
    report = json.loads(capsys.readouterr().out)
    assert code == 0
    config, job = report["config"], job_settings().to_dict()
    assert (config["schedule"]["rounds"], config["schedule"]["seed"], config["size"]) == (1, 5, 32)
    assert (config["model"]["encoder"], config["distillation"]["weighting"]) == ("tu-test_resnet", "uniform")
    assert config["optimisation"] == job["optimisation"]  # what nobody named is the job's
    assert report["classes"] == ["catheter", "guidewire", "vessel"] and report["sites"] == ["east", "west"]
    assert json.loads((place.out / "report.json").read_text()) == report
    assert {path.name for path in place.out.iterdir()} == {"theta.safetensors", "models", "report.json", "report.html"}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_synthetic_data_is_the_same_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, seed in (("a", "3"), ("b", "3"), ("c", "4")):
        assert (
            main(["data", "synth", "--out", str(tmp_path / name), "--frames", "3", "--size", "64", "--seed", seed]) == 0
        )
    a, b, c = (contents(tmp_path / name) for name in "abc")
    assert a == b
    assert a.keys() != c.keys() or any(a[key] != c[key] for key in a if key.endswith(".png"))
    assert "4 hospitals in" in capsys.readouterr().out


def test_a_check_for_machines_is_json(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "check", str(place.east), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["name"], found["images"], found["annotated"]) == ("east", 10, ["catheter"])
    assert main(["data", "check", str(place.east)]) == 0
    assert capsys.readouterr().out.startswith("east: 10 images")


def test_a_check_that_finds_what_stops_training_says_so_to_a_script(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "hospital"
    shutil.copytree(place.east, folder)
    next((folder / "masks").iterdir()).unlink()
    assert main(["data", "check", str(folder)]) == DataError.exit_code
    assert "has no mask; training would stop here" in capsys.readouterr().out


def test_a_reader_that_has_had_enough_ends_the_command_in_silence(place: Place) -> None:
    command = [sys.executable, "-m", "fedefm.cli", "data", "check", str(place.east), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


@pytest.mark.parametrize("command", ["simulate", "compare", "finetune"])
def test_a_device_that_is_not_there_is_refused_before_any_work(
    place: Place, tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [command, "--site", f"east={place.east}", "--site", f"west={place.east}", "--out", str(tmp_path / "o")]
    assert main([*arguments, "--device", "cuda:99"]) == ConfigError.exit_code
    assert "--device cuda:99: not on this machine" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def test_a_check_of_nothing_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "check", str(tmp_path / "none")]) == DataError.exit_code
    error = capsys.readouterr().err
    assert error.startswith("fedefm: ") and "none: no such folder" in error and error.count("\n") == 1


def test_a_new_run_takes_the_next_free_folder(tmp_path: Path) -> None:
    wanted = tmp_path / "run"
    assert free_folder(wanted) == wanted
    wanted.mkdir()
    assert free_folder(wanted) == tmp_path / "run-2"
    (tmp_path / "run-2").mkdir()
    assert free_folder(wanted) == tmp_path / "run-3"
