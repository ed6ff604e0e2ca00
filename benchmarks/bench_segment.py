"""Time `fedefm segment` on a cine of 512 x 512 frames with the demo's network: by part, as a whole, and its start.

    python benchmarks/bench_segment.py [--json] [--weights THETA] [--frames 200] [--long 2000] [--data FOLDER]

The cine is DICOM, made of synthetic frames that come again and again. Without --weights the network of jobs/foundation
is trained on some of them for a minute, so that its masks look like devices. The rows:
    parts            milliseconds of processor time a frame on one thread, the shortest of three repetitions
    segment          milliseconds a frame of the whole command with all outputs, on --threads threads: by the clock,
                     which a busy machine makes longer, and of processor time; and its greatest memory in MB
    start            seconds from nothing to a network that is loaded and a run that is open, as a multiple of those of
                     `import segmentation_models_pytorch`: processor time, the shortest of --starts in turn
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, XRayAngiographicImageStorage, generate_uid

from fedefm.data.letterbox import Letterbox, fit_images, fit_masks
from fedefm.data.normalise import normalise
from fedefm.data.synth.frame import render
from fedefm.foundation.settings import load_settings
from fedefm.inference.dicom_seg import SegObject
from fedefm.inference.nifti_stack import NiftiStack
from fedefm.inference.picture import draw_overlay
from fedefm.inference.png import png_bytes
from fedefm.inference.predict import best_class, label_frames, load_network, restore_scores
from fedefm.inference.source import open_run
from fedefm.inference.tips import devices, find_tips
from fedefm.inference.video import open_film
from fedefm.losses.segmentation import segmentation_loss
from fedefm.models.build import build_model
from fedefm.models.checkpoint import save_weights
from fedefm.report.label_runs import label_runs
from fedefm.report.palette import class_colours

JOB = Path(__file__).parents[1] / "jobs/foundation/app/config/foundation.json"
SIDE, DRAWN, LOOK = 512, 24, "human"
START = """
import sys
from pathlib import Path
import fedefm.cli
from fedefm.inference.segment import Wanted, parse_formats
from fedefm.inference.several import segment_each
from fedefm.inference.source import open_run
from fedefm.inference.predict import load_network
load_network(Path(sys.argv[1]), "cpu"), open_run(Path(sys.argv[2]))
"""


def drawn(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Frames and masks, drawn once."""
    place = folder / "drawn.npz"
    if not place.is_file():
        made = [render(LOOK, SIDE, seed) for seed in range(DRAWN)]
        np.savez(place, frames=np.stack([one.image for one in made]), masks=np.stack([one.mask for one in made]))
    with np.load(place) as found:
        return found["frames"], found["masks"]


def trained(folder: Path, frames: np.ndarray, masks: np.ndarray, steps: int = 150) -> Path:
    """Weights of the job's network, after a few steps on these frames."""
    place = folder / "trained.safetensors"
    if place.is_file():
        return place
    job = load_settings(JOB)
    box = Letterbox(SIDE, SIDE, job.size)
    images = torch.cat([fit_images(normalise(one[None]), box) for one in frames])
    truths = torch.from_numpy(fit_masks(masks, box).astype(np.int64))
    torch.manual_seed(0)
    network = build_model(job.model, len(job.classes) + 1, job.size)
    optimiser = torch.optim.AdamW(network.parameters(), lr=job.optimisation.learning_rate)
    for step in range(steps):
        picked = torch.arange(4 * step, 4 * step + 4) % len(images)
        optimiser.zero_grad()
        segmentation_loss(network(images[picked]), truths[picked], (1, 2, 3)).mean().backward()
        optimiser.step()
    save_weights(place, network.state_dict(), spec=job.model, classes=job.classes, size=job.size)
    return place


def cine(place: Path, frames: np.ndarray, count: int) -> Path:
    """A DICOM cine of so many frames, written one by one; each has noise of its own."""
    if place.is_file():
        return place
    meta, data = FileMetaDataset(), Dataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = XRayAngiographicImageStorage, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta = meta
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    data.StudyInstanceUID, data.SeriesInstanceUID, data.Modality = generate_uid(), generate_uid(), "XA"
    data.PatientName, data.PatientID, data.ImagerPixelSpacing = "", "", [0.3, 0.3]
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.NumberOfFrames, data.Rows, data.Columns = count, SIDE, SIDE
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 8, 8, 7, 0
    part = place.with_suffix(".part")
    data.save_as(part, enforce_file_format=True)
    rng = np.random.default_rng(0)
    with part.open("ab") as file:
        file.write(b"\xe0\x7f\x10\x00OB\x00\x00" + (count * SIDE * SIDE).to_bytes(4, "little"))
        for k in range(count):
            noisy = frames[k % len(frames)].astype(np.int16) + rng.integers(-2, 3, (SIDE, SIDE))
            file.write(np.clip(noisy, 0, 255).astype(np.uint8).tobytes())
    return part.rename(place)


