"""Exports as hospitals make them, full of planted identifiers."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk  # noqa: N813
from PIL import Image, ImageDraw, ImageFont
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit

PLANTED = ("QUIXOTE", "ALONSO", "19470523", "MRN-88412", "ACC-5561", "LA MANCHA", "CERVANTES", "WINDMILL", "SANCHO")
"""Name, birth date, numbers, hospital, doctor, and words in a private group, in comments and in names of files."""

XA = "1.2.840.10008.5.1.4.1.1.12.1"
STUDY = "1.2.826.0.1.3680043.9.7777.1"


def frames(seed: int, count: int = 1, size: int = 64) -> np.ndarray:
    """Smooth grey frames with a dark wire, 16 bit."""
    rng = np.random.default_rng(seed)
    axis = np.linspace(0, 3, size)
    found = []
    for k in range(count):
        grey = (
            2000 + 400 * np.sin(axis[:, None] + seed) + 300 * np.cos(axis[None] * 2 + k) + rng.normal(0, 8, (size,) * 2)
        )
        grey[:, (size // 3 + k) % size] *= 0.8
        found.append(grey)
    return np.array(found).astype(np.uint16)


def write_text(grey: np.ndarray, words: str) -> np.ndarray:
    """The frames with letters burned in."""
    found = []
    for frame in grey:
        stamp = Image.new("L", frame.shape[::-1])
        ImageDraw.Draw(stamp).text((6, 6), words, fill=255, font=ImageFont.load_default(14))
        found.append(np.where(np.asarray(stamp) > 100, grey.max() + 500, frame))
    return np.array(found).astype(np.uint16)


def planted(grey: np.ndarray, instance: int = 1, *, mrn: str = "MRN-88412", burned: str | None = None) -> Dataset:
    """A data set with identifiers wherever they have been met."""
    one = Dataset()
    one.SOPClassUID, one.SOPInstanceUID = XA, f"{STUDY}.{instance}"
    one.StudyInstanceUID, one.SeriesInstanceUID = STUDY, f"{STUDY}.0"
    one.Modality, one.InstanceNumber, one.Manufacturer = "XA", instance, "Maker"
    one.PatientName, one.PatientID, one.PatientBirthDate, one.PatientSex = "QUIXOTE^ALONSO", mrn, "19470523", "M"
    one.AccessionNumber, one.InstitutionName = "ACC-5561", "LA MANCHA GENERAL"
    one.StudyDate, one.StudyTime = "20210304", "101112"
    one.ReferringPhysicianName, one.StudyDescription = "CERVANTES^M", "Seen with SANCHO"
    one.ImageComments = "QUIXOTE says hello"
    one.DerivationDescription = "by CERVANTES"
    inner = Dataset()
    inner.PatientID, inner.ReferencedSOPInstanceUID = mrn, f"{STUDY}.{instance}"
    inner.ReferencedSOPClassUID, inner.TextValue = XA, "SANCHO"
    one.SourceImageSequence = [inner]
    step = Dataset()
    step.ScheduledProcedureStepDescription, step.Allergies = "WINDMILL", "ALONSO"
    view = Dataset()
    view.CodeValue, view.CodingSchemeDesignator, view.CodeMeaning = "399067008", "SCT", "lateral"
    view.add_new(0x00091001, "LO", "WINDMILL")
    view.PixelSpacingCalibrationDescription = "SANCHO did it"
    one.ViewCodeSequence, one.RequestAttributesSequence = [view], [step]
    block = one.private_block(0x0009, "WINDMILL WORKS", create=True)
    block.add_new(0x10, "LO", "QUIXOTE ALONSO")
    block.add_new(0x11, "UN", b"MRN-88412 ")
    one.add_new(0x60000010, "US", 4)
    one.add_new(0x60000022, "LO", "SANCHO overlay")
    one.add_new(0x60003000, "OW", b"QUIXOTE!")
    if burned is not None:
        one.BurnedInAnnotation = burned
    one.SamplesPerPixel, one.PhotometricInterpretation = 1, "MONOCHROME2"
    one.NumberOfFrames, one.Rows, one.Columns = len(grey), *grey.shape[1:]
    one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 12, 11, 0
    one.ImagerPixelSpacing = [0.3, 0.3]
    one.PixelData = grey.astype("<u2").tobytes()
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = XA, one.SOPInstanceUID
    meta.TransferSyntaxUID, meta.SourceApplicationEntityTitle = ExplicitVRLittleEndian, "LA MANCHA"
    one.file_meta, one.preamble = meta, b"QUIXOTE ALONSO".ljust(128, b"\0")
    return one


def with_comment(dataset: Dataset, comment: bytes, behind: bytes = b"") -> Dataset:
    """The data set with its first frame as a JPEG, in which a comment stands, and something behind its end."""
    stream = io.BytesIO()
    grey = np.frombuffer(dataset.PixelData, "<u2").reshape(-1, dataset.Rows, dataset.Columns)[0]
    Image.fromarray((grey >> 4).astype(np.uint8)).save(stream, "JPEG", comment=comment)
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.NumberOfFrames = 8, 8, 7, 1
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    dataset.PixelData = encapsulate([stream.getvalue() + behind])
    return dataset


def save(dataset: Dataset, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pydicom.dcmwrite(path, dataset, enforce_file_format=True)
    return path


def turned(labels: np.ndarray, path: Path) -> None:
    """A mask of (1, h, w) as NIfTI, stored from right to left with the header that says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = sitk.GetImageFromArray(np.ascontiguousarray(labels[:, :, ::-1]))
    image.SetDirection((-1, 0, 0, 0, 1, 0, 0, 0, 1))
    image.SetOrigin((labels.shape[2] - 1, 0, 0))
    sitk.WriteImage(image, str(path))
