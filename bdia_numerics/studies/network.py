"""What the studies of the shipped network share: the network, its labels, noise for it, images of it, and one thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache, wraps
from typing import Any

import numpy as np

from bdia_numerics.grids import Grid
from bdia_numerics.program import Solver
from bdia_numerics.runs.encoding import solve
from bdia_numerics.runs.inversion import Method
from bdia_numerics.solvers import DPMSolverPP
from bdia_numerics.spaces.later import Later
from bdia_numerics.studies.study import Cell

editing = Later("bdia_numerics.torch.editing")
networks = Later("bdia_numerics.torch.networks")
tensors = Later("bdia_numerics.torch.tensors")
SIDE = 28
"""Rows and columns of an image."""
Compute = Callable[[Any, Cell], Mapping[str, Any]]


@lru_cache(maxsize=2)
def shipped(dtype: str = "float32") -> Any:
    """Return the shipped network with weights of a format."""
    return networks.loading.load(dtype=tensors.dtype_named(dtype))


def labels(count: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return the labels 0 to 9 in turn."""
    return np.arange(count) % 10


def noise(config: Any, grid: Grid, dtype: str = "float32") -> Any:
    """Return the noise of a configuration's images, by its seed, at the first time of a grid."""
    shape = (config.images, *(shipped().shape or ()))
    return networks.sampling.noise(shape, grid, config.seed, dtype=tensors.dtype_named(dtype))


@lru_cache(maxsize=2)
def images(config: Any) -> Any:
    """Return samples of the network, of the labels 0 to 9 in turn, on a fine grid."""
    fine = shipped().grid(40, "log_snr")
    return solve(DPMSolverPP(), shipped().model(labels(config.images)), fine, noise(config, fine)).z


def way(text: str) -> tuple[Solver, Method | None]:
    """Return the solver of a text, and the inversion that is named behind it as one of tensors."""
    found = editing.methods.way_of(text)
    return found.solver, found.method


def one_thread(compute: Compute) -> Compute:
    """Return the function of a cell with one thread of torch inside: sums are then rounded alike in every process."""

    @wraps(compute)
    def inside(config: Any, cell: Cell) -> Mapping[str, Any]:
        with networks.steadiness.one_thread():
            return compute(config, cell)

    return inside
