"""A site's FLARE workspace on disk, and the context that FLARE hands to a component of a job that runs there."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from nvflare.apis.client import Client
from nvflare.apis.fl_constant import ReservedKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.workspace import Workspace

SITE = "north"


class Engine:
    """Knows the workspace and the job's hospitals, and keeps the events that a component fires."""

    def __init__(self, workspace: Workspace):
        self.workspace, self.fired, self.cell = workspace, [], Cell()

    def get_workspace(self) -> Workspace:
        return self.workspace

    def get_clients(self) -> list[Client]:
        return [Client(name, name) for name in ("west", "east")]

    def get_cell(self) -> "Cell":
        return self.cell

    def fire_event(self, event_type: str, fl_ctx: FLContext) -> None:
        self.fired.append(event_type)


class Cell:
    """As much of FLARE's end point as leaving tensors at their sender asks for."""

    def __init__(self) -> None:
        self.decode_pass_through_topics: set[Any] = set()
        self.byte_receiver = SimpleNamespace(registry=SimpleNamespace(reg={}))


def job_context(folder: Path, settings_file: str, settings: dict[str, Any]) -> FLContext:
    """Context of job `job` at `SITE`, whose own configuration is still missing; `folder` gets the workspace."""
    for name in ("startup", "local"):
        (folder / name).mkdir()
    fl_ctx = FLContext()
    for key, value in (
        (ReservedKey.ENGINE, Engine(Workspace(str(folder), SITE))),
        (ReservedKey.RUN_NUM, "job"),
        (ReservedKey.IDENTITY_NAME, SITE),
    ):
        fl_ctx.set_prop(key, value, private=True, sticky=False)
    config = folder / "job" / f"app_{SITE}" / "config"
    config.mkdir(parents=True)
    (config / settings_file).write_text(json.dumps(settings))
    return fl_ctx
