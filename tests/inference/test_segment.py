"""From a run to a folder of results."""

import csv
import json
import resource
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK
import torch
from PIL import Image

from fedefm.cli import main
from fedefm.data.normalise import normalise
from fedefm.data.readers import read_image, read_mask, read_mask_shape, read_shape
from fedefm.errors import CheckpointError, ConfigError, DataError, FedefmError
from fedefm.inference.dicom_seg import SegObject
from fedefm.inference.predict import clear_outside
from fedefm.inference.scale import Scale
from fedefm.inference.segment import Wanted, segment
from fedefm.inference.source import open_run
from fedefm.models.checkpoint import load_weights, save_weights
from fedefm.models.spec import ModelSpec
from support.runs import CLASSES, bright, cine, pictures, square, weights
from support.small_networks import SMALLEST


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


def test_the_segmentation_object_can_be_read_as_a_mask_though_a_class_is_in_no_frame(tmp_path: Path) -> None:
    path = cine(tmp_path / "run.dcm", square()[None])
    segment(open_run(path), bright(), tmp_path / "out", Wanted(("seg", "png"), None))
    found = tmp_path / "out" / "labels.seg.dcm"
    labels = np.asarray(Image.open(tmp_path / "out" / "labels" / "0001.png"))
    np.testing.assert_array_equal(read_mask(found)[0], labels)
    assert read_shape(found) == (1, 120, 200)
    source = (
        pydicom.dcmread(found).PerFrameFunctionalGroupsSequence[0].DerivationImageSequence[0].SourceImageSequence[0]
    )
    assert "ReferencedFrameNumber" not in source  # for objects of several frames alone


def test_what_we_write_is_a_mask_for_us_with_all_classes_in_any_frames(tmp_path: Path) -> None:
    source = cine(tmp_path / "run.dcm", np.stack([square(at=k) for k in range(6)]))
    labels = np.zeros((6, 120, 200), np.uint8)
    for k in (1, 2, 4):
        labels[k, 20:30, 5 + k : 90] = 1
        labels[k, 60 + k : 62 + k, 40:150] = 2 * (k != 2)
    written = SegObject(tmp_path, [source], CLASSES, "0" * 64)
    for frame in labels:
        written.add(frame)
    written.close()
    np.testing.assert_array_equal(read_mask(tmp_path / "labels.seg.dcm", source), labels)
    assert read_mask_shape(tmp_path / "labels.seg.dcm", source) == labels.shape
    other = cine(tmp_path / "other.dcm", np.stack([square()] * 6))
    header = pydicom.dcmread(other)
    header.SOPInstanceUID = header.file_meta.MediaStorageSOPInstanceUID = "1.2.3.99"
    header.save_as(other)
    with pytest.raises(DataError, match="refers to another image"):
        read_mask(tmp_path / "labels.seg.dcm", other)


def test_every_dimension_is_an_attribute_of_its_functional_group(tmp_path: Path) -> None:
    """As viewers look it up: the pointer, within the group that it names, in each frame."""
    source = cine(tmp_path / "run.dcm", np.stack([square(at=k) for k in range(3)]))
    segment(open_run(source), bright(), tmp_path / "out", Wanted(("seg",), None))
    found = pydicom.dcmread(tmp_path / "out" / "labels.seg.dcm")
    assert "PatientOrientation" in found
    for k, frame in enumerate(found.PerFrameFunctionalGroupsSequence):
        values = [
            frame[index.FunctionalGroupPointer][0][index.DimensionIndexPointer].value
            for index in found.DimensionIndexSequence
        ]
        assert values == list(frame.FrameContentSequence[0].DimensionIndexValues) == [1, k + 1]


