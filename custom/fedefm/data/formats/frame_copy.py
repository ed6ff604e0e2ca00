"""One frame of many as a small file of its own.

A cine of 4,000 frames does not fit into memory as a whole, and SimpleITK decodes all of a file to give one frame.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fedefm.errors import DataError


@contextmanager
def frame_copy(content: bytes, ending: str, source: Path) -> Iterator[Path]:
    """A file that holds one frame, for as long as it is read; an error names the source."""
    with tempfile.TemporaryDirectory(prefix="fedefm-") as folder:
        copy = Path(folder) / f"frame{ending}"
        copy.write_bytes(content)
        try:
            yield copy
        except DataError as error:
            raise DataError(str(error).replace(copy.name, source.name)) from error
