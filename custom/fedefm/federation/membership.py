"""Who takes part in a consortium: the project file, the CA's memory, and the zips that go out. Nothing by hand.

The project file is changed as text, line by line, so that its comments stay; what comes out must read as what was
meant, or nothing is written. Kits are made by `nvflare provision`: those of all others stay the same byte for byte.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fedefm.errors import ConfigError
from fedefm.federation.place import run_provision
from fedefm.files import write_whole, written_beside
from fedefm.kits.kit import KIT_FOLDERS
from fedefm.trust import MANIFEST_NAME
from fedefm.trust.certificates import utc_now

CLIENT, ADMIN, SERVER = "client", "admin", "server"
ROLES = ("project_admin", "org_admin", "lead", "member")
STATE = Path("state") / "cert.json"
_SITE, _PERSON, _ORG = r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}", r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+", r"[A-Za-z0-9_]{1,63}"


@dataclass(frozen=True)
class Consortium:
    """Where its administrator keeps it.

    Attributes:
        project: the project file.
        workspace: folder of `nvflare provision`, that holds a folder of the project's name.
    """

    project: Path
    workspace: Path

    @property
    def folder(self) -> Path:
        """Folder of the kits and of the CA's memory."""
        return self.workspace / str(_read(self.project)["name"])

    @property
    def kits(self) -> list[Path]:
        """Folders of kits, the newest last."""
        return sorted(self.folder.glob(KIT_FOLDERS))


def add(project: Path, name: str, org: str, *, role: str | None = None, request: Path | None = None) -> None:
    """Add a hospital, or a person, to a project file.

    Args:
        project: the file.
        name: of the hospital, or the person's address.
        org: its organisation; letters, digits and `_`.
        role: of a person; None for a hospital.
        request: the certificate request of a hospital that made its own key.

    Raises:
        ConfigError: there is one of that name, or a word that a project file cannot hold.
    """
    plain = _read(project)
    _check(_PERSON if role else _SITE, name, "a person's address" if role else "a hospital's name")
    _check(_ORG, org, "an organisation")
    if role is not None and role not in ROLES:
        raise ConfigError(f"role {role[:40]!r} is unknown; use one of {', '.join(ROLES)}")
    if any(one["name"] == name for one in plain["participants"]):
        raise ConfigError(f"{project}: {name} takes part already; renew it with `fedefm consortium renew`")
    new = {"name": name, "type": ADMIN if role else CLIENT, "org": org}
    new |= {"role": role} if role else {}
    new |= {"request": str(request)} if request else {}
    like = [i for i, one in enumerate(plain["participants"]) if one["type"] == new["type"]]
    after = like[-1] if like else len(plain["participants"]) - 1
    lines, (first, last) = _lines(project), _span(project, after)
    indent = lines[first][: len(lines[first]) - len(lines[first].lstrip())]
    lines.insert(last + 1, f"{indent}- {yaml.safe_dump(new, default_flow_style=True, sort_keys=False, width=1000)}")
    plain["participants"].insert(after + 1, new)
    _write(project, lines, plain)


def remove(project: Path, name: str) -> None:
    """Take a participant out of a project file.

    Raises:
        ConfigError: there is none of that name, or it is the server.
    """
    removable_type(project, name)
    plain = _read(project)
    index = _index(project, plain, name)
    lines, (first, last) = _lines(project), _span(project, index)
    del lines[first : last + 1]
    del plain["participants"][index]
    _write(project, lines, plain)


def removable_type(project: Path, name: str) -> str:
    """`client` or `admin`.

    Raises:
        ConfigError: there is none of that name, or it is the server.
    """
    kind = type_of(project, name)
    if kind not in (CLIENT, ADMIN):
        raise ConfigError(f"{project}: {name} is the server; without it there is no consortium")
    return kind


def others_of(project: Path, name: str) -> list[str]:
    """Names of the people of a hospital's organisation, without its own; none where it shares that with a hospital.

    Raises:
        ConfigError: there is none of that name.
    """
    plain = _read(project)
    org = plain["participants"][_index(project, plain, name)].get("org")
    same = [one for one in plain["participants"] if one.get("org") == org and one["name"] != name]
    return [] if any(one["type"] != ADMIN for one in same) else [str(one["name"]) for one in same]


def type_of(project: Path, name: str) -> str:
    """`client`, `admin` or `server`.

    Raises:
        ConfigError: there is none of that name.
    """
    plain = _read(project)
    return str(plain["participants"][_index(project, plain, name)]["type"])


