"""A folder of corrections, of each kind of run."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from fedefm.cli import main
from fedefm.corrections.choose import parse_frames
from fedefm.corrections.folder import correct
from fedefm.corrections.manifest import read_corrections
from fedefm.data.proposed import mask_sha256
from fedefm.data.readers import read_image, read_mask
from fedefm.errors import ConfigError, DataError
from fedefm.inference.proposals import PROPOSALS, read_proposals
from support.corrected import FRAMES, made, segmented, source, to_correct
from support.runs import CLASSES, cine, pictures, square, weights

WANTED = [parse_frames("2,4", "--frames")]


@pytest.mark.parametrize("kind", ["cine", "series", "stack", "pictures"])
def test_images_lie_beside_the_masks_that_were_proposed(kind: str, tmp_path: Path) -> None:
    fix = to_correct(tmp_path, "2,4", kind)
    image, labels = read_image(fix / "images/run.nii.gz"), read_mask(tmp_path / "segmented/labels.nii.gz")
    assert (image.frames == np.stack([square(at=1), square(at=3)])).all()
    (run,) = made(fix).runs
    assert [one.frame for one in run.frames] == [2, 4] and not any(one.confirmed for one in run.frames)
    for part in ("masks", "proposed"):
        found = read_mask(fix / part / "run.nii.gz", fix / "images/run.nii.gz")
        assert (found == labels[[1, 3]]).all() and found.any()
        assert [mask_sha256(mask) for mask in found] == [one.proposed for one in run.frames]
    one, other = (SimpleITK.ReadImage(fix / part / "run.nii.gz") for part in ("images", "masks"))
    assert (one.GetSize(), one.GetSpacing(), one.GetDirection()) == (
        other.GetSize(),
        other.GetSpacing(),
        other.GetDirection(),
    )
    assert one.GetSpacing()[:2] == pytest.approx({"pictures": (1, 1), "stack": (0.4, 0.5)}.get(kind, (0.5, 0.5)))
    assert made(fix).model == read_proposals(tmp_path / "segmented").model and made(fix).classes == CLASSES
    assert {path.name for path in fix.iterdir()} == {
        *("images", "masks", "proposed", "corrections.json"),
        *("labels-itksnap.txt", "labels-slicer.ctbl", "README.html"),
    }


def test_the_page_says_which_slice_is_which_frame_and_what_is_next(tmp_path: Path) -> None:
    page = (to_correct(tmp_path, "2,4") / "README.html").read_text()
    assert "slice 1 = frame 2; slice 2 = frame 4" in page and "fedefm data add" in page
    for word in ("masks/run.nii.gz", "labels-itksnap.txt", "labels-slicer.ctbl", "not looked at", *CLASSES):
        assert word in page
    assert "<script" not in page and "://" not in page


def test_of_several_inputs_each_run_keeps_its_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = str(weights(tmp_path / "theta.safetensors"))
    (tmp_path / "a").mkdir()
    one, other = cine(tmp_path / "a/run.dcm", np.stack([square()] * 3)), pictures(tmp_path / "run", 1) / "frame1.png"
    third = cine(tmp_path / "run.dcm", np.stack([square()] * 2))
    command = ["segment", *map(str, (one, other, third)), "--model", model, "-o", str(tmp_path / "seg")]
    assert main([*command, "--no-video", "--format", "png", "--device", "cpu"]) == 0
    capsys.readouterr()
    command = ["correct", str(tmp_path / "seg"), "--frames", "run:2-3", "--frames", "frame1:all"]
    assert main([*command, "--frames", "run-2:worst:1", "-o", str(tmp_path / "fix"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["frames"] == {"frame1": [1], "run": [2, 3], "run-2": [1]}
    assert sorted(path.name for path in (tmp_path / "fix/masks").iterdir()) == [
        *("frame1.nii.gz", "run-2.nii.gz", "run.nii.gz")
    ]
    assert main([*command[:2], "--frames", "x:1", "-o", str(tmp_path / "other")]) == ConfigError.exit_code
    assert "there are frame1, run, run-2" in capsys.readouterr().err


def test_the_worst_are_those_in_which_the_network_was_least_sure(tmp_path: Path) -> None:
    place = segmented(tmp_path) / PROPOSALS
    plain = json.loads(place.read_text())
    for frame, sure in zip(plain["frames"], (0.9, 0.6, None, 0.7, 0.8), strict=True):
        frame["probabilities"] = [None if sure is None else 0.95, sure]
    place.write_text(json.dumps(plain))
    found = correct([tmp_path / "segmented"], [parse_frames("worst:2", "--frames")], tmp_path / "fix")
    assert [one.frame for one in found.runs[0].frames] == [2, 4]
    found = correct([tmp_path / "segmented"], [parse_frames("worst:5", "--frames")], tmp_path / "all")
    assert len(found.runs[0].frames) == FRAMES  # where nothing was marked comes last


@pytest.mark.parametrize("kind", ["cine", "series", "stack", "pictures", "picture"])
def test_a_source_that_was_moved_or_changed_is_told_in_one_line(kind: str, tmp_path: Path) -> None:
    result, run = segmented(tmp_path, kind), tmp_path / {"cine": "run.dcm", "stack": "run.nii.gz"}.get(kind, "run")
    wanted = [parse_frames("1", "--frames")]
    if kind == "picture":
        run = run / "frame1.png"
    moved = tmp_path / f"moved{''.join(run.suffixes)}"
    run.rename(moved)
    with pytest.raises(DataError, match="not there any more; put it back"):
        correct([result], wanted, tmp_path / "fix")
    assert correct([result], wanted, tmp_path / "new", source=moved).runs
    assert correct([result], wanted, tmp_path / "noted").runs  # its new place is known from now on
    moved.rename(run)
    with pytest.raises(DataError, match="not there any more"):
        correct([result], wanted, tmp_path / "fix")
    assert correct([result], wanted, tmp_path / "back", source=run).runs
    file = run if run.is_file() else sorted(run.iterdir())[0]
    file.write_bytes(file.read_bytes() + b"\0")
    with pytest.raises(DataError, match="not the file that was segmented"):
        correct([result], wanted, tmp_path / "fix")
    assert not (tmp_path / "fix").exists()


def test_whose_place_is_not_noted_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another user, or another machine: the result itself names no file."""
    result = segmented(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    with pytest.raises(DataError, match="name its place as --source"):
        correct([result], WANTED, tmp_path / "fix")
    assert correct([result], WANTED, tmp_path / "fix", source=tmp_path).runs[0].name == "run"
    noted = next((tmp_path / "other/fedefm/sources").iterdir())
    assert noted.read_text() == str(tmp_path / "run.dcm") and oct(noted.stat().st_mode)[-3:] == "600"
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="not the file that was segmented"):
        correct([result], WANTED, tmp_path / "again", source=tmp_path / "empty")


