"""Pictures of what solvers do on the shipped network: samples from one noise, and images that went to noise and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from bdia_numerics import names
from bdia_numerics.runs.encoding import encode, solve
from bdia_numerics.runs.inversion import split
from bdia_numerics.solvers import DPMSolverPP
from bdia_numerics.studies.configuration import solver_of, to_clean
from bdia_numerics.studies.digits import rms
from bdia_numerics.studies.study import Cell, Study, Variable

Array = np.ndarray[Any, Any]
TRUTH, SOURCE = "network's own ODE", "source"
"""What stands beside the solvers: a fine solution from the same noise; the images before they are sent to noise."""
_SIDE = 28


@dataclass(frozen=True)
class ImagesConfig:
    """What to run.

    Attributes
    ----------
    solvers
        As `bdia_numerics.names` reads them; images that go to noise take an inversion behind them, too, such as "DDIM by (23)".
    grids, steps
        Names of `bdia_numerics.names`, of grids that count training steps; time steps.
    images, seed
        How many, of the labels 0 to 9 in turn; seed of the noise.
    fine
        Slots of RK4 for the network's own ODE.
    """

    solvers: tuple[str, ...] = ("DDIM", "BDIA(gamma=1/2)", "BDIA(gamma=1)", "EDICT")
    grids: tuple[str, ...] = ("leading", "trailing")
    steps: tuple[int, ...] = (10,)
    images: int = 10
    seed: int = 0
    fine: int = 40

    def __post_init__(self) -> None:
        for text in self.grids:
            names.grid(text)
        for text in self.solvers:
            (solver_of if isinstance(self, ReturnsConfig) else names.solver)(text)
        if self.images < 1 or min(self.steps, default=0) < 3 or self.fine < 4:
            raise ValueError(
                f"images={self.images}, steps={self.steps}, fine={self.fine}: give an image, three steps and four slots, or more"
            )


@dataclass(frozen=True)
class ReturnsConfig(ImagesConfig):
    """The same for images that are sent to noise and back."""

    solvers: tuple[str, ...] = ("DDIM", "DDIM by (23)", "BDIA(gamma=1)", "EDICT")
    grids: tuple[str, ...] = ("cut",)
    steps: tuple[int, ...] = (10, 20, 40)


def grey(images: Any) -> Array:
    """Return images (n, 1, h, w) in [-1, 1] as grey levels 0 to 255, shape (n, h, w), float32; what lies beyond is cut off."""
    levels = np.clip((np.asarray(images)[:, 0] + 1) * 127.5, 0, 255)
    return np.round(levels).astype(np.float32)


def sampled(config: ImagesConfig, cell: Cell) -> Mapping[str, Any]:
    """Return the images of one solver, and their distance to the network's own ODE from the same noise, with one thread."""
    from bdia_numerics.torch.networks.steadiness import one_thread

    with one_thread():
        return _sampled(config, cell)


def _sampled(config: ImagesConfig, cell: Cell) -> Mapping[str, Any]:
    network, labels = _network(), np.arange(config.images) % 10
    grid = to_clean(str(cell["grid"]), network.schedule, int(cell["steps"]))
    model, z = network.model(labels), _noise(config, grid)
    truth, uncertainty = _truth(config, str(cell["grid"]), int(cell["steps"]))
    if cell["solver"] == TRUTH:
        return _found(truth, uncertainty, 4 * config.fine, "ok")
    end = solve(names.solver(str(cell["solver"])), model, grid, z)
    images = end.z.double().numpy()
    return _found(images, rms(images - truth), end.nfe, str(end.status))


def returned(config: ReturnsConfig, cell: Cell) -> Mapping[str, Any]:
    """Return images that one solver sent to noise and back, and how far they are from where they were, with one thread."""
    from bdia_numerics.torch.networks.steadiness import one_thread

    with one_thread():
        return _returned(config, cell)


def _returned(config: ReturnsConfig, cell: Cell) -> Mapping[str, Any]:
    network, labels = _network(), np.arange(config.images) % 10
    fine = network.grid(40, "log_snr")
    x = solve(DPMSolverPP(), network.model(labels), fine, _noise(config, fine)).z
    sources = x.double().numpy()
    if cell["solver"] == SOURCE:
        return {**_found(sources, 0.0, 0, "ok"), "inversion": ""}
    grid = to_clean(str(cell["grid"]), network.schedule, int(cell["steps"]))
    text, model = str(cell["solver"]), network.model(labels)
    solver = solver_of(text)
    there = encode(solver, model, grid, x, split(text)[1])
    back = solve(solver, model, grid, there.z if there.state is None else there.state)
    images = back.z.double().numpy()
    found = _found(images, rms(images - sources), there.nfe + back.nfe, str(back.status))
    return {**found, "inversion": there.inversion}


def _found(images: Array, distance: float, nfe: int, status: str) -> Mapping[str, Any]:
    from bdia_numerics.torch.networks.features import predicted

    return {"images": grey(images), "distance": distance, "nfe": nfe, "status": status, "read": predicted(images)}


@lru_cache(maxsize=1)
def _network() -> Any:
    from bdia_numerics.torch.networks.loading import load

    return load()


def _noise(config: ImagesConfig, grid: Any) -> Any:
    from bdia_numerics.torch.networks.sampling import noise

    network = _network()
    dtype = next(network.network.parameters()).dtype
    return noise((config.images, *(network.shape or ())), grid, config.seed, dtype=dtype)


@lru_cache(maxsize=8)
def _truth(config: ImagesConfig, name: str, steps: int) -> tuple[Array, float]:
    """Return the network's own ODE from the noise at the first time of a grid, and the error of that."""
    from bdia_numerics.torch.networks.sampling import reference

    grid = to_clean(name, _network().schedule, steps)
    truth = reference(_network().model(np.arange(config.images) % 10), grid, _noise(config, grid), config.fine)
    return truth.z.double().numpy(), truth.error


def _dims(beside: str) -> Any:
    return lambda config: {"solver": (beside, *config.solvers), "grid": config.grids, "steps": config.steps}


def _inner(config: ImagesConfig) -> Mapping[str, Any]:
    return {"image": tuple(range(config.images)), "y": tuple(range(_SIDE)), "x": tuple(range(_SIDE))}


_VARIABLES = {
    "images": Variable("grey level, 0 to 255", dims=("image", "y", "x")),
    "read": Variable("the digit that the shipped classifier reads", dims=("image",)),
    "nfe": Variable("model evaluations"),
    "status": Variable("status"),
}
SAMPLES = Study(
    "samples",
    "Samples of the shipped network from one noise",
    ImagesConfig,
    dims=_dims(TRUTH),
    inner=_inner,
    compute=sampled,
    variables=_VARIABLES | {"distance": Variable("rms distance to the network's own ODE")},
    figure="network:samples",
)
RETURNS = Study(
    "returns",
    "Images of the shipped network, sent to noise and back",
    ReturnsConfig,
    dims=_dims(SOURCE),
    inner=_inner,
    compute=returned,
    variables=_VARIABLES
    | {"distance": Variable("rms distance to the source"), "inversion": Variable("what took the images to noise")},
    figure="network:returns",
)
