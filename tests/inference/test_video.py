"""Films hold the pictures that they were given, row by row."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence

from fedefm.cli import main
from fedefm.errors import ConfigError
from fedefm.inference.video import Gif, Mp4, open_film
from support.runs import cine, square, weights


def picture(number: int, rows: int = 70, columns: int = 90) -> np.ndarray:
    """A grey ramp with noise, no two rows alike, and a coloured line that moves."""
    grey = np.linspace(0, 200, rows * columns).reshape(rows, columns)
    grey += np.random.default_rng(number).integers(0, 20, (rows, columns))
    found = np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)
    found[10 + number : 12 + number, 20:60] = (230, 159, 0)
    return found


def test_a_gif_shows_every_picture_as_it_is(tmp_path: Path) -> None:
    given = [picture(k) for k in range(4)]
    film = open_film(tmp_path, "gif")
    for one in given:
        film.append(film.encode(one))
    film.close()
    shown = [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(Image.open(tmp_path / Gif.name))]
    assert len(shown) == 4
    with Image.open(tmp_path / Gif.name) as again:
        assert again.info["loop"] == 0  # without end
        assert [frame.info["duration"] for frame in ImageSequence.Iterator(again)] == [60] * 4  # GIF counts in 10 ms
    for one, other in zip(given, shown, strict=True):
        assert np.abs(one.astype(int) - other).max() <= 8  # 256 colours


def test_the_film_of_a_run_is_its_overlays(tmp_path: Path) -> None:
    path = cine(tmp_path / "run.dcm", np.stack([square(at=k) for k in range(3)]))
    model, out = weights(tmp_path / "model.safetensors"), tmp_path / "out"
    assert main(["segment", str(path), "--model", str(model), "--out", str(out), "--video", "gif"]) == 0
    for number, frame in enumerate(ImageSequence.Iterator(Image.open(out / "overlay.gif")), 1):
        overlay = np.asarray(Image.open(out / "overlays" / f"{number:04d}.png").convert("RGB"))
        assert np.abs(overlay.astype(int) - np.asarray(frame.convert("RGB"))).max() <= 8


def program(path: Path, lines: str) -> str:
    path.write_text(f"#!/bin/sh\n{lines}\n")
    path.chmod(0o755)
    return str(path)


def test_an_mp4_program_is_given_the_raw_pictures_in_order(tmp_path: Path) -> None:
    """Odd sides lose a row or column: colour has half the resolution in the film."""
    film = Mp4(tmp_path, program(tmp_path / "encoder", 'for last; do :; done; cat > "$last"'))
    given = [picture(k, 71, 91) for k in range(3)]
    for one in given:
        film.append(film.encode(one))
    film.close()
    assert (tmp_path / Mp4.name).read_bytes() == b"".join(one[:70, :90].tobytes() for one in given)


def test_an_mp4_program_that_fails_is_told_in_one_line(tmp_path: Path) -> None:
    film = Mp4(tmp_path, program(tmp_path / "encoder", "cat > /dev/null; echo no such codec >&2; exit 1"))
    film.append(film.encode(picture(0)))
    with pytest.raises(ConfigError, match="no such codec") as refused:
        film.close()
    assert "\n" not in str(refused.value)


def test_without_the_program_auto_is_gif_and_mp4_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    film = open_film(tmp_path)
    assert film.name == Gif.name
    film.close()
    path = cine(tmp_path / "run.dcm", square()[None])
    model, out = weights(tmp_path / "model.safetensors"), tmp_path / "out"
    command = ["segment", str(path), "--model", str(model), "--out", str(out), "--video", "mp4"]
    assert main(command) == ConfigError.exit_code
    assert not out.exists() and not list(tmp_path.glob(".out*"))
