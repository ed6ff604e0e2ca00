"""The hospital's images, as training would read them; read only, and nothing of it leaves the site."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from fedefm.doctor.finding import Finding, failed, failed_with, passed, warned
from fedefm.errors import ConfigError, DataError
from fedefm.flare.site_config import SiteConfig, load_site_config
from fedefm.kits.kit import Kit

_SHOWN = 10


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


def images(folder: Path) -> Iterator[Finding]:
    """Read every image and mask of the folder."""
    from fedefm.data.describe import STOPS, describe_folder  # imports torch, which takes seconds

    try:
        summary = describe_folder(folder)
    except DataError as error:
        yield failed_with("data", error)
        return
    for one in summary.anomalies[:_SHOWN]:
        level = failed if one in summary.stops else warned
        yield level("data", one.removesuffix(STOPS), "correct it; `fedefm data check` shows all")
    if len(summary.anomalies) > _SHOWN:
        more = summary.anomalies[_SHOWN:]
        level = failed if set(more) & set(summary.stops) else warned
        yield level("data", f"{len(more)} more things to look at", "`fedefm data check` shows all")
    if not summary.stops:
        yield passed("data", f"{summary.frames} frames, annotated {', '.join(summary.annotated)}")
