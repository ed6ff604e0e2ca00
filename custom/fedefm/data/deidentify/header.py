"""A DICOM header without identifiers: the Basic Confidentiality Profile of PS3.15 Annex E, and a little more.

What to do with which attribute is said by Table E.1-1, which dicom-anonymizer holds by edition. That package applies it
to the outermost data set only and draws new UIDs at random; here every item of every sequence is gone through, and UIDs
come from the hospital's secret. More than the profile asks: sequences that it names are removed, and so is free text
that it does not name, for an image needs none.
"""

import logging
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import pydicom
from dicomanonymizer.simpledicomanonymizer import initialize_actions
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence

from fedefm.data import dicom_header as tags
from fedefm.data.deidentify.pixels import clean_pixels
from fedefm.data.deidentify.secret import Secret
from fedefm.data.dicom_header import read_header
from fedefm.errors import DataError

EDITION = "dicomfields_2026c"
"""Of Table E.1-1; raised together with the package."""

METHOD = "PS3.15 Basic Profile, 2026c; free text removed"
_FREE_TEXT = frozenset({"AE", "LO", "LT", "PN", "SH", "ST", "UC", "UN", "UR", "UT", "DA", "DT", "TM"})
# Free text that the profile keeps and that says what a picture is: manufacturer, model, and the parts of codes.
_KEPT_TEXT = frozenset({0x0008_0070, 0x0008_1090, 0x0008_0100, 0x0008_0102, 0x0008_0103, 0x0008_0104})
_BYTES = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "OB or OW"})
# Bytes without which the picture is none: its palette and look-up tables.
_KEPT_BYTES = frozenset({0x0028_3006, *range(0x0028_1201, 0x0028_1205), *range(0x0028_1221, 0x0028_1224)})
_GRAPHICS = (0x5000, 0x6000)  # groups of curves and overlays, in which anything may be drawn
_OWN_UIDS = "1.2.840.10008."  # those of the standard itself, such as SOP classes
_META = ("MediaStorageSOPClassUID", "TransferSyntaxUID")
# Whose values must be nowhere in what is written: Patient ID, Other Patient IDs, birth date, accession number,
# institution and its address, study ID; names of persons come from every PN.
_TELLING = frozenset(
    {0x0010_0020, 0x0010_1000, 0x0010_0030, 0x0008_0050, 0x0008_0080, 0x0008_0081, 0x0020_0010, 0x0010_1040}
)
_SHORTEST, _SHORTEST_IN_PIXELS = 4, 6  # letters: shorter ones are found by chance
_MOST = 500  # looked for; a header with more names of persons than that is a forged one
_PYDICOM = logging.getLogger("pydicom")

Action = Callable[[Dataset, tuple[int, int]], None]


def read_dataset(path: Path) -> Dataset:
    """A DICOM file as pydicom has it, all in memory; nothing of it is said on the screen or in a log.

    Raises:
        DataError: it cannot be read; the message has no value of it.
    """
    try:
        with _silence():
            return pydicom.dcmread(path, force=True)
    except Exception as error:  # whatever a parser meets in a file from anywhere
        raise DataError(f"cannot read {path.name}: its header is damaged ({type(error).__name__})") from error


def patient_of(dataset: Dataset) -> str | None:
    """Whose image it is: Patient ID with its issuer, else name and birth date, else the study; None if it is silent."""
    with _silence():
        found = [_text(dataset, 0x0010_0020), _text(dataset, 0x0010_0021)]
        if found[0]:
            return "\0".join(["id", *found])
        found = [_text(dataset, 0x0010_0010), _text(dataset, 0x0010_0030)]
        if found[0]:
            return "\0".join(["name", *found])
        study = _text(dataset, 0x0020_000D)
    return f"study\0{study}" if study else None


def says_text(dataset: Dataset) -> bool:
    """Whether the file itself says that identifiers are burned into its pixels."""
    with _silence():
        return _text(dataset, 0x0028_0301).upper() == "YES"


def identifiers_of(dataset: Dataset) -> frozenset[str]:
    """Names and numbers of the header that must not be left anywhere in what is written."""
    with _silence():
        return frozenset(islice((part for part in _telling(dataset) if len(part) >= _SHORTEST), _MOST))


def clean(dataset: Dataset, secret: Secret, patient: str) -> None:
    """Take the identifiers out of a data set, in place.

    Args:
        dataset: as it was read.
        secret: of the hospital.
        patient: the name that takes the place of the patient's.

    Raises:
        DataError: it holds what cannot be taken apart; the message has no value of it.
    """
    try:
        with _silence():
            clean_pixels(dataset)
            _clean(dataset, secret)
            _sign(dataset, patient)
    except DataError:
        raise
    except Exception as error:
        raise DataError(f"its header cannot be cleaned ({type(error).__name__}); export it again") from error


