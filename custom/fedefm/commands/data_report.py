"""`fedefm data report`: what all hospitals' images are like, on one page."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from fedefm.commands.parser import add_command

EXAMPLES = """examples:
  fedefm data report --sites runs/demo-data --out runs/data-report
  fedefm data report --site a=data/a --site b=data/b --classes catheter,guidewire --in-process

On a federation the lead signs and submits the job folder jobs/data_report; `fedefm report` makes the page of what
`nvflare job download` brings.
"""


def add(commands: Any) -> None:
    """Add the subcommand."""
    text = "gather what hospitals may tell of their images into one page, before training"
    parser = add_command(commands, "report", text, EXAMPLES)
    parser.add_argument(
        "--site", action="append", default=[], metavar="NAME=FOLDER", help="a hospital; repeat for each"
    )
    parser.add_argument("--sites", type=Path, metavar="FOLDER", help="a folder with one folder for each hospital")
    parser.add_argument("--classes", help="comma-separated classes of the consortium (default: those of the job)")
    parser.add_argument("--least-images", type=int, help="counts of fewer images stay at a hospital (default: 5)")
    parser.add_argument("--out", type=Path, help="new folder of the results (default: the next free runs/data_report)")
    parser.add_argument("--in-process", action="store_true", help="without FLARE, in this process; the same figures")
    parser.add_argument("--json", action="store_true", help="print report.json instead of a table")
    parser.set_defaults(run=_report)


def _report(options: argparse.Namespace) -> int:
    from fedefm.commands.job_options import free_folder
    from fedefm.report.survey import print_survey
    from fedefm.report.write import HTML_NAME

    out = options.out or free_folder(Path("runs") / "data_report")
    record = _of_hospitals(options, out)
    if options.json:
        print(json.dumps(record, indent=2, sort_keys=True))
    else:
        print_survey(record)
        print(f"report: {out / HTML_NAME}")
    return 0


def _of_hospitals(options: argparse.Namespace, out: Path) -> dict[str, Any]:
    from fedefm.commands.job_options import named_folders
    from fedefm.commands.progress import Terminal
    from fedefm.resources import JOB_CONFIG
    from fedefm.simulation.survey import SURVEY, report_data
    from fedefm.survey.settings import SETTINGS_FILE, Survey, load_survey

    given = {"name": out.name}
    if options.classes:
        given["classes"] = options.classes.split(",")
    if options.least_images is not None:
        given["least_images"] = options.least_images
    settings = Survey.from_dict(load_survey(SURVEY / JOB_CONFIG / SETTINGS_FILE).to_dict() | given)
    folders = named_folders(options.site, options.sites)
    return report_data(settings, folders, out, simulator=not options.in_process, on_event=Terminal(quiet=options.json))
