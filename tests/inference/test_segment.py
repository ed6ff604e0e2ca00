"""From a run to a folder of results."""

import csv
import json
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK
from PIL import Image
from runs import CLASSES, bright, cine, pictures, square, weights

from fedefm.cli import main
from fedefm.errors import CheckpointError, ConfigError, DataError, FedefmError
from fedefm.inference.segment import Wanted, segment
from fedefm.inference.source import open_run
from fedefm.models.checkpoint import load_weights, save_weights
from fedefm.models.spec import ModelSpec
from small_networks import SMALLEST


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return weights(tmp_path / "model.safetensors")


def test_a_mask_lies_on_the_original_pixels(tmp_path: Path) -> None:
    segment(open_run(pictures(tmp_path / "run", 2)), bright(), tmp_path / "out", Wanted(("png", "nifti"), None))
    for k in (0, 1):
        found = np.asarray(Image.open(tmp_path / "out" / "labels" / f"000{k + 1}.png")) == 1
        there = square(at=k) > 100
        assert found.shape == there.shape == (120, 200)
        assert 2 * (found & there).sum() / (found.sum() + there.sum()) > 0.95
        rows, columns = np.nonzero(found)
        assert abs(rows.mean() - 39.5) < 1 and abs(columns.mean() - 139.5 - k) < 1
    stack = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(tmp_path / "out" / "labels.nii.gz"))
    assert stack.shape == (2, 120, 200)
    assert (stack[1] == np.asarray(Image.open(tmp_path / "out" / "labels" / "0002.png"))).all()


def test_a_cine_gives_everything_and_the_segmentation_object_names_its_frames(tmp_path: Path) -> None:
    path = cine(tmp_path / "run.dcm", np.stack([square(at=k) for k in range(5)]))
    summary = segment(open_run(path), bright(), tmp_path / "out", Wanted(video="gif", batch=2))
    assert (summary["frames"], summary["rows"], summary["columns"]) == (5, 120, 200)
    assert summary["frames_with"] == {"catheter": 5, "guidewire": 0}
    found, source = pydicom.dcmread(tmp_path / "out" / "labels.seg.dcm"), pydicom.dcmread(path)
    assert found.Modality == "SEG" and found.StudyInstanceUID == source.StudyInstanceUID
    masks = found.pixel_array.reshape(-1, 120, 200)
    assert len(masks) == found.NumberOfFrames == 5
    for k, (mask, group) in enumerate(zip(masks, found.PerFrameFunctionalGroupsSequence, strict=True)):
        assert (mask == (np.asarray(Image.open(tmp_path / "out" / "labels" / f"000{k + 1}.png")) == 1)).all()
        image = group.DerivationImageSequence[0].SourceImageSequence[0]
        assert image.ReferencedSOPInstanceUID == source.SOPInstanceUID and image.ReferencedFrameNumber == k + 1
    assert found.SegmentSequence[0].SegmentLabel == "catheter"
    film = Image.open(tmp_path / "out" / "overlay.gif")
    assert film.n_frames == 5
    assert len(list((tmp_path / "out" / "overlays").iterdir())) == 5


def test_tips_are_in_pixels_and_millimetres(tmp_path: Path) -> None:
    path = cine(tmp_path / "run.dcm", np.stack([square(), square(at=8)]))
    segment(open_run(path), bright(), tmp_path / "out", Wanted((), None))
    rows = list(csv.DictReader((tmp_path / "out" / "tips.csv").open()))
    assert [(row["frame"], row["class"]) for row in rows] == [("1", "catheter"), ("2", "catheter")]
    for row in rows:
        assert float(row["x_mm"]) == pytest.approx(float(row["x_px"]) * 0.5, abs=1e-3)


def test_no_name_of_a_patient_or_file_leaves_but_in_the_segmentation_object(tmp_path: Path) -> None:
    path = cine(tmp_path / "Nobody-Test.dcm", np.stack([square()] * 2))
    segment(open_run(path), bright(), tmp_path / "out", Wanted(video="gif"))
    for file in (tmp_path / "out").rglob("*"):
        if file.is_file() and file.suffix != ".dcm":
            assert b"made-up-7" not in file.read_bytes() and b"Nobody" not in file.read_bytes(), file.name


