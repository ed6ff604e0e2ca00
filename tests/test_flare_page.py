"""docs/flare-2.9.md against the code: every module that speaks of FLARE's own names is listed, and each file exists."""

import ast
import re
from importlib.metadata import version
from pathlib import Path

import nvflare

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "flare-2.9.md"
PACKAGE = ROOT / "custom" / "fedefm"
FLARE = Path(nvflare.__file__).parent.parent
# Names that are FLARE's: one of them in a string of a module, its docstrings aside, means that it knows FLARE.
NAMES = (
    *("nvflare", "NVFLARE", "fed_client", "fed_server", "fed_admin", "config_fed", "meta.json", "deploy_map", "__nvfl"),
    *("resources.json", "authorization.json", "privacy.json", "log_config.json", "class_allow_list", "app_deployer"),
    *("startup", "sub_start", "rootCA.pem", "client.crt", "server.crt", "cert.json", "prod_", "daemon_pid", "byoc"),
    *("simulate_job", "tb_events", "Server runner", "Successfully registered", "worker_process", "runner_process"),
    *("log.txt", "FINISHED:", "fl_app", "disabled_clients", "disable-client", "registration rejected"),
)


def entries() -> list[tuple[list[str], list[str]]]:
    """Of each entry of the page: our files, as patterns, and FLARE's."""
    found = []
    for text in re.findall(r"^- (.*?)(?=^- |^#|\Z)", PAGE.read_text(), re.MULTILINE | re.DOTALL):
        ours, _, rest = text.partition(":")
        found.append((re.findall(r"`([^`]+)`", ours), re.findall(r"`(nvflare/[^`]+)`", rest)))
    return found


def listed() -> list[str]:
    return [pattern for ours, _ in entries() for pattern in ours]


def strings(source: str) -> list[str]:
    """String constants of a module, without its docstrings."""
    tree = ast.parse(source)
    bodies = [node.body for node in ast.walk(tree) if hasattr(node, "body") and isinstance(node.body, list)]
    docs = {id(body[0].value) for body in bodies if body and isinstance(body[0], ast.Expr)}
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in docs]
    return [node.value for node in nodes if isinstance(node.value, str)]


def knows_flare(path: Path) -> bool:
    return any(name in text for text in strings(path.read_text()) for name in NAMES)


def test_the_rule_sees_strings_and_not_docstrings() -> None:
    assert strings('"""nvflare"""\ndef f():\n    """prod_"""\n    return f"{f}/startup", "x"\n') == ["x", "/startup"]


def test_every_module_outside_flare_that_knows_flare_is_listed_and_no_other() -> None:
    modules = [path for path in PACKAGE.rglob("*.py") if not path.is_relative_to(PACKAGE / "flare")]
    knowing = {path.relative_to(ROOT).as_posix() for path in modules if knows_flare(path)}
    ours = {path for path in listed() if path.startswith("custom/") and "/flare/" not in path}
    assert knowing == ours


def test_every_file_that_flare_reads_is_listed() -> None:
    read = [*(ROOT / "jobs").glob("*/meta.json"), *(ROOT / "jobs").rglob("config_fed_*.json")]
    read += [path for folder in ("workspace_templates", "provisioning") for path in (ROOT / folder).rglob("*")]
    ours = {path for pattern in listed() for path in ROOT.glob(pattern)}
    missing = {path.relative_to(ROOT).as_posix() for path in read if path.is_file() and path not in ours}
    own = (  # FLARE does not look at them
        "hospital/local/fedefm_limits.json",
        "hospital/local/fedefm_site.json.sample",
        "server/local/fedefm_limits.json",
        "server/local/fedefm_server.json",
    )
    systems = {f"provisioning/systemd/{name}" for name in ("site.service", "doctor.service", "doctor.timer")}
    systems |= {f"provisioning/kubernetes/{name}" for name in ("hospital.yaml", "server.yaml", "kit.sh")}
    assert missing == {
        *(f"workspace_templates/{path}" for path in own), *systems, "provisioning/systemd/logrotate.conf"
    }  # fmt: skip


def test_every_file_that_the_page_names_exists() -> None:
    assert [pattern for pattern in listed() if not list(ROOT.glob(pattern))] == []
    for ours, theirs in entries():
        assert ours and theirs, ours
        assert [path for path in theirs if not (FLARE / path).is_file()] == [], ours


def test_the_page_is_of_the_version_that_is_installed() -> None:
    assert version("nvflare").startswith(f"{PAGE.stem.removeprefix('flare-')}.")
