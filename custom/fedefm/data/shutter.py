"""Where an X-ray picture is: what the shutter (collimator) leaves free, without plain borders of the image.

A shutter's blades, a round or cut-off detector field and the border of an export have this in common: they touch the
edge of the image, are dark, or one value along a whole line, hold next to no structure, and leave a convex field that
begins with a step. Dark anatomy that touches them leaves a dent in the field, which its convex hull closes. A blade
that lets light through is not dark; within the field it is a straight band along one side, plain and darker than what
begins behind it.
"""

import numpy as np
from jaxtyping import Bool, Float
from PIL import Image, ImageDraw
from scipy import ndimage
from scipy.spatial import ConvexHull

SIDE = 256
"""Longest side, in pixels, of the reduced picture in which is searched."""
DARK = 0.12  # of the range between the percentiles 0.5 and 99.5; blades let some scattered light through
LEAST_STEP = 0.05  # of the same range, from the shutter to the picture
LEAST_LINE = 0.7  # of the field's outline that has such a step
MOST_STRUCTURE = 0.5  # of that within the field
LEAST_OUTSIDE, LEAST_FIELD = 0.004, 0.2  # of the image
MARGIN = 0.01  # of the longest side: the blade's blurred edge, where networks see devices
RIM = 0.02  # of the longest side
BAND = 0.12  # of the longest side: the widest band of a blade that lets light through
LEAST_CHORD = 0.4  # of the image: the length of such a band
PENUMBRA = 8  # pixels of the reduced picture, in which such a blade's blurred edge ends
MOST_SPREAD = 1 / 3  # of the picture's along a line, and of the rise across the band
_PLAIN = 0.004  # of the range: a line of one value