def test_the_command_says_what_it_found_and_writes_nothing_twice(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, out = pictures(tmp_path / "run", 2), tmp_path / "out"
    assert main(["segment", str(run), "--model", str(model), "--out", str(out), "--no-video", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["frames"] == 2
    before = sorted(out.rglob("*"))
    assert main(["segment", str(run), "--model", str(model), "--out", str(out)]) == ConfigError.exit_code
    assert sorted(out.rglob("*")) == before


def alter(model: Path) -> None:
    data = bytearray(model.read_bytes())
    data[-5] ^= 1
    model.write_bytes(data)


def rewrite(model: Path, spec: ModelSpec = SMALLEST, classes: tuple[str, ...] = CLASSES) -> None:
    """The same tensors under another header, whole in itself."""
    save_weights(model, load_weights(model).weights, spec=spec, classes=classes, size=64)


MODEL_FAULTS = {
    "altered": (alter, "altered"),
    "missing": (Path.unlink, "no such file"),
    "empty": (lambda model: model.write_bytes(b""), "damaged or not safetensors"),
    "wrong class count": (lambda model: rewrite(model, classes=("catheter",)), "not those of Unet"),
    "wrong architecture": (lambda model: rewrite(model, ModelSpec("Unet", "resnet18")), "not those of Unet"),
    "a classifier": (lambda model: rewrite(model, ModelSpec("Classifier", "x")), "no segmentation network"),
}


@pytest.mark.parametrize("fault", MODEL_FAULTS)
def test_weights_that_cannot_be_used_end_in_one_line_and_leave_nothing(
    fault: str, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil, named = MODEL_FAULTS[fault]
    spoil(model)
    refused(pictures(tmp_path / "run", 2), model, CheckpointError, named, tmp_path, capsys)


@pytest.mark.parametrize("fault", ["empty", "text", "half a picture", "half a cine", "nothing", "no file"])
def test_a_run_that_cannot_be_read_ends_in_one_line_and_leaves_nothing(
    fault: str, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = pictures(tmp_path / "run", 2)
    if fault == "empty":
        (run / "frame2.png").write_bytes(b"")
    elif fault == "half a picture":
        data = (run / "frame2.png").read_bytes()
        (run / "frame2.png").write_bytes(data[: len(data) // 2])
    elif fault == "half a cine":
        run = cine(tmp_path / "run.dcm", np.stack([square()] * 4))
        run.write_bytes(run.read_bytes()[:-30_000])
    elif fault == "nothing":
        run = tmp_path / "folder"
        run.mkdir()
    else:
        run = tmp_path / "notes.txt"
        if fault == "text":
            run.write_text("no picture")
    named = "frame2.png" if run.name == "run" else run.name
    refused(run, model, DataError, named, tmp_path, capsys)


def refused(
    run: Path, model: Path, kind: type[FedefmError], named: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(folder.rglob("*"))
    code = main(["segment", str(run), "--model", str(model), "--out", str(folder / "out")])
    printed = capsys.readouterr()
    assert code == kind.exit_code != 0
    assert printed.err.startswith("fedefm: ") and printed.err.count("\n") == 1 and named in printed.err
    assert printed.out == "" and sorted(folder.rglob("*")) == before


def test_memory_does_not_grow_with_the_run(tmp_path: Path) -> None:
    """Of 60 frames no more than a few batches of four are held at any time."""
    import gc
    import weakref

    path = cine(tmp_path / "run.dcm", np.stack([square(at=k % 20) for k in range(60)]))
    given: list[weakref.ref[np.ndarray]] = []
    most, original = 0, type(open_run(path)).frames

    def watched(run):  # type: ignore[no-untyped-def]
        nonlocal most
        for frame, scale in original(run):
            given.append(weakref.ref(frame))
            gc.collect()
            most = max(most, sum(one() is not None for one in given))
            yield frame, scale

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(open_run(path)), "frames", watched)
        segment(open_run(path), bright(), tmp_path / "out", Wanted(video="gif", batch=4))
    assert most <= 10
