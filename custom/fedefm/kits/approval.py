"""Which signed jobs run at a hospital at once, and which wait until a person there says yes.

The hospital decides in `local/fedefm_site.json`; where it says nothing, the consortium's default of its signed kit
holds, and where there is none either, a job that a lead signed runs, as the guard has verified it:

    "approval": {"ask": true}
    "approval": {"ask": true, "standing": [{"signer": "lead@fedefm.example.org", "kinds": ["evaluation"]}]}

A job that waits is kept in the folder `fedefm-waiting` as it came, so that it can be looked at. Asking at FLARE's check
of resources instead, which would keep the job in the server's queue, is no use: the hospital is told no more than an id
there, FLARE starts the job without a hospital that says no as soon as `min_clients` say yes, and it gives up after ten
tries, within the hour.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from fedefm.errors import ConfigError, TrustError
from fedefm.files import new_folder
from fedefm.kits.kit import LOCAL
from fedefm.settings import build, one_of, settings_class
from fedefm.trust.job_ledger import APPROVED, DENIED, JobLedger, signer_of
from fedefm.trust.kinds import WAITING_NAME
from fedefm.trust.manifest import SignedManifest

SITE_FILE, DEFAULT_FILE, KEY = "fedefm_site.json", "fedefm_approval.json", "approval"
MOST_WAITING = 20
_EXECUTORS = {
    "fedefm.flare.foundation_executor.FoundationExecutor": "foundation",
    "fedefm.flare.finetune_executor.FineTuneExecutor": "finetune",
    "fedefm.flare.evaluation_executor.EvaluationExecutor": "evaluation",
    "fedefm.flare.survey_executor.SurveyExecutor": "data_report",
}
JOB_KINDS = tuple(_EXECUTORS.values())


@settings_class
class Standing:
    """A rule by which jobs run without a question.

    Attributes:
        signer: name in the certificate of whoever signed the job.
        kinds: of job: `foundation`, `finetune`, `evaluation`, `data_report`.
    """

    signer: Annotated[str, Field(min_length=1, max_length=200)]
    kinds: tuple[Annotated[str, one_of(JOB_KINDS)], ...]


@settings_class
class Approval:
    """Who decides about a job.

    Attributes:
        ask: a person at the hospital does; else the lead's signature is enough.
        standing: what runs without a question all the same.
    """

    ask: bool = False
    standing: tuple[Standing, ...] = ()


def read_approval(local: Path) -> Approval:
    """A site's policy, from its `local` folder.

    Raises:
        ConfigError: a file that would say it cannot be read, or says something else.
    """
    for path, key in ((local / SITE_FILE, KEY), (local / DEFAULT_FILE, None)):
        if not path.exists():
            continue
        plain = _object(path)
        if key is None or key in plain:
            return build(Approval, plain if key is None else plain[key], path.name)
    return Approval()


def kind_of(app: Path) -> str:
    """The kind of a job, by the executor that it runs at a hospital; `other` where it is none of ours, or several."""
    try:
        plain = json.loads((app / "config" / "config_fed_client.json").read_text())
        paths = {one["executor"]["path"] for one in plain["executors"]}
    except (OSError, ValueError, KeyError, TypeError):
        return "other"
    return _EXECUTORS.get(paths.pop(), "other") if len(paths) == 1 else "other"


def allowed(app: Path, manifest: SignedManifest, kit: Path, job_id: str) -> str:
    """Why a verified job may run at this hospital.

    Args:
        app: the verified app.
        manifest: of it.
        kit: the site's folder.
        job_id: that FLARE gave the job.

    Returns:
        `signature`, `standing rule`, or who approved it.

    Raises:
        TrustError: it was denied, or nobody has decided yet; then it is kept to be looked at. Or the site's policy or
            ledger cannot be read.
    """
    try:
        policy = read_approval(kit / LOCAL)
    except ConfigError as error:  # its text is the hospital's own
        raise TrustError("the hospital's own 'approval' cannot be read; ask it to run `fedefm doctor`") from error
    ledger = JobLedger(kit)
    decision = ledger.decision_of(manifest.serial)
    if decision is not None and decision["event"] == DENIED:
        raise TrustError("this hospital has denied this job; ask its people, and sign another")
    if not policy.ask:
        return "signature"
    if decision is not None and decision["event"] == APPROVED:
        return f"approved by {decision['by']}"
    if _stands(policy, signer_of(manifest), kind_of(app)):
        return "standing rule"
    keep_waiting(app, manifest, kit)
    ledger.waits(manifest, job_id)
    raise TrustError(
        f"waits for a person of this hospital (fedefm approve {manifest.serial[:8]}); "
        "once it has said yes, `fedefm job submit --as-signed`"
    )


def keep_waiting(app: Path, manifest: SignedManifest, kit: Path) -> None:
    """Keep a job that waits as it came; the oldest ones go away where more wait than a person would look at."""
    folder = waiting_folder(kit) / manifest.serial
    if folder.is_dir():
        return
    with new_folder(folder) as part:
        shutil.copytree(app, part, dirs_exist_ok=True)
    kept = sorted(waiting(kit), key=lambda path: path.stat().st_mtime)
    for path in kept[:-MOST_WAITING]:
        shutil.rmtree(path, ignore_errors=True)


def waiting_folder(kit: Path) -> Path:
    """Where jobs that wait are kept."""
    return kit / WAITING_NAME


def waiting(kit: Path) -> list[Path]:
    """The apps that wait, by the numbers of their signatures."""
    folder = waiting_folder(kit)
    return sorted(path for path in folder.iterdir() if not path.name.startswith(".")) if folder.is_dir() else []


def forget_waiting(kit: Path, serial: str) -> None:
    """Take a job that was decided out of the folder."""
    shutil.rmtree(waiting_folder(kit) / serial, ignore_errors=True)


def _stands(policy: Approval, signer: str, kind: str) -> bool:
    return any(rule.signer == signer and kind in rule.kinds for rule in policy.standing)


def _object(path: Path) -> dict[str, Any]:
    try:
        plain = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path.name}: not readable JSON ({type(error).__name__}); correct it") from error
    if not isinstance(plain, dict):
        raise ConfigError(f"{path.name}: not an object; correct it")
    return plain