def test_the_segmentation_object_says_that_its_source_was_lossy_and_keeps_names_apart(tmp_path: Path) -> None:
    path = cine(tmp_path / "run.dcm", np.stack([square()] * 2))
    source = pydicom.dcmread(path)
    source.SpecificCharacterSet, source.PatientName = "ISO_IR 100", "Müller^Jörg"
    source.LossyImageCompression, source.LossyImageCompressionRatio = "01", "12.5"
    source.save_as(path)
    names = ("coronary catheter \u5bfc\u4e1d", "coronary catheter a\\b")
    segmented = SegObject(tmp_path, [path], names, "0" * 64)
    for _ in range(2):
        segmented.add(square() // 220)
    segmented.close()
    found = pydicom.dcmread(tmp_path / "labels.seg.dcm")
    assert (found.LossyImageCompression, found.LossyImageCompressionRatio) == ("01", 12.5)
    assert found.PatientName == "Müller^Jörg"
    assert [one.SegmentLabel for one in found.SegmentSequence] == [names[0], "coronary catheter a/b"]
    assert len({one.SegmentedPropertyTypeCodeSequence[0].CodeValue for one in found.SegmentSequence}) == 2


def test_a_run_without_a_series_gives_no_segmentation_object(tmp_path: Path) -> None:
    path = cine(tmp_path / "run.dcm", np.stack([square()] * 2))
    source = pydicom.dcmread(path)
    del source.SeriesInstanceUID
    source.save_as(path)
    summary = segment(open_run(path), bright(), tmp_path / "out", Wanted(("seg",), None))
    assert "does not say which instance of which series" in summary["not_written"]["seg"]


def test_padding_of_a_cine_is_the_darkest_value_of_the_run_as_in_training(tmp_path: Path) -> None:
    frames = np.stack([square(at=k) for k in range(6)])
    frames[3], frames[:, :, :9] = 250, 250
    source = pydicom.dcmread(cine(tmp_path / "run.dcm", frames))
    source.add_new(0x00280120, "US", 250)
    source.save_as(tmp_path / "run.dcm")
    trained = normalise(read_image(tmp_path / "run.dcm").frames)
    seen = np.stack([scale.normalise(frame) for frame, scale in open_run(tmp_path / "run.dcm").frames()])
    np.testing.assert_allclose(seen, trained, atol=1e-6)
    assert (seen[3] == -2).all()


@pytest.mark.parametrize(("units", "factor"), [(2, 1.0), (3, 1000.0), (1, 0.001)])
def test_spacing_of_nifti_is_in_millimetres_whatever_its_unit(tmp_path: Path, units: int, factor: float) -> None:
    image = SimpleITK.GetImageFromArray(np.stack([square()] * 2))
    image.SetSpacing((0.3, 0.3, 1.0))
    SimpleITK.WriteImage(image, tmp_path / "run.nii")
    data = bytearray((tmp_path / "run.nii").read_bytes())
    data[123] = data[123] & ~7 | units
    struct.pack_into("<3f", data, 80, 0.3 * factor, 0.3 * factor, factor)
    (tmp_path / "run.nii").write_bytes(data)
    assert open_run(tmp_path / "run.nii").spacing_mm == pytest.approx((0.3, 0.3), rel=1e-6)
    assert read_image(tmp_path / "run.nii").spacing_mm == pytest.approx((0.3, 0.3), rel=1e-6)
    struct.pack_into("<f", data, 80, float("nan"))
    (tmp_path / "run.nii").write_bytes(data)
    with pytest.raises(DataError, match="lies nowhere in space"):
        open_run(tmp_path / "run.nii")


def test_the_folder_in_which_one_stands_may_take_the_results(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, place = pictures(tmp_path / "run", 1), tmp_path / "place"
    place.mkdir()
    monkeypatch.chdir(place)
    assert main(["segment", str(run), "--model", str(model), "--out", ".", "--no-video"]) == 0
    assert (tmp_path / "place" / "summary.json").is_file()


@pytest.mark.slow
def test_a_disk_that_fills_up_ends_in_one_line_and_leaves_nothing(model: Path, tmp_path: Path) -> None:
    run, out = cine(tmp_path / "run.dcm", np.stack([square()] * 8)), tmp_path / "out"
    command = [sys.executable, "-m", "fedefm.cli", "segment", run, "--model", model, "--out", out, "--no-video"]
    ended = subprocess.run(
        command,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (40000, 40000)),
    )
    assert ended.returncode == ConfigError.exit_code
    told = (
        f"fedefm: {out}: cannot be written (File too large); free some space there, or choose a folder on another disk"
    )
    assert ended.stderr.splitlines()[-1] == told
    assert "Traceback" not in ended.stderr and not out.exists()
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix == ".partial") == []


