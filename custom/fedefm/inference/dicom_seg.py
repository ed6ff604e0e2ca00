"""Label maps as a DICOM segmentation object that refers to the frames of its source.

DICOM PS3.3, A.51 and C.8.20. The frames of the object are tied to those of the source by the derivation image macro,
which names instance and frame. Angiography has no frame of reference: see `inference/seg_geometry.py`. (highdicom
writes this for a single frame only.) pydicom writes all but the two long elements; those are appended frame by frame,
so memory does not grow with the run.
"""

from __future__ import annotations

import hashlib
import shutil
import struct
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any

import numpy as np
import pydicom
from jaxtyping import Bool, UInt8
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.filewriter import dcmwrite, write_dataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import ExplicitVRLittleEndian, SegmentationStorage, generate_uid
from pydicom.valuerep import PersonName

from fedefm.data.formats.reader import Spacing
from fedefm.errors import DataError
from fedefm.inference.seg_geometry import Places
from fedefm.report.palette import class_colours, rgb

# What ties the object to the patient's study; without it an archive would refuse it. Nothing else is taken over.
_STUDY = (
    *("PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex"),
    *("StudyInstanceUID", "StudyID", "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName"),
    *("StudyDescription",),
)
_IDENTITY = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")
_CODES = {  # SNOMED CT
    "catheter": ("19923001", "Catheter"),
    "guidewire": ("47424002", "Guide wire"),
    "vessel": ("59820001", "Blood vessel"),
}
_LOSSY = ("LossyImageCompressionRatio", "LossyImageCompressionMethod")
_OBJECT, _BODY = ("260787004", "Physical object"), ("123037004", "Anatomical Structure")
_MOST_BYTES = (1 << 32) - 2


def source_frames(paths: Sequence[Path]) -> tuple[list[tuple[str, str, int | None]], FileDataset | None]:
    """SOP class, SOP instance and frame number of every frame of a run; no number in an object of one frame.

    Returns:
        The frames, and the header of the first file that was compressed with loss.

    Raises:
        DataError: a file does not say which instance of which study it is, or names another study than the first.
    """
    found, studies, lossy = [], set(), None
    for path in paths:
        header = _header(path)
        if not all(header.get(keyword) for keyword in _IDENTITY):
            raise DataError(f"{path.name} does not say which instance of which series and study it is")
        studies.add(str(header.StudyInstanceUID))
        if lossy is None and header.get("LossyImageCompression") == "01":
            lossy = header
        count = int(header.get("NumberOfFrames") or 1)
        numbers = [None] if count == 1 else range(1, count + 1)
        found += [(str(header.SOPClassUID), str(header.SOPInstanceUID), number) for number in numbers]
    if len(studies) > 1:
        raise DataError(f"{paths[0].name} and others belong to different studies")
    return found, lossy


