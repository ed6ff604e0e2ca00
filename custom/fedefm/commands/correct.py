"""`fedefm correct`: frames of a segmented run, ready to be corrected."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from fedefm.commands.parser import add_command

EXAMPLES = """examples:
  fedefm correct segmented/ --frames 3,17 -o to-correct
  fedefm correct segmented/ --frames worst:5 -o to-correct
  fedefm correct monday/ --frames run-a:3-9 --frames run-b:all -o to-correct --json

Then correct the masks in ITK-SNAP or 3D Slicer, as README.html in the folder says, and give them back:
  fedefm data add to-correct --to data/hospital-a
"""


def add(commands: Any) -> None:
    """Add the subcommand."""
    text = "make a folder of images and masks of a segmented run, to be corrected in ITK-SNAP or 3D Slicer"
    parser = add_command(commands, "correct", text, EXAMPLES)
    text = "results of fedefm segment, or folders that hold some"
    parser.add_argument("results", nargs="+", type=Path, metavar="SEGMENTED", help=text)
    text = "which: 3,17 or 3-9; worst:5, where the network was least sure (frames with nothing marked come last); all; "
    text += "RUN:3,17 of one of several runs, and then once for each"
    parser.add_argument("--frames", action="append", required=True, metavar="FRAMES", help=text)
    parser.add_argument("-o", "--out", "--output", type=Path, required=True, help="new folder")
    parser.add_argument("--source", type=Path, metavar="PATH", help="where the run lies now, if it was moved")
    parser.add_argument("--json", action="store_true", help="for machines")
    parser.set_defaults(run=_correct)


def _correct(options: argparse.Namespace) -> int:
    from fedefm.commands.progress import counter
    from fedefm.corrections.choose import parse_frames
    from fedefm.corrections.folder import PAGE, correct

    said = [parse_frames(text, "--frames") for text in options.frames]
    made = correct(options.results, said, options.out, source=options.source, progress=counter("runs written"))
    frames = {run.name: [one.frame for one in run.frames] for run in made.runs}
    if options.json:
        told = {"folder": str(options.out), "model": made.model, "classes": list(made.classes), "frames": frames}
        print(json.dumps(told, indent=2))
        return 0
    for name, numbers in frames.items():
        print(f"{name}: frames {', '.join(map(str, numbers))}")
    print(f"what to do next: {options.out / PAGE}")
    print(f"then:  fedefm data add {options.out} --to SILO")
    return 0
