"""What a film shows from frame to frame: tracks of tips, steadiness, and scores that borrow from the frames beside."""

import json
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fedefm.cli import main
from fedefm.inference.segment import Wanted, segment
from fedefm.inference.source import open_run
from fedefm.inference.steady import BESIDE, Scored, steadied
from fedefm.inference.tracks import Track, tracks
from fedefm.metrics import Tip
from support.runs import bright, cine, square, weights

SCORES = torch.rand(11, 3, 4, 4, generator=torch.Generator().manual_seed(0))


def groups(sizes):
    rest = SCORES[: sum(sizes)]
    for part in rest.split(list(sizes)):
        yield Scored(tuple((row, None) for row in part), part, (None,) * len(part))


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4).filter(lambda sizes: sum(sizes) <= len(SCORES)))
@settings(deadline=None)
def test_however_a_film_is_cut_each_frame_borrows_from_the_frames_beside_it(sizes):
    found = list(steadied(groups(sizes)))
    film = SCORES[: sum(sizes)]
    padded = torch.cat((film[:1], film, film[-1:]))
    wanted = (1 - 2 * BESIDE) * film + BESIDE * padded[:-2] + BESIDE * padded[2:]
    assert [len(group.scores) for group in found] == sizes
    assert torch.allclose(torch.cat([group.scores for group in found]), wanted)
    assert torch.allclose(
        wanted.sum(1), film[:, :].sum(1) * (1 - 2 * BESIDE) + BESIDE * (padded[:-2] + padded[2:]).sum(1)
    )


def test_a_tip_is_followed_over_short_gaps_and_not_over_jumps():
    here = [Tip(1.0, 1.0), Tip(4.0, 5.0), None, Tip(4.0, 11.0), Tip(90.0, 90.0), None, None, None, Tip(90.0, 90.0)]
    assert tracks(here, 6.0) == [Track(1, 4, 3, 11.0), Track(5, 5, 1, 0.0), Track(9, 9, 1, 0.0)]
    assert tracks([None, None], 6.0) == tracks([], 6.0) == []


@given(st.lists(st.none() | st.builds(Tip, st.floats(0, 99), st.floats(0, 99)), max_size=30))
def test_each_tip_is_in_one_track_and_tracks_are_in_order(tips):
    found = tracks(tips, 10.0)
    assert sum(track.frames for track in found) == sum(tip is not None for tip in tips)
    assert all(one.last < two.first for one, two in pairwise(found))


def blinking(path):
    """A device that stands still, and is elsewhere in one frame."""
    frames = np.stack([square(at=40 if k == 3 else 0) for k in range(7)])
    return cine(path, frames)


def test_a_device_that_jumps_for_a_frame_begins_tracks_and_steadied_it_flickers_less(tmp_path):
    run = open_run(blinking(tmp_path / "run.dcm"))
    plain = segment(run, bright(), tmp_path / "plain", Wanted((), None, batch=2))["along_the_film"]
    steady = segment(run, bright(), tmp_path / "steady", Wanted((), None, batch=2, steady=True))["along_the_film"]
    assert steady["flicker"]["catheter"] < 0.7 * plain["flicker"]["catheter"]
    assert [(one["first"], one["last"]) for one in plain["tracks"]["catheter"]] == [(1, 3), (4, 4), (5, 7)]


def test_the_command_tells_it(tmp_path, capsys):
    path, model = blinking(tmp_path / "run.dcm"), weights(tmp_path / "model.safetensors")
    words = ["segment", str(path), "--model", str(model), "--format", "nifti", "--no-video", "--steady"]
    assert main([*words, "--out", str(tmp_path / "out"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["along_the_film"]
    assert set(told) == {"flicker", "tip_jitter_px", "tracks"}
    assert all(one is None or one == pytest.approx(one, abs=0) for one in told["flicker"].values())
