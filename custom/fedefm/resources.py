"""The folders that come with the package: job folders and policy templates."""

from pathlib import Path

from fedefm.errors import ConfigError

JOB_CONFIG = Path("app") / "config"  # of a FLARE job folder: its settings beside FLARE's own configuration
_PACKAGE = Path(__file__).parent
_PLACES = (_PACKAGE / "shipped", _PACKAGE.parents[1])  # inside an installed wheel; the root of a checkout


def shipped(*parts: str) -> Path:
    """A folder such as `jobs/foundation`, in a checkout or in an installed wheel.

    Raises:
        ConfigError: the installation does not hold it.
    """
    for place in _PLACES:
        if (folder := place.joinpath(*parts)).is_dir():
            return folder
    raise ConfigError(f"{'/'.join(parts)}: not part of this installation; install fedefm again, or from a checkout")
