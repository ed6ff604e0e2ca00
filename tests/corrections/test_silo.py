"""Corrected masks on their way into a silo."""

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from fedefm.cli import main
from fedefm.corrections.choose import parse_frames
from fedefm.corrections.silo import Said, add
from fedefm.data.dataset import load_site
from fedefm.data.deidentify.secret import read_secret
from fedefm.data.deidentify.silo import private_folder
from fedefm.data.manifest import load_manifest
from fedefm.data.png_file import write_png
from fedefm.data.readers import read_image, read_mask
from fedefm.errors import ConfigError, DataError, FedefmError
from fedefm.inference.segment import Wanted, segment
from fedefm.inference.source import open_run
from support.corrected import draw, edit, made, rewritten, to_correct
from support.runs import CLASSES, bright, cine, square

DECLARED = {"0": "background", "5": "guidewire", "9": "catheter"}


def site(folder: Path, patients: int = 4, **fields: Any) -> Path:
    """A silo of one noisy picture a patient."""
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    random = np.random.default_rng(1)
    for k in range(patients):
        write_png(folder / f"images/p{k}_a.png", random.integers(0, 255, (40, 60)).astype(np.uint8))
        write_png(folder / f"masks/p{k}_a.png", np.full((40, 60), 5, np.uint8))
    (folder / "dataset.json").write_text(json.dumps({"classes": DECLARED, **fields}))
    return folder


def added(fix: Path, silo: Path, **said: Any) -> list[str]:
    """Stems of the new files."""
    before = set(load_manifest(silo).proposed) if (silo / "dataset.json").is_file() else set()
    add(fix, silo, Said(**said))
    return sorted(set(load_manifest(silo).proposed) - before)


def content(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file() and ".fedefm-prepared" not in path.parts]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


CONFIRMED = {"confirmed": [parse_frames("4", "--confirmed")]}


@pytest.mark.parametrize("kind", ["cine", "series", "stack", "pictures"])
def test_frames_that_were_looked_at_come_in_and_no_others(kind: str, tmp_path: Path) -> None:
    fix, silo = to_correct(tmp_path, kind=kind), site(tmp_path / "silo")
    edit(fix, draw)
    found = add(fix, silo, Said(**CONFIRMED))
    assert (found.new, found.replaced, found.same, found.confirmed, found.not_looked_at) == (2, 0, 0, 1, 1)
    assert found.changed_pixels == 500 and sum(found.splits.values()) == 2 and len(found.splits) == 1
    manifest = load_manifest(silo)
    assert len(manifest.proposed) == 2 == len(list((silo / "images").glob("*.nii.gz")))
    by_frame = {}
    for stem, entry in manifest.proposed.items():
        grey = read_image(silo / f"images/{stem}.nii.gz")
        number = next(k for k in range(5) if (grey.frames[0] == square(at=k)).all()) + 1
        by_frame[number] = (read_mask(silo / f"masks/{stem}.nii.gz")[0], entry)
        assert entry.by == made(fix).model and entry.patient == manifest.patient_of(stem)
        assert grey.spacing_mm == {"pictures": None, "stack": pytest.approx((0.5, 0.4))}.get(kind, (0.5, 0.5))
    masks = read_mask(fix / "masks/run.nii.gz")
    for number, k in ((2, 0), (4, 1)):
        mask, entry = by_frame[number]
        assert (mask == np.array([0, 9, 5])[masks[k]]).all()  # the silo's own values
        assert entry.mask == made(fix).runs[0].frames[k].proposed
    assert (by_frame[2][1].changed_pixels, by_frame[4][1].changed_pixels, by_frame[4][1].dice) == (500, 0, 1.0)
    assert by_frame[2][1].dice < 1 and len({entry.patient for _, entry in by_frame.values()}) == 1
    data = load_site(silo, CLASSES, 32)
    assert sum(len(split) for split in (data.train, data.val, data.test)) == 6 and not data.quarantined


