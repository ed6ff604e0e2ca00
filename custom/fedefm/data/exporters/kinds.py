"""The layouts that a silo can be written in: a kind is a file of its name and one line here."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

from fedefm.errors import ConfigError
from fedefm.files import check_free

KINDS: Mapping[str, str] = {
    "nnunet": "DatasetNNN_X/{imagesTr,labelsTr,imagesTs,labelsTs,dataset.json}, splits_final.json with train and val",
    "coco": "images/{train,val,test}/*.png and annotations/instances_{train,val,test}.json with run lengths",
}
"""What is written, in one line."""


def export_site(kind: str, site: Path, out: Path) -> Mapping[str, int]:
    """Write a silo in another layout; the silo is only read.

    Args:
        kind: one of `KINDS`.
        site: folder with `images/`, `masks/` and `dataset.json`.
        out: a new or empty folder.

    Returns:
        Frames by split.

    Raises:
        ConfigError: the kind or the place is wrong.
        DataError: the silo is.
    """
    if kind not in KINDS:
        raise ConfigError(f"{kind!r}: no known layout; use one of {', '.join(KINDS)}")
    check_free(out)
    if out.resolve().is_relative_to(site.resolve()):
        raise ConfigError(f"{out}: lies in the silo, which is never changed; name a folder outside of {site}")
    # imported when it is used, so that help comes at once
    frames: Mapping[str, int] = import_module(f"{__package__}.{kind}").write(site, out)
    return frames
