"""`fedefm segment`: a trained network on a run."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fedefm.commands.parser import add_command

EXAMPLES = """examples:
  fedefm segment run.dcm --model runs/demo/theta.safetensors --out segmented
  fedefm segment series/ --model theta.safetensors --out segmented --device cuda --batch 16
  fedefm segment stack.nii.gz --model theta.safetensors --out segmented --format nifti --no-video --json
  fedefm segment -i monday/*.dcm -o segmented --model theta.safetensors --output-type dicom_seg,page

Research software: not a medical device, and not for clinical decisions.
"""


def add(commands: Any) -> None:
    """Add the subcommand."""
    parser = add_command(commands, "segment", "mark devices in a DICOM cine or series, pictures or NIfTI", EXAMPLES)
    _add_inputs(parser)
    parser.add_argument(
        "--model", type=Path, required=True, metavar="WEIGHTS", help="weights, such as theta.safetensors"
    )
    text = "new folder of the results; of several inputs, the folder that gets one for each, named like the input"
    parser.add_argument("-o", "--out", "--output", type=Path, required=True, help=text)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:NUMBER (default: %(default)s)")
    parser.add_argument("--threads", type=int, help="processor threads (default: all)")
    parser.add_argument("--batch", type=int, default=4, help="frames at a time (default: %(default)s)")
    parser.add_argument(
        *("--format", "--output-type", "-ot"),
        default="png,nifti,seg,overlay,page",
        help="what to write, comma-separated; dicom_seg is another word for seg (default: %(default)s)",
    )
    text = "keep what is marked on the X-ray shutter and on the image's border, which is left out otherwise"
    parser.add_argument("--keep-shutter", action="store_true", help=text)
    text = "average each frame of a film with the frames beside it; for pictures that are no film it is wrong"
    parser.add_argument("--steady", action="store_true", help=text)
    video = parser.add_mutually_exclusive_group()
    video.add_argument("--video", choices=("auto", "mp4", "gif"), default="auto", help="auto: mp4 if ffmpeg is there")
    video.add_argument("--no-video", action="store_const", const=None, dest="video", help="write no film")
    parser.add_argument(
        "--json", action="store_true", help="print summary.json instead of text; a list where there are several"
    )
    parser.set_defaults(run=_segment)


def _add_inputs(parser: argparse.ArgumentParser) -> None:
    """Runs by place or after `-i`; both may stand in one call."""
    text = "files, or folders with one series or run each"
    by_place = parser.add_argument("inputs", nargs="+", type=Path, metavar="INPUT", default=[], help=text)
    by_place.required = False  # nargs="*" would take nothing as soon as an option stands before the inputs
    more = "the same, as other tools spell it"
    parser.add_argument("-i", "--input", nargs="+", action="extend", type=Path, default=[], metavar="INPUT", help=more)


def _segment(options: argparse.Namespace) -> int:
    from fedefm.errors import ConfigError
    from fedefm.inference.segment import Wanted, parse_formats
    from fedefm.inference.several import segment_each

    if options.threads is not None and options.threads < 1:
        raise ConfigError(f"--threads {options.threads}: give 1 or more")
    sources = [*options.inputs, *options.input]
    if not sources:
        raise ConfigError("no input: name a run, such as `fedefm segment run.dcm`, or give it after -i")
    wanted = Wanted(parse_formats(options.format), options.video, options.batch, options.keep_shutter, options.steady)
    _set_threads(options.threads)
    with _bar(quiet=options.json) as progress:
        found = segment_each(sources, options.model, options.out, wanted, options.device, progress)
    if options.json:
        told = [{"folder": folder.name, **summary} for folder, summary in found.items()]
        print(json.dumps(told if len(sources) > 1 else next(iter(found.values())), indent=2))
    else:
        print("\n".join(_text(summary, folder) for folder, summary in found.items()))
    return 0


def _set_threads(count: int | None) -> None:
    import os

    import torch

    torch.set_num_threads(count or len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else count or 1)


@contextmanager
def _bar(quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on standard error; none where that is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("frames"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as progress:
        task = progress.add_task("frames", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def _text(summary: dict[str, Any], out: Path) -> str:
    from fedefm.inference.trained_on import SYNTHETIC_ONLY, unlike_training

    shown = ", ".join(f"{name} in {count or 'none'}" for name, count in summary["frames_with"].items())
    left_out = summary["left_out"]["frames"]
    sure, unlike = summary["confidence"], summary["unlike_training"]
    strange = unlike_training(unlike["frames"], summary["frames"]) if unlike["measured"] else None
    lines = [
        *([f"note: {SYNTHETIC_ONLY}"] if summary["model"]["synthetic_images_only"] else ()),
        *([f"note: {strange}"] if strange else ()),
        f"{summary['frames']} frames of {summary['columns']} x {summary['rows']}: {shown}",
        f"{summary['seconds']:.1f} s, {summary['seconds_a_frame']:.3f} s a frame on {summary['device']}",
        *_along(summary["along_the_film"]),
        *([f"left out in {left_out} frames: marks on the shutter or the image's border"] if left_out else ()),
        f"confidence: {_sure(sure)}",
        *(() if unlike["measured"] else (f"unlike training: not known, {unlike['why']}",)),
        *(f"no {what}: {why}" for what, why in summary["not_written"].items()),
        f"results: {out}  (research only)",
        *([f"to look at: {out / 'index.html'}"] if (out / "index.html").is_file() else ()),
    ]
    return "\n".join(lines)


def _along(found: dict[str, Any]) -> list[str]:
    """A line for each device with a tip: how steadily it is marked, and on how many tracks."""
    return [
        f"{name} along the film: tip jitter {jitter:.1f} px, flicker {found['flicker'][name]:.2f}, "
        f"{len(found['tracks'][name])} track{'' if len(found['tracks'][name]) == 1 else 's'}"
        for name, jitter in found["tip_jitter_px"].items()
        if jitter is not None
    ]


def _sure(found: dict[str, Any]) -> str:
    if not found["calibrated"]:
        return f"not calibrated, {found['why']}"
    return ", ".join(f"{name} {'none' if one is None else f'{one:.2f}'}" for name, one in found["by_class"].items())