def test_nothing_with_a_name_in_it_enters_the_silo(tmp_path: Path) -> None:
    fix, silo = to_correct(tmp_path), tmp_path / "silo"
    edit(fix, draw)
    add(fix, silo)
    told = (b"Nobody", b"made-up-7", b"run.dcm", str(tmp_path).encode(), b"1.2.826")
    for name, data in content(silo).items():
        plain = gzip.decompress(data) if name.endswith(".gz") else data
        assert not any(one in plain or one.decode() in name for one in told), name
    secret = read_secret(private_folder(silo))
    (entry,) = load_manifest(silo).proposed.values()
    assert entry.patient == secret.name("patient", "id\0made-up-7\0", 12)  # as data prepare names this patient
    assert oct((private_folder(silo) / "salt").stat().st_mode)[-3:] == "600"


def test_the_same_again_stays_and_a_later_correction_replaces_the_earlier(tmp_path: Path) -> None:
    fix, silo = to_correct(tmp_path), site(tmp_path / "silo")
    edit(fix, draw)
    add(fix, silo)
    before = content(silo)
    found = add(fix, silo)
    assert (found.new, found.replaced, found.same) == (0, 0, 1) and content(silo) == before
    edit(fix, lambda masks: masks[0, :5].fill(1))
    found = add(fix, silo)
    assert (found.new, found.replaced, found.same, found.not_looked_at) == (0, 1, 0, 2)
    after = content(silo)
    assert after.keys() == before.keys() and after != before
    (entry,) = load_manifest(silo).proposed.values()
    assert entry.changed_pixels == 500 + 5 * 200


