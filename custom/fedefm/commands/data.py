"""`fedefm data synth`, `check`, `overlap`, `cache`, `import` and `export`; `prepare`, `add` and `report` have files."""

from __future__ import annotations

import argparse
import json
import textwrap
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fedefm.commands import data_add, data_prepare, data_report
from fedefm.commands.parser import add_command
from fedefm.commands.renames import renames

SYNTH_EXAMPLES = """examples:
  fedefm data synth --out runs/demo-data
  fedefm data synth --out data/small --frames 24 --size 64 --unseen 0.5 --seed 3
  fedefm data synth --background data/hospital-a/unlabelled --out data/hospital-a-drawn --frames 200
"""
CHECK_EXAMPLES = """examples:
  fedefm data check data/hospital-a
  fedefm data check data/hospital-a --json
  fedefm data check data/hospital-a --sheet hospital-a.html
  fedefm data check data/hospital-a --summary may-leave.json --least 10
"""
OVERLAP_EXAMPLES = """examples:
  fedefm data overlap data/hospital-a data/hospital-b
  fedefm data overlap data/hospital-a data/hospital-b --json
"""
CACHE_EXAMPLES = """examples:
  fedefm data cache data/hospital-a --size 256
  fedefm data cache data/hospital-a --size 256 --cache /fast-disk/fedefm --threads 8
  fedefm data cache data/hospital-a --remove
"""
IMPORT_EXAMPLES = """examples:
  fedefm data import cathaction download/segmentation data/animal --part animal
  fedefm data import coco export/ data/north --classes cath=catheter,wire=guidewire
  fedefm data import cvat export/ data/north --width 3 --patients '^(?P<patient>[^_]+)_'
  fedefm data import folders set/ data/north --images 'img/*.jpg' --masks 'mask/*_mask.png' --classes 1=catheter
"""
EXPORT_EXAMPLES = """examples:
  fedefm data export nnunet data/north out/Dataset101_North
  fedefm data export coco data/north out/north-coco --json
"""


def add(commands: Any) -> None:
    """Add the subcommand."""
    data = commands.add_parser(
        "data", help="make synthetic images, or import, check, prepare and export a folder of your own"
    )
    kinds = data.add_subparsers(required=True, metavar="COMMAND")
    _add_synth(kinds)
    _add_check(kinds)
    _add_overlap(kinds)
    _add_cache(kinds)
    _add_import(kinds)
    data_prepare.add(kinds)
    data_add.add(kinds)
    data_report.add(kinds)
    _add_export(kinds)


