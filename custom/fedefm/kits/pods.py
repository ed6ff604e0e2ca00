"""The file with which a Kubernetes cluster runs a kit: one pod for a site, with its job processes in it.

FLARE's own way, `nvflare deploy prepare`, starts a pod for each job, and is not used. Such a pod gets the site's key
and a copy of its policies, starts without the check of the kit, and keeps nothing that it writes: the ledger of what
left the hospital would be lost with it. The site itself gets the right to start pods and to read secrets. Here a pod is
what a container of `provisioning/container` is, and may ask the cluster for nothing.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from pathlib import Path

from fedefm.errors import ConfigError
from fedefm.kits.kit import PERSON, SERVER, Kit, read_object
from fedefm.kits.lay import fill
from fedefm.resources import shipped

TEMPLATES, FIRST_STEP = "kubernetes", "kit.sh"  # in provisioning/
_IMAGE = re.compile(r"[a-z0-9][\w.:/@-]{0,300}", re.ASCII)
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")


def pod(kit: Kit, image: str, *, gpus: int = 0, threads: int = 4, data: str = "") -> tuple[str, str]:
    """The file's name and its text, several objects in YAML.

    Args:
        kit: a hospital's or the server's.
        image: as the cluster's nodes fetch it.
        gpus: GPUs of a hospital's pod.
        threads: its processor cores.
        data: claim of the volume with its images; `fedefm-NAME-data` by default.

    Raises:
        ConfigError: a person's kit, or a name that Kubernetes does not take.
    """
    if kit.role == PERSON:
        raise ConfigError(f"{kit.folder}: nothing runs from a person's kit; name a hospital's or the server's")
    if not _IMAGE.fullmatch(image):
        raise ConfigError(f"image {image!r:.100} is no name of an image; write it as registry.example.org/fedefm:0.1.0")
    if kit.role == SERVER:
        return "fedefm-server.yaml", _filled("server.yaml", {"image": image, **_of_server(kit)})
    name = _label(kit.name)
    values = {
        "name": name,
        "image": image,
        "device": "cuda" if gpus else "cpu",
        "threads": str(threads),
        "gpus": f"              nvidia.com/gpu: {gpus}" if gpus else "",
        "data": _label(data) if data else f"fedefm-{name}-data",
    }
    return f"fedefm-{name}.yaml", _filled("hospital.yaml", values)


def _of_server(kit: Kit) -> dict[str, str]:
    """Ports and folder of the storage, as its kit has them."""
    try:
        server = read_object(kit.startup / "fed_server.json")["servers"][0]
        fl_port = int(str(server["service"]["target"]).rpartition(":")[2])
        ports = {"fl_port": str(fl_port), "admin_port": str(int(server.get("admin_port", fl_port)))}
        storage = read_object(kit.local / "resources.json")["snapshot_persistor"]["args"]["storage"]["args"]["root_dir"]
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise ConfigError(f"{kit.folder}: not a server's kit as it was made; fetch it again") from error
    return {**ports, "storage": str(Path(storage).parent)}


def _filled(name: str, values: Mapping[str, str]) -> str:
    """The template with the shell of its first step in it, without the lines that stay empty."""
    source = shipped("provisioning", TEMPLATES) / name
    first = textwrap.indent(source.with_name(FIRST_STEP).read_text(), " " * 14)
    text = fill(source.read_text(), {**values, "first": "{~~first~~}"}, source).replace("{~~first~~}\n", first)
    return "".join(line for line in text.splitlines(True) if line.strip())


def _label(name: str) -> str:
    """A name as Kubernetes takes it.

    Raises:
        ConfigError: it has none.
    """
    label = name.casefold().replace("_", "-").replace(".", "-")
    if not _LABEL.fullmatch(label):
        raise ConfigError(f"{name!r:.80}: Kubernetes takes names of at most 40 letters, digits and hyphens; choose one")
    return label