def test_an_add_that_was_interrupted_is_finished_by_the_same_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fix, silo = to_correct(tmp_path), site(tmp_path / "silo", patients=3, splits={"train": ["p0_a", "p1_a", "p2_a"]})
    edit(fix, draw)
    real, done = Path.replace, []

    def stops(self: Path, target: Path) -> Path:
        if ".fedefm-prepared" not in target.parts:
            done.append(target.name)
        if len(done) == 2:
            raise KeyboardInterrupt
        return real(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", stops)
        with pytest.raises(KeyboardInterrupt):
            add(fix, silo)
    assert done[0] == "dataset.json"  # a mask never stands there without its origin
    assert not list((silo / "images").glob("*.nii.gz"))
    assert add(fix, silo).replaced == 1 and len(load_site(silo, CLASSES, 32).train) == 4


def test_nothing_is_written_where_nobody_looked_at_anything(tmp_path: Path) -> None:
    fix, silo = to_correct(tmp_path), site(tmp_path / "silo")
    before = content(silo)
    with pytest.raises(DataError, match="nobody looked at any of its frames"):
        add(fix, silo)
    assert content(silo) == before and not private_folder(silo).exists()


@pytest.mark.parametrize(
    ("fields", "said", "error", "word"),
    [
        ({"classes": {"0": "background", "1": "catheter"}}, {}, DataError, "'guidewire' is not in the classes"),
        ({"classes": {**DECLARED, "2": "stent"}}, {}, DataError, "annotates 'stent'"),
        ({}, {"split": "test"}, ConfigError, "states no splits"),
        ({}, {"classes": {"x": "catheter"}}, ConfigError, "--classes x"),
        ({"splits": {"train": ["p0_a", "p1_a", "p2_a"], "test": ["p3_a"]}},
         {"patient": "p3_a", "split": "train"}, ConfigError, "never in two splits"),
    ],
)  # fmt: skip
def test_what_does_not_fit_the_silo_is_refused_and_nothing_written(
    fields: dict, said: dict, error: type[FedefmError], word: str, tmp_path: Path
) -> None:
    fix, silo = to_correct(tmp_path), site(tmp_path / "silo", **fields)
    edit(fix, draw)
    before = content(silo)
    with pytest.raises(error, match=word) as told:
        add(fix, silo, Said(**said))
    assert content(silo) == before and "\n" not in str(told.value)


def test_classes_may_be_called_otherwise(tmp_path: Path) -> None:
    fix = to_correct(tmp_path)
    edit(fix, draw)
    silo = site(tmp_path / "silo", classes={"0": "background", "1": "tool"}, annotated=["tool"])
    for place in (silo / "masks").iterdir():
        write_png(place, np.ones((40, 60), np.uint8))
    (stem,) = added(fix, silo, classes={"catheter": "tool", "guidewire": "background"})
    assert (read_mask(silo / f"masks/{stem}.nii.gz")[0] == (read_mask(fix / "masks/run.nii.gz")[0] == 1)).all()


@pytest.mark.parametrize("split", [None, "val", "test"])
def test_all_frames_of_a_patient_are_in_one_split(split: str | None, tmp_path: Path) -> None:
    stated = {"train": ["p0_a", "p1_a"], "val": ["p2_a"], "test": ["p3_a"]}
    fix, silo = to_correct(tmp_path), site(tmp_path / "silo", splits=stated, origin={"device": "old"})
    edit(fix, draw)
    assert add(fix, silo, Said(split=split)).splits == {split or "train": 1}
    other = {"train": "val", "val": "test", "test": "train"}[split or "train"]
    with pytest.raises(ConfigError, match="never in two splits"):
        add(fix, silo, Said(split=other, **CONFIRMED))
    assert add(fix, silo, Said(**CONFIRMED)).splits == {split or "train": 1}
    manifest = load_manifest(silo)
    (patient,) = {entry.patient for entry in manifest.proposed.values()}
    assert [name for name in manifest.splits if patient in manifest.splits[name]] == [split or "train"]
    assert json.loads((silo / "dataset.json").read_text())["origin"] == {"device": "old"}


def test_a_patient_whom_the_silo_has_keeps_the_split(tmp_path: Path) -> None:
    stated = {"train": ["p0", "p1"], "val": ["p2"], "test": ["p3"]}
    fix = to_correct(tmp_path)
    silo = site(tmp_path / "silo", patients=4, splits=stated)
    plain = json.loads((silo / "dataset.json").read_text()) | {"patients": "^(?P<patient>p[0-9])_"}
    (silo / "dataset.json").write_text(json.dumps(plain))
    edit(fix, draw)
    assert add(fix, silo, Said(patient="p3")).splits == {"test": 1}
    assert json.loads((silo / "dataset.json").read_text())["splits"] == stated


def test_a_picture_like_one_of_another_split_is_refused(tmp_path: Path) -> None:
    """A neighbour in the same run stands in the test split, under a name that says nothing."""
    stated = {"train": ["p0_a", "p1_a"], "val": ["p2_a"], "test": ["p3_a"]}
    frames = np.random.default_rng(0).integers(0, 255, (5, 120, 200)).astype(np.uint8)
    frames[1:] = frames[0]
    frames[:, 20:60, 110:170] = 255
    run = cine(tmp_path / "run.dcm", frames)
    segment(open_run(run), bright(), tmp_path / "segmented", Wanted(("nifti",), None))
    assert main(["correct", str(tmp_path / "segmented"), "--frames", "2", "-o", str(tmp_path / "fix")]) == 0
    edit(tmp_path / "fix", draw)
    silo = site(tmp_path / "silo", splits=stated)
    write_png(silo / "images/p3_a.png", frames[3])
    write_png(silo / "masks/p3_a.png", np.zeros((120, 200), np.uint8))
    before = content(silo)
    with pytest.raises(DataError, match=r"looks like p3_a of the test split .* add it with --patient p3_a"):
        add(tmp_path / "fix", silo, Said(accept_text=True))
    assert content(silo) == before
    assert add(tmp_path / "fix", silo, Said(accept_text=True, patient="p3_a")).splits == {"test": 1}


@pytest.mark.parametrize("said", [{}, {"accept_text": True}])
def test_a_frame_that_may_show_text_stays_out(said: dict, tmp_path: Path) -> None:
    frames = np.stack([square(240, 320)] * 2)
    for k, frame in enumerate(frames):
        picture = Image.fromarray(frame)
        ImageDraw.Draw(picture).text((12, 200), "DOE JOHN 1950-03-04", fill=250)
        frames[k] = np.asarray(picture)
    segment(open_run(cine(tmp_path / "run.dcm", frames)), bright(), tmp_path / "segmented", Wanted(("nifti",), None))
    assert main(["correct", str(tmp_path / "segmented"), "--frames", "2", "-o", str(tmp_path / "fix")]) == 0
    edit(tmp_path / "fix", draw)
    if said:
        assert add(tmp_path / "fix", tmp_path / "silo", Said(**said)).new == 1
        return
    with pytest.raises(DataError, match="may show text"):
        add(tmp_path / "fix", tmp_path / "silo")
    assert not (tmp_path / "silo").exists()


def test_a_header_that_says_so_keeps_its_frames_out(tmp_path: Path) -> None:
    run = cine(tmp_path / "run.dcm", np.stack([square()] * 2), BurnedInAnnotation="YES")
    segment(open_run(run), bright(), tmp_path / "segmented", Wanted(("nifti",), None))
    assert main(["correct", str(tmp_path / "segmented"), "--frames", "1", "-o", str(tmp_path / "fix")]) == 0
    edit(tmp_path / "fix", draw)
    with pytest.raises(DataError, match="may show text"):
        add(tmp_path / "fix", tmp_path / "silo")


def test_a_source_that_was_changed_since_is_refused(tmp_path: Path) -> None:
    fix = to_correct(tmp_path)
    edit(fix, draw)
    run = tmp_path / "run.dcm"
    run.rename(tmp_path / "moved.dcm")
    with pytest.raises(DataError, match="not there any more"):
        add(fix, tmp_path / "silo")
    assert add(fix, tmp_path / "silo", Said(source=tmp_path / "moved.dcm")).new == 1
    run.write_bytes((tmp_path / "moved.dcm").read_bytes()[:-2] + b"\1\1")
    with pytest.raises(DataError, match="not the file that was segmented"):
        add(fix, tmp_path / "silo", Said(source=run))


def test_pixels_come_from_the_source_not_from_the_folder(tmp_path: Path) -> None:
    """Somebody may have saved other pixels over the image."""
    fix = to_correct(tmp_path)
    edit(fix, draw)
    edit(fix, lambda masks: None)
    place = fix / "images/run.nii.gz"
    place.write_bytes((fix / "proposed/run.nii.gz").read_bytes())
    (stem,) = added(fix, tmp_path / "silo")
    assert (read_image(tmp_path / f"silo/images/{stem}.nii.gz").frames[0] == square(at=1)).all()


def test_images_of_the_silo_itself_keep_their_patient(tmp_path: Path) -> None:
    silo = site(tmp_path / "silo")
    plain = json.loads((silo / "dataset.json").read_text()) | {"patients": "^(?P<patient>p[0-9])_"}
    (silo / "dataset.json").write_text(json.dumps(plain))
    (silo / "unlabelled").mkdir()
    write_png(silo / "unlabelled/p7_x.png", square())
    for source, name in ((silo / "unlabelled/p7_x.png", "p7_x"), (silo / "images/p1_a.png", "p1_a")):
        result, fix = tmp_path / f"seg-{name}", tmp_path / f"fix-{name}"
        segment(open_run(source), bright(), result, Wanted(("nifti",), None))
        assert main(["correct", str(result), "--frames", "1", "-o", str(fix)]) == 0
        edit(fix, lambda masks: masks[0, :3].fill(2), name)
    (stem,) = added(tmp_path / "fix-p7_x", silo, accept_text=True)
    assert load_manifest(silo).patient_of(stem) == "p7"
    with pytest.raises(DataError, match="is an image of the silo, with a mask there"):
        add(tmp_path / "fix-p1_a", silo, Said(accept_text=True))


def test_a_frame_is_in_the_silo_once(tmp_path: Path) -> None:
    fix, silo = to_correct(tmp_path), tmp_path / "silo"
    edit(fix, draw)
    (stem,) = added(fix, silo, patient="p7")
    edit(fix, lambda masks: masks[0, :5].fill(1))
    assert added(fix, silo) == [] and load_manifest(silo).patient_of(stem) == "p7"  # replaced where it is
    with pytest.raises(ConfigError, match="in the silo already, as one of p7"):
        add(fix, silo, Said(patient="p8"))
    rewritten(fix, lambda plain: plain["runs"].append({**plain["runs"][0], "name": "twin"}))
    for part in ("images", "masks", "proposed"):
        (fix / part / "twin.nii.gz").write_bytes((fix / part / "run.nii.gz").read_bytes())
    with pytest.raises(DataError, match="frame 2 is in another run of the folder too"):
        add(fix, silo)


@pytest.mark.parametrize("patient", ["../../x", "a/b", "x y"])
def test_a_name_of_a_patient_is_no_path(patient: str, tmp_path: Path) -> None:
    fix = to_correct(tmp_path)
    edit(fix, draw)
    (stem,) = added(fix, tmp_path / "silo", patient=patient)
    assert os.sep not in stem and load_manifest(tmp_path / "silo").patient_of(stem) == patient
    assert {path.name for path in tmp_path.iterdir()} == {"run.dcm", "segmented", "fix", "silo", "silo-private"}


def test_a_silo_needs_its_dataset_json_and_whole_pairs(tmp_path: Path) -> None:
    fix = to_correct(tmp_path)
    edit(fix, draw)
    silo = site(tmp_path / "silo")
    (silo / "masks/p0_a.png").unlink()
    with pytest.raises(DataError, match="has no mask"):
        add(fix, silo)
    (silo / "dataset.json").unlink()
    with pytest.raises(DataError, match=r"no dataset.json"):
        add(fix, silo)


def test_the_command_says_what_it_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fix, silo = to_correct(tmp_path), tmp_path / "silo"
    edit(fix, draw)
    command = ["data", "add", str(fix), "--to", str(silo), "--confirmed", "4"]
    assert main(command) == 0
    told = capsys.readouterr().out
    assert "2 new frames, 0 replaced (2 to train)" in told and "1 frames stay out" in told and "finetune" in told
    assert main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        **{"new": 0, "replaced": 0, "same": 2, "confirmed": 1, "not_looked_at": 1, "changed_pixels": 0, "splits": {}}
    }
    assert main([*command, "--confirmed", "3"]) == ConfigError.exit_code
    assert capsys.readouterr().err.count("\n") == 1