def _add_synth(commands: Any) -> None:
    parser = add_command(commands, "synth", "make labelled synthetic fluoroscopy in four looks", SYNTH_EXAMPLES)
    parser.add_argument(
        "--out", type=Path, required=True, help="folder that gets one for each hospital; with --background the silo"
    )
    parser.add_argument(
        "--background",
        type=Path,
        metavar="DIR",
        help="draw catheters and guidewires on these images of your own, which must show none; in place of all looks",
    )
    parser.add_argument("--frames", type=int, default=80, help="frames a hospital (default: %(default)s)")
    parser.add_argument("--size", type=int, default=96, help="side in pixels (default: %(default)s)")
    parser.add_argument(
        "--unseen",
        type=float,
        default=1.0,
        help="share of others' classes that a hospital never labels (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=0, help="same seed, same bytes (default: %(default)s)")
    parser.set_defaults(run=_synth)


def _add_check(commands: Any) -> None:
    parser = add_command(
        commands,
        "check",
        "read a hospital's folder as training would, and say what is there; exit code 3 where training would stop",
        CHECK_EXAMPLES,
    )
    parser.add_argument("folder", type=Path, help="folder with images/, masks/ and dataset.json")
    parser.add_argument(
        "--sheet",
        type=Path,
        metavar="FILE",
        help="write a page of images with the contours of their masks; it stays here",
    )
    parser.add_argument(
        "--summary", type=Path, metavar="FILE", help="write the counts that may leave the hospital, as JSON"
    )
    parser.add_argument(
        "--least", type=int, metavar="N", help="of --summary: counts of fewer images are held back (default: 5)"
    )
    _add_threads(parser)
    parser.add_argument("--json", action="store_true", help="for machines")
    parser.set_defaults(run=_check)


def _add_overlap(commands: Any) -> None:
    text = "count the pictures that two folders on this machine have in common, equal or encoded anew"
    parser = add_command(commands, "overlap", text, OVERLAP_EXAMPLES)
    parser.add_argument("one", type=Path, help="folder with images/")
    parser.add_argument("other", type=Path, help="folder with images/")
    parser.add_argument("--json", action="store_true", help="for machines")
    parser.set_defaults(run=_overlap)


def _add_cache(commands: Any) -> None:
    text = "decode and resize a hospital's images once, as jobs do at their start; what was prepared before stays"
    parser = add_command(commands, "cache", text, CACHE_EXAMPLES)
    parser.add_argument("folder", type=Path, help="folder with images/, masks/ and dataset.json")
    parser.add_argument("--size", type=int, default=256, help="side of the job's frames (default: %(default)s)")
    parser.add_argument(
        "--cache", type=Path, metavar="DIR", help="as in fedefm_site.json (default: within the folder, or ~/.cache)"
    )
    _add_threads(parser)
    parser.add_argument("--remove", action="store_true", help="delete what is prepared of this folder, of any size")
    parser.add_argument("--json", action="store_true", help="for machines")
    parser.set_defaults(run=_cache)


def _add_import(commands: Any) -> None:
    from fedefm.data.importers.kinds import KINDS

    text = "make a silo's folder of a data set in a published layout, or of an annotation tool's export"
    parser = add_command(
        commands,
        "import",
        text,
        f"{_layouts({name: kind.layout for name, kind in KINDS.items()})}\n\n{IMPORT_EXAMPLES}",
    )
    parser.add_argument("kind", metavar="KIND", help=f"{', '.join(KINDS)}; see below")
    parser.add_argument("source", metavar="SRC", type=Path, help="folder as it was downloaded or exported; only read")
    parser.add_argument("out", metavar="DST", type=Path, help="new folder, gets images/, masks/ and dataset.json")
    parser.add_argument("--name", help="the silo (default: the name of DST)")
    parser.add_argument("--classes", metavar="OLD=NEW,...", help="mask values or labels of the source to class names")
    parser.add_argument("--part", help="which part, where the source holds several")
    parser.add_argument("--width", type=float, help="of lines that have none, in pixels of the image")
    parser.add_argument("--patients", metavar="REGEX", help="finds the group patient in an image's name")
    parser.add_argument("--images", metavar="PATTERN", help="of folders: where the images are")
    parser.add_argument("--masks", metavar="PATTERN", help="of folders: where the masks are")
    parser.add_argument("--json", action="store_true", help="for machines")
    parser.set_defaults(run=_import)


def _add_export(commands: Any) -> None:
    from fedefm.data.exporters.kinds import KINDS

    text = "write a silo's folder in the layout of another tool"
    parser = add_command(commands, "export", text, f"{_layouts(KINDS)}\n\n{EXPORT_EXAMPLES}")
    parser.add_argument("kind", metavar="KIND", help=f"{', '.join(KINDS)}; see below")
    parser.add_argument("site", metavar="SITE", type=Path, help="folder with images/, masks/ and dataset.json")
    parser.add_argument("out", metavar="DST", type=Path, help="new folder")
    parser.add_argument("--json", action="store_true", help="for machines")
    parser.set_defaults(run=_export)


def _add_threads(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--threads", type=int, help="files at work at the same time (default: one a processor)")


def _layouts(kinds: Mapping[str, str]) -> str:
    """One paragraph a kind."""
    lines = [
        textwrap.fill(layout, 110, initial_indent=f"  {name:12}", subsequent_indent=" " * 14)
        for name, layout in kinds.items()
    ]
    return "\n".join(["kinds:", *lines])


def _synth(options: argparse.Namespace) -> int:
    from fedefm.commands.progress import counter
    from fedefm.data.synth import write_consortium

    if options.background is not None:
        from fedefm.data.synth.on_background import draw_on

        bad = draw_on(
            options.background,
            options.out,
            frames=options.frames,
            seed=options.seed,
            progress=counter("frames drawn"),
        )
        left = f"; {bad} files could not be used" if bad else ""
        print(f"{options.out}: {options.frames} frames with catheters and guidewires{left}")
        print(f"next:  fedefm data check {options.out}")
        return 0
    folders = write_consortium(
        options.out,
        frames_per_site=options.frames,
        size=options.size,
        seed=options.seed,
        unseen=options.unseen,
        progress=counter("synthetic frames"),
    )
    print(f"{len(folders)} hospitals in {options.out}: {', '.join(folder.name for folder in folders)}")
    return 0


def _check(options: argparse.Namespace) -> int:
    from fedefm.commands.progress import counter, processors
    from fedefm.data.describe import describe
    from fedefm.data.inspection.whole import inspect_folder
    from fedefm.errors import ConfigError, DataError

    if (options.least is not None and options.least < 1) or (options.threads is not None and options.threads < 1):
        raise ConfigError("--least and --threads: give 1 or more")
    inspection = inspect_folder(
        options.folder, processes=options.threads or processors(), progress=counter("files looked at")
    )
    summary = describe(inspection)
    print(json.dumps(summary.to_json(), indent=2) if options.json else summary)
    if options.sheet is not None:
        from fedefm.report.sheet import write_sheet

        write_sheet(inspection, summary, options.sheet)
    if options.summary is not None:
        from fedefm.files import write_json
        from fedefm.metrics.suppression import LEAST_IMAGES  # what it imports takes seconds
        from fedefm.report.permitted import permitted

        write_json(options.summary, permitted(inspection, summary, options.least or LEAST_IMAGES))
    if not options.json:
        _point_to_sheet(options)
    return DataError.exit_code if summary.stops else 0


def _point_to_sheet(options: argparse.Namespace) -> None:
    if options.summary is not None:
        print(f"may leave the hospital: {options.summary}")
    if options.sheet is not None:
        print(f"must not leave the hospital: {options.sheet}; open it in a browser")
    else:
        print(f"see it: fedefm data check {options.folder} --sheet FILE.html")


def _overlap(options: argparse.Namespace) -> int:
    from fedefm.data.overlap import common_pictures, tokens_of

    found = common_pictures(tokens_of(options.one), tokens_of(options.other))
    if options.json:
        print(json.dumps({"images": found.images, "common": found.common}, indent=2))
    else:
        print(f"{found.common} of {found.images} images of {options.one} are in {options.other} as well")
    return 0


def _cache(options: argparse.Namespace) -> int:
    from fedefm.commands.progress import counter, processors
    from fedefm.data.filled import fill
    from fedefm.data.prepared import remove

    if options.remove:
        gone = [str(place) for place in remove(options.folder, options.cache)]
        print(json.dumps(gone) if options.json else f"removed: {', '.join(gone) or 'nothing was there'}")
        return 0
    threads = processors() if options.threads is None else options.threads
    found = fill(options.folder, options.size, cache=options.cache, threads=threads, progress=counter)
    if options.json:
        print(json.dumps({**asdict(found), "place": str(found.place)}, indent=2))
        return 0
    extra = f" and {found.unlabelled} without masks" if found.unlabelled else ""
    print(f"{found.frames} frames of {found.files} files{extra}, {found.megabytes:.0f} MB in {found.place}")
    if found.unreadable:
        print(f"{found.unreadable} files cannot be read; fedefm data check {options.folder} names them")
    return 0


def _import(options: argparse.Namespace) -> int:
    from fedefm.data.importers.collection import Options
    from fedefm.data.importers.run import import_source

    said = Options(
        part=options.part,
        width=options.width,
        classes=renames(options.classes),
        images=options.images,
        masks=options.masks,
        patients=options.patients,
    )
    imported = import_source(options.kind, options.source, options.out, said, name=options.name)
    if options.json:
        print(json.dumps(imported.to_json(), indent=2))
        return 0
    print(imported)
    print(f"next:  fedefm data check {options.out}")
    print(f"then:  fedefm simulate --site {imported.name}={options.out} --site OTHER=FOLDER --out runs/first")
    return 0


def _export(options: argparse.Namespace) -> int:
    from fedefm.data.exporters.kinds import export_site

    frames = export_site(options.kind, options.site, options.out)
    if options.json:
        print(json.dumps(frames, indent=2))
    else:
        print(f"{options.out}: {', '.join(f'{split} {count}' for split, count in frames.items())} frames")
    return 0
