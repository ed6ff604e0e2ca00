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

Research software: not a medical device, and not for clinical decisions.
"""


def add(commands: Any) -> None:
    """Add the subcommand."""
    parser = add_command(commands, "segment", "mark devices in a DICOM cine or series, pictures or NIfTI", EXAMPLES)
    parser.add_argument("input", type=Path, metavar="INPUT", help="a file, or a folder with one series or run")
    parser.add_argument(
        "--model", type=Path, required=True, metavar="WEIGHTS", help="weights, such as theta.safetensors"
    )
    parser.add_argument("--out", type=Path, required=True, help="new folder of the results")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:NUMBER (default: %(default)s)")
    parser.add_argument("--threads", type=int, help="processor threads (default: all)")
    parser.add_argument("--batch", type=int, default=4, help="frames at a time (default: %(default)s)")
    parser.add_argument(
        "--format", default="png,nifti,seg,overlay", help="what to write, comma-separated (default: %(default)s)"
    )
    video = parser.add_mutually_exclusive_group()
    video.add_argument("--video", choices=("auto", "mp4", "gif"), default="auto", help="auto: mp4 if ffmpeg is there")
    video.add_argument("--no-video", action="store_const", const=None, dest="video", help="write no film")
    parser.add_argument("--json", action="store_true", help="print summary.json instead of text")
    parser.set_defaults(run=_segment)


def _segment(options: argparse.Namespace) -> int:
    from fedefm.errors import ConfigError
    from fedefm.inference.run import segment
    from fedefm.inference.segment import parse_formats

    if options.threads is not None and options.threads < 1:
        raise ConfigError(f"--threads {options.threads}: give 1 or more")
    _set_threads(options.threads)
    with _bar(quiet=options.json) as progress:
        summary = segment(
            options.input,
            options.model,
            options.out,
            formats=parse_formats(options.format),
            video=options.video,
            batch=options.batch,
            device=options.device,
            progress=progress,
        )
    print(json.dumps(summary, indent=2) if options.json else _text(summary, options.out))
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
    shown = ", ".join(f"{name} in {count}" for name, count in summary["frames_with"].items())
    lines = [
        f"{summary['frames']} frames of {summary['columns']} x {summary['rows']}: {shown}",
        f"{summary['seconds']:.1f} s, {summary['seconds_a_frame']:.3f} s a frame on {summary['device']}",
        *(f"no {what}: {why}" for what, why in summary["not_written"].items()),
        f"results: {out}  (research only)",
    ]
    return "\n".join(lines)
