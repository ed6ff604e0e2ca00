"""Files whole or not at all: what was there stays until the new content is complete, and a refusal says why."""

import errno
import json
import multiprocessing
import resource
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fedefm.errors import ConfigError
from fedefm.files import filled, new_folder, system_error, write_json, write_together, write_whole, written_beside
from fedefm.models.build import initial_weights
from fedefm.models.checkpoint import load_weights, save_weights
from support.rooms import Room, disk, lose
from support.small_networks import SMALLEST

KERNEL = Path("/sys")  # nobody may write there, root neither


def save(path: Path, seed: int) -> None:
    save_weights(path, initial_weights(SMALLEST, 2, 32, seed), spec=SMALLEST, classes=("a",), size=32)


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_text_and_bytes_come_back_and_nothing_lies_beside(tmp_path: Path) -> None:
    for content in ("first\nzweite, größer", "second", b"\0\xff\r\n"):
        write_whole(tmp_path / "new" / "file", content)
        plain = content.encode() if isinstance(content, str) else content
        assert (tmp_path / "new" / "file").read_bytes() == plain
    assert left(tmp_path / "new") == ["file"]


def test_json_is_sorted_and_strict(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": 1, "a": [0.5, None]})
    text = (tmp_path / "a.json").read_text()
    assert json.loads(text) == {"a": [0.5, None], "b": 1} and text.index('"a"') < text.index('"b"')
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", float("nan"))
    assert (tmp_path / "a.json").read_text() == text


def test_the_mode_is_that_which_was_asked_for(tmp_path: Path) -> None:
    write_whole(tmp_path / "open", "")
    write_whole(tmp_path / "closed", "", mode=0o600)
    write_together(tmp_path, {"closed too": ""}, mode=0o600)
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert modes["closed"] == modes["closed too"] == 0o600 != modes["open"]


def test_of_several_files_none_is_renamed_before_all_are_written(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("earlier", encoding="utf-8")
    with pytest.raises(UnicodeEncodeError):
        write_together(tmp_path, {"one": "new", "two": "half \ud800"})
    assert {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()} == {"one": "earlier"}


def test_a_block_that_fails_leaves_the_earlier_file_and_no_part(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("earlier")

    def half() -> None:
        with written_beside(tmp_path / "file") as part:
            part.write_text("half of")
            assert part.parent == tmp_path and (tmp_path / "file").read_text() == "earlier"
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        half()
    assert (tmp_path / "file").read_text() == "earlier" and left(tmp_path) == ["file"]


@pytest.mark.parametrize("write", [lambda path: write_whole(path, "new"), lambda path: save(path, 1)])
def test_a_place_where_nobody_may_write_is_named_with_the_remedy(write: Callable[[Path], None]) -> None:
    with pytest.raises(ConfigError, match=r"^/sys/file: cannot be written \(.+\); choose a folder that you may write"):
        write(KERNEL / "file")
    with pytest.raises(ConfigError, match=r"^/sys/new: cannot be written \(.+\); choose a folder that you may write"):
        write(KERNEL / "new" / "file")


@pytest.mark.parametrize("write", [lambda path: write_whole(path, "new"), lambda path: save(path, 1)])
def test_a_file_in_the_place_of_the_folder_is_kept(write: Callable[[Path], None], tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("kept")
    with pytest.raises(ConfigError, match=r"taken: cannot be written \(File exists\); choose a writable folder"):
        write(tmp_path / "taken" / "file")
    assert (tmp_path / "taken").read_text() == "kept"


def _in_a_small_room(write: Callable[[Path], None], path: Path, told: "multiprocessing.SimpleQueue[str]") -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    try:
        write(path)
    except ConfigError as error:
        told.put(str(error))
    else:
        told.put("written")


def _much_text(path: Path) -> None:
    write_whole(path, "x" * 200_000)


def _many_weights(path: Path) -> None:
    save(path, 2)


@pytest.mark.parametrize("write", [_much_text, pytest.param(_many_weights, marks=pytest.mark.slow)])
def test_where_no_more_fits_the_earlier_file_stays(write: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "file"
    save(path, 1)
    before, context = path.read_bytes(), multiprocessing.get_context("spawn")
    told = context.SimpleQueue()
    process = context.Process(target=_in_a_small_room, args=(write, path, told))
    process.start()
    process.join(120)
    assert told.get() == (
        f"{path}: cannot be written (File too large); free some space there, or choose a folder on another disk"
    )
    assert path.read_bytes() == before and load_weights(path)
    assert left(tmp_path) == ["file"]


def test_a_new_folder_is_there_at_the_end_or_never(tmp_path: Path) -> None:
    with new_folder(tmp_path / "out") as folder:
        (folder / "inside").write_text("whole")
        assert not (tmp_path / "out").exists()
    assert (tmp_path / "out" / "inside").read_text() == "whole"

    def half() -> None:
        with new_folder(tmp_path / "other") as folder:
            (folder / "inside").write_text("half of")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        half()
    assert left(tmp_path) == ["out"]


def test_a_new_folder_takes_an_empty_place_and_no_other(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with new_folder(tmp_path / "empty") as folder:
        (folder / "inside").touch()
    assert left(tmp_path / "empty") == ["inside"]
    with pytest.raises(ConfigError, match="is not an empty folder"), new_folder(tmp_path / "empty"):
        pass
    with pytest.raises(ConfigError, match="choose a folder that you may write"), new_folder(KERNEL / "out"):
        pass


def test_a_folder_is_filled_at_the_end_or_never_and_what_was_there_stays(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("earlier")
    with filled(tmp_path) as part:
        (part / "models").mkdir()
        (part / "models" / "a").write_text("whole")
        (part / "record").write_text("whole")
        assert not (tmp_path / "record").exists()
    assert left(tmp_path) == ["log", "models", "record"]

    def fails() -> None:
        with filled(tmp_path) as part:
            (part / "more").write_text("half of")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(ConfigError, match=rf"^{tmp_path}: cannot be written \(No space left"):
        fails()
    assert left(tmp_path) == ["log", "models", "record"]


def test_a_folder_that_was_made_for_nothing_is_gone(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), filled(tmp_path / "out"):
        raise RuntimeError("stop")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("make", [new_folder, filled])
def test_an_error_about_a_file_that_is_read_stays_what_it_is(make: Callable[[Path], Any], tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="source"), make(tmp_path / "out"):
        (tmp_path / "source").read_text()


@pytest.mark.parametrize(
    "text",
    [
        "OSError: [Errno 28] No space left on device: '/x/y'",
        "I/O error: No space left on device (os error 28)",
        "x264 [error]: No space left on device",
        "[('a', 'b', \"[Errno 28] No space left on device: 'b'\")]",
    ],
)
def test_what_another_program_says_of_a_full_disk_is_understood(text: str) -> None:
    found = system_error(text)
    assert found is not None and found.errno == errno.ENOSPC
    assert system_error("[Errno 2] No such file or directory: 'x'") is None


def _lost(place: Path, how: str) -> str:
    """What is said where the disk goes away while a result is written."""
    with disk(place):
        try:
            if how == "file":
                with written_beside(place / "in" / "file") as part:
                    lose(place)
                    part.write_text("new")
            else:
                with {"new folder": new_folder, "filled": filled}[how](place / "in" / "out") as folder:
                    lose(place)
                    (folder / "file").write_text("new")
        except ConfigError as error:
            return str(error)
    return "written"


@pytest.mark.parametrize(
    "how", ["file", *(pytest.param(how, marks=pytest.mark.slow) for how in ("new folder", "filled"))]
)
def test_a_disk_that_is_lost_is_named_with_the_remedy(how: str, tmp_path: Path) -> None:
    room = Room()
    try:
        if room.reason:
            pytest.skip(f"no mount namespace here: {room.reason}")
        said = room.call(_lost, tmp_path / "disk", how)
    finally:
        room.close()
    assert said.startswith(f"{tmp_path / 'disk' / 'in'}") and "see whether its disk is still there" in said
    assert not list((tmp_path / "disk").rglob("*"))