def parts(weights: Path, run_file: Path) -> dict[str, float]:
    """Milliseconds of processor time a frame of each part, on one thread."""
    network, run = load_network(weights, "cpu"), open_run(run_file)
    raw = list(run.frames())
    frames = list(label_frames(network, iter(raw), 4))
    classes, named = network.checkpoint.classes, devices(network.checkpoint.classes)
    tips = [find_tips(frame, classes, named) for frame in frames]
    pictures = [draw_overlay(frame, classes, tip, len(raw)) for frame, tip in zip(frames, tips, strict=True)]
    size = network.checkpoint.size
    box, colours = Letterbox(SIDE, SIDE, size), tuple(class_colours(classes).values())
    fours = [raw[k : k + 4] for k in range(0, len(raw), 4)]
    fitted = [fit_images(np.stack([scale.normalise(frame) for frame, scale in four]), box) for four in fours]
    with torch.inference_mode():
        scores = [network.model(images).softmax(1).contiguous() for images in fitted]

    def write_film(folder: Path) -> None:
        film = open_film(folder, "gif", colours)
        for picture in pictures:
            film.append(film.encode(picture))
        film.close()

    def write_stack(writer: SegObject | NiftiStack) -> None:
        for frame in frames:
            writer.add(frame.labels)
        writer.close()

    with tempfile.TemporaryDirectory() as place, torch.inference_mode():
        folder = Path(place)
        steps: dict[str, Callable[[], Any]] = {
            "read twice, scale, find the shutter": lambda: list(run.frames()),
            "normalise and fit": lambda: [
                fit_images(np.stack([scale.normalise(frame) for frame, scale in four]), box) for four in fours
            ],
            "network": lambda: [network.model(images).softmax(1).contiguous() for images in fitted],
            "back to pixels, best class": lambda: [best_class(restore_scores(one, box)) for one in scores],
            "grey values for the eye": lambda: [scale.to_grey(frame) for frame, scale in raw],
            "tips": lambda: [find_tips(frame, classes, named) for frame in frames],
            "labels.png": lambda: [png_bytes(frame.labels) for frame in frames],
            "overlay, drawn": lambda: [
                draw_overlay(frame, classes, tip, len(raw)) for frame, tip in zip(frames, tips, strict=True)
            ],
            "overlay.png": lambda: [png_bytes(picture) for picture in pictures],
            "overlay.gif": lambda: write_film(folder),
            "runs of the page": lambda: [label_runs(frame.labels) for frame in frames],
            "labels.nii.gz": lambda: write_stack(NiftiStack(folder, run.shape, run.geometry)),
            "labels.seg.dcm": lambda: write_stack(SegObject(folder, [run_file], classes, "0" * 64, run.spacing_mm)),
        }
        return {name: min(_times(step, 3)) / len(frames) for name, step in steps.items()}


def _times(step: Callable[[], Any], repetitions: int) -> Iterator[float]:
    """Milliseconds of processor time."""
    for _ in range(repetitions):
        start = time.process_time()
        step()
        yield 1e3 * (time.process_time() - start)


@contextmanager
def _out(folder: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=folder) as place:
        yield Path(place) / "segmented"


def whole(weights: Path, run_file: Path, frames: int, threads: int, folder: Path) -> dict[str, float]:
    """The command in a process of its own."""
    with _out(folder) as out:
        command = [sys.executable, "-m", "fedefm.cli", "segment", str(run_file), "--model", str(weights)]
        more = ["--out", str(out), "--threads", str(threads), "--device", "cpu", "--video", "gif", "--json"]
        process = subprocess.Popen([*command, *more], stdout=subprocess.PIPE)
        summary = json.loads(process.stdout.read() if process.stdout else b"")
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(process.returncode)
    processor = 1e3 * (used.ru_utime + used.ru_stime) / frames
    return {
        "frames": frames,
        "ms a frame": 1e3 * summary["seconds_a_frame"],
        "processor ms a frame, start included": processor,
        "peak MB": used.ru_maxrss / 1e3,
    }


def start(weights: Path, run_file: Path, times: int) -> dict[str, float]:
    """Processor seconds of the start, and of importing segmentation-models-pytorch."""
    found: dict[str, list[float]] = {"start": [], "import": []}
    for _ in range(times):
        for name, code in (("start", START), ("import", "import segmentation_models_pytorch")):
            process = subprocess.Popen([sys.executable, "-c", code, str(weights), str(run_file)])
            used = os.wait4(process.pid, 0)[2]
            process.returncode = 0
            found[name].append(used.ru_utime + used.ru_stime)
    ours, theirs = min(found["start"]), min(found["import"])
    return {"seconds": ours, "seconds of the import": theirs, "times the import": ours / theirs}


def machine() -> str:
    """What the figures were measured on, and how busy it was."""
    busy = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return f"{platform.machine()}, {os.cpu_count()} processors, load {busy:.1f}, torch {torch.__version__}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, help="default: the demo's network, trained for a minute")
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--long", type=int, default=2000, help="frames of the long cine; 0 leaves it out")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--data", type=Path, default=Path("runs/bench-segment"))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    options.data.mkdir(parents=True, exist_ok=True)
    frames, masks = drawn(options.data)
    weights = options.weights or trained(options.data, frames, masks)
    counts = [count for count in (options.frames, options.long) if count]
    runs = {count: cine(options.data / f"{count}.dcm", frames, count) for count in counts}
    short = cine(options.data / "24.dcm", frames, 24)
    table = {
        "machine": machine(),
        "parts": parts(weights, short),
        "segment": [whole(weights, run, count, options.threads, options.data) for count, run in runs.items()],
        "start": start(weights, short, options.starts),
    }
    print(json.dumps(table, indent=2) if options.json else text(table))
    return 0


def text(table: dict[str, Any]) -> str:
    """The table as lines."""
    lines = [table["machine"], "parts, processor ms a frame on one thread:"]
    lines += [f"  {name:<38}{value:8.2f}" for name, value in table["parts"].items()]
    lines.append(f"  {'all of these':<38}{sum(table['parts'].values()):8.2f}")
    for one in table["segment"]:
        lines.append("segment: " + ", ".join(f"{name} {value:.1f}" for name, value in one.items()))
    lines.append("start: " + ", ".join(f"{name} {value:.2f}" for name, value in table["start"].items()))
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
