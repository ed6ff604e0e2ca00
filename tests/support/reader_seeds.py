"""Small valid files of every kind that is read, to be spoilt by a fuzzer."""

import bz2
import gzip
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk  # noqa: N813
import tifffile  # of scikit-image
from PIL import Image
from pydicom.uid import RLELossless

from support.dicom_files import BIG_ENDIAN, IMPLICIT, dicom, element, encapsulated, segmentation, sequence, text

JPEG_BASELINE = "1.2.840.10008.1.2.4.50"


def write_seeds(folder: Path) -> list[Path]:
    """One file of each kind."""
    random = np.random.default_rng(0)
    stack = random.integers(0, 1024, (3, 32, 40)).astype(np.uint16)
    labels = random.integers(0, 3, (32, 40)).astype(np.uint8)
    image, small = sitk.GetImageFromArray(stack), sitk.GetImageFromArray(labels)
    for name in ("a.nii", "b.nii.gz", "c.nrrd", "d.mha", "e.tif"):
        sitk.WriteImage(image, str(folder / name))
    for name in ("f.png", "g.jpg", "h.tif"):
        sitk.WriteImage(small, str(folder / name))
    sitk.WriteImage(image, str(folder / "i.mha"), useCompression=True)
    head = b"NRRD0004\ntype: uint8\ndimension: 2\nsizes: 40 32\nencoding: %s\n\n"
    (folder / "j.nrrd").write_bytes(head % b"gzip" + gzip.compress(labels.tobytes(), mtime=0))
    (folder / "k.nrrd").write_bytes(head % b"bzip2" + bz2.compress(labels.tobytes()))
    np.save(folder / "l.npy", stack)
    coloured = Image.fromarray(labels)
    coloured.putpalette([0, 0, 0, 9, 9, 9, 80, 0, 0] + [0] * 759)
    for name in ("m.png", "n.gif", "o.bmp", "p.tif"):
        coloured.save(folder / name)
    Image.fromarray(labels).save(folder / "q.pgm")
    Image.fromarray(labels == 1).save(folder / "r.tif", compression="group4")
    tifffile.imwrite(
        folder / "r2.tif", stack, tile=(16, 16), photometric="minisblack", compression="zlib", predictor=True
    )
    Image.fromarray(np.dstack([labels, labels])).save(folder / "r3.tif", compression="tiff_lzw")
    (folder / "r4.ppm").write_bytes(b"P3 40 32 2\n" + b" ".join(b"%d" % k for k in np.repeat(labels, 3)))
    (folder / "s.dcm").write_bytes(dicom(stack, 10, "MONOCHROME1", rescale=("2", "-5")))
    (folder / "t.dcm").write_bytes(dicom(stack, 10, syntax=IMPLICIT)[132:])
    (folder / "u.dcm").write_bytes(dicom(stack, 10, syntax=BIG_ENDIAN, frames=1))
    (folder / "v.dcm").write_bytes(segmentation(np.stack([labels == k for k in (1, 2)]), [1, 2]))
    (folder / "w.dcm").write_bytes(dicom(labels))
    made = pydicom.dcmread(folder / "w.dcm")
    made.compress(RLELossless)
    made.save_as(folder / "w.dcm")
    stream = encapsulated((folder / "g.jpg").read_bytes())
    (folder / "x.dcm").write_bytes(dicom(labels, 8, syntax=JPEG_BASELINE, pixel_element=stream))
    writer = sitk.ImageFileWriter()
    writer.SetFileName(str(folder / "y.dcm"))
    writer.UseCompressionOn()
    writer.SetCompressor("JPEG2000")
    writer.Execute(small)
    table = element(0x00283002, "US", b"\0\4\0\0\x10\0") + element(0x00283006, "OW", bytes(2048))
    groups = sequence(0x52009230, *[sequence(0x00289145, text(0x00281053, "DS", str(k))) for k in (1, 2, 3)])
    (folder / "z.dcm").write_bytes(dicom(stack, 10, between=sequence(0x00283000, table) + groups))
    return sorted(path for path in folder.iterdir() if path.is_file())
