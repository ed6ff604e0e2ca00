"""Names and colours of the labels, as ITK-SNAP and 3D Slicer read them."""

from collections.abc import Sequence

from fedefm.report.palette import class_colours, rgb

ITK_SNAP, SLICER = "labels-itksnap.txt", "labels-slicer.ctbl"
_HEAD = """################################################
# ITK-SnAP Label Description File
# File format:
# IDX   -R-  -G-  -B-  -A--  VIS MSH  LABEL
# Fields:
#    IDX:   Zero-based index
#    -R-:   Red color component (0..255)
#    -G-:   Green color component (0..255)
#    -B-:   Blue color component (0..255)
#    -A-:   Label transparency (0.00 .. 1.00)
#    VIS:   Label visibility (0 or 1)
#    IDX:   Label mesh visibility (0 or 1)
#  LABEL:   Label description
################################################
"""


def itk_snap_labels(classes: Sequence[str]) -> str:
    """A label description file, which ITK-SNAP loads by Segmentation > Import Label Descriptions."""
    lines = [f'{0:5}{0:6}{0:5}{0:5}{0:9}{0:3}{0:3}    "Clear Label"']
    for label, (name, colour) in enumerate(class_colours(classes).items(), 1):
        red, green, blue = rgb(colour)
        lines.append(f'{label:5}{red:6}{green:5}{blue:5}{1:9}{1:3}{1:3}    "{_plain(name)}"')
    return _HEAD + "\n".join(lines) + "\n"


def slicer_colours(classes: Sequence[str]) -> str:
    """A colour table, which 3D Slicer loads by drag and drop; it reads an underscore in a name as a space."""
    lines = [f"# Color table file {SLICER}", f"# {len(classes) + 1} values", "0 background 0 0 0 0"]
    for label, (name, colour) in enumerate(class_colours(classes).items(), 1):
        lines.append(" ".join(map(str, (label, "_".join(_plain(name).split()), *rgb(colour), 255))))
    return "\n".join(lines) + "\n"


def _plain(name: str) -> str:
    """A name without what ends one in these files."""
    return "".join(c if c.isprintable() else " " for c in name.replace('"', "'"))
