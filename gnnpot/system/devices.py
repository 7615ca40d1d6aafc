"""Devices by name."""

from __future__ import annotations

import torch

from gnnpot.errors import DeviceError


def choose_device(name: str) -> torch.device:
    """The device of this name; ``gpu`` is ``cuda``, ``auto`` a GPU if there is one, else the CPU.

    Raises:
        DeviceError: There is no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    meant = name.replace("gpu", "cuda")
    there = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    known = {*there, *(["cuda"] if len(there) > 1 else [])}
    if meant not in known:
        raise DeviceError(f"expected a device of {', '.join(there)}, got {name!r}; choose one, or auto")
    return torch.device(meant)
