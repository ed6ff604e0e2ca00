"""`fedefm data add`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from fedefm.commands.parser import add_command
from fedefm.commands.renames import renames

EXAMPLES = """examples:
  fedefm data add to-correct --to data/hospital-a
  fedefm data add to-correct --to data/hospital-a --confirmed 3,17 --patient p007
  fedefm data add to-correct --to data/hospital-a --confirmed run-a:3 --classes vessel=background --json

Frames whose mask was changed, or that are named with --confirmed, come in; all others stay out. Pixels alone are taken
from the run that was segmented, under names made with the salt of the hospital (DIR-private, or --private). The same
frame again replaces its earlier correction. dataset.json keeps which weights proposed a mask, and how much was changed.
"""


def add(commands: Any) -> None:
    """Add the subcommand."""
    from fedefm.data.manifest import SPLIT_NAMES

    text = "take corrected masks into a silo's folder; only frames that a person looked at"
    parser = add_command(commands, "add", text, EXAMPLES)
    parser.add_argument("folder", metavar="DIR", type=Path, help="folder of fedefm correct, with corrected masks")
    parser.add_argument("--to", required=True, type=Path, metavar="SILO", help="the hospital's folder, or a new one")
    text = "frames that are right as they were proposed, as 3,17 or RUN:3,17"
    parser.add_argument("--confirmed", action="append", default=[], metavar="FRAMES", help=text)
    text = "whose they are, as SILO names its patients (default: by the DICOM header, else by the folder of the run)"
    parser.add_argument("--patient", metavar="NAME", help=text)
    text = "of a patient who is new to SILO, where dataset.json states splits (default: train)"
    parser.add_argument("--split", choices=SPLIT_NAMES, help=text)
    text = "classes that SILO calls otherwise; OLD=background leaves one out"
    parser.add_argument("--classes", metavar="OLD=NEW,...", help=text)
    parser.add_argument("--private", type=Path, metavar="DIR", help="the hospital's own folder (default: SILO-private)")
    parser.add_argument("--source", type=Path, metavar="PATH", help="where the run lies now, if it was moved")
    parser.add_argument("--accept-text", action="store_true", help="take frames that may show text: you saw them")
    parser.add_argument("--json", action="store_true", help="for machines; counts alone")
    parser.set_defaults(run=_add)


def _add(options: argparse.Namespace) -> int:
    from fedefm.commands.progress import counter, processors
    from fedefm.corrections.choose import parse_frames
    from fedefm.corrections.silo import Said, add

    said = Said(
        confirmed=[parse_frames(text, "--confirmed") for text in options.confirmed],
        patient=options.patient,
        split=options.split,
        classes=renames(options.classes),
        source=options.source,
        accept_text=options.accept_text,
    )
    added = add(
        options.folder,
        options.to,
        said,
        private=options.private,
        threads=processors(),
        progress=counter("images looked at"),
    )
    if options.json:
        print(json.dumps(added.to_json(), indent=2))
        return 0
    places = ", ".join(f"{count} to {split}" for split, count in added.splits.items())
    print(f"{options.to}: {added.new} new frames, {added.replaced} replaced" + (f" ({places})" if places else ""))
    if added.same:
        print(f"{added.same} were there already, and are the same")
    print(f"{added.confirmed} confirmed as they were proposed; {added.changed_pixels} pixels changed in the others")
    if added.not_looked_at:
        print(f"{added.not_looked_at} frames stay out: nobody looked at them (name those that are right: --confirmed)")
    print(f"next:  fedefm data check {options.to}")
    print(f"then:  fedefm finetune --theta WEIGHTS --site NAME={options.to} --out RUN")
    return 0
