"""`fedefm data prepare`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from fedefm.commands.parser import add_command
from fedefm.commands.renames import renames

EXAMPLES = """examples:
  fedefm data prepare export/ data/hospital-a
  fedefm data prepare export/ data/hospital-a --images 'cine/*.dcm' --masks 'mask/*.png' --classes 1=catheter
  fedefm data prepare export/ data/hospital-b --private /secure/fedefm --accept-text --json

The export is only read. Beside DST, in DST-private or where --private says, stay for you alone: the salt of all new
names, which name each file got, held-back.csv with every file that stays out and why, and text.html with pictures of
what may be burned-in text. Nothing of that folder may leave the hospital. The same command goes on where it was ended.
"""


def add(commands: Any) -> None:
    """Add the subcommand."""
    text = "make a silo's folder without identifiers of a hospital's export; what is unreadable or in doubt stays out"
    parser = add_command(commands, "prepare", text, EXAMPLES)
    parser.add_argument("source", metavar="SRC", type=Path, help="folder of the export, DICOM files in any tree")
    parser.add_argument("out", metavar="DST", type=Path, help="new folder, outside of SRC")
    parser.add_argument("--private", type=Path, metavar="DIR", help="the hospital's own folder (default: DST-private)")
    parser.add_argument("--images", metavar="PATTERN", help="where the images are, as of the import kind folders")
    parser.add_argument("--masks", metavar="PATTERN", help="where the masks are; the same * makes a pair")
    parser.add_argument("--classes", metavar="VALUE=NAME,...", help="what the mask values mean")
    parser.add_argument(
        "--patients", metavar="REGEX", help="finds the group patient in names of files that are no DICOM"
    )
    parser.add_argument("--accept-text", action="store_true", help="take files that may show text: you saw text.html")
    parser.add_argument(
        "--size", type=int, metavar="N", help="decode and resize images with masks too, as data cache --size N does"
    )
    parser.add_argument("--name", help="the silo (default: the name of DST)")
    parser.add_argument("--json", action="store_true", help="for machines; counts alone")
    parser.set_defaults(run=_prepare)


def _prepare(options: argparse.Namespace) -> int:
    from fedefm.commands.progress import counter, processors
    from fedefm.data.deidentify.page import LIST, PAGE
    from fedefm.data.deidentify.silo import prepare_silo, private_folder
    from fedefm.data.filled import fill
    from fedefm.data.importers.collection import Options

    said = Options(
        classes=renames(options.classes), images=options.images, masks=options.masks, patients=options.patients
    )
    private = options.private or private_folder(options.out)
    silo = prepare_silo(
        options.source,
        options.out,
        said,
        private=private,
        accept_text=options.accept_text,
        name=options.name,
        progress=counter("files prepared"),
    )
    if options.size is not None and silo.labelled:
        fill(options.out, options.size, threads=processors(), progress=counter)
    if options.json:
        print(json.dumps(silo.to_json(), indent=2))
        return 0
    print(f"{options.out}: {silo.labelled} images with masks, {silo.unlabelled} without; ", end="")
    print(f"{silo.frames} frames of {silo.patients} patients" + (f"; {silo.before} done before" if silo.before else ""))
    if silo.held_back:
        print(f"{silo.held_back} files stay out, {silo.text} of them may show text; for your own screen:")
        print(f"  why, file by file   {private / LIST}\n  what may be text    {private / PAGE}")
    print(f"keep {private} in the hospital: it holds the salt and the names")
    if silo.labelled:
        print(f"next:  fedefm data check {options.out}")
        return 0
    print(f"next:  annotate {options.out}/unlabelled and put images and masks into images/ and masks/,")
    print(f"   or  fedefm data synth --background {options.out} --out {options.out}-drawn   where no device is in them")
    print(f"then:  fedefm data check {options.out}")
    return 0
