"""A hospital's side of a data report: its permitted summary, of the classes that the job knows, and what it counts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedefm.data.describe import describe
from fedefm.data.inspection.whole import inspect_folder
from fedefm.data.manifest import canonical
from fedefm.data.overlap import tokens_of
from fedefm.errors import ProtocolError
from fedefm.exchange.messages import Stage, Task
from fedefm.report.permitted import permitted
from fedefm.survey.meeting import Meeting
from fedefm.survey.settings import Survey
from fedefm.training.site import Site, Work


class Describer(Site):
    """One site at work.

    Args:
        name: the site.
        folder: its images and labels.
        settings: the job.
        device: not used; every job's site has it.
        threads: of torch.
        cache: not used; a summary reads the files themselves.
        least: figures of fewer images never leave; the job may ask for more, not for less.
        compares: whether it may be counted how many of its pictures another hospital has.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        settings: Survey,
        *,
        device: str = "cpu",
        threads: int = 1,
        cache: Path | None = None,
        least: int = 1,
        compares: bool = True,
    ):
        super().__init__(name, device="cpu", threads=threads, least=max(least, settings.least_images))
        self._folder, self._settings = folder, settings
        self._meeting = Meeting(
            lambda: tokens_of(folder), compares=compares and settings.compare_pictures, least=self.least
        )

    @property
    def stages(self) -> Mapping[Stage, Work]:
        """What the hospital does in each stage."""
        return {
            Stage.DESCRIBE: self._describe,
            Stage.OFFER: self._meeting.offer,
            Stage.MATCH: self._meeting.match,
            Stage.COMMON: self._meeting.common,
        }

    @property
    def images(self) -> int:
        """0: the summary says how many images there are, as far as the hospital tells."""
        return 0

    def _describe(self, task: Task, models: Any, should_stop: Any) -> tuple[None, dict[str, Any]]:
        if models:
            raise ProtocolError(f"task {task.id}: a data report needs no weights")
        inspection = inspect_folder(self._folder)
        summary = permitted(inspection, describe(inspection), self.least)
        return None, {"summary": known_only(summary, self._settings.classes)}


def known_only(summary: Mapping[str, Any], classes: tuple[str, ...]) -> dict[str, Any]:
    """A summary in which classes that the job does not know are a number, `others`, and no names.

    A class in another spelling (`Guide wire`) is that class: the page says so where hospitals must agree on one name.
    """
    job = {canonical(name): name for name in classes}
    names = {name: job[canonical(name)] for name in summary["classes"] if canonical(name) in job}
    return {
        **summary,
        "corpus": [names[name] for name in summary["corpus"] if name in names],
        "test_corpus": [names[name] for name in summary["test_corpus"] if name in names],
        "classes": {names[name]: told for name, told in summary["classes"].items() if name in names},
        "others": len(summary["classes"]) - len(names),
        "respelled": sum(name != own for own, name in names.items()),
    }
