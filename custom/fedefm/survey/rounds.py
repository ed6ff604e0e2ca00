"""The server's side of a data report in plain Python: every hospital is asked once.

`survey` runs over any transport, FLARE's for one; `survey_in_process` with all hospitals in this process, which is the
oracle of FLARE's adapters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fedefm.exchange.events import Listener
from fedefm.exchange.in_process import InProcessTransport
from fedefm.exchange.messages import Assignment, Stage, seeded_task
from fedefm.exchange.ports import Transport
from fedefm.exchange.stages import Stages
from fedefm.exchange.state import Attendance
from fedefm.models.build import Weights
from fedefm.survey.describer import Describer
from fedefm.survey.outliers import remarks
from fedefm.survey.settings import Survey
from fedefm.training.ledger import Ledger
from fedefm.training.ops import TensorOps


def survey(settings: Survey, sites: Sequence[str], transport: Transport[Weights], listen: Listener) -> dict[str, Any]:
    """Ask every hospital for its summary, over any transport.

    Args:
        settings: the job.
        sites: hospitals that take part.
        transport: carries the work.
        listen: is told every event.

    Returns:
        `report.json`.

    Raises:
        QuorumError: fewer than `min_sites` hospitals answered.
    """
    ledger = Ledger(listen)
    stages = Stages(
        transport, TensorOps({}), settings.classes, ledger, rounds=1, seed=settings.seed, min_sites=settings.min_sites
    )
    tasks = [seeded_task(settings.seed, Stage.DESCRIBE, 0, site) for site in sorted(sites)]
    done, _ = stages.perform(Attendance(0), Stage.DESCRIBE, [Assignment(task, {}) for task in tasks])
    stages.quorum(len(done), Stage.DESCRIBE, 0)
    summaries = {task.site: result.report["summary"] for task, result in done}
    return {
        "schema": 1,
        "kind": "data_report",
        "name": settings.name,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "config": settings.to_dict(),
        "classes": list(settings.classes),
        "sites": sorted(summaries),
        "synthetic": [site for site in sorted(summaries) if summaries[site]["synthetic"]],
        "summaries": summaries,
        "remarks": remarks(summaries, settings.classes),
        "lost": ledger.lost,
        "standings": ledger.standings,
        "seconds": ledger.seconds,
        "bytes": ledger.bytes,
    }


def survey_in_process(
    settings: Survey, folders: Mapping[str, Path], listen: Listener = lambda event: None
) -> dict[str, Any]:
    """The same with all hospitals in this process; `report.json`.

    Raises:
        FedefmError: too few hospitals could answer.
    """
    sites = {name: Describer(name, folder, settings) for name, folder in sorted(folders.items())}
    return survey(settings, sorted(folders), InProcessTransport(sites), listen)
