"""File formats by extension, verified by their first bytes."""

from enum import Enum
from pathlib import Path

from fedefm.errors import DataError


class Format(Enum):
    """A readable file format; the value is the name of its SimpleITK reader."""

    PNG = "PNGImageIO"
    JPEG = "JPEGImageIO"
    TIFF = "TIFFImageIO"
    NIFTI = "NiftiImageIO"
    DICOM = "GDCMImageIO"


_EXTENSIONS = {
    ".png": Format.PNG,
    ".jpg": Format.JPEG,
    ".jpeg": Format.JPEG,
    ".tif": Format.TIFF,
    ".tiff": Format.TIFF,
    ".nii": Format.NIFTI,
    ".nii.gz": Format.NIFTI,
    ".dcm": Format.DICOM,
    ".dicom": Format.DICOM,
}
_HEAD_BYTES = 352
_NIFTI_MAGIC = (b"n+1\0", b"n+2\0")


def stem_of(path: Path) -> str:
    """A file's name without its extension; a DICOM file may have none, and its name may hold dots."""
    extension = _extension(path)
    return path.name[: -len(extension)] if extension else path.name


def format_of(path: Path) -> Format:
    """The format of a file, by extension and first bytes; a file without a known extension must be DICOM.

    Raises:
        DataError: where the file is empty or unreadable, or its bytes are not what its extension says.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError as error:
        raise DataError(f"cannot open {path.name}: {error.strerror}; check its permissions") from error
    if not head:
        raise DataError(f"cannot read {path.name}: the file is empty; re-export it or remove it")
    stated, found = _EXTENSIONS.get(_extension(path), Format.DICOM), _sniff(head)
    if _extension(path) == ".nii.gz":
        found = Format.NIFTI if head[:2] == b"\x1f\x8b" else found
    if found is stated:
        return stated
    if found is None:
        raise DataError(f"cannot read {path.name}: truncated or not a {stated.name} file; re-export it or remove it")
    raise DataError(f"{path.name} holds {found.name}, not {stated.name}; give it the extension of its format")


def _extension(path: Path) -> str:
    name = path.name.lower()
    return next((known for known in sorted(_EXTENSIONS, key=len, reverse=True) if name.endswith(known)), "")


def _sniff(head: bytes) -> Format | None:
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return Format.PNG
    if head.startswith(b"\xff\xd8\xff"):
        return Format.JPEG
    if head[128:132] == b"DICM":  # before TIFF and NIfTI: the preamble may be that of a TIFF file
        return Format.DICOM
    if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return Format.TIFF
    if head[344:348] in _NIFTI_MAGIC or head[4:8] in _NIFTI_MAGIC:
        return Format.NIFTI
    return None
