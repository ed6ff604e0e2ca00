"""Lines as FLARE's logger writes them in the format of `log_config.json`."""


def logged(text: str, name: str = "FoundationController", level: str = "INFO") -> str:
    """A message of a controller as a line of the log."""
    return f"2026-11-27 00:28:11,092 {name} {level} [identity=server, run=job, wf=foundation] {text}"
