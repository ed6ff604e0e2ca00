"""Runs to segment, and a network that marks what is bright."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, XRayAngiographicImageStorage, generate_uid
from torch import nn

from fedefm.inference.predict import Network
from fedefm.models.build import initial_weights
from fedefm.models.checkpoint import Checkpoint, load_weights, save_weights
from support.small_networks import SMALLEST

CLASSES = ("catheter", "guidewire")


class Bright(nn.Module):
    """Class 1 where a normalised image is above 0."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.cat([-images, images, torch.full_like(images, -9.0)], 1)


def bright(size: int = 64) -> Network:
    checkpoint = Checkpoint(
        initial_weights(SMALLEST, 3, size, 0), SMALLEST, CLASSES, size, "0" * 64, Path("theta.safetensors")
    )
    return Network(Bright(), checkpoint, torch.device("cpu"))


def weights(path: Path, size: int = 64) -> Path:
    save_weights(path, initial_weights(SMALLEST, 3, size, 0), spec=SMALLEST, classes=CLASSES, size=size)
    assert load_weights(path).classes == CLASSES
    return path


def square(rows: int = 120, columns: int = 200, at: int = 0) -> np.ndarray:
    """A dark frame with a bright rectangle: rows 20 to 60, columns 110 + at to 170 + at."""
    frame = np.full((rows, columns), 20, np.uint8)
    frame[20:60, 110 + at : 170 + at] = 220
    return frame


def pictures(folder: Path, count: int) -> Path:
    folder.mkdir()
    for k in range(count):
        Image.fromarray(square(at=k)).save(folder / f"frame{k + 1}.png")
    return folder


def cine(path: Path, frames: np.ndarray, **more: str) -> Path:
    """A whole DICOM cine, with a made-up patient."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = XRayAngiographicImageStorage, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = Dataset()
    data.file_meta = meta
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    data.StudyInstanceUID, data.SeriesInstanceUID = generate_uid(), generate_uid()
    data.PatientName, data.PatientID, data.Modality = "Nobody^Test", "made-up-7", "XA"
    data.ImagerPixelSpacing = [0.5, 0.5]
    for name, value in more.items():
        setattr(data, name, value)
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.NumberOfFrames, data.Rows, data.Columns = frames.shape
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 8, 8, 7, 0
    data.PixelData = frames.tobytes()
    data.save_as(path, enforce_file_format=True)
    return path
