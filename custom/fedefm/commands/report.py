"""`fedefm report`: the page of a job that a federation ran, fetched from the server where that is asked."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedefm.commands.parser import add_command

if TYPE_CHECKING:
    from fedefm.kits.kit import Kit

EXAMPLES = """examples:
  fedefm report JOB_ID --startup-kit lead
  fedefm report JOB_ID --startup-kit lead --sign
  fedefm report results/JOB_ID
  fedefm report results/JOB_ID --out reports/first --json
  fedefm report results/JOB_ID --plan plan.json      (of `fedefm plan ... --json > plan.json`)

With --startup-kit it fetches a job that is over into results/JOB_ID, as `nvflare job download` does, and makes its page
there. It takes any of our jobs: foundation, finetune, evaluation or data_report. Weights that came with it are held
against the fingerprints of the record. --sign then signs the whole folder with the kit's key, for whoever it is sent
to; they look with `fedefm trust verify FOLDER --root rootCA.pem`.
"""


def add(commands: Any) -> None:
    """Add the subcommand."""
    parser = add_command(commands, "report", "make the page of a job that a federation ran", EXAMPLES)
    parser.add_argument(
        "job", type=Path, help="a downloaded job, its record.json, or, with --startup-kit, the id of a job"
    )
    parser.add_argument("--startup-kit", type=Path, metavar="FOLDER", help="kit of a person who may download the job")
    parser.add_argument(
        "--results",
        type=Path,
        default=Path("results"),
        help="folder that jobs are downloaded to (default: %(default)s)",
    )
    parser.add_argument("--out", type=Path, help="folder of report.json and report.html (default: beside the record)")
    parser.add_argument("--sign", action="store_true", help="sign the folder of the page with the kit of --startup-kit")
    parser.add_argument(
        "--plan", type=Path, help="what `fedefm plan --json` said before: it stands beside what it took"
    )
    parser.add_argument("--json", action="store_true", help="print report.json instead of a table")
    parser.set_defaults(run=_report)


def _report(options: argparse.Namespace) -> int:
    from fedefm.report.job import read_job
    from fedefm.report.write import write_page
    from fedefm.trust import JOB_ROLES, sign_folder, verify_folder

    kit = _kit(options)
    path = record_of(_place(options))
    record, page = read_job(path, options.plan)
    check_weights(record, path.parent)
    out = options.out or path.parent
    written = write_page(record, page, out)
    if options.sign and kit is not None:
        sign_folder(out, kit.certificate, kit.key, kind="report", subject=out.resolve().name)
        verify_folder(out, kit.root, kind="report", roles=JOB_ROLES)  # a kit without the role for it is told so here
    if options.json:
        print(json.dumps(record, indent=2, sort_keys=True))
        return 0
    _print(record)
    print(f"report: {written}")
    return 0


def _kit(options: argparse.Namespace) -> Kit | None:
    """Whose name a download and a signature bear."""
    from fedefm.errors import ConfigError
    from fedefm.kits.kit import open_persons_kit

    if options.startup_kit is not None:
        return open_persons_kit(options.startup_kit)
    if options.sign:
        raise ConfigError("--sign needs a key; name your kit with --startup-kit")
    return None


def _place(options: argparse.Namespace) -> Path:
    """Where the job lies on this machine, after a download if it was not there."""
    from fedefm.errors import ConfigError
    from fedefm.federation.console import Console
    from fedefm.settings import check_id

    place: Path = options.job
    if options.startup_kit is None or place.exists():
        return place
    job = check_id(str(place))
    if (options.results / job).exists():
        raise ConfigError(f"{options.results / job}: is there already; name it in place of the job, or remove it")
    console = Console(options.startup_kit.resolve())
    status = console.status_of(job)
    if not status.startswith("FINISHED"):
        raise ConfigError(f"job {job}: is {status}; `fedefm watch {job}` shows when it is over")
    return console.download(job, options.results.resolve())


def record_of(place: Path) -> Path:
    """Where a downloaded job's record lies.

    Args:
        place: the record itself, the folder that holds it, the job's folder, or the folder that it was downloaded to.

    Raises:
        ConfigError: there is none, or there are several jobs.
    """
    from fedefm.errors import ConfigError
    from fedefm.exchange.record import RECORD_FILE
    from fedefm.flare.job_files import DOWNLOADED

    if place.is_file():
        return place
    inside = DOWNLOADED / RECORD_FILE
    for found in (place / RECORD_FILE, place / inside):
        if found.is_file():
            return found
    jobs = sorted(place.glob(f"*/{inside}"))
    if len(jobs) == 1:
        return jobs[0]
    if jobs:
        names = ", ".join(job.relative_to(place).parts[0] for job in jobs[:3])
        raise ConfigError(f"{place}: holds {len(jobs)} jobs ({names} ...); name one of them")
    raise ConfigError(
        f"{place}: holds no {RECORD_FILE}; name what `nvflare job download` wrote, once the job is finished"
    )


def check_weights(record: Mapping[str, Any], folder: Path) -> None:
    """Hold weights files beside a record against its fingerprints; a file that is not there is nobody's fault.

    Raises:
        CheckpointError: one cannot be read.
        TrustError: one is not what the record names.
    """
    from fedefm.errors import TrustError
    from fedefm.models.checkpoint import load_weights

    for path, sha256 in _named(record):
        file = folder / path
        if file.is_file() and load_weights(file).sha256 != sha256:
            raise TrustError(f"{file}: is not what the record names; download the job again")


def _named(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Path and fingerprint of the weights that a job left; paths that lead out of its folder are none."""
    models = record.get("models")
    entries = [record.get("theta"), record.get("model"), *(models.values() if isinstance(models, dict) else ())]
    for entry in entries:
        path = Path(str((entry or {}).get("path") or "/"))
        if not path.is_absolute() and ".." not in path.parts:
            yield path.as_posix(), entry["sha256"]


def _print(record: Mapping[str, Any]) -> None:
    from fedefm.report.evaluation import print_evaluation
    from fedefm.report.survey import print_survey
    from fedefm.report.terminal import print_summary
    from fedefm.report.tuned import print_tuned

    tables: Mapping[str, Any] = {
        "finetune": print_tuned,
        "evaluation": print_evaluation,
        "data_report": print_survey,
    }
    tables.get(record.get("kind", ""), print_summary)(record)
