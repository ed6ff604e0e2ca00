"""Where the frames of a segmentation object lie, as its readers ask.

A projection has no place in the patient, and the standard asks a segmentation for none where it names the frames that
it was derived from. Readers do: dcmqi, which 3D Slicer opens segmentations with, gives up without an orientation, a
position of each frame and the size of a pixel. So a run without them is laid flat in a frame of reference of its own,
frame upon frame, one millimetre apart, as readers lay the frames of a cine. It says nothing of the patient, and as
nothing else is in that frame of reference, nothing can be laid on it by mistake.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import generate_uid

from fedefm.data.formats.reader import Spacing

APART = 1.0
"""Millimetres from one frame to the next where nothing says it, and of a pixel where nobody knows."""
_FLAT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
Numbers = tuple[float, ...]


@dataclass(frozen=True)
class Places:
    """Where the frames of a run lie.

    Attributes:
        reference: UID of the frame of reference.
        orientation: six numbers, the directions of a row and of a column.
        positions: of the first pixel of each frame, three numbers.
        spacing_mm: millimetres from row to row and from column to column.
    """

    reference: str
    orientation: Numbers
    positions: tuple[Numbers, ...]
    spacing_mm: Spacing

    @classmethod
    def of(cls, headers: Sequence[Dataset], spacing_mm: Spacing | None) -> Places:
        """Those of the source, where all its frames lie in one frame of reference and one direction; else flat."""
        frames = [frame for header in headers for frame in _frames(header)]
        spacing = spacing_mm or (APART, APART)
        first = frames[0]
        if first is not None and all(frame is not None and frame[:2] == first[:2] for frame in frames):
            return cls(first[0], first[1], tuple(frame[2] for frame in frames if frame is not None), spacing)
        return cls(generate_uid(prefix=None), _FLAT, tuple((0.0, 0.0, APART * k) for k in range(len(frames))), spacing)

    def shared(self) -> Dataset:
        """What is the same for all frames: orientation and size of a pixel; C.7.6.16.2.1 and .4."""
        groups, measures, plane = Dataset(), Dataset(), Dataset()
        measures.PixelSpacing = [_decimal(one) for one in self.spacing_mm]
        measures.SliceThickness = _decimal(self._apart)
        measures.SpacingBetweenSlices = _decimal(self._apart)
        plane.ImageOrientationPatient = [_decimal(one) for one in self.orientation]
        groups.PixelMeasuresSequence = DicomSequence([measures])
        groups.PlaneOrientationSequence = DicomSequence([plane])
        return groups

    def position(self, number: int) -> DicomSequence:
        """Of a frame, from 0; C.7.6.16.2.3."""
        place = Dataset()
        place.ImagePositionPatient = [_decimal(one) for one in self.positions[number]]
        return DicomSequence([place])

    @property
    def _apart(self) -> float:
        if len(self.positions) < 2:
            return APART
        steps = [b - a for a, b in zip(*self.positions[:2], strict=True)]
        return sum(step**2 for step in steps) ** 0.5 or APART


def _frames(header: Dataset) -> Iterator[tuple[str, Numbers, Numbers] | None]:
    """Frame of reference, orientation and position of each frame of an object; None where it states none."""
    reference = header.get("FrameOfReferenceUID")
    own = header.get("PerFrameFunctionalGroupsSequence") or []
    shared = (header.get("SharedFunctionalGroupsSequence") or [Dataset()])[0]
    for k in range(int(header.get("NumberOfFrames") or 1)):
        groups = [header, *_planes(own[k] if k < len(own) else Dataset()), *_planes(shared)]
        orientation = _numbers(groups, "ImageOrientationPatient", 6)
        position = _numbers(groups, "ImagePositionPatient", 3)
        known = reference and orientation and position
        yield (str(reference), orientation, position) if known and orientation and position else None


def _planes(groups: Dataset) -> Iterator[Dataset]:
    for keyword in ("PlanePositionSequence", "PlaneOrientationSequence"):
        yield from (groups.get(keyword) or [])[:1]


def _numbers(places: Sequence[Dataset], keyword: str, count: int) -> Numbers | None:
    """The first value of so many numbers."""
    for place in places:
        value = place.get(keyword)
        if value is not None and not isinstance(value, (str, float)) and len(value) == count:
            return tuple(float(one) for one in value)
    return None


def _decimal(value: float) -> str:
    """A number of at most 16 characters, as DICOM's decimal strings are."""
    return f"{value:.10g}"[:16]
