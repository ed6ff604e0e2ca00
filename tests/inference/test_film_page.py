"""The page of a segmented run does what its buttons say, in a real browser and from its folder alone."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fedefm.inference.segment import Wanted, segment
from fedefm.inference.source import open_run
from support.browser import Tab, browser
from support.page_reader import read
from support.runs import bright, cine, square

FRAMES, EMPTY = 96, (10, 11, 12, 40)  # counted from 1
MARKED = """(() => {
  const data = document.getElementById('marks').getContext('2d').getImageData(0, 0, 200, 120).data;
  let count = 0;
  for (let k = 3; k < data.length; k += 4) count += data[k] > 0;
  return count;
})()"""
COLOURS = MARKED.replace("data[k] > 0", "data[k] && data[k - 3] + 2 * data[k - 2] + 3 * data[k - 1]")
NUMBER = "document.getElementById('number').textContent"


def run_with_empty_frames(path: Path) -> Path:
    frames = np.stack([square(at=k % 28) for k in range(FRAMES)])
    for number in EMPTY:
        frames[number - 1] = 20
    return cine(path, frames)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("film")
    segment(
        open_run(run_with_empty_frames(made / "Nobody-Test.dcm")), bright(), made / "out", Wanted(("page", "png"), None)
    )
    return made / "out"


@pytest.fixture(scope="module")
def tab(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        opened.open(folder / "index.html")
        yield opened
        assert opened.complaints == []
        home = folder.resolve().as_uri()
        assert {one for one in opened.fetched if not one.startswith((home, "data:"))} == set()


def marked_on_disk(folder: Path, number: int) -> int:
    return int((np.asarray(Image.open(folder / "labels" / f"{number:04d}.png")) == 1).sum())


def shown(tab: Tab) -> int:
    """Pixels of marks that the browser shows, without the rings."""
    return tab.ask(MARKED)


def go_to(tab: Tab, number: int) -> None:
    tab.ask(f"(s => {{ s.value = {number}; s.dispatchEvent(new Event('input')); }})(document.getElementById('frame'))")
    assert tab.ask(NUMBER) == f"{number}/{FRAMES}"


def without_rings(tab: Tab) -> None:
    if tab.ask("document.getElementById('tips').checked"):
        tab.click("#tips")


def test_the_slider_shows_each_frame_with_its_own_marks(tab: Tab, folder: Path) -> None:
    without_rings(tab)
    for number in (1, 2, 10, 27, 96):
        go_to(tab, number)
        assert shown(tab) == marked_on_disk(folder, number) and (shown(tab) == 0) == (number in EMPTY)
        tab.wait("document.getElementById('missing').hidden")
    assert "nothing marked" not in tab.ask("document.getElementById('frame').getAttribute('aria-valuetext')")
    go_to(tab, 11)
    assert (
        tab.ask("document.getElementById('frame').getAttribute('aria-valuetext')") == "frame 11 of 96: nothing marked"
    )


def test_a_class_goes_and_comes_and_the_strength_changes(tab: Tab, folder: Path) -> None:
    without_rings(tab)
    go_to(tab, 5)
    tab.click("#classes input[value='1']")
    assert shown(tab) == 0
    tab.click("#classes input[value='1']")
    assert shown(tab) == marked_on_disk(folder, 5)
    tab.click("#strength")  # its middle
    assert float(tab.ask("getComputedStyle(document.getElementById('marks')).opacity")) == pytest.approx(0.5, abs=0.02)


def test_rings_are_drawn_at_the_tips_and_go_with_their_class(tab: Tab, folder: Path) -> None:
    go_to(tab, 5)
    without_rings(tab)
    plain = tab.ask(COLOURS)
    tab.click("#tips")
    assert tab.ask(COLOURS) < plain  # a ring has a dark edge
    tab.click("#classes input[value='1']")
    assert shown(tab) == 0
    tab.click("#classes input[value='1']")


def test_it_plays_and_stops_by_button_and_by_keyboard(tab: Tab) -> None:
    go_to(tab, 1)
    tab.click("#play")
    tab.wait("Number(document.getElementById('frame').value) >= 5")
    assert tab.ask("document.getElementById('play').getAttribute('aria-pressed')") == "true"
    tab.click("#play")
    stood = tab.ask(NUMBER)
    tab.ask("new Promise(done => setTimeout(done, 300))")
    assert tab.ask(NUMBER) == stood
    tab.ask("document.activeElement.blur()")
    go_to(tab, 96)
    tab.press(" ", "Space")
    tab.wait("Number(document.getElementById('frame').value) < 90")  # it begins again
    tab.press(" ", "Space")


def test_the_keyboard_alone_is_enough(tab: Tab, folder: Path) -> None:
    without_rings(tab)
    tab.ask("document.activeElement.blur()")
    go_to(tab, 20)
    tab.press("ArrowRight")
    assert tab.ask(NUMBER) == "21/96"
    tab.press("ArrowLeft")
    assert tab.ask(NUMBER) == "20/96"
    tab.press("1")
    assert shown(tab) == 0
    tab.press("1")
    assert shown(tab) == marked_on_disk(folder, 20)
    reached = set()
    for _ in range(14):
        tab.press("Tab")
        reached.add(tab.ask("document.activeElement.id || document.activeElement.value"))
    assert {"back", "play", "on", "frame", "speed", "1", "2", "tips", "strength"} <= reached


def test_a_picture_that_was_taken_away_is_named(tab: Tab, folder: Path) -> None:
    there, away = folder / "frames" / "0070.jpg", folder / "frames" / "away"
    there.rename(away)
    try:
        go_to(tab, 70)
        tab.wait("!document.getElementById('missing').hidden")
        assert "frames/0070.jpg" in tab.ask("document.getElementById('missing').textContent")
    finally:
        away.rename(there)
        tab.complaints.clear()  # the browser told of the file that is not there
    go_to(tab, 50)
    tab.wait("document.getElementById('missing').hidden")


def test_the_page_is_whole_and_says_what_is_not_there(folder: Path) -> None:
    page = (folder / "index.html").read_text()
    told = read(page)
    assert told.open == [] and told.unbalanced == [] and len(told.ids) == len(set(told.ids))
    assert "Nothing was marked in frames 10 to 12, 40." in page and "guidewire was found in no frame" in page
    assert not [a for a in told.addresses if not a.startswith(("data:", "#"))]
    assert "made-up-7" not in page and "Nobody" not in page


def test_names_of_classes_are_text_and_nothing_else(tmp_path: Path) -> None:
    hostile = ("</script><script>document.title='taken'</script>", "<img src=x onerror=\"document.title='taken'\">'\"")
    network = bright()
    network = network._replace(checkpoint=replace(network.checkpoint, classes=hostile))
    segment(open_run(run_with_empty_frames(tmp_path / "run.dcm")), network, tmp_path / "out", Wanted(("page",), None))
    with browser(tmp_path / "profile") as tab:
        tab.open(tmp_path / "out" / "index.html")
        assert tab.ask("document.title").startswith("A segmented run")
        assert tab.ask("document.querySelectorAll('img, script').length") == 2
        assert tab.ask("document.querySelector('#classes label').textContent").strip().startswith(hostile[0])
        assert tab.complaints == []


def test_the_page_takes_no_more_frames_than_a_browser_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fedefm.inference.film_page._MOST_BYTES", 1)
    run = open_run(run_with_empty_frames(tmp_path / "run.dcm"))
    segment(run, bright(), tmp_path / "out", Wanted(("page",), None))
    assert "the first 1 of 96 frames" in (tmp_path / "out" / "index.html").read_text()
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["frames"] == FRAMES
