"""A stage that is no part of the package: its name, its check and what a hospital does in it."""

from collections.abc import Mapping
from typing import Any

import pytest

from fedefm.errors import ProtocolError
from fedefm.exchange.messages import Stage, Task
from fedefm.training.site import Site, Work


def add_stage(monkeypatch: pytest.MonkeyPatch, name: str) -> Stage:
    """One more line in `Stage`, for as long as a test runs: enumerations are closed, so its tables are opened."""
    stage = str.__new__(Stage, name)
    stage._name_, stage._value_ = name.upper(), name
    for table, key in (("_member_map_", name.upper()), ("_value2member_map_", name)):
        monkeypatch.setitem(getattr(Stage, table), key, stage)
    return stage


def frames_of(report: Mapping[str, Any]) -> int:
    """The count in a census report.

    Raises:
        ProtocolError: there is none.
    """
    frames = report.get("frames")
    if not isinstance(frames, int):
        raise ProtocolError("census: the hospital did not count its frames")
    return frames


class Counter(Site):
    """A hospital whose job is to count, and which counts only if it can."""

    def __init__(self, name: str, census: Stage, frames: Any):
        super().__init__(name)
        self._census, self._frames = census, frames

    @property
    def stages(self) -> Mapping[Stage, Work]:
        return {Stage.PREPARE: self._prepare, self._census: self._count}

    @property
    def images(self) -> int:
        return 7

    def _prepare(self, task: Task, models: Any, should_stop: Any) -> tuple[None, dict[str, Any]]:
        return None, {"corpus": ["catheter"], "images": {"train": 7}}

    def _count(self, task: Task, models: Any, should_stop: Any) -> tuple[None, dict[str, Any]]:
        return None, {"frames": self._frames}
