"""What weights know of themselves travels in their header, and a header is hostile."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.torch import save_file

from fedefm.errors import CheckpointError, ConfigError
from fedefm.models.assurance import Assurance, Confidence, Look
from fedefm.models.build import initial_weights
from fedefm.models.checkpoint import _seal, load_weights, save_weights
from support.small_networks import SMALLEST

CLASSES = ("catheter", "guidewire")
WEIGHTS = initial_weights(SMALLEST, 3, 64, seed=0)
LOOK = Look((0.0, 1.0), ((1.0, 0.0), (0.0, 4.0)), 20, 2.0, 5)
KNOWN = Assurance(Confidence(0.5, -0.25, 12, 0.2, 0.05), (LOOK,))


def saved(path: Path, assurance: Assurance | None) -> str:
    return save_weights(path, WEIGHTS, spec=SMALLEST, classes=CLASSES, size=64, assurance=assurance)


def test_it_comes_back_and_leaves_the_fingerprint_alone(tmp_path: Path) -> None:
    plain = saved(tmp_path / "plain.safetensors", None)
    assert saved(tmp_path / "known.safetensors", KNOWN) == plain
    found = load_weights(tmp_path / "known.safetensors")
    assert found.assurance == KNOWN and found.sha256 == plain


def test_weights_without_it_load_as_before_and_keep_their_bytes(tmp_path: Path) -> None:
    saved(tmp_path / "plain.safetensors", None)
    saved(tmp_path / "empty.safetensors", Assurance())
    assert load_weights(tmp_path / "plain.safetensors").assurance == Assurance()
    assert (tmp_path / "plain.safetensors").read_bytes() == (tmp_path / "empty.safetensors").read_bytes()


@pytest.mark.parametrize(
    "spoilt",
    [
        {"confidence": {**KNOWN.to_dict()["confidence"], "slope": 0.0}},
        {"confidence": {**KNOWN.to_dict()["confidence"], "offset": 1e9}},
        {"looks": [{**LOOK.to_dict(), "threshold": 0.0}]},
        {"looks": [{**LOOK.to_dict(), "precision": [[1.0]]}]},
        {"looks": [LOOK.to_dict()] * 257},
        {"looks": [LOOK.to_dict(), {**LOOK.to_dict(), "centre": [0.0], "precision": [[1.0]]}]},
        {"more": 1},
        "text",
    ],
)
def test_a_header_with_other_values_is_refused(tmp_path: Path, spoilt: object) -> None:
    path = tmp_path / "known.safetensors"
    saved(path, KNOWN)
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()["fedefm"])
    header["assurance"] = spoilt
    header["seal"] = _seal(header)
    save_file(WEIGHTS, path, {"fedefm": json.dumps(header, sort_keys=True)})
    with pytest.raises(CheckpointError, match="its header is wrong"):
        load_weights(path)


def test_a_changed_header_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "known.safetensors"
    saved(path, KNOWN)
    content = path.read_bytes()
    assert content.count(b'\\"slope\\": 0.5') == 1
    path.write_bytes(content.replace(b'\\"slope\\": 0.5', b'\\"slope\\": 0.9'))
    with pytest.raises(CheckpointError, match="altered"):
        load_weights(path)


def test_the_confidence_is_the_formula() -> None:
    scores = np.array([0.4, 0.9])
    wanted = 1 / (1 + np.exp(-(0.5 * np.log(scores / (1 - scores)) - 0.25)))
    np.testing.assert_allclose(KNOWN.confidence.of(scores), wanted, rtol=1e-12)
    ends = KNOWN.confidence.of(np.array([0.0, 1.0]))
    assert np.isfinite(ends).all() and 0 < ends[0] < ends[1] < 1


def test_strangeness_is_the_least_distance_in_thresholds() -> None:
    far = Look((10.0, 1.0), ((1.0, 0.0), (0.0, 1.0)), 20, 1.0, 5)
    figures = np.array([[0.0, 1.0], [2.0, 1.0], [10.0, 2.0]])
    wanted = [0.0, np.sqrt(4 / 2) / 2, np.sqrt(1 / 2)]
    np.testing.assert_allclose(Assurance(None, (LOOK, far)).strangeness(figures), wanted)
    with pytest.raises(ConfigError, match="other figures"):
        Assurance(None, (LOOK,)).strangeness(np.zeros((1, 3)))
