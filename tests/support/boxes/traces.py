"""What containers leave on a machine besides themselves: processes, mounts, interfaces, name spaces."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

INTERFACES, NAMESPACES = Path("/sys/class/net"), Path("/run/netns")
OURS = "netns-*"  # as the engine names those that it makes


def namespaces() -> set[str]:
    """The network name spaces that a container engine made."""
    return {path.name for path in NAMESPACES.glob(OURS)}


def traces(folder: Path, interfaces: Collection[str], before: Collection[str]) -> list[str]:
    """All that is still there of a run.

    Args:
        folder: where the engine's store lies.
        interfaces: bridges of its networks.
        before: the name spaces that were there when it began.
    """
    found = [f"mount {point}" for point in mounts(folder)]
    found += [f"process {pid}" for pid in processes(folder)]
    found += [f"interface {name}" for name in interfaces if (INTERFACES / name).exists()]
    lived_in = set(inhabited())  # by containers of anybody else's
    for name in sorted(namespaces() - set(before)):
        with suppress(OSError):
            if (NAMESPACES / name).stat().st_ino not in lived_in:
                found.append(f"name space {name}")
    return found


def mounts(folder: Path) -> list[str]:
    """Mount points under a folder (proc_pid_mountinfo(5): the fifth field)."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [point for point in points if Path(point).is_relative_to(folder)]


def processes(folder: Path) -> Iterator[int]:
    """Processes of the engine, which name its folder, and those whose root is an image of its store."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile
            words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
            roots = [line for line in (process / "mountinfo").read_text().splitlines() if line.split()[4] == "/"]
            engine = Path(words[0]).name in ("podman", "conmon", "runc") and any(str(folder) in word for word in words)
            if engine or any(f"{folder}/store/" in root for root in roots):
                yield int(process.name)


def inhabited() -> Iterator[int]:
    """The network name spaces that a process lives in, by inode."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            yield (process / "ns" / "net").stat().st_ino
