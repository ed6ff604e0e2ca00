"""Turns FLARE's kits into ours: whole policy files, tight modes, one signed manifest over each."""

from __future__ import annotations

import os
from pathlib import Path

from nvflare.lighter.constants import CtxKey, ParticipantType
from nvflare.lighter.ctx import ProvisionContext
from nvflare.lighter.entity import Participant, Project
from nvflare.lighter.spec import Builder

from fedefm.errors import ConfigError
from fedefm.files import write_json
from fedefm.kits.approval import DEFAULT_FILE
from fedefm.kits.kit import KIT_FOLDERS, LOCAL, STARTUP
from fedefm.kits.lay import lay, replace_once, tighten
from fedefm.kits.seal import seal
from fedefm.resources import shipped

SIGNATURE, ASK = "signature", "ask"
TEMPLATES = {ParticipantType.SERVER: "server", ParticipantType.CLIENT: "hospital"}
_FOREIGN_CODE = "export PYTHONPATH=/local/custom:$PYTHONPATH"  # FLARE would import from there before its own packages


class KitBuilder(Builder):
    """Finishes every kit after FLARE's own builders; list it first in the project file: the first finalises last.

    An error here makes FLARE remove the unfinished kits.

    Args:
        storage: absolute folder at the server for jobs and snapshots; FLARE's own default is the temporary folder.
        approval: the default of hospitals that say nothing of it themselves: `signature` runs what a lead signed, `ask`
            waits until a person at the hospital has said yes (`fedefm approve`).

    Raises:
        ConfigError: `approval` is neither.
    """

    def __init__(self, storage: str = "/var/lib/fedefm", approval: str = SIGNATURE):
        super().__init__()
        if approval not in (SIGNATURE, ASK):
            raise ConfigError(f"project file: approval {approval!r:.40} is unknown; use {SIGNATURE} or {ASK}")
        self._values = {"storage": storage}
        self._asks = approval == ASK

    def initialize(self, project: Project, ctx: ProvisionContext) -> None:
        """From here on nothing is born readable by others."""
        os.umask(0o077)

    def finalize(self, project: Project, ctx: ProvisionContext) -> None:
        """Lay the templates, tighten the modes, sign; in the folder that FLARE has just completed."""
        kits = Path(ctx[CtxKey.CURRENT_PROD_DIR])
        last = last_folder(kits)
        kits.chmod(0o700)
        for participant in project.get_all_participants():
            kit = kits / participant.name
            self._finish(participant, kit)
            previous = last / participant.name if last else None
            if seal(kit, participant.name, ctx[CtxKey.ROOT_CERT], ctx[CtxKey.ROOT_PRI_KEY], previous):
                ctx.info(f"{participant.name}: new kit")

    def _finish(self, participant: Participant, kit: Path) -> None:
        template = TEMPLATES.get(participant.type)
        if template:
            lay(shipped("workspace_templates", template), kit, self._values)
            replace_once(kit / STARTUP / "sub_start.sh", _FOREIGN_CODE, "unset PYTHONPATH")
            (kit / LOCAL / "privacy.json.sample").unlink()
        if self._asks and participant.type == ParticipantType.CLIENT:
            write_json(kit / LOCAL / DEFAULT_FILE, {"ask": True})
        tighten(kit)


def last_folder(kits: Path) -> Path | None:
    """The folder of kits that was made before this one."""
    older = sorted(path for path in kits.parent.glob(KIT_FOLDERS) if path.name < kits.name)
    return older[-1] if older else None