def test_masks_that_are_not_what_was_marked_are_refused(tmp_path: Path) -> None:
    result = segmented(tmp_path, "pictures", ("png",))
    assert correct([result], WANTED, tmp_path / "fix").runs
    shutil.copy(result / "labels/0001.png", result / "labels/0002.png")
    with pytest.raises(DataError, match="frame 2 is not what was marked"):
        correct([result], WANTED, tmp_path / "other")
    (result / "labels/0005.png").unlink()
    with pytest.raises(DataError, match="holds 4 of 5"):
        correct([result], WANTED, tmp_path / "other")
    shutil.rmtree(result / "labels")
    with pytest.raises(DataError, match="holds no label maps"):
        correct([result], WANTED, tmp_path / "other")


@pytest.mark.parametrize(
    ("frames", "error", "word"), [("6", ConfigError, "run has 5 frames"), ("other:1", ConfigError, "no such run")]
)
def test_frames_that_are_not_there_are_refused(frames: str, error: type[Exception], word: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=word):
        correct([segmented(tmp_path)], [parse_frames(frames, "--frames")], tmp_path / "fix")
    assert not (tmp_path / "fix").exists()


def test_what_is_no_result_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no proposals.json"):
        correct([source("pictures", tmp_path)], WANTED, tmp_path / "fix")
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / PROPOSALS).write_text(json.dumps({"version": 2}))
    with pytest.raises(ConfigError):
        correct([tmp_path / "x"], WANTED, tmp_path / "fix")


def test_a_folder_is_of_one_model(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        segmented(tmp_path / name)
    place = tmp_path / "b/segmented" / PROPOSALS
    place.write_text(place.read_text().replace("0" * 64, "1" * 64))
    with pytest.raises(ConfigError, match="several models"):
        correct([tmp_path / "a/segmented", tmp_path / "b/segmented"], WANTED, tmp_path / "fix")
    assert read_corrections(to_correct(tmp_path)).runs[0].name == "run"