def test_marks_on_a_shutter_are_left_out_and_told(tmp_path: Path) -> None:
    field = np.zeros((120, 200), bool)
    field[12:108, 20:180] = True
    noise = np.random.default_rng(0).normal(0, 6, (3, 120, 200))
    path = cine(tmp_path / "run.dcm", np.where(field, 150 + noise, 5).astype(np.uint8))
    network = bright()
    dark = network._replace(model=_Dark())
    summary = segment(open_run(path), dark, tmp_path / "out", Wanted(("nifti", "page"), None))
    found = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(tmp_path / "out" / "labels.nii.gz"))
    assert found.sum() == 0 and summary["frames_with"] == {"catheter": 0, "guidewire": 0}
    assert summary["left_out"]["frames"] == 3 and summary["left_out"]["pixels"] > 3 * 0.9 * (~field).sum()
    assert "image&#39;s border, in 3 frames, is in no mask" in (tmp_path / "out" / "index.html").read_text()
    kept = segment(open_run(path), dark, tmp_path / "kept", Wanted((), None, keep_shutter=True))
    assert kept["frames_with"]["catheter"] == 3 and kept["left_out"] == {"frames": 0, "pixels": 0}


@pytest.mark.parametrize("above", [0, 23], ids=["the frame's own edge", "a shutter"])
def test_a_piece_on_the_rim_of_the_picture_is_no_device_and_one_that_comes_in_is(above: int) -> None:
    field = np.zeros((200, 200), bool)
    field[above:-20, 20:-20] = True
    labels = np.zeros((200, 200), np.uint8)
    labels[above : above + 4, 60:90] = 1  # 2 % of 200 pixels
    labels[above : above + 5, 100:110] = 1
    labels[above : above + 40, 120:124] = 2
    labels[above : above + 4, 124:140] = 1  # beside a device, and none
    labels[90:94, 90:94] = 1
    labels[-10:, 50:60] = 1
    kept = labels.copy()
    kept[above : above + 4, 60:90] = kept[above : above + 4, 124:140] = kept[-10:, 50:60] = 0
    gone = clear_outside(labels, Scale(0.0, 1.0, field=field))
    np.testing.assert_array_equal(labels, kept)
    assert gone == 4 * 30 + 4 * 16 + 10 * 10


