"""FLARE's simulator from outside: how it is called, where it puts what, what it says at the end. No import of FLARE."""

from __future__ import annotations

import sys
from pathlib import Path

from fedefm.flare.job_files import OUTPUT

CLOSED = "Server runner finished"  # its line when the job and all its widgets are done; the rest is idle waiting
RESERVED = ("server", "all", "simulator", "local", "startup")  # no site can have one of these names
SERVER = "server"
EVENTS = "tb_events"  # as the jobs' `TBAnalyticsReceiver` is told


def simulator_command(job: Path, workspace: Path, sites: list[str]) -> list[str]:
    """The command line; as many threads as sites, else FLARE replaces a hospital's process after each task."""
    places = ["-w", str(workspace.resolve()), "-l", str(workspace.resolve() / "local" / "log_config.json")]
    crowd = ["-c", ",".join(sites), "-t", str(len(sites)), "-m", str(max(100, len(sites)))]
    return [sys.executable, "-m", "nvflare.cli", "simulator", *places, *crowd, str(job.resolve())]


def run_folder(workspace: Path, site: str = SERVER) -> Path:
    """Where the server or a hospital has the run."""
    return workspace / site / "simulate_job"


def results_of(workspace: Path, site: str = SERVER) -> Path:
    """Where a job left its results at the server or at a hospital."""
    return run_folder(workspace, site) / OUTPUT
