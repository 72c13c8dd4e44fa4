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
from bdia_numerics.studies.study import Cell

SIDE = 28
"""Rows and columns of an image."""
Compute = Callable[[Any, Cell], Mapping[str, Any]]


@lru_cache(maxsize=2)
def shipped(dtype: str = "float32") -> Any:
    """Return the shipped network with weights of a format."""
    from bdia_numerics.torch.networks.loading import load
    from bdia_numerics.torch.tensors import dtype_named

    return load(dtype=dtype_named(dtype))


def labels(count: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return the labels 0 to 9 in turn."""
    return np.arange(count) % 10


def noise(config: Any, grid: Grid, dtype: str = "float32") -> Any:
    """Return the noise of a configuration's images, by its seed, at the first time of a grid."""
    from bdia_numerics.torch.networks.sampling import noise
    from bdia_numerics.torch.tensors import dtype_named

    return noise((config.images, *(shipped().shape or ())), grid, config.seed, dtype=dtype_named(dtype))


@lru_cache(maxsize=2)
def images(config: Any) -> Any:
    """Return samples of the network, of the labels 0 to 9 in turn, on a fine grid."""
    fine = shipped().grid(40, "log_snr")
    return solve(DPMSolverPP(), shipped().model(labels(config.images)), fine, noise(config, fine)).z


def way(text: str) -> tuple[Solver, Method | None]:
    """Return the solver of a text, and the inversion that is named behind it as one of tensors."""
    from bdia_numerics.torch.editing.methods import BySolver, way_of

    found = way_of(text)
    assert isinstance(found, BySolver)
    return found.solver, found.method


def one_thread(compute: Compute) -> Compute:
    """Return the function of a cell with one thread of torch inside: sums are then rounded alike in every process."""

    @wraps(compute)
    def inside(config: Any, cell: Cell) -> Mapping[str, Any]:
        from bdia_numerics.torch.networks.steadiness import one_thread

        with one_thread():
            return compute(config, cell)

    return inside
