"""The server's side of a data report in plain Python: every hospital is asked once, then each two are compared.

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
from fedefm.survey.outliers import remarks, shared
from fedefm.survey.pairs import compare
from fedefm.survey.points import PointOps
from fedefm.survey.settings import Survey
from fedefm.training.ledger import Ledger


def survey(settings: Survey, sites: Sequence[str], transport: Transport[Weights], listen: Listener) -> dict[str, Any]:
    """Ask every hospital for its summary, and each two for how many pictures both have, over any transport.

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
        transport, PointOps(), settings.classes, ledger, rounds=1, seed=settings.seed, min_sites=settings.min_sites
    )
    tasks = [seeded_task(settings.seed, Stage.DESCRIBE, 0, site) for site in sorted(sites)]
    done, state = stages.perform(Attendance(0), Stage.DESCRIBE, [Assignment(task, {}) for task in tasks])
    stages.quorum(len(done), Stage.DESCRIBE, 0)
    summaries = {task.site: result.report["summary"] for task, result in done}
    same = compare(stages, state, sorted(summaries)) if settings.compare_pictures else []
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
        "same_pictures": same,
        "remarks": [*shared(same), *remarks(summaries, settings.classes)],
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
