"""An import from one end to the other."""

from collections.abc import Callable
from pathlib import Path

from fedefm.data.importers.collection import Options
from fedefm.data.importers.kinds import read_source
from fedefm.data.importers.site import Imported, write_site
from fedefm.errors import ConfigError
from fedefm.files import check_free


def import_source(
    kind: str,
    source: Path,
    out: Path,
    options: Options,
    *,
    name: str | None = None,
    progress: Callable[[int], None] = lambda count: None,
) -> Imported:
    """Make a silo's folder of a data set in a published layout; the source is only read.

    Args:
        kind: one of `kinds.KINDS`.
        source: the folder as it was downloaded or exported.
        out: a new or empty folder.
        options: what the source does not say.
        name: the silo; None for the name of the folder.
        progress: is told how many frames are done.

    Raises:
        ConfigError: the kind, an option or the place is wrong.
        DataError: the source is.
    """
    check_free(out)
    if out.resolve().is_relative_to(source.resolve()):
        raise ConfigError(f"{out}: lies in the source, which is never changed; name a folder outside of {source}")
    return write_site(read_source(kind, source, options), out, kind=kind, name=name, progress=progress)
