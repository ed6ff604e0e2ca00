"""Everybody who reads weights from a file refuses what no network has: there is one way in."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

import fedefm
from fedefm.cli import main
from fedefm.errors import CheckpointError
from fedefm.evaluation.models import find_models, read_models
from fedefm.export.export import export
from fedefm.finetune.metric import Best
from fedefm.finetune.network import build_seeded
from fedefm.finetune.rounds_kept import Progress, RoundsKept
from fedefm.inference.predict import load_network
from fedefm.models.build import take_weights
from fedefm.models.checkpoint import THETA_FILE
from fedefm.training.theta import find_theta, read_theta
from support.hostile_files import write_hostile
from support.thetas import job

PACKAGE = Path(fedefm.__file__).parent
ONE_WAY_IN = PACKAGE / "models" / "checkpoint.py"


def federated_fine_tune(path: Path) -> None:
    read_theta(find_theta(path.parent.parent, path.parent.name))


def federated_evaluation(path: Path) -> None:
    read_models(find_models(path.parent.parent, [path.parent.name]))


def kept_rounds(path: Path) -> None:
    settings = job(theta_sha256="0" * 64)
    kept, weights = RoundsKept(path.parent / "state", settings, ["a"]), take_weights(build_seeded(settings))
    kept.save(Progress(weights, weights, Best(1, 0.5), ({"round": 1},)))
    (folder,) = (path.parent / "state").iterdir()
    (file,) = folder.glob("*.safetensors")
    path.replace(file)
    kept.load()


def commands(*words: str) -> Callable[[Path], None]:
    """A command with the file in the place of WEIGHTS; its exit code becomes the error that it stands for."""

    def read(path: Path) -> None:
        site = path.parent / "site"
        fill = {"WEIGHTS": str(path), "SITE": str(site), "OUT": str(path.parent / "out")}
        code = main([fill.get(word, word.replace("WEIGHTS", str(path))) for word in words])
        assert not (path.parent / "out").exists()
        if code == CheckpointError.exit_code:
            raise CheckpointError("said on the terminal")

    return read


READERS: dict[str, Callable[[Path], object]] = {
    "fedefm.load": fedefm.load,
    "segment": load_network,
    "export": lambda path: export(path, path.parent / "out"),
    "fine-tune": read_theta,
    "federated fine-tune": federated_fine_tune,
    "evaluate": lambda path: read_models({"theta": path}),
    "federated evaluation": federated_evaluation,
    "kept rounds": kept_rounds,
    "fedefm segment": commands("segment", "SITE", "--model", "WEIGHTS", "--out", "OUT"),
    "fedefm export": commands("export", "WEIGHTS", "--out", "OUT"),
}


@pytest.mark.parametrize("fault", ["NaN", "int64", "float16", "huge"])
@pytest.mark.parametrize("reader", READERS)
def test_every_reader_refuses(reader: str, fault: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "run" / THETA_FILE
    said = write_hostile(path, fault)
    with pytest.raises(CheckpointError) as caught:
        READERS[reader](path)
    lines = f"{caught.value}\n{capsys.readouterr().err}"
    reason = "is damaged" if reader == "kept rounds" else said  # which round is lost is what matters there
    assert reason in lines and "Traceback" not in lines


def test_no_other_file_of_the_package_reads_weights() -> None:
    """A reader that this file does not know would have to open one by itself.

    What a server or a hospital lays on its own disk while a job runs (`models/stored.py`) came in by the network's way:
    checked against the hash that the task names and against all that weights from the network are, before it was laid
    there. `export/rebuild.py` is text of a model card, run by whoever loads an exported folder.
    """
    opens = re.compile(r"\b(safe_open|load_file|torch\.load|pickle|load_state_dict_from_url)\b")
    found = {path for path in PACKAGE.rglob("*.py") if opens.search(path.read_text())}
    assert found == {ONE_WAY_IN, PACKAGE / "models" / "stored.py", PACKAGE / "export" / "rebuild.py"}
