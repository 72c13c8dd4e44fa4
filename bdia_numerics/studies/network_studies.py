"""Studies on the shipped network of digits: samples, images that go to noise and back, edits, and the growth of errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from bdia_numerics import names
from bdia_numerics.analysis.measurement.errors import root_mean_square
from bdia_numerics.runs.encoding import back_to_data, encode, solve
from bdia_numerics.runs.solving import DERIVED
from bdia_numerics.runs.stepwise import come_back
from bdia_numerics.spaces import Array
from bdia_numerics.studies import network
from bdia_numerics.studies.network import SIDE, networks, one_thread, tensors
from bdia_numerics.studies.study import (
    DIRECTIONS,
    Cell,
    Study,
    Variable,
    among,
    check,
    shared,
    to_clean,
    with_parameters,
)

TRUTH, SOURCE = "network's own ODE", "source"
"""What stands beside the solvers: a fine solution from the same noise; the images before they are sent to noise."""
SOLVERS = (
    "DDIM",
    "DDIM by (23)",
    *(f"BDIA(gamma={g})" for g in ("1", "49/50", "19/20", "9/10")),
    *(f"EDICT(p={p})" for p in ("1", "93/100", "9/10")),
)
"""That edit."""
TARGETS = np.array((6, 7, 3, 8, 9, 6, 0, 9, 3, 4))
"""For each digit another that resembles it."""


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
        check(self, "steps", encodes=isinstance(self, ReturnsConfig), images=1, steps=3, fine=4)


@dataclass(frozen=True)
class ReturnsConfig(ImagesConfig):
    """The same for images that are sent to noise and back."""

    solvers: tuple[str, ...] = ("DDIM", "DDIM by (23)", "BDIA(gamma=1)", "EDICT")
    grids: tuple[str, ...] = ("cut",)
    steps: tuple[int, ...] = (10, 20, 40)


@dataclass(frozen=True)
class EditConfig:
    """What to run; by default three minutes of one core.

    Attributes
    ----------
    solvers
        As `bdia_numerics.names` reads them, with an inversion behind them if it is not the default of `encode`: "DDIM by (23)".
    guidances
        Scales of classifier-free guidance, there and back.
    steps, grid
        Of the round trip; a name of a grid that counts training steps.
    images, seed
        How many samples of the network, of the labels 0 to 9 in turn, are edited, unless images are given.
    """

    solvers: tuple[str, ...] = SOLVERS
    guidances: tuple[float, ...] = (1.0, 3.0, 5.0)
    steps: int = 40
    grid: str = "cut"
    images: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        check(self, "solvers", "guidances", encodes=True, images=1, steps=3)


def grey(images: Any) -> Array:
    """Return images (n, 1, h, w) in [-1, 1] as grey levels 0 to 255, shape (n, h, w), float32; what lies beyond is cut off."""
    levels = np.clip((np.asarray(images)[:, 0] + 1) * 127.5, 0, 255)
    return np.round(levels).astype(np.float32)


@one_thread
def sampled(config: ImagesConfig, cell: Cell) -> Mapping[str, Any]:
    """Return the images of one solver, and their distance to the network's own ODE from the same noise."""
    grid, model = _grid_and_model(config, cell)
    truth, uncertainty = _truth(config, str(cell["grid"]), int(cell["steps"]))
    if cell["solver"] == TRUTH:
        return _found(truth, uncertainty, 4 * config.fine, "ok")
    end = solve(names.solver(str(cell["solver"])), model, grid, network.noise(config, grid))
    images = end.z.double().numpy()
    return _found(images, root_mean_square(images - truth), end.nfe, str(end.status))


@one_thread
def returned(config: ReturnsConfig, cell: Cell) -> Mapping[str, Any]:
    """Return images that one solver sent to noise and back, and how far they are from where they were."""
    x = network.images(config)
    sources = x.double().numpy()
    if cell["solver"] == SOURCE:
        return {**_found(sources, 0.0, 0, "ok"), "inversion": ""}
    grid, model = _grid_and_model(config, cell)
    solver, method = network.way(str(cell["solver"]))
    there = encode(solver, model, grid, x, method)
    back = solve(solver, model, grid, there.z if there.state is None else there.state)
    images = back.z.double().numpy()
    found = _found(images, root_mean_square(images - sources), there.nfe + back.nfe, str(back.status))
    return {**found, "inversion": there.inversion}


def _grid_and_model(config: ImagesConfig, cell: Cell) -> tuple[Any, Any]:
    shipped = network.shipped()
    grid = to_clean(str(cell["grid"]), shipped.schedule, int(cell["steps"]))
    return grid, shipped.model(network.labels(config.images))


def _found(images: Array, distance: float, nfe: int, status: str) -> Mapping[str, Any]:
    read = networks.features.predicted(images)
    return {"images": grey(images), "distance": distance, "nfe": nfe, "status": status, "read": read}


@lru_cache(maxsize=8)
def _truth(config: ImagesConfig, name: str, steps: int) -> tuple[Array, float]:
    """Return the network's own ODE from the noise at the first time of a grid, and the error of that."""
    grid, model = _grid_and_model(config, {"grid": name, "steps": steps})
    truth = networks.sampling.reference(model, grid, network.noise(config, grid), config.fine)
    return truth.z.double().numpy(), truth.error