def forget_certificate(consortium: Consortium, names: Sequence[str]) -> Path:
    """Let the CA forget the certificates of participants, so that they are made anew; gives the copy of its memory.

    Raises:
        ConfigError: no such participant or no certificate of one; nothing was changed.
    """
    plain, path = _read(consortium.project), consortium.folder / STATE
    for name in names:
        _index(consortium.project, plain, name)
    try:
        text = path.read_text()
        state = json.loads(text)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{path}: cannot be read ({type(error).__name__}); name the folder of the provisioning"
        ) from error
    for name in names:
        if name not in state:
            raise ConfigError(f"{path}: holds no certificate of {name}; provision with `fedefm consortium kits`")
        del state[name]
    copy = path.with_name(f"cert-{utc_now():%Y%m%dT%H%M%SZ}.json")
    write_whole(copy, text, mode=0o600)
    write_whole(path, json.dumps(state), mode=0o600)
    return copy


def make_kits(consortium: Consortium) -> list[Path]:
    """Provision; gives the kits that are new or changed, which their participants must get.

    A folder of kits that holds what the one before holds is taken away again: FLARE makes a hundred of them at most.

    Raises:
        FedefmError: FLARE made none.
    """
    before = consortium.kits
    newest = run_provision(consortium.project, consortium.workspace, Path.cwd())
    last = before[-1] if before else None
    made = [kit for kit in sorted(newest.iterdir()) if last is None or not _same(kit, last / kit.name)]
    if last is not None and not made and {kit.name for kit in newest.iterdir()} == {kit.name for kit in last.iterdir()}:
        shutil.rmtree(newest)
    return made


def kits_of(consortium: Consortium, names: Sequence[str]) -> list[Path]:
    """The newest kits of participants.

    Raises:
        ConfigError: there is no kit of one of them.
    """
    newest = consortium.kits[-1]
    for name in names:
        if name not in {kit.name for kit in newest.iterdir()}:
            raise ConfigError(f"{newest}: holds no kit of {name[:80]!r}; add it with `fedefm consortium add`")
    return [newest / name for name in names]


def pack(kit: Path, out: Path) -> Path:
    """A zip of a kit that only its owner may read, with the kit's own modes in it.

    Raises:
        ConfigError: it cannot be written.
    """
    place = out / f"{kit.name}.zip"
    with written_beside(place) as part:
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in [kit, *sorted(kit.rglob("*"))]:
                archive.write(path, path.relative_to(kit.parent))
    return place


def _same(kit: Path, before: Path) -> bool:
    paths = (kit / MANIFEST_NAME, before / MANIFEST_NAME)
    return all(path.is_file() for path in paths) and paths[0].read_bytes() == paths[1].read_bytes()


def _read(project: Path) -> dict[str, Any]:
    try:
        plain = yaml.safe_load(project.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(
            f"{project}: not a readable project file ({type(error).__name__}); name the right one"
        ) from error
    good = (
        isinstance(plain, dict) and isinstance(plain.get("name"), str) and isinstance(plain.get("participants"), list)
    )
    if not good or not all(isinstance(one, dict) and {"name", "type"} <= set(one) for one in plain["participants"]):
        raise ConfigError(
            f"{project}: needs a name, and participants with name and type; start from provisioning/project.yml"
        )
    return plain


def _index(project: Path, plain: Mapping[str, Any], name: str) -> int:
    for index, one in enumerate(plain["participants"]):
        if one["name"] == name:
            return index
    names = ", ".join(str(one["name"]) for one in plain["participants"])
    raise ConfigError(f"{project}: nobody is called {name[:80]!r}; there are {names}")


def _lines(project: Path) -> list[str]:
    return project.read_text().splitlines(keepends=True)


def _span(project: Path, index: int) -> tuple[int, int]:
    """First and last line of a participant in the file; comments behind it stay."""
    root = yaml.compose(project.read_text(), yaml.SafeLoader)
    found = next(value for key, value in root.value if key.value == "participants").value[index]
    first, last = found.start_mark.line, found.end_mark.line
    lines = _lines(project)
    while last > first and (last >= len(lines) or not _tells(lines[last]) or _begins_before(found, last)):
        last -= 1
    return first, last


def _begins_before(found: Any, line: int) -> bool:
    """Whether a block ends at the very beginning of a line, which is then no more of it."""
    return found.end_mark.line == line and not found.flow_style


def _tells(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _write(project: Path, lines: list[str], meant: Mapping[str, Any]) -> None:
    text = "".join(lines)
    try:
        good = yaml.safe_load(text) == meant
    except yaml.YAMLError:
        good = False
    if not good:
        raise ConfigError(
            f"{project}: is laid out in a way that cannot be changed safely; one participant a line, please"
        )
    write_whole(project, text)


def _check(pattern: str, text: str, what: str) -> None:
    if not re.fullmatch(pattern, text):
        raise ConfigError(f"{text[:80]!r} is not {what}; use plain letters, digits, '-' and '_'")
