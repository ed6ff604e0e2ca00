"""One file of an export: cleaned and written, or the reason why it is held back."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK
from jaxtyping import Float32, Integer
from PIL import Image

from fedefm.data.deidentify import header
from fedefm.data.deidentify.burned_in import Box, find_text
from fedefm.data.deidentify.secret import Secret, content_of
from fedefm.data.importers.files import open_picture, read_labels
from fedefm.data.normalise import fill_padding
from fedefm.data.readers import count_values, open_file, read_frames, read_image, read_shape
from fedefm.errors import DataError

_COLOURS = ("P", "RGB", "RGBA")
_ROUNDED = 0.01  # grey of equal colours is their luminance, which may miss a whole number by what rounding left
_RASTER = ("PNG", "JPEG", "TIFF")
_LOOKED_AT = 8  # frames of a cine in which letters are looked for
_PATIENT, _FILE = 12, 16  # letters of a name
_WIDEST = 640  # pixels of a picture of letters

Frame = Float32[np.ndarray, "h w"]


class HeldBackError(DataError):
    """A file that stays out, with the reason, which may name it: for the hospital's own screen."""


@dataclass(frozen=True)
class Cleaned:
    """A file without identifiers.

    Attributes:
        patient: its patient's new name.
        name: its own new name, which begins with the patient's.
        ending: of the image's file.
        frames: number of frames.
        crops: pictures of what may be letters.
        says_text: the header itself says that there are.
    """

    patient: str
    name: str
    ending: str
    frames: int
    crops: tuple[Image.Image, ...]
    says_text: bool


def clean_image(path: Path, group: str, secret: Secret, part: Path, *, named: bool) -> Cleaned:
    """Write an image without identifiers, then read what was written, every frame of it.

    Args:
        path: of the export; it is only read.
        group: names the patient where the file does not.
        secret: of the hospital.
        part: where to write; with an error it may be half written.
        named: whether a person said that it is an image; else it must be DICOM.

    Raises:
        HeldBackError: it cannot be read, is no image, or is in doubt.
    """
    file = open_file(path)
    if file.format == "DICOM":
        if file.segmentation:
            raise HeldBackError("a segmentation; say with --images and --masks to which image it belongs")
        dataset = header.read_dataset(path)
        patient = secret.name("patient", header.patient_of(dataset) or f"group\0{group}", _PATIENT)
        telling, says_text, ending = header.identifiers_of(dataset), header.says_text(dataset), ".dcm"
        header.clean(dataset, secret, patient)
        header.write(dataset, part)
        if header.left_over(part, telling):
            raise HeldBackError("a name or number of its header is elsewhere in it too, such as in a comment of a JPEG")
    elif file.format in _RASTER and named:
        patient, says_text, ending = secret.name("patient", f"group\0{group}", _PATIENT), False, ".png"
        _write_picture(path, part)
    elif file.format in _RASTER:
        raise HeldBackError(f"{file.format}, no DICOM; where it is an image, name it with --images 'PATTERN'")
    else:
        raise HeldBackError(f"{file.format} is not cleaned; export DICOM or PNG")
    frames, crops = _look(part, ending)
    if frames != file.shape[0]:
        raise HeldBackError(f"declares {file.shape[0]} frames and gives {frames}; export it again")
    name = f"{patient}_{secret.name('file', content_of(path), _FILE)}"
    return Cleaned(patient, name, ending, frames, crops, says_text)


def clean_mask(path: Path, image: Path, classes: Sequence[int], part: Path) -> str:
    """Write the numbers of a mask, on the pixels of its image, and nothing else of its file; its ending.

    Raises:
        HeldBackError: it cannot be read, or does not fit the image or the classes.
    """
    labels: Integer[np.ndarray, "f h w"] = read_labels(path, image)
    shape = read_shape(image)
    if labels.shape != shape:
        raise HeldBackError(f"its mask {path.name} is of another size: {labels.shape} against {shape}; correct it")
    if strange := sorted(set(count_values(labels)) - set(classes)):
        raise HeldBackError(
            f"its mask {path.name} has the value {strange[0]}; name it with --classes {strange[0]}=NAME"
        )
    small = labels.astype(np.uint8 if labels.max() < 256 else np.uint16)
    ending = ".png" if len(small) == 1 else ".tif"
    with part.open("wb"):  # a place that cannot be written to is told by the system; SimpleITK says nothing
        image = SimpleITK.GetImageFromArray(small[0] if len(small) == 1 else small)
    whole = part.with_name(part.name + ending)
    SimpleITK.WriteImage(image, str(whole), useCompression=True)
    whole.replace(part)
    return ending


def _write_picture(path: Path, part: Path) -> None:
    """The pixels alone, upright: a PNG, JPEG or TIFF holds comments, positions, corners and previews besides."""
    image = read_image(path)
    grey = np.round(image.frames[0])
    if np.abs(grey - image.frames[0]).max() < _ROUNDED and grey.min() >= 0 and grey.max() < 1 << 16:
        small = grey.astype(np.uint8 if image.bits <= 8 and grey.max() < 1 << 8 else np.uint16)
        Image.fromarray(small).save(part, "PNG")
        return
    picture = open_picture(path)
    if picture.mode not in _COLOURS:
        raise HeldBackError(f"{path.name}: values below 0, above 65535 or with fractions; save it as grey PNG")
    plain = picture.convert("RGB")
    plain.info.clear()
    plain.save(part, "PNG")


def _look(part: Path, ending: str) -> tuple[int, tuple[Image.Image, ...]]:
    """How many frames can be read, and pictures of what may be letters in some of them."""
    whole = part.with_name(part.name + ending)  # readers go by the ending
    part.rename(whole)
    try:
        count = read_shape(whole)[0]
        wanted = set(np.linspace(0, count - 1, min(count, _LOOKED_AT)).astype(int).tolist())
        crops: list[Image.Image] = []
        seen, varied = 0, False
        for number, frame in enumerate(read_frames(open_file(whole))):
            seen += 1
            grey = fill_padding(frame)
            varied = varied or float(grey.max()) > float(grey.min())
            if number in wanted and not crops:  # the first frame with letters shows them
                crops += [_crop(grey, box) for box in find_text(grey)]
    finally:
        whole.rename(part)
    if not varied:
        raise HeldBackError("all of one grey value: there is no picture in it")
    return seen, tuple(crops)


def _crop(frame: Frame, box: Box) -> Image.Image:
    wide = box.grown(box.height, frame.shape)
    low, high = float(frame.min()), float(frame.max())
    grey = ((frame - low) / (high - low) * 255).astype(np.uint8)[wide.top : wide.bottom, wide.left : wide.right]
    picture = Image.fromarray(grey)
    picture.thumbnail((_WIDEST, _WIDEST))
    return picture
