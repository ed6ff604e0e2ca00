"""What a job was planned to take, beside what it took."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import NonNegativeFloat

from fedefm.errors import ConfigError
from fedefm.settings import build, settings_class


@settings_class
class Planned:
    """The whole job as it was planned; its place in a record is `planned`.

    Attributes:
        seconds: from its start to its end.
        bytes: that are moved.
        least_bytes: the fewest that can be.
    """

    seconds: NonNegativeFloat
    bytes: NonNegativeFloat
    least_bytes: NonNegativeFloat


def read_plan(path: Path) -> dict[str, float]:
    """The plan that `fedefm plan --json` printed, as a record has it.

    Raises:
        ConfigError: the file cannot be read, or is no plan.
    """
    try:
        plain = json.loads(path.read_text())
        found = {
            "seconds": plain["hours"] * 3600,
            "bytes": plain["server"]["gb"] * 1e9,
            "least_bytes": plain["least_gb"] * 1e9,
        }
        build(Planned, found, str(path))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror or error}); check the path") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path}: is no plan; write it with `fedefm plan --json > plan.json`") from error
    return found