def field_of_view(picture: Float[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"] | None:
    """The part of a picture that holds X-ray picture, a margin within its outline.

    Args:
        picture: grey values, brighter for more; of a run the mean of its frames, which has less noise.

    Returns:
        True in the field; None where nothing was found that should be left out.
    """
    small = _reduced(picture)
    rows, columns = _without_plain_lines(small)
    inside = np.zeros(small.shape, bool)
    field = _shuttered(small[rows, columns])
    inside[rows, columns] = True if field is None else field
    inside &= ~_bands(small, inside)
    if 1 - inside.mean() < LEAST_OUTSIDE or inside.mean() < LEAST_FIELD:
        return None
    margin = max(1, round(MARGIN * max(small.shape)))
    inside = ndimage.binary_erosion(inside, iterations=margin, border_value=1)
    places = (np.arange(n) * m // n for n, m in zip(picture.shape, small.shape, strict=True))
    return np.asarray(inside[np.ix_(*places)])


def without_rim(field: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """A picture without its rim, in which a blade that lies just outside of it still casts a shadow.

    The frame's own edge has a rim too: where blades are seen on one side, others end just outside of the frame.

    Args:
        field: of `field_of_view`.
    """
    width = max(1, round(RIM * max(field.shape)))
    return np.asarray(ndimage.distance_transform_edt(np.pad(field, 1))[1:-1, 1:-1] > width)


def _reduced(picture: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "a b"]:
    """The picture with means of blocks, so that its longest side is `SIDE` or less."""
    step = -(-max(picture.shape) // SIDE)
    if step == 1:
        return picture.astype(np.float32)
    rows, columns = (np.arange(0, n, step) for n in picture.shape)
    sums = np.add.reduceat(np.add.reduceat(picture, rows, axis=0), columns, axis=1)
    heights, widths = (np.diff(np.append(at, n)) for at, n in zip((rows, columns), picture.shape, strict=True))
    return np.asarray(sums / np.outer(heights, widths), np.float32)


def _without_plain_lines(small: Float[np.ndarray, "a b"]) -> tuple[slice, slice]:
    """The picture without rows and columns at its edges that hold one value from end to end; all of a plain one."""
    most = _PLAIN * float(np.ptp(np.percentile(small, (0.5, 99.5))))
    kept = []
    for turned in (small, small.T):
        told = np.flatnonzero(np.ptp(turned, axis=1) > most)
        kept.append(slice(int(told[0]), int(told[-1]) + 1) if len(told) else slice(None))
    return kept[0], kept[1]


def _shuttered(picture: Float[np.ndarray, "a b"]) -> Bool[np.ndarray, "a b"] | None:
    """The field that a shutter leaves; None where what is dark at the edges is none."""
    low, high = np.percentile(picture, (0.5, 99.5))
    if not high > low:
        return None
    unit = (picture - low) / (high - low)
    numbers, _ = ndimage.label(unit < DARK)
    at_edge = np.unique(np.concatenate([numbers[0], numbers[-1], numbers[:, 0], numbers[:, -1]]))
    closed = np.isin(numbers, at_edge[at_edge > 0])
    if closed.mean() < LEAST_OUTSIDE:
        return None
    pieces, count = ndimage.label(~closed)
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)
    large = np.flatnonzero(sizes >= 0.01 * unit.size)  # letters on a blade are no picture
    inside = _hull(np.isin(pieces, large[large > 0]))
    if inside is None or 1 - inside.mean() < LEAST_OUTSIDE:
        return None
    return inside if _has_step(unit, inside) and _is_plain(unit, inside) else None


def _bands(picture: Float[np.ndarray, "a b"], inside: Bool[np.ndarray, "a b"]) -> Bool[np.ndarray, "a b"]:
    """What lies under blades that let light through, along each side of the field."""
    low, high = np.percentile(picture, (0.5, 99.5))
    covered = np.zeros(picture.shape, bool)
    if high > low:
        unit = (picture - low) / (high - low)
        for turn in range(4):
            depth = _band(np.rot90(unit, turn), np.rot90(inside, turn))
            np.rot90(covered, turn)[:depth] = True
    return covered


def _band(unit: Float[np.ndarray, "a b"], inside: Bool[np.ndarray, "a b"]) -> int:
    """Rows from the first on that such a blade covers, up to the middle of its blurred edge; 0 where there is none."""
    long = np.flatnonzero(inside.sum(1) >= LEAST_CHORD * inside.shape[1])
    if not len(long):
        return 0
    first = int(long[0]) + 1  # the outermost line is half outside
    last = min(first + round(BAND * max(unit.shape)) + PENUMBRA, len(unit) - 1)
    told = [
        np.percentile(line[here], (10, 50, 90)) for line, here in zip(unit[first:last], inside[first:last], strict=True)
    ]
    if len(told) <= PENUMBRA + 1:
        return 0
    low, middle, high = np.stack(told).T
    spread, found = high - low, 0
    for end in range(2, len(middle) - PENUMBRA):  # of a band of two lines or more
        level = float(np.median(middle[:end]))
        rise = float(middle[end - 1 + PENUMBRA]) - level
        plain = spread[:end].max() <= MOST_SPREAD * spread[end - 1 + PENUMBRA]
        if rise >= LEAST_STEP and plain and np.ptp(middle[:end]) <= MOST_SPREAD * rise:
            behind = middle[end - 1 : end + PENUMBRA]
            found = first + end - 1 + int(np.argmax(behind >= level + rise / 2))
    return found


def _hull(mask: Bool[np.ndarray, "a b"]) -> Bool[np.ndarray, "a b"] | None:
    """The convex hull of a mask's pixels."""
    points = np.argwhere(mask & ~ndimage.binary_erosion(mask))  # its outline is enough
    if len(points) < 3 or (np.ptp(points, axis=0) == 0).any():
        return None
    corners = points[ConvexHull(points).vertices]
    drawn = Image.new("1", mask.shape[::-1])
    ImageDraw.Draw(drawn).polygon([(int(x), int(y)) for y, x in corners], fill=1, outline=1)
    return np.asarray(drawn, bool)


def _has_step(unit: Float[np.ndarray, "a b"], inside: Bool[np.ndarray, "a b"]) -> bool:
    """Whether the picture begins with a step along most of the field's outline."""
    edge = ndimage.binary_erosion(inside, iterations=2, border_value=1)
    just_in = edge & ~ndimage.binary_erosion(edge, iterations=4, border_value=1)
    level = float(np.median(unit[~inside]))
    return bool(just_in.any()) and float((unit[just_in] >= level + LEAST_STEP).mean()) >= LEAST_LINE


def _is_plain(unit: Float[np.ndarray, "a b"], inside: Bool[np.ndarray, "a b"]) -> bool:
    """Whether what lies outside is dark, and has less structure than the picture."""
    deep = ndimage.binary_erosion(~inside, iterations=2, border_value=1)
    if not deep.any():
        deep = ~inside
    if (unit[deep] >= DARK).mean() > 0.1:
        return False
    fine = np.abs(unit - ndimage.uniform_filter(unit, 3))
    return float(np.median(fine[deep])) <= MOST_STRUCTURE * float(np.median(fine[inside]))