def test_the_full_disk_leaves_the_silo_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fix, silo = to_correct(tmp_path), site(tmp_path / "silo")
    edit(fix, draw)
    before, real = content(silo), Path.write_bytes

    def full(self: Path, data: bytes) -> int:
        if "images" in self.parts:
            raise OSError(28, "No space left on device")
        return real(self, data)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(ConfigError, match="free some space"):
            add(fix, silo)
    assert content(silo) == before


Changed = Callable[[dict], Any]


@pytest.mark.parametrize(
    "change",
    [
        lambda entry: entry.update(by="theta"),
        lambda entry: entry.update(mask=7),
        lambda entry: entry.update(changed_pixels=-1),
        lambda entry: entry.update(dice=1.5),
        lambda entry: entry.update(dice=True),
        lambda entry: entry.update(added="today"),
        lambda entry: entry.update(patient=""),
        lambda entry: entry.pop("by"),
        lambda entry: entry.update(more=1),
    ],
)
def test_an_origin_that_no_command_wrote_is_refused(change: Changed, tmp_path: Path) -> None:
    fix, silo = to_correct(tmp_path), tmp_path / "silo"
    edit(fix, draw)
    add(fix, silo)
    plain = json.loads((silo / "dataset.json").read_text())
    change(next(iter(plain["proposed"].values())))
    (silo / "dataset.json").write_text(json.dumps(plain))
    with pytest.raises(DataError, match="proposed"):
        load_manifest(silo)
