"""Every command that writes: one line with the place and the remedy, the earlier state, and no half of a result."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from fedefm.data.synth import default_sites, write_consortium
from fedefm.errors import ConfigError
from fedefm.exchange.record import RECORD_FILE
from fedefm.finetune.weights import TUNED_FILE
from fedefm.models.build import initial_weights
from fedefm.models.checkpoint import THETA_FILE, load_weights
from fedefm.simulation.process import SCRATCH
from fedefm.training.kept import FOLDER
from support.consortium_certificates import Authority
from support.rooms import EARLIER, PAGE, Room, Tried, disk, fill, run
from support.runs import pictures
from support.small_networks import SMALLEST
from support.thetas import CLASSES, write_theta

WEIGHTS = sum(value.nbytes for value in initial_weights(SMALLEST, len(CLASSES) + 1, 32, 0).values())
RESULTS = (THETA_FILE, RECORD_FILE, TUNED_FILE, "models", "report.json", "report.html", "dataset.json", "meta.json")
SIMULATE = (
    "simulate",
    "--sites",
    "SITES",
    "--out",
    "OUT",
    "--in-process",
    "--rounds",
    "1",
    "--no-lone",
    "--size",
    "32",
)
SHORT = (
    "--size",
    "32",
    "--set",
    "schedule.local_steps=1",
    "--set",
    "schedule.overseas_steps=1",
    "--set",
    "schedule.distil_steps=1",
)
MODEL = (
    "--set",
    'model={"architecture":"Unet","encoder":"tu-test_resnet","options":{"encoder_depth":4,'
    '"decoder_channels":[32,24,16,8]}}',
)

# What is typed, and how many bytes are free when it is to fail in the middle of its work.
COMMANDS: dict[str, tuple[tuple[str, ...], int]] = {
    "segment": (("segment", "PICTURES", "--model", "THETA", "--out", "OUT", "--video", "gif"), 3 * PAGE),
    "export": (("export", "THETA", "--out", "OUT"), WEIGHTS // 2),
    "export torchscript": (("export", "THETA", "--format", "torchscript", "--out", "OUT"), WEIGHTS // 2),
    "export hf": (("export", "THETA", "--format", "hf", "--out", "OUT"), 2 * WEIGHTS),
    "data synth": (("data", "synth", "--out", "OUT", "--frames", "6", "--size", "64"), 20 * PAGE),
    "data export": (("data", "export", "coco", "SITES/animal", "OUT"), 3 * PAGE),
    "data import": (("data", "import", "nnunet", "NNUNET", "OUT"), 3 * PAGE),
    "job write": (("job", "write", "--out", "OUT"), 2 * PAGE),
    "trust sign": (("trust", "sign", "OUT", "--cert", "CERT", "--key", "KEY"), PAGE),
    "simulate": ((*SIMULATE, *SHORT, *MODEL), 2 * WEIGHTS + 8 * PAGE),
    "finetune": (
        ("finetune", "--theta", "THETA", "--sites", "SITES", "--out", "OUT", "--in-process", "--rounds", "1",
         "--steps", "1"),
        3 * WEIGHTS // 2 + 8 * PAGE,
    ),
    "evaluate": (
        ("evaluate", "--model", "theta=THETA", "--sites", "SITES", "--out", "OUT", "--in-process", "--least-images",
         "1"),
        2 * PAGE,
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def room() -> Iterator[Room]:
    one = Room()
    yield one
    one.close()


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the commands read, on a disk with room."""
    root = tmp_path_factory.mktemp("given")
    write_consortium(root / "sites", sites=default_sites(2), frames_per_site=10, size=48, unseen=0.0)
    write_theta(root / "run" / THETA_FILE)
    certificate, key = Authority().issue("lead@x.example", "lead").write(root, "lead")
    assert run(("data", "export", "nnunet", str(root / "sites" / "animal"), str(root / "Dataset101_given")))[0] == 0
    return {
        "SITES": str(root / "sites"),
        "THETA": str(root / "run" / THETA_FILE),
        "NNUNET": str(root / "Dataset101_given"),
        "PICTURES": str(pictures(root / "pictures", 3)),
        "CERT": str(certificate),
        "KEY": str(key),
    }


def words_of(name: str, given: dict[str, str], place: Path) -> tuple[str, ...]:
    fill_in = given | {"OUT": str(place / "out")}
    if name == "trust sign":
        fill_in["OUT"] = str(place)
    return tuple(_filled(word, fill_in) for word in COMMANDS[name][0])


