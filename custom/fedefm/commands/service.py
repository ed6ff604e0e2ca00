"""`fedefm service`: run a kit as a service of this machine, or as a pod of a Kubernetes cluster."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedefm.commands.parser import add_command

if TYPE_CHECKING:
    from fedefm.kits.kit import Kit

TEXT = "write what runs a kit: systemd units and a logrotate rule for this machine, or a pod for a Kubernetes cluster"
EXAMPLES = """examples (as the account that runs the site, in its environment):
  fedefm service ~/hospital-a --out units
then as root:
  install -m 644 units/*.service units/*.timer /etc/systemd/system
  install -m 644 units/fedefm-hospital-a.logrotate /etc/logrotate.d/fedefm-hospital-a
  systemctl daemon-reload
  systemctl enable --now fedefm-hospital-a.service fedefm-hospital-a-doctor.timer
a pod, where kubectl is:
  fedefm service hospital-a --kubernetes registry.hospital.example/fedefm:0.1.0 --gpus 1 --out pods
  kubectl create secret generic fedefm-hospital-a-kit --from-file=kit.zip=hospital-a.zip
  kubectl apply -f pods/fedefm-hospital-a.yaml
"""


def add(commands: Any) -> None:
    """Add the subcommand."""
    parser = add_command(commands, "service", TEXT, EXAMPLES)
    parser.add_argument("kit", type=Path, help="the kit of a hospital or the server, where it will run")
    parser.add_argument("--out", type=Path, required=True, help="new folder of the files")
    parser.add_argument("--kubernetes", metavar="IMAGE", help="write a pod of this image instead")
    parser.add_argument("--gpus", type=int, default=0, help="of the pod (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=4, help="processor cores of the pod (default: %(default)s)")
    parser.add_argument("--data", default="", help="claim of the volume with the images (default: fedefm-NAME-data)")
    parser.add_argument("--json", action="store_true", help="for machines")
    parser.set_defaults(run=_service)


def _service(options: argparse.Namespace) -> int:
    from fedefm.files import check_free, write_together
    from fedefm.kits.kit import open_kit

    kit = open_kit(options.kit)
    made, told, say = _pod(kit, options) if options.kubernetes else _units(kit)
    check_free(options.out)
    write_together(options.out, made, mode=0o644)
    if options.json:
        print(json.dumps({"folder": str(options.out), "files": sorted(made), **told}, indent=2))
        return 0
    print(*(str(options.out / name) for name in sorted(made)), sep="\n")
    print(say)
    return 0


def _units(kit: Kit) -> tuple[dict[str, str], dict[str, str], str]:
    """The files, what `--json` tells of them, and what a person is told."""
    from fedefm.kits.units import Account, units

    account = Account(kit.folder.owner(), kit.folder.group(), Path(sys.executable).parent)
    made = units(kit, account, _writable(kit))
    if account.user == "root":
        print("fedefm: note: the kit belongs to root; a site needs no such rights: chown it first", file=sys.stderr)
    say = f"they run {kit.name} as {account.user}; what root types is in `fedefm service --help`"
    return made, {"user": account.user}, say


def _pod(kit: Kit, options: argparse.Namespace) -> tuple[dict[str, str], dict[str, str], str]:
    """The same of a pod."""
    from fedefm.kits.pods import pod

    name, text = pod(kit, options.kubernetes, gpus=options.gpus, threads=options.threads, data=options.data)
    secret = f"{Path(name).stem}-kit"
    say = (
        f"first, once: kubectl create secret generic {secret} --from-file=kit.zip=KIT.zip\n"
        f"then: kubectl apply -f {options.out / name}"
    )
    return {name: text}, {"secret": secret}, say


def _writable(kit: Kit) -> list[Path]:
    """What a site writes outside its kit: a hospital its prepared images, a server its storage."""
    from fedefm.flare.site_config import load_site_config
    from fedefm.kits.kit import SERVER, read_object

    if kit.role == SERVER:
        plain = read_object(kit.local / "resources.json")
        storage = Path(plain["snapshot_persistor"]["args"]["storage"]["args"]["root_dir"]).parent
        own = read_object(kit.local / "fedefm_server.json")
        named = [kit.local / own[name] for name in ("models", "rounds") if name in own]
        return [storage, *(path for path in named if not path.is_relative_to(storage))]
    config = load_site_config(kit.local, kit.name)
    return [config.cache or config.data]
