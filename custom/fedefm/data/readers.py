"""Image and mask files to arrays, whatever their format.

`data check`, training and `segment` all come through here, so that they agree on every file's frames, size and spacing.
"""

import math
import re
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Int64
from numpy.typing import NDArray

from fedefm.data.formats.bitmap import Bitmap
from fedefm.data.formats.dicom import Dicom
from fedefm.data.formats.jpeg import Jpeg
from fedefm.data.formats.nifti import Nifti
from fedefm.data.formats.numpy_array import NumpyArray
from fedefm.data.formats.png import Png
from fedefm.data.formats.reader import Frame, ImageFrames, Reader
from fedefm.data.formats.tiff import Tiff
from fedefm.data.formats.volume import MetaImage, Nrrd
from fedefm.errors import DataError

# Every format; nothing else in the package lists them.
READERS: tuple[type[Reader], ...] = (Png, Jpeg, Tiff, Nifti, Bitmap, NumpyArray, Nrrd, MetaImage, Dicom)

HEAD_BYTES = 352
_ENDING = re.compile(r"\.[A-Za-z][A-Za-z0-9]{0,4}$")
_ARCHIVE = "an archive; unpack it"
_VIDEO = "a video, which is not read; export the run as DICOM or its frames as PNG"
_NOT_READ = {
    **dict.fromkeys((".avi", ".mp4", ".m4v", ".mov", ".wmv", ".mpg", ".mpeg", ".mkv", ".webm"), _VIDEO),
    **dict.fromkeys((".zip", ".gz", ".tgz", ".tar", ".rar", ".7z"), _ARCHIVE),
    ".json": "annotations in JSON; make a folder of them with fedefm data import coco or labelstudio",
    ".xml": "annotations in XML; make a folder of them with fedefm data import cvat",
    ".npz": "several arrays of NumPy; save one as .npy",
    ".mhd": "a MetaImage in two files; save it as one .mha",
    ".nhdr": "a NRRD in two files; save it as one .nrrd",
    ".hdr": "NIfTI or Analyze in two files; save it as one .nii",
    ".img": "NIfTI or Analyze in two files; save it as one .nii",
    ".mat": "a MATLAB file; save it as PNG or TIFF",
    ".webp": "a WebP picture, which may have lost values; save it as PNG",
}
MAX_SIDE = 8192  # pixels; flat detectors reach about 4300
MAX_PIXELS = 1 << 28  # a file's frames together: 1024 frames of 512 x 512, 1 GiB as float32


def open_file(path: Path) -> Reader:
    """Look into a file's header; its format is told by its name's ending and its first bytes.

    Raises:
        DataError: the file is empty or unreadable, its bytes are not what its ending says, or a side is absurd.
    """
    path, ending = Path(path), _ending(path)
    check_name(path)
    head = _head(path)
    stated = next(reader for reader in READERS if ending in reader.endings)
    if not stated.recognises(head, ending):
        found = next((reader for reader in READERS if reader.recognises(head, ending)), None)
        if found is None:
            raise DataError(f"cannot read {path.name}: {_unknown(path, stated, ending)}")
        raise DataError(f"{path.name} holds {found.format}, not {stated.format}; give it the extension of its format")
    file = stated(path)
    _check_size(file, file.shape[1:])
    return file


def read_shape(path: Path) -> tuple[int, int, int]:
    """Frames, rows and columns by the header alone; of a DICOM segmentation object those of its label map.

    Raises:
        DataError: where the header cannot be read, declares too large a picture or more than the file holds.
    """
    return _open_whole(path).label_shape


def read_mask_shape(path: Path, image: Path) -> tuple[int, int, int]:
    """Frames, rows and columns that `read_mask` will give of a mask and its image, by their headers.

    Raises:
        DataError: where one of the headers cannot be read, or the mask is of another image.
    """
    return _open_whole(path).label_shape_on(open_file(image))


def read_image(path: Path) -> ImageFrames:
    """Read an image, a stack or a cine.

    Padding pixels of DICOM get the darkest value of the file. Colour becomes luminance. MONOCHROME1 is turned. Rescale
    slope and intercept are applied, the display window is not.

    Raises:
        DataError: where the file is truncated, not what its extension says, too large, cannot be decoded, or holds NaN.
    """
    file = _open_whole(path)
    image = file.image()
    _check_finite(file, image.frames)
    return image


def read_mask(path: Path, image: Path | None = None) -> Int64[np.ndarray, "f h w"]:
    """Read a mask: its values as stored; of a DICOM segmentation object the segment numbers.

    Args:
        path: the mask.
        image: what it is a mask of. Then it is brought onto the image's frames and pixels, by what the headers of both
            say of where they lie, and by the frames that a segmentation object names. Without it the order is that of
            the file.

    Raises:
        DataError: where the file cannot be read (see `read_image`), is in colour or not of whole numbers, or is of
            another image.
    """
    file = _open_whole(path)
    return file.labels() if image is None else file.labels_on(open_file(image))


