"""Readers see the pixels that were written."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from SimpleITK import GetArrayFromImage, ReadImage

from fedefm.inference.png import png_bytes, write_png

SHAPES = st.one_of(
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3)),
)


@given(SHAPES.flatmap(lambda shape: arrays(np.uint8, shape)))
def test_pillow_reads_the_same_pixels(pixels: np.ndarray) -> None:
    found = Image.open(io.BytesIO(png_bytes(pixels)))
    assert found.mode == ("L" if pixels.ndim == 2 else "RGB")
    np.testing.assert_array_equal(np.asarray(found), pixels)


@pytest.mark.parametrize("shape", [(40, 30), (40, 30, 3)])
def test_another_decoder_reads_them_too(tmp_path, shape) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    write_png(tmp_path / "some.png", pixels)
    np.testing.assert_array_equal(GetArrayFromImage(ReadImage(tmp_path / "some.png")), pixels)