class SegObject:
    """`labels.seg.dcm`: binary, one segment a class; only frames that show a class are stored, as the standard allows.

    Args:
        folder: where to write.
        paths: the DICOM files of the run.
        classes: foreground class names, in label order.
        model_sha256: fingerprint of the network's weights, noted as the algorithm's version.
        spacing_mm: millimetres from row to row and from column to column, or None where nobody knows.

    Raises:
        DataError: see `source_frames`.
    """

    name = "labels.seg.dcm"

    def __init__(
        self,
        folder: Path,
        paths: Sequence[Path],
        classes: Sequence[str],
        model_sha256: str,
        spacing_mm: Spacing | None = None,
    ) -> None:
        self._path, self._classes, self._sha256 = folder / self.name, tuple(classes), model_sha256
        (self._sources, self._lossy), self._header = source_frames(paths), _header(paths[0])
        self._places = Places.of([_header(path) for path in paths], spacing_mm)
        self._bits, self._items = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115
        self._carry: Bool[np.ndarray, " n"] = np.zeros(0, bool)
        self._sure: dict[int, list[float]] = {}
        self._series, self._frames, self._number = str(self._header.SeriesInstanceUID), 0, 0

    def add(self, labels: UInt8[np.ndarray, "h w"], confidence: Sequence[float | None] = ()) -> None:
        """Append a frame.

        Args:
            labels: its label map.
            confidence: calibrated, of each class, where it is known; it becomes a comment on the frame.
        """
        self._shape = labels.shape
        present = np.bincount(labels.ravel(), minlength=len(self._classes) + 1)
        there = [segment for segment in range(1, len(self._classes) + 1) if present[segment]]
        if there:
            derivation = _encoded(_derivation(self._sources[self._number]))  # the same for all classes of the frame
            position = Dataset()
            position.PlanePositionSequence = self._places.position(self._number)
            place = _encoded(position)
        for segment in there:
            self._pack(labels == segment)
            self._frames += 1
            sure = confidence[segment - 1] if confidence else None
            if sure is not None:
                self._sure.setdefault(segment, []).append(sure)
            content = _encoded(_content(segment, self._number + 1, sure))
            self._items.write(_item(derivation + content + place + _identity(segment)))  # in the order of their tags
        self._number += 1

    def close(self) -> None:
        """Write the object.

        Raises:
            DataError: nothing was marked in any frame, or more than an element holds; then no file is left.
        """
        try:
            self._pack(np.zeros(-len(self._carry) % 8, bool))
            if not self._frames:
                raise DataError("nothing was marked, and DICOM knows no segmentation without frames")
            if self._bits.tell() > _MOST_BYTES:
                raise DataError("more than 4 GiB of masks, which one DICOM element cannot hold")
            with self._path.open("wb") as file:
                dcmwrite(file, self._dataset(), enforce_file_format=True)
                _append_sequence(file, 0x5200, 0x9230, self._items)
                _append_pixels(file, self._bits)
        finally:
            self._bits.close()
            self._items.close()

    def _pack(self, mask: Bool[np.ndarray, "..."]) -> None:
        """Bits run on from frame to frame; what fills no byte yet waits for the next."""
        bits = np.concatenate([self._carry, mask.ravel()])
        whole = len(bits) // 8 * 8
        self._bits.write(np.packbits(bits[:whole], bitorder="little").tobytes())
        self._carry = bits[whole:]

    def _dataset(self) -> FileDataset:
        uid, now = generate_uid(prefix=None), datetime.now(UTC)
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = SegmentationStorage, uid
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data = FileDataset(str(self._path), {}, file_meta=meta, preamble=b"\0" * 128)
        data.SpecificCharacterSet = "ISO_IR 192"  # class names and patients' names may be in any script
        for keyword in _STUDY:
            if keyword in self._header:
                setattr(data, keyword, _in_unicode(self._header[keyword].value))
        for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyID", "StudyDate"):
            if keyword not in data:
                setattr(data, keyword, "")
        data.PatientOrientation = None  # of type 2 where no place in the patient is known; C.7.6.1
        for keyword in ("StudyTime", "AccessionNumber", "ReferringPhysicianName"):
            if keyword not in data:
                setattr(data, keyword, "")
        data.SOPClassUID, data.SOPInstanceUID, data.SeriesInstanceUID = (
            SegmentationStorage,
            uid,
            generate_uid(prefix=None),
        )
        data.Modality, data.SeriesNumber, data.InstanceNumber = "SEG", 900, 1
        data.SeriesDescription = "Segmentation for research"
        data.ContentDate, data.ContentTime = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
        data.ContentLabel, data.ContentDescription, data.ContentCreatorName = "SEGMENTATION", "Devices", ""
        data.Manufacturer, data.ManufacturerModelName = "FedEFM", "fedefm segment"
        data.DeviceSerialNumber, data.SoftwareVersions = "0", version("fedefm")
        data.ImageType = ["DERIVED", "PRIMARY"]
        data.ReferencedSeriesSequence = DicomSequence([self._referenced_series()])
        self._describe_pixels(data)
        data.SegmentSequence = DicomSequence(list(self._segments()))
        data.FrameOfReferenceUID, data.PositionReferenceIndicator = self._places.reference, ""
        data.SharedFunctionalGroupsSequence = DicomSequence([self._places.shared()])
        _organise(data)
        return data

    def _describe_pixels(self, data: Dataset) -> None:
        data.SamplesPerPixel, data.PhotometricInterpretation, data.NumberOfFrames = 1, "MONOCHROME2", self._frames
        data.Rows, data.Columns = self._shape
        data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 1, 1, 0, 0
        data.SegmentationType, data.SegmentsOverlap = "BINARY", "NO"
        data.LossyImageCompression = "00" if self._lossy is None else "01"  # once lossy, always lossy: C.7.6.1.1.5
        if self._lossy is not None:
            for keyword in (name for name in _LOSSY if name in self._lossy):
                data[keyword] = self._lossy[keyword]

    def _referenced_series(self) -> Dataset:
        series = Dataset()
        series.SeriesInstanceUID = self._series
        instances = dict.fromkeys((sop_class, instance) for sop_class, instance, _ in self._sources)
        series.ReferencedInstanceSequence = DicomSequence([_reference(*pair) for pair in instances])
        return series

    def _segments(self) -> Iterator[Dataset]:
        for number, (name, colour) in enumerate(class_colours(self._classes).items(), 1):
            segment = Dataset()
            segment.SegmentNumber, segment.SegmentLabel, segment.SegmentAlgorithmType = number, _text(name), "AUTOMATIC"
            if sure := self._sure.get(number):
                segment.SegmentDescription = f"mean confidence {sum(sure) / len(sure):.3f} in {len(sure)} frames"
            segment.SegmentAlgorithmName = f"FedEFM weights {self._sha256[:16]}"
            category = _BODY if name == "vessel" else _OBJECT
            segment.SegmentedPropertyCategoryCodeSequence = DicomSequence([_code(*category)])
            segment.SegmentedPropertyTypeCodeSequence = DicomSequence([_property(name)])
            segment.RecommendedDisplayCIELabValue = _cielab(rgb(colour))
            yield segment


