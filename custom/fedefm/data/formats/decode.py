"""Pixels by SimpleITK, as grey values or labels; its errors and chatter are put into plain words here."""

import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NoReturn

import numpy as np
import SimpleITK
from jaxtyping import Float32, Int64
from numpy.typing import NDArray

from fedefm.data.formats.reader import ImageFrames, Spacing
from fedefm.data.tiff_header import read_pages
from fedefm.errors import DataError

SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)

# What C libraries print of damage, and of 12-bit DICOM frames that they then read well. Our messages say what matters.
_CHATTER = re.compile(
    rb"(TIFF|Fax|LZW|ZIP|JPEG|OJPEG|Predictor|PackBits|Deflate|libpng|Corrupt|Premature|Unsupported|Invalid|Bogus|Unknown|"
    rb"Old-style|Warning|Error|Empty|Wrong|Unexpected|Quantization|Huffman|Arithmetic|Application|Sorry|opj_|\[ERROR\]|"
    rb"\[WARNING\]|\[INFO\]|Tag |Failed|Maximum|Bad |Not a |Inconsistent)"
)

LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601; what a colour photograph looks like in grey


def decode(path: Path, image_io: str, kind: str, *, name: str | None = None) -> NDArray[np.generic]:
    """The pixels of a file: (frames, rows, columns), and a fourth axis for colour.

    Args:
        path: the file.
        image_io: the name of SimpleITK's reader.
        kind: the format's name, for the message.
        name: what to call it in an error, if not its own name.

    Raises:
        DataError: where SimpleITK cannot decode it.
    """
    reader = _reader(path, image_io)
    with _plain_words(name or path.name, kind), _CHATTERS.held_back(path):
        image = reader.Execute()
    pixels: NDArray[np.generic] = SimpleITK.GetArrayFromImage(image)
    while image.GetDimension() > 3 and pixels.ndim > 3:
        pixels = pixels[0]
    return pixels[None] if image.GetDimension() == 2 else pixels


def decode_bytes(data: bytes, ending: str, source: Path, image_io: str, kind: str) -> NDArray[np.generic]:
    """`decode` of a file that was made of another, which an error names."""
    with tempfile.TemporaryDirectory(prefix="fedefm-") as folder:
        copy = Path(folder) / f"picture{ending}"
        copy.write_bytes(data)
        return decode(copy, image_io, kind, name=source.name)


def picture(pixels: NDArray[np.generic], kind: str, spacing_mm: Spacing | None = None) -> ImageFrames:
    """An image of decoded pixels, whose type says how many bits they were stored with."""
    low, high = _range(pixels)
    return ImageFrames(to_grey(pixels), spacing_mm, pixels.itemsize * 8, low, high, kind)


def to_grey(pixels: NDArray[np.generic]) -> Float32[np.ndarray, "f h w"]:
    """Decoded pixels as grey values; of colour its luminance, and a fourth channel is opacity."""
    if pixels.ndim == 3:
        return pixels.astype(np.float32)
    return (pixels[..., :3] @ np.array(LUMINANCE)).astype(np.float32)


def upright(pixels: NDArray[np.generic], orientation: int) -> NDArray[np.generic]:
    """Pixels as a viewer shows them, by the orientation of TIFF and EXIF: 1 is upright, 6 a quarter turned."""
    swapped = np.swapaxes(pixels, 1, 2) if orientation > 4 else pixels
    flips = {2: (2,), 3: (1, 2), 4: (1,), 6: (2,), 7: (1, 2), 8: (1,)}.get(orientation, ())
    return np.ascontiguousarray(np.flip(swapped, flips))


def exif_orientation(name: str, exif: bytes) -> int:
    """As a camera notes how it was held, see `upright`; 1 where it does not, or notes nothing that can be read."""
    if not exif:
        return 1
    try:
        return read_pages(name, exif)[1][0].orientation
    except DataError:
        return 1


def refuse_lossy_mask(name: str) -> NoReturn:
    """Masks that were packed with loss hold numbers that nobody drew.

    Raises:
        DataError: always.
    """
    raise DataError(f"{name}: a mask in JPEG, which blurs class numbers; save it as PNG from the source")


