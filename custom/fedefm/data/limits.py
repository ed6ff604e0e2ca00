"""Sizes that a file may declare; held against its header before anything is decoded or allocated."""

from fedefm.errors import DataError

MAX_SIDE = 8192  # pixels; flat detectors reach about 4300
MAX_PIXELS = 1 << 28  # a file's frames together: 1024 frames of 512 x 512, 1 GiB as float32


def check_declared(name: str, shape: tuple[int, ...]) -> None:
    """Refuse a picture of no pixels, of too many, or of an absurd side.

    Args:
        name: the file's name, for the message.
        shape: frames, rows, columns.

    Raises:
        DataError: where a bound is broken.
    """
    frames, rows, columns = shape
    if min(shape) < 1:
        raise DataError(f"cannot read {name}: it declares {columns} x {rows} x {frames}, no picture; re-export it")
    if max(rows, columns) > MAX_SIDE or frames * rows * columns > MAX_PIXELS:
        raise DataError(
            f"{name} declares {columns} x {rows} x {frames} pixels, above {MAX_SIDE} a side or {MAX_PIXELS} in all; "
            "crop it or split the cine"
        )
