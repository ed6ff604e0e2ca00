"""The hospital's images, as training would read them; read only, and nothing of it leaves the site."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from fedefm.doctor.finding import Finding, failed, failed_with, passed, warned
from fedefm.errors import ConfigError, DataError
from fedefm.flare.site_config import SiteConfig, load_site_config
from fedefm.kits.kit import Kit

_SHOWN = 10
LOOK = "`fedefm data check` shows all, with the names of files"


def site_config(kit: Kit) -> SiteConfig | ConfigError:
    """The site's own file, or what is wrong with it."""
    try:
        return load_site_config(kit.local, kit.name)
    except ConfigError as error:
        return error


def configured(config: SiteConfig | ConfigError) -> Iterator[Finding]:
    """The site's own file names a data folder, and that folder is there."""
    if isinstance(config, ConfigError):
        yield failed_with("site", config)
    elif not config.data.is_dir():
        yield failed("site", f"{config.data} is no folder", "correct 'data' in local/fedefm_site.json, or mount it")
    elif not os.access(config.data, os.R_OK | os.X_OK):
        yield failed("site", f"{config.data} cannot be read by this account", "let the account of this site read it")
    else:
        yield passed("site", f"data in {config.data}, device {config.device}, {config.threads} threads")


def images(folder: Path, show_names: bool = False) -> Iterator[Finding]:
    """Read every image and mask of the folder.

    A file's name may be a patient's, and what the doctor says is sent to whoever helps: a name stands in it only where
    it was asked for.
    """
    from fedefm.data.describe import STOPS, describe_folder  # imports torch, which takes seconds

    try:
        summary = describe_folder(folder)
    except DataError as error:
        yield failed_with("data", error) if show_names else failed("data", "the folder cannot be used", LOOK)
        return
    except Exception as error:
        if show_names:
            raise
        yield failed("data", f"could not be looked at ({type(error).__name__})", LOOK)
        return
    lines = summary.anomalies if show_names else summary.nameless
    counts = Counter(lines)
    for text in list(counts)[:_SHOWN]:
        level = failed if text.endswith(STOPS) else warned
        times = f" ({counts[text]} times)" if counts[text] > 1 else ""
        yield level("data", text.removesuffix(STOPS) + times, f"correct it; {LOOK}")
    if len(counts) > _SHOWN:
        more = list(counts)[_SHOWN:]
        level = failed if any(text.endswith(STOPS) for text in more) else warned
        yield level("data", f"{len(more)} more things to look at", LOOK)
    if not summary.stops:
        yield passed("data", f"{summary.frames} frames, annotated {', '.join(summary.annotated)}")