@one_thread
def edited(config: EditConfig, cell: Cell) -> Mapping[str, Any]:
    """Return what one solver makes of the sources at one scale, with these and the labels."""
    rms = networks.sampling.rms
    x, labels, guidance = network.images(config), network.labels(config.images), float(cell["guidance"])
    targets, shipped = TARGETS[labels], network.shipped()
    solver, method = network.way(str(cell["solver"]))
    own, other = (shipped.model(y, guidance=guidance) for y in (labels, targets))
    grid = to_clean(config.grid, shipped.schedule, config.steps)
    there = encode(solver, own, grid, x, method)
    found: dict[str, Any] = {"sources": _first_channel(x.numpy()), "labels": labels, "targets": targets}
    if not there.status.ok:
        nan = dict.fromkeys(("returned", "distance", "latent_std"), float("nan"))
        counts = {"nfe": there.nfe, "as_target": 0, "as_source": 0, "inversion": there.inversion}
        lost = _first_channel(np.full(x.shape, np.nan))
        return found | nan | counts | {"images": lost, "status": str(there.status)}
    back, edited = (back_to_data(solver, model, grid, there) for model in (own, other))
    images, error = edited.z.double().numpy(), rms(back.z - x)
    status = come_back(edited.status, error, rms(x), exact=there.inversion == DERIVED)
    read = networks.features.predicted(images) if edited.status.ok else np.full(len(labels), -1)
    return {
        **found,
        "nfe": there.nfe + edited.nfe,
        "returned": error,
        "distance": rms(edited.z - x),
        "as_target": int((read == targets).sum()),
        "as_source": int((read == labels).sum()),
        "latent_std": float(there.z.double().std()),
        "inversion": there.inversion,
        "images": _first_channel(images),
        "status": str(status),
    }


def _first_channel(images: Array) -> Array:
    return images[:, 0].astype(np.float32)


def _dims(beside: str) -> Any:
    return lambda config: {"solver": (beside, *config.solvers), "grid": config.grids, "steps": config.steps}


def _inner(config: Any) -> Mapping[str, Any]:
    return {"image": tuple(range(config.images)), "y": tuple(range(SIDE)), "x": tuple(range(SIDE))}


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


EDITING = Study(
    "editing",
    "Round-trip editing on the shipped network of digits",
    EditConfig,
    dims=lambda config: {"guidance": config.guidances, "solver": config.solvers},
    inner=_inner,
    compute=edited,
    variables={
        "images": Variable("edited image", dims=("image", "y", "x")),
        "sources": Variable("image before it was edited", dims=("image", "y", "x")),
        "labels": Variable("digit that is edited", dims=("image",), whole=True),
        "targets": Variable("digit that is wanted", dims=("image",), whole=True),
        "returned": Variable("rms of the images decoded under their own label less the sources"),
        "distance": Variable("rms of the edited images less the sources"),
        "as_target": Variable("images that the classifier reads as the wanted digit", whole=True),
        "as_source": Variable("images that the classifier reads as the digit before", whole=True),
        "latent_std": Variable("standard deviation of the latents"),
        "nfe": Variable("model evaluations there and back", whole=True),
        "inversion": Variable("what took the images to noise"),
        "status": Variable("status"),
    },
    finish=lambda dataset: shared(dataset, ("guidance", "solver"), ("sources", "labels", "targets")),
    caption="{images} images, {steps} steps, grid {grid}",
    columns={
        "solver": "{solver}",
        "guidance": "{guidance:g}",
        "evaluations": "{nfe}",
        "comes back to": "{returned:.2g}",
        "from source": "{distance:.3f}",
        "read as wanted": "{as_target}",
        "as before": "{as_source}",
        "latent std": "{latent_std:.2f}",
        "inversion": "{inversion}",
    },
    figure="network:edits",
    said=lambda found, dataset: {
        "config": found["config"],
        "targets": found["targets"],
        "edits": found["cells"],
    },
)


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
    dtypes: tuple[str, ...] = names.TORCH_DTYPES
    grid: str = "cut"
    images: int = 2
    iterations: int = 4
    guidance: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        check(self, "solvers", "steps", "dtypes", steps=4, images=2, iterations=2)
        among(self, dtypes=names.TORCH_DTYPES)


@one_thread
def compute(config: GrowthConfig, cell: Cell) -> Mapping[str, Any]:
    """Return the amplification in both directions, and the error of a round trip, in one format."""
    solver, word, steps = names.solver(str(cell["solver"])), str(cell["dtype"]), int(cell["steps"])
    shipped, dtype = network.shipped("float64" if word == "float64" else "float32"), tensors.dtype_named(word)
    grid = to_clean(config.grid, shipped.schedule, steps)
    wide, model = (
        network.noise(config, grid, "float64"),
        shipped.model(network.labels(config.images), guidance=config.guidance),
    )
    options: dict[str, Any] = {"dtypes": (dtype,), "guidances": (config.guidance,)}
    (trip,) = networks.steadiness.trips(lambda *_: model, {repr(solver): solver}, [grid], wide, **options)
    found = {key: trip[key] for key in ("error", "status")}
    if word not in WIDE:
        return found
    z, run = wide.to(dtype), {"iterations": config.iterations, "seed": config.seed}
    steady = networks.steadiness.repeatability(model, z, grid.t[grid.n // 2])
    grown = [networks.growth.growth(solver, model, grid, z, direction=direction, **run) for direction in DIRECTIONS]
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
