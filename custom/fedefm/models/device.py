"""The torch device that a site names."""

from __future__ import annotations

import torch

from fedefm.errors import ConfigError


def resolve_device(name: str) -> torch.device:
    """A device by name.

    Raises:
        ConfigError: this machine has no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()  # torch's device `meta` holds no values, so this refuses it
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ConfigError(f"--device {name}: not on this machine; use cpu, cuda or cuda:NUMBER") from error
    return device