def _header(path: Path) -> FileDataset:
    try:
        return pydicom.dcmread(path, stop_before_pixels=True)
    except Exception as error:  # pydicom raises many kinds
        raise DataError(f"{path.name}: its header cannot be copied ({type(error).__name__})") from error


def _in_unicode(value: Any) -> Any:
    """A name without the bytes that it was read from, which are in the source's own character set."""
    return PersonName(str(value)) if isinstance(value, PersonName) else value


def _text(name: str) -> str:
    """A class name as one DICOM value of at most 64 characters; a backslash would make two of it."""
    return name.replace("\\", "/")[:64]


def _derivation(source: tuple[str, str, int | None]) -> Dataset:
    """Of which frame of the source a frame is made; C.7.6.16.2.6."""
    sop_class, instance, frame = source
    groups, derivation = Dataset(), Dataset()
    reference = _reference(sop_class, instance)
    if frame is not None:
        reference.ReferencedFrameNumber = frame
    reference.SpatialLocationsPreserved = "YES"
    reference.PurposeOfReferenceCodeSequence = DicomSequence(
        [_code("121322", "Source image for image processing operation", "DCM")]
    )
    derivation.SourceImageSequence = DicomSequence([reference])
    derivation.DerivationCodeSequence = DicomSequence([_code("113076", "Segmentation", "DCM")])
    groups.DerivationImageSequence = DicomSequence([derivation])
    return groups


