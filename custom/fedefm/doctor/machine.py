"""Is this machine fit: Python, packages, GPU, disk, memory."""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from fedefm.doctor.finding import WITHOUT_REGISTRY, Finding, failed, passed, warned

if TYPE_CHECKING:  # imported where they are used: a package that is missing is a finding, not the doctor's end
    from packaging.requirements import Requirement
    from packaging.specifiers import SpecifierSet

    from fedefm.kits.slurm import Slurm

GB = 1_000_000_000
LEAST_DISK, GOOD_DISK = 2 * GB, 20 * GB
LEAST_MEMORY, GOOD_MEMORY = 2 * GB, 8 * GB
SLURM_COMMANDS = ("sbatch", "squeue", "sacct", "scancel")
NO_SLURM = "run the site on a machine of the cluster from which jobs are submitted, or take `slurm` out of the file"


def python() -> Iterator[Finding]:
    """The interpreter is of a version that fedefm is made for."""
    from packaging.specifiers import SpecifierSet

    wanted = SpecifierSet(metadata.metadata("fedefm")["Requires-Python"])
    yield python_in(platform.python_version(), wanted)


def python_in(version: str, wanted: SpecifierSet) -> Finding:
    """A PASS where the version lies in the range, else a FAIL."""
    if version not in wanted:
        return failed("Python", f"{version} is not {wanted}", f"install Python {wanted} and fedefm in it")
    return passed("Python", f"{version} at {sys.executable}")


def packages() -> Iterator[Finding]:
    """Every package that fedefm needs, and those that these need, installed in a version that they were made for."""
    from packaging.utils import canonicalize_name

    needs = list(needed("fedefm"))
    faults = list(package_faults(needs))
    yield from faults
    if not faults:
        main = ", ".join(f"{name} {metadata.version(name)}" for name in ("fedefm", "nvflare", "torch"))
        yield passed("packages", f"{main}; {len({canonicalize_name(one.name) for _, one in needs})} needed, all there")


def needed(program: str) -> Iterator[tuple[str, Requirement]]:
    """Each requirement of an installed package and of all below it, after the name of who has it.

    Raises:
        PackageNotFoundError: the package itself is not installed; one below it that is not ends its own branch.
    """
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    lines = metadata.requires(program) or []
    open_: list[tuple[str, str, list[str]]] = [(program, "", lines)]
    seen = {(program, "")}
    while open_:
        name, extra, lines = open_.pop(0)
        for need in map(Requirement, lines):
            if need.marker is not None and not need.marker.evaluate({"extra": extra}):
                continue
            yield name, need
            own = canonicalize_name(need.name)
            for one in ("", *sorted(need.extras)):
                if (own, one) not in seen:
                    seen.add((own, one))
                    with suppress(metadata.PackageNotFoundError):
                        open_.append((need.name, one, metadata.requires(need.name) or []))


def package_faults(needs: Iterable[tuple[str, Requirement]]) -> Iterator[Finding]:
    """A FAIL for each package that is missing or of another version, once."""
    from packaging.utils import canonicalize_name

    told = set()
    for who, need in needs:
        try:
            version = metadata.version(need.name)
            fits = need.specifier.contains(version, prereleases=True)
            fault = "" if fits else f"{need.name} {version} is not {need.specifier}, which {who} needs"
        except metadata.PackageNotFoundError:
            fault = f"{need.name} is not installed, which {who} needs"
        if fault and canonicalize_name(need.name) not in told:
            told.add(canonicalize_name(need.name))
            yield failed("packages", fault, f"run pip install -c constraints.txt '{need.name}'; {WITHOUT_REGISTRY}")


def gpu(device: str) -> Iterator[Finding]:
    """The device that the site's configuration names is there."""
    if device == "cpu":
        yield warned(
            "GPU", "the site trains on the CPU, slowly", 'with a GPU set "device": "cuda" in local/fedefm_site.json'
        )
        return
    import torch

    if not torch.cuda.is_available():
        yield failed(
            "GPU",
            f"local/fedefm_site.json says {device}, torch {torch.__version__} finds no GPU",
            'install the driver and a CUDA build of torch, or set "device": "cpu"',
        )
        return
    yield passed("GPU", f"{device}: {torch.cuda.get_device_name(torch.device(device))}")


def cluster(site: Slurm) -> Iterator[Finding]:
    """The commands of Slurm are here; what a compute node has is not looked at."""
    missing = [name for name in SLURM_COMMANDS if shutil.which(name) is None]
    for name in missing:
        yield failed("Slurm", f"local/fedefm_site.json names a cluster, and {name} is not in the PATH", NO_SLURM)
    if not missing:
        where = site.partition or "the default partition"
        yield passed("Slurm", f"job processes go to {where}, with {site.gpus} GPUs each; GPUs are not looked for here")


def disk(folder: Path) -> Iterator[Finding]:
    """Room where the kit lies; jobs and checkpoints go there."""
    yield room("disk", shutil.disk_usage(folder).free, LEAST_DISK, GOOD_DISK, "free or add space where the kit lies")


def memory() -> Iterator[Finding]:
    """Memory that is free now."""
    import psutil

    yield room(
        "memory", psutil.virtual_memory().available, LEAST_MEMORY, GOOD_MEMORY, "end other programs or add memory"
    )


def room(check: str, free: int, least: int, good: int, remedy: str) -> Finding:
    """A FAIL where fewer bytes are free than `least`, a WARN where fewer than `good`, else a PASS."""
    text = f"{free / GB:.1f} GB free"
    if free < least:
        return failed(check, f"{text}, at least {least / GB:.0f} are needed", remedy)
    if free < good:
        return warned(check, f"{text}, {good / GB:.0f} are advised", remedy)
    return passed(check, text)
