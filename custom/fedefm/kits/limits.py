"""How much a signed job or folder of models may hold at a site: a policy of the consortium, in the signed kit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from fedefm.settings import load, settings_class
from fedefm.trust.kinds import JOB, MAX_FILES, MODEL, Limits

LIMITS_FILE = "fedefm_limits.json"
MEGABYTE = 1_000_000


@settings_class
class Bound:
    """The most that one folder may hold.

    Attributes:
        files: how many.
        megabytes: of all of them together.
    """

    files: Annotated[int, Field(ge=1, le=MAX_FILES)]
    megabytes: Annotated[int, Field(ge=1)]

    def limits(self) -> Limits:
        """The same in bytes."""
        return Limits(self.files, self.megabytes * MEGABYTE)


@settings_class
class SignedLimits:
    """The file `local/fedefm_limits.json`. A kit is text, and its limit is fixed: nothing in it is trusted before.

    Attributes:
        job: an app of a job.
        model: a folder of models at the server.
    """

    job: Bound
    model: Bound


def read_limits(local: Path) -> dict[str, Limits]:
    """The limits of each kind, by its name; without such a file, as in the simulator, those of `fedefm.trust.kinds`.

    Args:
        local: the site's folder of policies.

    Raises:
        ConfigError: the file is not JSON, lacks a kind, or has a wrong value.
    """
    path = local / LIMITS_FILE
    if not path.exists():
        return {kind.name: kind.limits for kind in (JOB, MODEL)}
    found = load(SignedLimits, path)
    return {JOB.name: found.job.limits(), MODEL.name: found.model.limits()}
