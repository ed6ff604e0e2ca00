"""Which files an app of a job may hold: configuration, and none under a name that FLARE looks for in a site's folder.

FLARE takes some files of its own from whichever folder of a site's workspace has one of that name first, and a deployed
app lies in that workspace. Measured with FLARE 2.9: an app with `config/comm_config.json`, whose `comm_driver_path` is
the site's folder, has every Python file imported that lies there, its own too, at each site and at the server. No
folder `custom` is needed, so that FLARE does not call it code of the job.
"""

from __future__ import annotations

from collections.abc import Iterable

from fedefm.errors import TrustError
from fedefm.trust.names import shown

# Names before the first dot, as FLARE looks for each of them with the endings of several formats.
_SITES_OWN = frozenset(
    {"comm_config", "resources", "authorization", "privacy", "log_config", "rootca", "study_runtime", "study_data"}
    | {"fed_client", "fed_server", "fed_admin", "fedefm_site", "fedefm_limits", "fedefm_approval", "fedefm_server"}
)
_CODE = (".py", ".pyc", ".pyo", ".pyd", ".so", ".pth", ".egg", ".whl", ".sh")


def check_configuration(paths: Iterable[str]) -> None:
    """Refuse an app that holds code, or a file that FLARE would take for one of the site's own.

    Args:
        paths: of its files, with slashes.

    Raises:
        TrustError: the first such file, by its name.
    """
    for path in paths:
        name = path.rsplit("/", 1)[-1].casefold()
        if name.endswith(_CODE):
            raise TrustError(f"{shown(path)}: code, and a job is configuration; take it out, then sign the job again")
        if name.split(".", 1)[0] in _SITES_OWN:
            raise TrustError(
                f"{shown(path)}: the name of a file of the site's own, which FLARE would read instead; rename it, then "
                "sign the job again"
            )
