"""Frames as a person names them."""

import pytest

from fedefm.corrections.choose import Frames, parse_frames
from fedefm.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("3,17", Frames(None, (3, 17))),
        ("17,3-5,4", Frames(None, (3, 4, 5, 17))),
        ("3, 17", Frames(None, (3, 17))),
        ("all", Frames(None)),
        ("worst:5", Frames(None, worst=5)),
        ("run a:2", Frames("run a", (2,))),
        ("x:worst:5", Frames("x", worst=5)),
        ("1:2:all", Frames("1:2")),
    ],
)
def test_what_is_named(text: str, found: Frames) -> None:
    assert parse_frames(text, "--frames") == found


@pytest.mark.parametrize("text", ["", "0", "5-3", "3,", "-1", "x", "worst:0", "worst:", "99999", "1-999999", "3..5"])
def test_what_is_no_list_is_refused_with_the_option(text: str) -> None:
    with pytest.raises(ConfigError, match="--frames"):
        parse_frames(text, "--frames")
