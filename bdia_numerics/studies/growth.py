"""Growth of errors on the shipped network: amplification of perturbations, and round trips by the format of the states."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bdia_numerics import names
from bdia_numerics.studies import network
from bdia_numerics.studies.configuration import among, check, to_clean, with_parameters
from bdia_numerics.studies.network import one_thread
from bdia_numerics.studies.study import Cell, Study, Variable

DTYPES = names.TORCH_DTYPES
DIRECTIONS = ("sample", "invert")
WIDE = ("float32", "float64")
"""Formats in which derivatives of the network are taken."""


@dataclass(frozen=True)
class GrowthConfig:
    """What to run; by default four minutes of one core.

    Attributes
    ----------
    solvers
        Exactly invertible ones, as `bdia_numerics.names` reads them.
    steps, grid
        Of the run; a name of a grid that counts training steps.
    dtypes
        Floats of the states; those of 16 bits evaluate the network in float32, and their amplification is not measured.
    images
        States, of the labels 0 to 9 in turn, two or more.
    iterations
        Power iterations for the whole run, two or more.
    guidance, seed
        Scale of classifier-free guidance; seed of noise and perturbations.
    """

    solvers: tuple[str, ...] = (
        *(f"BDIA(gamma={g})" for g in ("1/2", "9/10", "1")),
        *(f"EDICT(p={p})" for p in ("9/10", "93/100", "1")),
    )
    steps: tuple[int, ...] = (10,)
    dtypes: tuple[str, ...] = DTYPES
    grid: str = "cut"
    images: int = 2
    iterations: int = 4
    guidance: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        check(self, "solvers", "steps", "dtypes", steps=4, images=2, iterations=2)
        among(self, dtypes=DTYPES)


@one_thread
def compute(config: GrowthConfig, cell: Cell) -> Mapping[str, Any]:
    """Return the amplification in both directions, and the error of a round trip, in one format."""
    from bdia_numerics.torch.networks.growth import growth
    from bdia_numerics.torch.networks.round_trips import trips
    from bdia_numerics.torch.networks.steadiness import repeatability
    from bdia_numerics.torch.tensors import dtype_named

    solver, word, steps = names.solver(str(cell["solver"])), str(cell["dtype"]), int(cell["steps"])
    shipped, dtype = network.shipped("float64" if word == "float64" else "float32"), dtype_named(word)
    grid = to_clean(config.grid, shipped.schedule, steps)
    wide, model = (
        network.noise(config, grid, "float64"),
        shipped.model(network.labels(config.images), guidance=config.guidance),
    )
    options: dict[str, Any] = {"dtypes": (dtype,), "guidances": (config.guidance,)}
    (trip,) = trips(lambda *_: model, {repr(solver): solver}, [grid], wide, **options)
    found = {key: trip[key] for key in ("error", "status")}
    if word not in WIDE:
        return found
    z, run = wide.to(dtype), {"iterations": config.iterations, "seed": config.seed}
    steady = repeatability(model, z, grid.t[grid.n // 2])
    grown = [growth(solver, model, grid, z, direction=direction, **run) for direction in DIRECTIONS]
    slots = np.full((len(DIRECTIONS), max(config.steps), config.images), np.nan)
    for k, one in enumerate(grown):
        slots[k, one.slots - 1] = one.steps
    totals = {"amplification": "total", "predicted": "predicted", "bare": "bare", "change": "change"}
    return {
        **found,
        **{name: np.array([getattr(one, field) for one in grown], dtype=float) for name, field in totals.items()},
        "slot_amplification": slots,
        "batch_difference": max(found.largest for name, found in steady.probes.items() if "batch" in name),
    }


GROWTH = Study(
    "growth",
    "Growth of errors on the shipped network of digits",
    GrowthConfig,
    dims=lambda config: {"solver": config.solvers, "steps": config.steps, "dtype": config.dtypes},
    inner=lambda config: {
        "direction": DIRECTIONS,
        "image": tuple(range(config.images)),
        "slot": tuple(range(1, max(config.steps) + 1)),
    },
    compute=compute,
    variables={
        "amplification": Variable("largest growth of a perturbation in the run", dims=("direction", "image")),
        "predicted": Variable("the same by companion matrices with the network's slopes", dims=("direction", "image")),
        "bare": Variable("the same by companion matrices with slope 0", dims=("direction",)),
        "change": Variable("relative change of the growth in the last iteration", dims=("direction",)),
        "slot_amplification": Variable("largest growth in one slot", dims=("direction", "slot", "image")),
        "batch_difference": Variable("largest change of an output by the batch that its state is in, over its rms"),
        "error": Variable("rms of the noise that came back less the noise that was sent"),
        "status": Variable("status"),
    },
    finish=lambda dataset: with_parameters(dataset, "gamma", "p"),
)
