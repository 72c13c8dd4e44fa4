"""What experiments/network_growth.py runs: BDIA's deviation from a network's ODE, and its amplification, on two grids."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch

from bdia_numerics import grids
from bdia_numerics.solvers import BDIA
from bdia_numerics.torch.deviation import deviation
from bdia_numerics.torch.growth import growth
from bdia_numerics.torch.loading import load
from bdia_numerics.torch.sampling import noise

GRIDS = {"uniform": grids.uniform, "quadratic": grids.quadratic}


def straying(
    folder: str | Path | None = None,
    *,
    slots: int = 40,
    labels: tuple[int, ...] = (3, 1),
    watch: Callable[[str, str], None],
) -> dict[str, dict[str, Any]]:
    """Return by grid the fields of a `Deviation`, and of a `Growth` of half as many slots under "sample" and "invert".

    Parameters
    ----------
    folder
        Of a diffusers network with labels; the shipped one by default.
    slots, labels
        Of the grid, and of the states.
    watch
        Called with the grid and what is done next.
    """
    torch.set_num_threads(1)
    network = load(folder, dtype=torch.float64)
    model, shape = network.model(list(labels)), network.shape or ()
    found: dict[str, dict[str, Any]] = {}
    for name, make in GRIDS.items():
        grid, short = make(network.schedule, slots), make(network.schedule, slots // 2)
        z = noise((len(labels), *shape), grid, 0, dtype=torch.float64)
        found[name] = asdict(deviation(model, grid, z, watch=partial(watch, name)))
        for direction in ("sample", "invert"):
            found[name][direction] = asdict(growth(BDIA(), model, short, z, direction=direction, iterations=8))
    return found