def to_labels(pixels: NDArray[np.generic], name: str) -> Int64[np.ndarray, "f h w"]:
    """Decoded pixels as the numbers of a mask.

    Args:
        pixels: of `decode`.
        name: the file's name, for the message.

    Raises:
        DataError: they are in colour, or no whole numbers.
    """
    if pixels.ndim == 4:
        pixels = _one_channel(pixels, name)
    if pixels.dtype.kind == "f" and not (np.isfinite(pixels) & (np.floor(pixels) == pixels)).all():
        raise DataError(f"{name}: a mask of fractions or NaN; save whole class numbers")
    if pixels.dtype.kind in "fu" and pixels.size and max(-float(pixels.min()), float(pixels.max())) >= 1 << 53:
        raise DataError(f"{name}: a mask with numbers beyond any class; save whole class numbers from 0 on")
    labels: NDArray[np.int64] = pixels.astype(np.int64)
    return labels


def _one_channel(pixels: NDArray[np.generic], name: str) -> NDArray[np.generic]:
    """Equal channels as one; opacity may say no more than they do."""
    colours, opacity = (
        pixels[..., : 3 if pixels.shape[-1] > 2 else 1],
        pixels[..., 3:] if pixels.shape[-1] > 2 else pixels[..., 1:],
    )
    if not (colours[..., :1] == colours).all():
        raise DataError(f"{name}: a mask in colour; save one grey channel of class numbers")
    labels = colours[..., 0]
    clear = opacity[..., 0] == 0 if opacity.shape[-1] else np.zeros(labels.shape, bool)
    if not clear.all() and ((labels[clear] != 0).any() or (clear.any() and not labels.any())):
        raise DataError(f"{name}: a mask whose opacity says something else than its values; save it without opacity")
    return labels


def _range(pixels: NDArray[np.generic]) -> tuple[float, float]:
    if pixels.dtype.kind == "f":
        return float(np.min(pixels)), float(np.max(pixels))
    bits, signed = 8 * pixels.itemsize, pixels.dtype.kind == "i"
    return (float(-(1 << bits - 1)), float((1 << bits - 1) - 1)) if signed else (0.0, float((1 << bits) - 1))


def _reader(path: Path, image_io: str) -> SimpleITK.ImageFileReader:
    reader = SimpleITK.ImageFileReader()
    reader.SetImageIO(image_io)  # by format, so that no other of its many readers is tried on a damaged file
    reader.SetFileName(str(path))
    return reader


@contextmanager
def _plain_words(name: str, kind: str) -> Iterator[None]:
    """SimpleITK reports damage as a missing reader or a failed cast; say what it means.

    Whether all bytes are there, each format looks before it decodes.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        raise DataError(
            f"cannot read {name}: its {kind} pixels are damaged, or packed in a way that is not read; "
            "re-export it or remove it"
        ) from error


class _Chatters:
    """Keeps known noise of C libraries off standard error; everything else that is written meanwhile is passed on.

    They print whole paths as well. Files may be decoded in several threads: the first opens a file for what is printed,
    the last passes on what remains.
    """

    def __init__(self) -> None:
        self._lock, self._inside, self._paths = threading.Lock(), 0, set[bytes]()
        self._kept = -1  # standard error as it was
        self._caught: list[IO[bytes]] = []  # what stands in its place

    @contextmanager
    def held_back(self, path: Path) -> Iterator[None]:
        """While a file is decoded."""
        with self._lock:
            if not self._inside:
                self._open()
            self._inside += 1
            self._paths.add(os.fsencode(path))
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1
                if not self._inside:
                    self._close()

    def _open(self) -> None:
        sys.stderr.flush()
        self._caught.append(tempfile.TemporaryFile())  # noqa: SIM115
        self._kept = os.dup(2)
        os.dup2(self._caught[0].fileno(), 2)

    def _close(self) -> None:
        sys.stderr.flush()
        os.dup2(self._kept, 2)
        os.close(self._kept)
        with self._caught.pop() as caught:
            caught.seek(0)
            lines = [line for line in caught if not _CHATTER.match(line) and not any(p in line for p in self._paths)]
        self._paths.clear()
        os.write(2, b"".join(lines))


_CHATTERS = _Chatters()
