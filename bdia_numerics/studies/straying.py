"""Why BDIA strays from a network's own ODE: its error along two grids, and what is left of it without one cause."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from bdia_numerics import grids
from bdia_numerics.solvers import BDIA
from bdia_numerics.studies.configuration import among
from bdia_numerics.studies.growth import DIRECTIONS
from bdia_numerics.studies.study import Cell, Study, Variable

GRIDS = {"uniform": grids.uniform, "quadratic": grids.quadratic}
SHARES = ("start", "first half", "second half", "last slot")
"""Where the defects are that a part of the linear error comes from."""


@dataclass(frozen=True)
class StrayingConfig:
    """What to run; by default three minutes of one core.

    Attributes
    ----------
    grids
        "uniform" and "quadratic", over the whole schedule.
    gammas
        Of BDIA; the last one is taken apart, and its amplification measured.
    slots
        Of the grid; amplification is measured with half as many.
    labels
        Of the states, two or more.
    network
        A folder of a diffusers network with labels; the shipped one of digits without.
    iterations, seed
        Power iterations; seed of the noise.
    """

    grids: tuple[str, ...] = tuple(GRIDS)
    gammas: tuple[float, ...] = (0.0, 0.5, 0.9, 1.0)
    slots: int = 40
    labels: tuple[int, ...] = (3, 1)
    network: str = ""
    iterations: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        among(self, grids=GRIDS)
        if not self.gammas or any(not 0 <= g <= 1 for g in self.gammas) or self.gammas[-1] == 0:
            raise ValueError(f"gammas={self.gammas}: give numbers from 0 to 1, the last one above 0")
        if self.slots < 6 or len(self.labels) < 2:
            raise ValueError(f"slots={self.slots}, labels={self.labels}: give six slots and two labels or more")


def compute(config: StrayingConfig, cell: Cell) -> Mapping[str, Any]:
    """Return the fields of a `torch.deviation.Deviation`, and the amplification in both directions."""
    from bdia_numerics.torch.deviation import deviation
    from bdia_numerics.torch.growth import growth
    from bdia_numerics.torch.loading import load
    from bdia_numerics.torch.sampling import noise
    from bdia_numerics.torch.tensors import dtype_named
    from bdia_numerics.torch.threads import one_thread

    double, make = dtype_named("float64"), GRIDS[str(cell["grid"])]
    network = load(config.network or None, dtype=double)
    model = network.model(list(config.labels))
    grid, short = (make(network.schedule, n) for n in (config.slots, config.slots // 2))
    z = noise((len(config.labels), *(network.shape or ())), grid, config.seed, dtype=double)
    gammas = tuple(Fraction(str(g)) for g in config.gammas)
    with one_thread():
        found = deviation(model, grid, z, gammas=gammas)
        grown = [
            growth(BDIA(gammas[-1]), model, short, z, direction=direction, iterations=config.iterations)
            for direction in DIRECTIONS
        ]
    names = ("sigma_bar", "exact_start", "damped_end", "smooth", "rough", "reference", "actual", "linear", "symmetric")
    return {
        "error": found.paths,
        **{name: getattr(found, name) for name in names},
        # No slot of the run's own begins at either end.
        **{name: np.pad(getattr(found, name), 1, constant_values=np.nan) for name in ("tightness", "asymmetry")},
        "share": np.array([found.shares[name] for name in SHARES]),
        "amplification": np.array([one.total for one in grown], dtype=float),
        "predicted": np.array([one.predicted for one in grown], dtype=float),
        "bare": np.array([one.bare for one in grown]),
        "change": np.array([one.change for one in grown]),
        "status": "ok",
    }


STRAYING = Study(
    "straying",
    "BDIA's error against a network's own ODE along two grids, taken apart",
    StrayingConfig,
    dims=lambda config: {"grid": config.grids},
    inner=lambda config: {
        "gamma": config.gammas,
        "index": tuple(range(config.slots + 1)),
        "cause": SHARES,
        "direction": DIRECTIONS,
        "image": tuple(range(len(config.labels))),
    },
    compute=compute,
    variables={
        "error": Variable("rms error of z at an index, 0 at the data end", dims=("gamma", "index")),
        "sigma_bar": Variable("sigma/alpha", dims=("index",)),
        "exact_start": Variable("rms error at the data end with the exact second state", dims=("gamma",)),
        "damped_end": Variable("rms error at the data end with gamma 0 in the last slot", dims=("gamma",)),
        "smooth": Variable("rms error of (y_2 + 2 y_1 + y_0)/4", dims=("gamma",)),
        "rough": Variable("rms error of (y_2 - 2 y_1 + y_0)/4", dims=("gamma",)),
        "reference": Variable("rms error of the exact solution"),
        "actual": Variable("rms error at the data end for the last gamma"),
        "linear": Variable("the same as defects carried by the Jacobians"),
        "symmetric": Variable("the same as defects carried by the Jacobians' symmetric parts"),
        "share": Variable("rms of the linear error that defects of one part leave", dims=("cause",)),
        "tightness": Variable("sigma times the slope along the linear error", dims=("index",)),
        "asymmetry": Variable("part of the Jacobian that is no gradient, along the linear error", dims=("index",)),
        "amplification": Variable("largest growth of a perturbation in the run", dims=("direction", "image")),
        "predicted": Variable("the same by companion matrices with the network's slopes", dims=("direction", "image")),
        "bare": Variable("the same by companion matrices with slope 0", dims=("direction",)),
        "change": Variable("relative change of the growth in the last iteration", dims=("direction",)),
        "status": Variable("status"),
    },
)
