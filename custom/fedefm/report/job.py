"""The page of any finished job from its record: what a server leaves, and a simulated run has, has one form."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fedefm.errors import ConfigError
from fedefm.report.evaluation import render_evaluation
from fedefm.report.page import render
from fedefm.report.planned import read_plan
from fedefm.report.schema import validate_report
from fedefm.report.survey import render_survey
from fedefm.report.tuned_page import render_tuned

FOUNDATION = "foundation"
_MAX_BYTES = 256 * 2**20


def _render_foundation(record: Mapping[str, Any]) -> str:
    validate_report(record)
    return render(record, ())  # pictures are the hospitals' own: the server has none


PAGES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    FOUNDATION: _render_foundation,
    "finetune": render_tuned,
    "evaluation": render_evaluation,
    "data_report": render_survey,
}
"""How the page of each kind of job is made."""


def read_job(path: Path, plan: Path | None = None) -> tuple[dict[str, Any], str]:
    """A job's record and its page.

    Args:
        path: of the record.
        plan: what `fedefm plan --json` printed, to stand beside what a foundation job took.

    Raises:
        ConfigError: either cannot be read, the first is no record of a job, or a plan is given for another kind of job.
    """
    planned = None if plan is None else read_plan(plan)
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ConfigError(f"{path}: is larger than {_MAX_BYTES >> 20} MB, so no record of a job")
        record: dict[str, Any] = json.loads(path.read_text())
        kind = record.get("kind", FOUNDATION)
        if kind not in PAGES:
            raise ConfigError(f"{path}: a record of the kind '{str(kind)[:40]}' has no page; update fedefm")
        if planned is not None:
            if kind != FOUNDATION:
                raise ConfigError(f"{path}: a job of the kind '{kind}' has no plan; leave --plan out")
            record["planned"] = planned
        return record, PAGES[kind](record)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; name a downloaded job, or its record.json") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise ConfigError(f"{path}: is no record of a job ({type(error).__name__}); download the job again") from error
