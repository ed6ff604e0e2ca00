"""What all tests share: one thread, and a small synthetic consortium."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported

from pathlib import Path

import pytest
import torch
from hypothesis import settings

CLASSES = ("catheter", "guidewire", "vessel")
LABELS = {"east": ("catheter",), "north": ("guidewire", "vessel"), "west": ("vessel",)}
LOOKS = {"east": "phantom", "north": "animal", "west": "human"}

torch.set_num_threads(1)

# How long an example takes on a busy machine is no law of ours; `make test-all` looks at more of them.
settings.register_profile("short", max_examples=40, deadline=None)
settings.register_profile("long", max_examples=200, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "short"))


def pytest_configure(config: pytest.Config) -> None:
    # beartype picks at random which item of a list it checks; no result depends on it
    config.addinivalue_line("filterwarnings", "ignore:Do not use the `random` module inside strategies")


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is noted for a user stays out of the home of whoever runs the tests."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="session")
def consortium(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of three hospitals with 12 synthetic frames of 64 x 64; test masks hold all classes."""
    from fedefm.data.synth import write_site  # imported here: most tests need no image

    root = tmp_path_factory.mktemp("consortium")
    for number, (site, corpus) in enumerate(LABELS.items()):
        write_site(root / site, LOOKS[site], frames=12, size=64, seed=number, corpus=corpus)
    return {site: root / site for site in LABELS}
