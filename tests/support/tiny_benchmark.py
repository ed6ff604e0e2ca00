"""The benchmark made small enough for a test: two rounds of few steps on images of 32 pixels."""

import json
import shutil
from pathlib import Path

from benchmarks.fixed.definition import Definition, load_definition

REAL = Path(__file__).parents[2] / "benchmarks"


def tiny_definition(folder: Path) -> Definition:
    """A definition of its own in `folder`, with the real lists of ablations."""
    plain = json.loads((REAL / "definition.json").read_text())
    plain |= {"size": 32, "optimisation": plain["optimisation"] | {"batch_size": 2}}
    plain["model"]["options"]["decoder_channels"] = [32, 24, 16, 8]
    plain["consortia"]["four"] |= {
        "frames": 6,
        "steps": 10,
        "schedule": {"rounds": 2, "local_steps": 2, "overseas_steps": 1, "distil_steps": 1},
        "equal_bytes": {"rounds": 2, "local_steps": 2, "overseas_steps": 1, "distil_steps": 1},
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "definition.json").write_text(json.dumps(plain))
    (folder / "ours.json").write_text("{}")
    for name in ("ablations.json", "gaia_ring.json"):
        shutil.copy(REAL / name, folder)
    return load_definition(folder)
