"""A wheel house: the program and every package that it needs as files, for machines that reach no package registry.

pip does the work on both sides. What it lacks is the list of hashes for wheels that it has just downloaded, without
which `--require-hashes` cannot be asked for. That list is what makes a folder that travelled on a disk as good as the
letter that tells the list's own hash.
"""

from __future__ import annotations

import hashlib
import platform
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from fedefm.errors import ConfigError, FedefmError
from fedefm.files import file_sha256, new_folder, refused_write, system_error, write_whole

LIST = "requirements.txt"  # in the wheel house: each package with its version and SHA-256
CONSTRAINTS = "constraints.txt"
OURS = "fedefm"


@dataclass(frozen=True)
class WheelHouse:
    """What was packed.

    Attributes:
        folder: it holds the wheels, `requirements.txt` and `constraints.txt`.
        packages: version of each, by name.
        size: bytes of all wheels.
        sha256: of `requirements.txt`, for the letter.
    """

    folder: Path
    packages: dict[str, str]
    size: int
    sha256: str


def pack(out: Path, program: Path, constraints: Path, source: Path | None = None) -> WheelHouse:
    """Gather the wheels for machines of this one's kind (system, processor, Python's minor version).

    Args:
        out: new folder.
        program: wheel of fedefm.
        constraints: the versions that are tested together.
        source: take wheels from this folder, such as an earlier wheel house, and ask no registry.

    Raises:
        ConfigError: a file is missing, or `out` cannot be written.
        FedefmError: pip could not gather all; the message ends with its own words.
    """
    for path in (program, constraints):
        if not path.is_file():
            raise ConfigError(f"{path}: is not there; make the wheel and take constraints.txt from the same checkout")
    if _wheel(program)[0] != OURS:
        raise ConfigError(f"{program.name}: is not the wheel of fedefm; name fedefm-VERSION-py3-none-any.whl")
    with new_folder(out) as folder:
        _download(folder, program, constraints, source)
        wheels = sorted(folder.glob("*.whl"))
        text = listed(wheels)
        write_whole(folder / CONSTRAINTS, constraints.read_bytes())
        write_whole(folder / LIST, text)
        packages = dict(map(_wheel, wheels))
        size = sum(wheel.stat().st_size for wheel in wheels)
    return WheelHouse(out, packages, size, hashlib.sha256(text.encode()).hexdigest())


def listed(wheels: list[Path]) -> str:
    """The content of `requirements.txt`: a line for each wheel, in the order of names, with its SHA-256.

    Raises:
        ConfigError: a file is no wheel, or there are two versions of a package.
    """
    lines: dict[str, str] = {}
    for wheel in wheels:
        name, version = _wheel(wheel)
        if name in lines:
            raise ConfigError(f"{wheel.name}: a second wheel of {name}; keep one of them")
        lines[name] = f"{name}=={version} --hash=sha256:{file_sha256(wheel)}\n"
    return f"# For {kind()}; the install command stands in docs/hospital-it.md.\n" + "".join(
        lines[name] for name in sorted(lines)
    )


def kind() -> str:
    """The kind of machine that wheels which are gathered here work on."""
    major, minor, _ = platform.python_version_tuple()
    return f"Python {major}.{minor} on {sysconfig.get_platform()}"


def _wheel(path: Path) -> tuple[str, str]:
    try:
        name, version, _, _ = parse_wheel_filename(path.name)
    except InvalidWheelFilename as error:
        raise ConfigError(f"{path.name}: not the name of a wheel; name fedefm-VERSION-py3-none-any.whl") from error
    return str(name), str(version)


def _download(folder: Path, program: Path, constraints: Path, source: Path | None) -> None:
    command = [sys.executable, "-m", "pip", "download", "--only-binary", ":all:", "--dest", str(folder)]
    if source is not None:
        command += ["--isolated", "--no-index", "--find-links", str(source)]
    said: list[str] = []
    with subprocess.Popen(  # noqa: S603 (our own interpreter and paths, no shell)
        [*command, "--constraint", str(constraints), str(program)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        for line in process.stdout or ():
            print(line, end="", file=sys.stderr, flush=True)
            said.append(line.strip())
    if process.returncode == 0:
        return
    text = "\n".join(said)
    if refused := system_error(text):
        raise refused_write(refused, folder)
    if "No module named pip" in text:
        raise ConfigError("pip: is not part of this Python; run python3 -m ensurepip, or make the environment with pip")
    raise FedefmError(f"pip could not gather the packages ({_reason(said)}); reach a registry, or use --from")


def _reason(said: list[str]) -> str:
    """The line in which pip says what is missing, which may stand before its errors."""
    for number, line in enumerate(said):
        if line.endswith("no matching distributions available for your environment:"):
            return f"no fitting wheel of {said[number + 1]}"
    return next((line for line in said if line.startswith("ERROR:")), said[-1] if said else "it said nothing")