def read_frames(file: Reader, wanted: range | None = None) -> Iterator[Frame]:
    """Frames of an image, a stack or a cine, one at a time; where the format allows it, no more of it is in memory.

    The values are those of `read_image`, but for padding in a cine, which is NaN: its darkest value lies elsewhere.

    Args:
        file: of `open_file`.
        wanted: numbers of the frames, from 0; None for all.

    Raises:
        DataError: a frame cannot be read.
    """
    wanted = range(file.shape[0]) if wanted is None else wanted
    stream = file.stream(wanted) if file.shape[0] > 1 else None
    if stream is None:
        _check_whole(file)
        frames = file.image().frames
        _check_finite(file, frames)
        yield from (frames[k] for k in wanted)
        return
    for frame in stream:
        _check_finite(file, frame, padded=file.padded)
        yield frame


def stem_of(path: Path) -> str:
    """A file's name without its ending; a DICOM file may have none, and its name may hold dots.

    Accents are composed: one system writes them as a letter and a mark, another as one letter, and they look alike.
    """
    return unicodedata.normalize("NFC", path.name[: len(path.name) - len(ending_in(path))])


def numbered(names: Iterable[str]) -> list[str]:
    """Names that differ in more than the case of letters: one that came before gets a number, `run` and `run-2`."""
    taken, found = set[str](), list[str]()
    for stem in names:
        name, number = stem, 1
        while name.casefold() in taken:
            number += 1
            name = f"{stem}-{number}"
        taken.add(name.casefold())
        found.append(name)
    return found


def ending_in(path: Path) -> str:
    """The ending of a file's name, of any format or none; numbers behind a dot are part of a DICOM name."""
    return _ending(path) or _other_ending(path)


def check_name(path: Path) -> None:
    """Refuse a path that libraries cannot open and screens cannot show.

    Raises:
        DataError: it is not in UTF-8, as names from old systems are not.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError:
        shown = path.name.encode(errors="surrogateescape").decode("latin-1")
        raise DataError(
            f"{shown}: the name of this file, or of a folder above it, is not in UTF-8; rename it, as with "
            "convmv -f latin1 -t utf8 -r --notest FOLDER"
        ) from None


def count_values(mask: Int64[np.ndarray, "..."]) -> dict[int, int]:
    """The values of a mask and how many pixels have each."""
    if mask.size and mask.min() >= 0 and mask.max() < 1 << 16:  # far quicker than sorting
        counts = np.bincount(mask.ravel())
        return {int(value): int(counts[value]) for value in np.flatnonzero(counts)}
    values, counts = np.unique(mask, return_counts=True)
    return dict(zip(values.tolist(), counts.tolist(), strict=True))


def _ending(path: Path) -> str:
    """The longest ending of any format that the name has; empty where it has none of them."""
    name = path.name.lower()
    return max((ending for reader in READERS for ending in reader.endings if name.endswith(ending)), key=len)


def _other_ending(path: Path) -> str:
    """What looks like an ending of no format that is read; numbers behind a dot are part of a DICOM name."""
    found = _ENDING.search(path.name)
    return found[0] if found and found.start() else ""


def _unknown(path: Path, stated: type[Reader], ending: str) -> str:
    """Why a file that no format recognises is not read."""
    if ending:
        return f"its first bytes are not those of a {stated.format} file; re-export it or remove it"
    other = _other_ending(path).lower()
    if other in _NOT_READ:
        return f"{_NOT_READ[other]}, or remove it"
    formats = ", ".join(reader.format for reader in READERS)
    return f"of no format that is read ({formats}); re-export it or remove it"


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        remedy = "it is a link to nowhere" if path.is_symlink() and not path.exists() else "check its permissions"
        raise DataError(f"cannot open {path.name}: {error.strerror}; {remedy}") from error
    if not head:
        raise DataError(f"cannot read {path.name}: the file is empty; re-export it or remove it")
    return head


def _open_whole(path: Path) -> Reader:
    file = open_file(path)
    _check_whole(file)
    return file


def _check_whole(file: Reader) -> None:
    _check_size(file, file.shape)
    file.check_whole()


def _check_size(file: Reader, counted: tuple[int, ...]) -> None:
    check_declared(file.path.name, file.shape, counted)


def check_declared(name: str, shape: tuple[int, ...], counted: tuple[int, ...] | None = None) -> None:
    """Refuse what declares no picture, too many pixels or an absurd side; before anything is decoded or allocated.

    Args:
        name: the file's name, for the message.
        shape: frames, rows, columns, as declared.
        counted: the part whose pixels are held together; all of `shape` by default.

    Raises:
        DataError: a bound is broken.
    """
    frames, rows, columns = shape
    declared = f"{columns} x {rows} x {frames}"
    if min(shape) < 1:
        raise DataError(f"cannot read {name}: it declares {declared}, no picture; re-export it")
    if max(rows, columns) > MAX_SIDE or math.prod(counted or shape) > MAX_PIXELS:
        raise DataError(
            f"{name} declares {declared} pixels, above {MAX_SIDE} a side or {MAX_PIXELS} in all; "
            "crop it or split the cine"
        )


def _check_finite(file: Reader, pixels: NDArray[np.float32], *, padded: bool = False) -> None:
    finite = np.isfinite(pixels)
    if not finite.all() and not (padded and (finite | np.isnan(pixels)).all()):
        raise DataError(f"{file.path.name} holds NaN or infinite pixels; re-export it or remove it")
