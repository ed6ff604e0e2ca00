"""What lies behind the vessels in each look."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from fedefm.data.synth.abdomen import animal_abdomen
from fedefm.data.synth.bench import bench_phantom, empty_field
from fedefm.data.synth.canvas import Canvas
from fedefm.data.synth.chest import human_chest
from fedefm.data.synth.skull import lateral_skull

BACKGROUNDS: dict[str, Callable[[Canvas, np.random.Generator], Float[np.ndarray, "h w"]]] = {
    "human": human_chest,
    "animal": animal_abdomen,
    "phantom": bench_phantom,
    "simulation": empty_field,
    "biplane": lateral_skull,
}
"""The attenuation of the background at each pixel of a canvas, by look."""