def write(dataset: Dataset, path: Path) -> None:
    """Write a data set; the 128 bytes before it, in which anything may stand, are 0.

    Raises:
        DataError: pydicom cannot write it. OSError: the system refuses.
    """
    try:
        with _silence():
            dataset.save_as(path, enforce_file_format=True, overwrite=True)
    except OSError:
        raise
    except Exception as error:
        raise DataError(f"its header cannot be written ({type(error).__name__}); export it again") from error


def left_over(path: Path, identifiers: frozenset[str]) -> bool:
    """Whether an identifier is still in a file, compressed pixels with their comments included.

    Uncompressed pixels are no text: what looks like a number there is a shade of grey.
    """
    header, content = read_header(path), path.read_bytes()
    start, end = header.spans[tags.PIXELS]
    outside, inside = content[:start] + content[end:], content[start:end] if header.fragments else b""
    for one in identifiers:
        for coded in {one.encode("utf-8", "replace"), one.encode("latin-1", "replace")}:
            if coded in outside or (len(coded) >= _SHORTEST_IN_PIXELS and coded in inside):
                return True
    return False


class _silence(warnings.catch_warnings):  # noqa: N801 a context manager, named as what it does
    """Warnings of pydicom, and its log, repeat values of the header."""

    def __enter__(self) -> Any:
        found = super().__enter__()
        warnings.simplefilter("ignore")
        _PYDICOM.disabled = True
        return found

    def __exit__(self, *error: Any) -> None:
        _PYDICOM.disabled = False
        super().__exit__(*error)


@cache
def _table() -> tuple[dict[int, Action], tuple[tuple[tuple[int, ...], Action], ...]]:
    """Table E.1-1: attributes, and groups that repeat (overlays, curves) with their masks."""
    rules = initialize_actions(EDITION)
    single = {tag[0] << 16 | tag[1]: action for tag, action in rules.items() if len(tag) == 2}
    return single, tuple((tag, action) for tag, action in rules.items() if len(tag) > 2)


def _rule(tag: int) -> Action | None:
    single, repeating = _table()
    group, element = tag >> 16, tag & 0xFFFF
    fits = (
        action
        for (low, high, group_mask, element_mask), action in repeating
        if group & group_mask == low & group_mask and element & element_mask == high & element_mask
    )
    return single.get(tag) or next(fits, None)


def _clean(dataset: Dataset, secret: Secret) -> None:
    dataset.remove_private_tags()
    for tag in list(dataset.keys()):
        element, rule = dataset[tag], _rule(int(tag))
        if int(tag) == tags.PIXELS:
            continue
        if tag.group % 2 or tag.group & 0xFF00 in _GRAPHICS or (element.VR in _BYTES and int(tag) not in _KEPT_BYTES):
            del dataset[tag]
        elif element.VR == "UI":
            element.value = _new_uids(element.value, secret)
        elif element.VR == "SQ":
            _clean_sequence(dataset, tag, element.value, secret, named=rule is not None)
        elif rule is not None:
            try:
                rule(dataset, (tag.group, tag.element))
            except NotImplementedError:  # arrays of numbers, for which the package has no dummy
                del dataset[tag]
        elif element.VR in _FREE_TEXT and int(tag) not in _KEPT_TEXT:
            del dataset[tag]


def _clean_sequence(dataset: Dataset, tag: Any, items: Sequence, secret: Secret, *, named: bool) -> None:
    if named:
        del dataset[tag]
        return
    for item in items:
        _clean(item, secret)


def _new_uids(value: Any, secret: Secret) -> Any:
    if not value:
        return value
    if isinstance(value, str):
        return value if value.startswith(_OWN_UIDS) else secret.uid(value)
    return [_new_uids(one, secret) for one in value]


def _sign(dataset: Dataset, patient: str) -> None:
    """Whose picture it is by its new name, and that and how it was cleaned (PS3.15 E.1.1)."""
    dataset.PatientName = dataset.PatientID = patient
    dataset.PatientIdentityRemoved = "YES"
    dataset.DeidentificationMethod = METHOD
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator = "113100", "DCM"
    code.CodeMeaning = "Basic Application Confidentiality Profile"
    dataset.DeidentificationMethodCodeSequence = [code]
    dataset.LongitudinalTemporalInformationModified = "REMOVED"
    meta = FileMetaDataset()
    for name in _META:
        if name in dataset.file_meta:
            setattr(meta, name, getattr(dataset.file_meta, name))
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta, dataset.preamble = meta, bytes(128)


def _telling(dataset: Dataset) -> Iterator[str]:
    for tag in list(dataset.keys()):
        element = dataset[tag]
        if element.VR == "SQ":
            for item in element.value:
                yield from _telling(item)
        elif element.VR == "PN" or int(tag) in _TELLING:
            for part in str(element.value or "").replace("\\", "^").replace("=", "^").split("^"):
                yield from (part.strip(" []'"), *part.split())


def _text(dataset: Dataset, tag: int) -> str:
    element = dataset.get(tag)
    return str(element.value or "").strip() if element is not None else ""
