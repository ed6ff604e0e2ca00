"""What a site decides for itself: where its data lies, its device, and how much work it accepts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import NonNegativeInt, PositiveInt

from fedefm.errors import ConfigError, ProtocolError
from fedefm.exchange.messages import Assignment
from fedefm.kits.approval import Approval
from fedefm.kits.slurm import Slurm
from fedefm.metrics.suppression import LEAST_IMAGES
from fedefm.settings import load, settings_class


@settings_class
class SiteConfig:
    """The file `local/fedefm_site.json` of a site; a job can change none of it.

    Attributes:
        data: the folder with `dataset.json`; absolute, or relative to the file.
        device: torch device of the work.
        threads: CPU threads of the work.
        max_steps: most gradient steps that one task may ask for.
        max_megabytes: most weights, in 10^6 bytes, that one task may bring.
        weights_megabytes: most weights, in 10^6 bytes, that the site keeps on its disk while jobs run, so that it need
            not be sent them again; 0 keeps none.
        least_images: figures and counts of fewer images than this never leave the site, whatever the job; with fewer
            training images it does not train.
        compare_pictures: whether a data report may count how many pictures another hospital has as well.
        approval: which signed jobs run at once and which wait for a person's yes; None for the consortium's default.
        slurm: the cluster on which job processes run; None for this machine.
        cache: the folder for prepared images; absolute, or relative to the file; None for one within `data`.

    Raises:
        ConfigError: a value is ill-typed or out of range.
    """

    data: Path
    device: str = "cpu"
    threads: PositiveInt = 1
    max_steps: PositiveInt = 100_000
    max_megabytes: PositiveInt = 20_000
    weights_megabytes: NonNegativeInt = 10_000
    least_images: PositiveInt = LEAST_IMAGES
    compare_pictures: bool = True
    approval: Approval | None = None
    slurm: Slurm | None = None
    cache: Path | None = None

    @property
    def options(self) -> dict[str, Any]:
        """What a site decides for its work in any job, as the arguments of its `Site`."""
        return {"device": self.device, "threads": self.threads, "cache": self.cache, "least": self.least_images}

    def check(self, assignment: Assignment[Any]) -> None:
        """Refuse work beyond the site's limits.

        Raises:
            ProtocolError: too many steps or too many bytes of weights.
        """
        task = assignment.task
        if task.steps > self.max_steps:
            raise ProtocolError(f"task {task.id}: {task.steps} steps, this site's max_steps is {self.max_steps}")
        from fedefm.maths.size import nbytes  # torch, which the commands of a site do without

        size = sum(map(nbytes, assignment.models.values()))
        if size > self.max_megabytes * 1_000_000:
            raise ProtocolError(
                f"task {task.id}: {size / 1e6:.0f} MB, this site's max_megabytes is {self.max_megabytes}"
            )


def load_site_config(folder: Path, site: str) -> SiteConfig:
    """Read `fedefm_site.<site>.json` from a site's `local` folder, else `fedefm_site.json`.

    FLARE's simulator copies one `local` folder to all sites, hence the first name.

    Raises:
        ConfigError: no file, not JSON, an unknown key or a wrong value; one line that names the file.
    """
    candidates = [folder / f"fedefm_site.{site}.json", folder / "fedefm_site.json"]
    path = next((p for p in candidates if p.is_file()), None)
    if path is None:
        raise ConfigError(f'{candidates[1]}: no such file; write it as {{"data": "/path/to/the/data/folder"}}')
    config = load(SiteConfig, path)
    return replace(config, data=folder / config.data, cache=None if config.cache is None else folder / config.cache)
