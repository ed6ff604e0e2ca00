"""The published layouts that are known: a kind is a file of its name and one line here."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from fedefm.errors import ConfigError

if TYPE_CHECKING:
    from fedefm.data.importers.collection import Collection, Options


@dataclass(frozen=True)
class Kind:
    """A published layout.

    Attributes:
        layout: what the source holds, in one line.
        options: what may be said beside `classes`.
    """

    layout: str
    options: tuple[str, ...] = ()


KINDS: Mapping[str, Kind] = {
    "cathaction": Kind(
        "{animal,phantom}_{train,test}/images/*.png + masks/*.npy, human_dataset_train/img/*.jpg + mask/*_mask.png, "
        "or train/{images,labels}; --part animal, phantom or human where there are several",
        ("part",),
    ),
    "guide3d": Kind("raw.json (tasks with frames[].cameraA.{image, points}) and TASK/000.png ...", ("width",)),
    "arcade": Kind(
        "{syntax,stenosis}/{train,val,test}/{images,annotations/*.json}, or seg_train/, sten_train/ ...; "
        "all segments become vessel; --part syntax or stenosis where there are both",
        ("part",),
    ),
    "coco": Kind(
        "JSON with images, annotations, categories; train, val or test in its path is the split", ("patients",)
    ),
    "cvat": Kind(
        'export "CVAT for images 1.1", unpacked: annotations.xml, images/; --width for polylines', ("width", "patients")
    ),
    "nnunet": Kind(
        "DatasetNNN_X/{imagesTr,labelsTr,dataset.json}; imagesTs + labelsTs are the test split", ("patients",)
    ),
    "drive": Kind("{training,test}/images/21_training.tif + 1st_manual/21_manual1.gif"),
    "dca1": Kind("Database_134_Angiograms/1.pgm + 1_gt.pgm"),
    "ranzcr": Kind("train.csv, train_annotations.csv, train/*.jpg; lines are drawn --width wide", ("width",)),
    "labelstudio": Kind(
        'export "JSON" and the pictures: polygons, brush strokes, vectors with --width', ("width", "patients")
    ),
    "folders": Kind(
        "--images 'img/*.jpg' --masks 'mask/*_mask.png' --classes 1=catheter: the same * makes a pair; "
        "{split} and {patient} may stand in a pattern too",
        ("images", "masks", "patients"),
    ),
}


def read_source(kind: str, source: Path, options: "Options") -> "Collection":
    """Read a source in a published layout.

    Raises:
        ConfigError: the kind is not known, or was given an option that says nothing to it.
        DataError: the source has another layout.
    """
    if kind not in KINDS:
        raise ConfigError(f"{kind!r}: no known layout; use one of {', '.join(KINDS)}")
    allowed = ("classes", *KINDS[kind].options)
    if strange := [name for name in options.given if name not in allowed]:
        raise ConfigError(f"--{strange[0]}: {kind} has no use for it; it takes {', '.join('--' + a for a in allowed)}")
    # imported when it is used, so that help comes at once
    collection: Collection = import_module(f"{__package__}.{kind}").read(source, options)
    return collection