class _Dark(torch.nn.Module):
    """Class 1 where a normalised image is dark."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.cat([images + 1, -images - 1, torch.full_like(images, -9.0)], 1)


def test_tips_are_in_pixels_and_millimetres(tmp_path: Path) -> None:
    path = cine(tmp_path / "run.dcm", np.stack([square(), square(at=8)]))
    segment(open_run(path), bright(), tmp_path / "out", Wanted((), None))
    rows = list(csv.DictReader((tmp_path / "out" / "tips.csv").open()))
    assert [(row["frame"], row["class"]) for row in rows] == [("1", "catheter"), ("2", "catheter")]
    for row in rows:
        assert float(row["x_mm"]) == pytest.approx(float(row["x_px"]) * 0.5, abs=1e-3)


def test_millimetres_may_differ_in_the_two_directions(tmp_path: Path) -> None:
    path = cine(tmp_path / "run.dcm", np.stack([square(), square(at=8)]))
    header = pydicom.dcmread(path)
    header.PixelSpacing, header.ImagerPixelSpacing = [0.2, 0.4], [0.3, 0.3]  # between rows, between columns
    header.save_as(path)
    summary = segment(open_run(path), bright(), tmp_path / "out", Wanted(("nifti",), None))
    assert summary["spacing_mm"] == (0.2, 0.4)
    for row in csv.DictReader((tmp_path / "out" / "tips.csv").open()):
        assert float(row["x_mm"]) == pytest.approx(float(row["x_px"]) * 0.4, abs=1e-3)
        assert float(row["y_mm"]) == pytest.approx(float(row["y_px"]) * 0.2, abs=1e-3)
    stack = SimpleITK.ReadImage(tmp_path / "out" / "labels.nii.gz")
    assert stack.GetSpacing()[:2] == pytest.approx((0.4, 0.2))


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
    "a classifier": (lambda model: rewrite(model, ModelSpec("Classifier", "x")), "no network that can be built here"),
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


@pytest.mark.slow
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


def written_with_frames_left_out(folder: Path, source: Path | list[Path], spacing: tuple[float, float] | None) -> Path:
    """Four frames: the first class in all but the second, the other one in the last two."""
    paths = source if isinstance(source, list) else [source]
    segmented = SegObject(folder, paths, ("catheter", "guidewire"), "0" * 64, spacing)
    for k in range(4):
        labels = np.zeros((120, 200), np.uint8)
        labels[10:14, 5:90] = k != 1
        labels[40:42, 5:90] = 2 * (k > 1)
        segmented.add(labels)
    segmented.close()
    return folder / "labels.seg.dcm"


def test_what_is_written_keeps_the_rules_of_ohif_and_of_3d_slicer(tmp_path: Path) -> None:
    """3D Slicer's reader, dcmqi, opens nothing without an orientation, positions and the millimetres of a pixel.

    OHIF looks frames up by the segment and the frame of the source that each names.
    """
    source = cine(tmp_path / "run.dcm", np.stack([square(at=k) for k in range(4)]))
    found = pydicom.dcmread(written_with_frames_left_out(tmp_path, source, (0.25, 0.5)))
    assert (found.SegmentationType, found.SOPClassUID.name) == ("BINARY", "Segmentation Storage")
    assert found.FrameOfReferenceUID and found.PositionReferenceIndicator == ""
    shared = found.SharedFunctionalGroupsSequence[0]
    assert shared.PlaneOrientationSequence[0].ImageOrientationPatient == [1, 0, 0, 0, 1, 0]
    measures = shared.PixelMeasuresSequence[0]
    assert (measures.PixelSpacing, measures.SpacingBetweenSlices) == ([0.25, 0.5], 1)
    segments = {one.SegmentNumber: one for one in found.SegmentSequence}
    assert list(segments) == [1, 2]
    assert all(len(one.RecommendedDisplayCIELabValue) == 3 for one in segments.values())
    assert len({tuple(one.RecommendedDisplayCIELabValue) for one in segments.values()}) == 2
    organisations = {one.DimensionOrganizationUID for one in found.DimensionOrganizationSequence}
    assert {one.DimensionOrganizationUID for one in found.DimensionIndexSequence} == organisations
    frames = found.PerFrameFunctionalGroupsSequence
    named, masks = [], found.pixel_array
    for frame, mask in zip(frames, masks, strict=True):
        [image] = frame.DerivationImageSequence[0].SourceImageSequence
        number, segment = image.ReferencedFrameNumber, frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        assert segment in segments and mask.any()
        assert frame.PlanePositionSequence[0].ImagePositionPatient == [0, 0, number - 1]
        assert list(frame.FrameContentSequence[0].DimensionIndexValues) == [segment, number]
        assert len(frame.FrameContentSequence[0].DimensionIndexValues) == len(found.DimensionIndexSequence)
        named.append((segment, number))
    assert named == [(1, 1), (1, 3), (2, 3), (1, 4), (2, 4)] and found.NumberOfFrames == len(set(named))


def test_a_series_that_lies_somewhere_keeps_its_place_and_one_of_two_directions_is_laid_flat(tmp_path: Path) -> None:
    paths = []
    for k in range(4):
        header = pydicom.dcmread(cine(tmp_path / f"{k}.dcm", square()[None]))
        header.SOPInstanceUID = header.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{k + 1}"
        header.StudyInstanceUID, header.FrameOfReferenceUID = "1.2.3.98", "1.2.3.99"
        header.ImageOrientationPatient, header.ImagePositionPatient = [0, 1, 0, 0, 0, -1], [2.5 * k, -7, 40.125]
        header.save_as(tmp_path / f"{k}.dcm")
        paths.append(tmp_path / f"{k}.dcm")
    found = pydicom.dcmread(written_with_frames_left_out(tmp_path, paths, (0.3, 0.3)))
    shared = found.SharedFunctionalGroupsSequence[0]
    assert found.FrameOfReferenceUID == "1.2.3.99"
    assert shared.PlaneOrientationSequence[0].ImageOrientationPatient == [0, 1, 0, 0, 0, -1]
    assert shared.PixelMeasuresSequence[0].SpacingBetweenSlices == 2.5
    assert found.PerFrameFunctionalGroupsSequence[1].PlanePositionSequence[0].ImagePositionPatient == [5, -7, 40.125]
    header = pydicom.dcmread(paths[2])
    header.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
    header.save_as(paths[2])
    flat = pydicom.dcmread(written_with_frames_left_out(tmp_path, paths, None))
    assert flat.FrameOfReferenceUID != "1.2.3.99"
    assert flat.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing == [1, 1]
