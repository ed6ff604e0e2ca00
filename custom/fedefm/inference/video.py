"""Overlays as a film: MP4 where the ffmpeg program is installed, else GIF.

GIF needs nothing but Pillow and plays everywhere; its 256 colours a picture hold the greys and the class colours.
`Image.save` would hold all pictures of a GIF until the end, so Pillow is asked for the bytes of each as it comes.
The Python packages that carry ffmpeg bring 165 MB under the GPL, so none is required; a program that is there already
is used.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8
from PIL import GifImagePlugin, Image

from fedefm.errors import ConfigError
from fedefm.files import system_error
from fedefm.inference.gif_palette import GifPalette
from fedefm.report.palette import CLASS_HUES

FRAMES_A_SECOND = 15  # that of most cines; slower runs are watched at the same pace
KINDS = ("auto", "mp4", "gif")


@runtime_checkable
class Film(Protocol):
    """Takes pictures of one size, in order."""

    name: str

    def encode(self, picture: UInt8[np.ndarray, "h w 3"]) -> Any:
        """What `append` takes of a picture; it may be called in any thread."""

    def append(self, encoded: Any) -> None:
        """Append a picture of `encode`; in their order."""

    def close(self) -> None:
        """Finish the file."""


def open_film(folder: Path, kind: str = "auto", colours: Sequence[str] = CLASS_HUES) -> Film:
    """An empty film in a folder.

    Args:
        folder: gets the file.
        kind: of `KINDS`.
        colours: `#rrggbb` of each class that the pictures show.

    Raises:
        ConfigError: MP4 is wanted and no ffmpeg program is there.
    """
    program = shutil.which("ffmpeg")
    if kind == "mp4" and program is None:
        raise ConfigError("--video mp4: no ffmpeg program on this machine; install it or choose --video gif")
    return Mp4(folder, program) if program and kind != "gif" else Gif(folder, colours)


class Gif:
    """A GIF89a, one picture after the other."""

    name = "overlay.gif"

    def __init__(self, folder: Path, colours: Sequence[str]) -> None:
        self._file: IO[bytes] = (folder / self.name).open("wb")
        self._palette, self._empty = GifPalette(colours), True

    def encode(self, picture: UInt8[np.ndarray, "h w 3"]) -> tuple[Image.Image, list[bytes]]:
        """The picture in the film's palette, and its blocks."""
        image = self._palette(picture)
        return image, GifImagePlugin.getdata(image, duration=1000 // FRAMES_A_SECOND, include_color_table=True)

    def append(self, encoded: tuple[Image.Image, list[bytes]]) -> None:
        """Append a picture."""
        image, blocks = encoded
        if self._empty:
            self._file.writelines(GifImagePlugin.getheader(image, info={"loop": 0})[0])  # again and again
            self._empty = False
        self._file.writelines(blocks)

    def close(self) -> None:
        """Finish the file."""
        self._file.write(b";")
        self._file.close()


class Mp4:
    """H.264 by the ffmpeg program, which is given raw pictures."""

    name = "overlay.mp4"

    def __init__(self, folder: Path, program: str) -> None:
        self._path, self._program = folder / self.name, program
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the film)
        self._process: subprocess.Popen[bytes] | None = None

    def encode(self, picture: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "H W 3"]:
        """The picture with even sides: colour has half the resolution. The program does the rest."""
        return np.ascontiguousarray(picture[: picture.shape[0] // 2 * 2, : picture.shape[1] // 2 * 2])

    def append(self, encoded: UInt8[np.ndarray, "H W 3"]) -> None:
        """Append a picture."""
        if self._process is None:
            self._process = self._start(encoded.shape[1], encoded.shape[0])
        try:
            assert self._process.stdin is not None  # noqa: S101 (it is a pipe)
            self._process.stdin.write(encoded.data)
        except BrokenPipeError:
            self.close()

    def close(self) -> None:
        """Finish the file.

        Raises:
            ConfigError: ffmpeg failed. OSError: it could not write.
        """
        if self._process is None:
            return
        try:
            self._process.communicate()
        except BrokenPipeError:
            self._process.wait()
        if self._process.returncode:
            self._log.seek(0)
            said = self._log.read().decode("utf-8", "replace")
            if refused := system_error(said):
                raise refused
            reason = (said.strip().splitlines() or ["no reason given"])[-1]
            raise ConfigError(f"ffmpeg could not write the video ({reason[:120]}); choose --video gif")
        self._log.close()

    def _start(self, width: int, height: int) -> subprocess.Popen[bytes]:
        given = [
            "-f",
            "rawvideo",
            "-pix_fmt",
            "rgb24",
            "-s",
            f"{width}x{height}",
            "-r",
            str(FRAMES_A_SECOND),
            "-i",
            "-",
        ]
        wanted = ["-c:v", "libx264", "-crf", "20", "-pix_fmt", "yuv420p", "-movflags", "+faststart", str(self._path)]
        command = [self._program, "-y", "-loglevel", "error", "-nostdin", *given, *wanted]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=self._log)  # noqa: S603
