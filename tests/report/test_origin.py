"""Which weights a model comes from, by the reports beside them."""

import json
from pathlib import Path
from typing import Any

import pytest

from fedefm.errors import ConfigError
from fedefm.report.origin import ancestors

THETA, TUNED, EAST, EARLIER = "a" * 64, "b" * 64, "c" * 64, "d" * 64
FOUNDATION = {"theta": {"sha256": THETA}, "models": {"east": {"sha256": EAST}}, "config": {"start_sha256": EARLIER}}
FINETUNE = {"kind": "finetune", "model": {"sha256": TUNED}, "theta": {"sha256": THETA}}


@pytest.mark.parametrize(
    ("report", "sha256", "found"),
    [
        (FOUNDATION, THETA, {EAST, EARLIER}),
        (FOUNDATION, EAST, {EARLIER}),
        (FOUNDATION, TUNED, set()),
        ({**FOUNDATION, "config": {"start_sha256": ""}}, EAST, set()),
        ({**FOUNDATION, "theta": None}, THETA, set()),
        (FINETUNE, TUNED, {THETA}),
        (FINETUNE, EAST, set()),
        ({**FINETUNE, "theta": None}, TUNED, set()),
        ({"kind": "evaluation"}, TUNED, set()),
        ([], TUNED, set()),
    ],
)
def test_what_a_report_names(report: Any, sha256: str, found: set[str], tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text(json.dumps(report))
    (tmp_path / "models").mkdir()
    for place in (tmp_path, tmp_path / "models"):
        assert ancestors(place / "weights.safetensors", sha256) == found


def test_without_a_report_nothing_is_known_and_a_damaged_one_is_told(tmp_path: Path) -> None:
    assert ancestors(tmp_path / "theta.safetensors", THETA) == frozenset()
    (tmp_path / "report.json").write_text(json.dumps({"kind": "finetune"}))
    with pytest.raises(ConfigError, match="damaged"):
        ancestors(tmp_path / "theta.safetensors", THETA)
