"""Copies look the same, other pictures do not, and all of 40,000 are compared in seconds."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fedefm.data.grouping.looks import ALIKE, SAME, alike, as_tokens, cosine, looks_of, shrink, signs
from support.angiograms import angiogram

PAIR = np.array([[0, 1]])


def both(one: np.ndarray, other: np.ndarray) -> float:
    return float(
        cosine(
            np.concatenate([looks_of(one[None].astype(np.float32)), looks_of(other[None].astype(np.float32))]), PAIR
        )[0]
    )


def encoded_anew(grey: np.ndarray, *, scale: float = 1, gamma: float = 1) -> np.ndarray:
    height, width = grey.shape
    bent = (255 * (grey / 255) ** gamma).astype(np.uint8)
    picture = Image.fromarray(bent).resize((round(width * scale), round(height * scale)), Image.Resampling.BILINEAR)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=75)
    return np.asarray(Image.open(buffer))


def test_a_picture_encoded_anew_is_the_same_and_another_patient_is_not() -> None:
    for seed in range(8):
        grey, _ = angiogram(seed, height=320, width=384)
        assert both(grey, encoded_anew(grey)) >= SAME
        assert both(grey, encoded_anew(grey, scale=0.5)) >= 0.999
        assert both(grey, encoded_anew(grey, gamma=0.8)) >= ALIKE
        assert both(grey, 16 * grey.astype(np.uint16) + 7) >= SAME
        assert both(grey, angiogram(seed + 100, height=320, width=384)[0]) < 0.6


def test_a_blank_picture_is_like_nothing() -> None:
    blank = looks_of(np.full((2, 40, 50), 7, np.float32))
    assert not blank.any() and not len(alike(blank)[0]) and as_tokens(blank) == [[], []]


def test_of_a_cine_some_frames_are_looked_at_the_first_and_the_last_among_them() -> None:
    frames = np.stack([angiogram(k)[0] for k in range(30)]).astype(np.float32)
    looks = looks_of(frames)
    assert len(looks) == 8
    assert np.array_equal(looks[[0, -1]], looks_of(frames[[0, -1]]))


@given(st.integers(1, 70), st.integers(1, 70))
@settings(max_examples=40, deadline=None)
def test_tiles_hold_the_mean_of_their_pixels(height: int, width: int) -> None:
    frame = np.random.default_rng(height * 100 + width).integers(0, 4096, (height, width)).astype(np.float32)
    small = shrink(frame, 32)
    assert small.shape == (32, 32)
    for i in range(32):
        rows = slice(i * height // 32, max((i + 1) * height // 32, i * height // 32 + 1))
        for j in range(0, 32, 5):
            columns = slice(j * width // 32, max((j + 1) * width // 32, j * width // 32 + 1))
            assert small[i, j] == pytest.approx(frame[rows, columns].mean())


def test_near_copies_are_found_among_many_and_nothing_else() -> None:
    """An oracle that compares each with each."""
    draw = np.random.default_rng(1)
    first = draw.normal(size=(600, 1024))
    near = first[:200] + 0.2 * draw.normal(size=(200, 1024))
    looks = np.clip(42 * np.concatenate([first, near]), -127, 127).astype(np.int8)
    pairs, cosines = alike(looks)
    whole = looks.astype(np.float64)
    norms = np.sqrt((whole**2).sum(1))
    expected = np.argwhere(np.triu(whole @ whole.T / np.outer(norms, norms) >= ALIKE, 1))
    assert {tuple(pair) for pair in pairs} <= {tuple(pair) for pair in expected}
    assert len(pairs) >= 0.99 * len(expected) > 190
    assert np.all(cosines >= ALIKE)


def test_signs_are_the_same_numbers_on_every_machine() -> None:
    looks = (np.arange(3 * 1024).reshape(3, 1024) * 37 % 255 - 127).astype(np.int8)
    exact = looks.astype(np.int64) @ (2 * np.random.default_rng(0).integers(0, 2, (1024, 512)) - 1)
    assert np.array_equal(signs(looks), np.packbits(exact > 0, axis=1).view(np.uint32))


def test_tokens_are_shared_by_copies_alone() -> None:
    sizes = {"height": 320, "width": 384}
    mine = as_tokens(np.concatenate([looks_of(angiogram(k, **sizes)[0][None].astype(np.float32)) for k in range(20)]))
    copies = as_tokens(
        np.concatenate(
            [looks_of(encoded_anew(angiogram(k, **sizes)[0], scale=0.5)[None].astype(np.float32)) for k in range(20)]
        )
    )
    for k, row in enumerate(copies):
        assert [j for j, own in enumerate(mine) if not set(own).isdisjoint(row)] == [k]


@pytest.mark.slow
def test_forty_thousand_are_compared_in_less_than_a_minute() -> None:
    import time

    draw = np.random.default_rng(0)
    base = np.repeat(draw.normal(size=(5000, 1024)).astype(np.float32), 8, 0)
    looks = np.clip(42 * (base + 0.15 * draw.normal(size=base.shape)), -127, 127).astype(np.int8)
    begin = time.process_time()
    pairs, _ = alike(looks)
    assert time.process_time() - begin < 60
    assert len(set(pairs.ravel().tolist())) == 40_000 and np.all(pairs[:, 0] // 8 == pairs[:, 1] // 8)