def _content(segment: int, number: int, confidence: float | None) -> Dataset:
    """Where a frame stands in the order of the object, and how sure it is; C.7.6.16.2.2."""
    groups, content = Dataset(), Dataset()
    content.DimensionIndexValues = [segment, number]
    content.TemporalPositionIndex = number
    if confidence is not None:
        content.FrameComments = f"confidence {confidence:.3f}"
    groups.FrameContentSequence = DicomSequence([content])
    return groups


@lru_cache(maxsize=256)
def _identity(segment: int) -> bytes:
    """Which segment a frame shows; C.8.20.3.1."""
    groups, identity = Dataset(), Dataset()
    identity.ReferencedSegmentNumber = segment
    groups.SegmentIdentificationSequence = DicomSequence([identity])
    return _encoded(groups)


def _organise(data: Dataset) -> None:
    """Frames are ordered by segment and by their place in the run; C.7.6.17.

    A dimension has to be an attribute with one value in each frame, directly in its functional group: a frame number of
    a source image, two sequences deeper, is none, and readers look it up in vain.
    """
    organisation = Dataset()
    organisation.DimensionOrganizationUID = generate_uid(prefix=None)
    indices = []
    for label, pointer, group in (("Segment", 0x0062000B, 0x0062000A), ("Frame", 0x00209128, 0x00209111)):
        index = Dataset()
        index.DimensionOrganizationUID = organisation.DimensionOrganizationUID
        index.DimensionIndexPointer, index.FunctionalGroupPointer = pointer, group
        index.DimensionDescriptionLabel = label
        indices.append(index)
    data.DimensionOrganizationSequence = DicomSequence([organisation])
    data.DimensionIndexSequence = DicomSequence(indices)


def _reference(sop_class: str, instance: str) -> Dataset:
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = sop_class, instance
    return reference


def _code(value: str, meaning: str, scheme: str = "SCT") -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return code


def _property(name: str) -> Dataset:
    """A known class by its SNOMED code; of others the hospital's own name, in a private scheme."""
    value = hashlib.sha256(name.encode()).hexdigest()[:16]  # a code has 16 characters, and names may begin alike
    return _code(*_CODES[name]) if name in _CODES else _code(value, _text(name), "99FEDEFM")


def _cielab(colour: tuple[int, int, int]) -> list[int]:
    """SRGB to the 16-bit CIELab of PS3.3 C.10.7.1.1 (D50; Bradford-adapted matrix)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in colour)]
    matrix = ((0.4361, 0.3851, 0.1431), (0.2225, 0.7169, 0.0606), (0.0139, 0.0971, 0.7141))
    white = (0.9642, 1.0, 0.8249)
    x, y, z = (sum(m * v for m, v in zip(row, linear, strict=True)) / w for row, w in zip(matrix, white, strict=True))
    fx, fy, fz = (t ** (1 / 3) if t > 216 / 24389 else (24389 / 27 * t + 16) / 116 for t in (x, y, z))
    lab = (116 * fy - 16) / 100, (500 * (fx - fy) + 128) / 255, (200 * (fy - fz) + 128) / 255
    return [round(min(max(value, 0), 1) * 65535) for value in lab]


def _encoded(groups: Dataset) -> bytes:
    buffer = pydicom.filebase.DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_dataset(buffer, groups)
    return bytes(buffer.getvalue())


def _item(content: bytes) -> bytes:
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(content)) + content


def _append_sequence(file: IO[bytes], group: int, element: int, items: IO[bytes]) -> None:
    file.write(struct.pack("<HH2sHI", group, element, b"SQ", 0, 0xFFFFFFFF))
    items.seek(0)
    shutil.copyfileobj(items, file)
    file.write(struct.pack("<HHI", 0xFFFE, 0xE0DD, 0))


def _append_pixels(file: IO[bytes], bits: IO[bytes]) -> None:
    length = bits.tell()
    file.write(struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, length + length % 2))
    bits.seek(0)
    shutil.copyfileobj(bits, file)
    file.write(bytes(length % 2))
