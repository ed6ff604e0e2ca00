"""The benchmark of the wire prints both, and half precision moves half."""

import re

import pytest
from benchmarks.bench_wire import main


@pytest.mark.slow
def test_half_precision_moves_half_of_the_bytes(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--seeds", "1", "--rounds", "1", "--frames", "12", "--steps", "1", "--method", "at_home"])
    rows = [line.split("|") for line in capsys.readouterr().out.splitlines()[2:]]
    assert [re.sub(r"\W", "", row[1]) for row in rows] == ["float32", "float16"]
    whole, half = (float(row[5]) for row in rows)
    assert half == pytest.approx(whole / 2, rel=0.02)
    assert all(float(row[6]) == 1 for row in rows)