def _filled(word: str, values: dict[str, str]) -> str:
    for key, value in values.items():
        word = word.replace(key, value)
    return word


def must_refuse(name: str, tried: Tried, place: Path) -> None:
    """One line, the exit code of such errors, and nothing that somebody would take for a result."""
    assert tried.code == ConfigError.exit_code, tried
    lines = [line for line in tried.said.splitlines() if not line.startswith("fedefm: note:")]
    assert len(lines) == 1 and lines[0].startswith(f"fedefm: {place}"), tried.said
    assert "cannot be written" in lines[0] and "; " in lines[0]
    left = [path for path in tried.left if not path.startswith(f"out/{SCRATCH}/")]  # FLARE's workspace, no result
    whole = {path.rpartition("/")[0] for path in left if path.endswith("dataset.json")}  # a synthetic hospital
    results = [path for path in left if Path(path).name in RESULTS and path.rpartition("/")[0] not in whole]
    assert not results and not [path for path in left if "partial" in path or path.endswith(".part")], left
    for hospital in whole:
        images = [path for path in left if path.startswith(f"{hospital}/images/")]
        masks = [path for path in left if path.startswith(f"{hospital}/masks/")]
        assert name == "data synth" and len(images) == len(masks) == 6


@pytest.mark.parametrize("free", [pytest.param("nothing", marks=pytest.mark.slow), "something"])
@pytest.mark.parametrize("name", COMMANDS)
def test_a_full_disk(name: str, free: str, room: Room, given: dict[str, str], tmp_path: Path) -> None:
    if room.reason:
        pytest.skip(f"no mount namespace here: {room.reason}")
    place, least = tmp_path / "disk", COMMANDS[name][1] if free == "something" else 0
    tried = room.full(place, least, *words_of(name, given, place))
    must_refuse(name, tried, place)
    assert "free some space there" in tried.said


@pytest.mark.slow
@pytest.mark.simulator
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", ["simulate", "finetune", "evaluate"])
def test_a_disk_that_fills_up_under_flare(name: str, room: Room, given: dict[str, str], tmp_path: Path) -> None:
    """In the hospitals' processes, or the server's: the command tells it as if it had been its own."""
    if room.reason:
        pytest.skip(f"no mount namespace here: {room.reason}")
    place = tmp_path / "disk"
    words = (word for word in words_of(name, given, place) if word != "--in-process")
    tried = room.full(place, WEIGHTS // 2 if name == "evaluate" else 3 * WEIGHTS // 2, *words)
    must_refuse(name, tried, place)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_read_only_disk(name: str, room: Room, given: dict[str, str], tmp_path: Path) -> None:
    if room.reason:
        pytest.skip(f"no mount namespace here: {room.reason}")
    place = tmp_path / "disk"
    tried = room.read_only(place, *words_of(name, given, place))
    must_refuse(name, tried, place)
    assert "Read-only file system" in tried.said and "that you may write to" in tried.said and not tried.left


@pytest.mark.parametrize("name", COMMANDS)
def test_files_that_may_not_grow(name: str, room: Room, given: dict[str, str], tmp_path: Path) -> None:
    """Needs no mounts: the same everywhere."""
    place = tmp_path / "disk"
    place.mkdir()
    (place / EARLIER).write_text("good")
    tried = room.small_files(place, 100, *words_of(name, given, place))
    must_refuse(name, tried, place)
    assert "File too large" in tried.said


def _twice(place: Path, words: tuple[str, ...]) -> tuple[Tried, Tried]:
    """The command on a disk that is too small for its last step, and again when there is room."""
    with disk(place):
        fill(place, COMMANDS["finetune"][1])
        code, said = run(words)
        first = Tried(code, said, sorted(path.name for path in (place / "out").iterdir()))
        (place / "filler").unlink()
        code, said = run(words)
        shutil.copytree(place / "out", place.parent / "copy")
        return first, Tried(code, said, sorted(path.name for path in (place / "out").iterdir()))


def test_a_fine_tune_that_could_not_be_published_goes_on_from_its_round(
    room: Room, given: dict[str, str], tmp_path: Path
) -> None:
    if room.reason:
        pytest.skip(f"no mount namespace here: {room.reason}")
    place = tmp_path / "disk"
    first, second = room.call(_twice, place, words_of("finetune", given, place))
    must_refuse("finetune", first, place)
    assert first.left == [FOLDER]
    assert (second.code, second.left) == (0, ["report.html", "report.json", TUNED_FILE]), second
    assert load_weights(tmp_path / "copy" / TUNED_FILE).classes == CLASSES
