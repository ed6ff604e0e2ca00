"""`fedefm data cache`: images are prepared before a job, and go away again."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fedefm.cli import main
from fedefm.data.dataset import load_site
from fedefm.data.png_file import write_png
from fedefm.data.prepared import FOLDER
from fedefm.errors import ConfigError, DataError
from support.angiograms import angiogram, site
from support.exports import frames, planted, save


def test_a_folder_is_prepared_once_and_the_files_that_cannot_be_read_are_counted(
    consortium: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["data", "cache", str(consortium["east"]), "--size", "32", "--threads", "1", "--cache", str(tmp_path)]
    assert main([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["files"] == found["frames"] > 0 and found["unreadable"] == 0
    assert found["megabytes"] == pytest.approx(found["frames"] * 32 * 32 * 5e-6)
    assert Path(found["place"]).parent.parent == tmp_path
    before = sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("records-*"))
    assert main(command) == 0
    assert capsys.readouterr().out == f"{found['frames']} frames of {found['files']} files, 0 MB in {found['place']}\n"
    assert sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("records-*")) == before
    assert main(["data", "cache", str(consortium["east"]), "--cache", str(tmp_path), "--remove"]) == 0
    assert not list(tmp_path.iterdir()) and "removed: " in capsys.readouterr().out
    assert not (consortium["east"] / FOLDER).exists() or FOLDER not in str(found["place"])


@pytest.mark.parametrize(
    ("arguments", "kind", "named"),
    [(["--size", "0"], ConfigError, "--size"), (["--threads", "0"], ConfigError, "1 or more"), ([], DataError, "none")],
)
def test_wrong_input_ends_in_one_line(
    arguments: list[str], kind: type[ConfigError], named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "cache", str(tmp_path / "none"), *arguments]) == kind.exit_code
    error = capsys.readouterr().err
    assert error.startswith("fedefm: ") and named in error and error.count("\n") == 1


def test_images_without_masks_that_take_part_are_prepared_too_and_the_next_job_makes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = site(tmp_path / "here", {f"p{k}_1": angiogram(k) for k in range(10)}, unlabelled=True)
    (folder / "unlabelled").mkdir()
    for k in range(3):
        Image.fromarray(angiogram(50 + k)[0]).save(folder / "unlabelled" / f"u{k}.png")
    cache = tmp_path / "cache"
    command = ["data", "cache", str(folder), "--size", "32", "--threads", "1", "--cache", str(cache)]
    assert main(command) == 0
    assert "10 frames of 10 files and 3 without masks" in capsys.readouterr().out
    made = sorted((path, path.stat().st_mtime_ns) for path in cache.rglob("records-*"))
    data = load_site(folder, ("guidewire", "catheter"), 32, cache=cache, unlabelled=True)
    assert data.unlabelled is not None and len(data.unlabelled.names) == 3
    assert sorted((path, path.stat().st_mtime_ns) for path in cache.rglob("records-*")) == made


def test_data_prepare_fills_the_cache_of_the_silo_that_it_made(tmp_path: Path) -> None:
    for k in range(10):
        save(planted(frames(k, 1, 32), k), tmp_path / "export" / "images" / f"{k}.dcm")
        mask = tmp_path / "export" / "masks" / f"{k}.png"
        mask.parent.mkdir(exist_ok=True)
        write_png(mask, np.eye(32, dtype=np.uint8))
    said = ["--images", "images/*.dcm", "--masks", "masks/*.png", "--classes", "1=catheter", "--size", "16"]
    assert main(["data", "prepare", str(tmp_path / "export"), str(tmp_path / "dst"), *said]) == 0
    assert list((tmp_path / "dst" / FOLDER).glob("16-*/records-*.bin"))
