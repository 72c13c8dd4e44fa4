"""Round-trip editing on the shipped network: images are encoded under their label and decoded under another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from bdia_numerics import names
from bdia_numerics.runs.encoding import encode, solve
from bdia_numerics.runs.inversion import split
from bdia_numerics.runs.solving import DERIVED
from bdia_numerics.runs.stepwise import come_back
from bdia_numerics.solvers import DPMSolverPP
from bdia_numerics.studies.configuration import check, shared, solver_of, to_clean
from bdia_numerics.studies.study import Cell, Study, Variable

Array = np.ndarray[Any, Any]
SOLVERS = (
    "DDIM",
    "DDIM by (23)",
    *(f"BDIA(gamma={g})" for g in ("1", "49/50", "19/20", "9/10")),
    *(f"EDICT(p={p})" for p in ("1", "93/100", "9/10")),
)
TARGETS = (6, 7, 3, 8, 9, 6, 0, 9, 3, 4)
"""For each digit another that resembles it."""
SIZE = 28
"""Rows and columns of an image."""


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
        check(self, "solvers", "guidances", encodes=True)
        names.grid(self.grid)
        if self.images < 1 or self.steps < 3:
            raise ValueError(
                f"images={self.images}, steps={self.steps}: give an image or more, and three steps or more"
            )


@dataclass(frozen=True, eq=False)
class _Setting:
    """What all edits share."""

    network: Any
    x: Any
    labels: Array
    targets: Array


@lru_cache(maxsize=2)
def _setting(config: EditConfig) -> _Setting:
    from bdia_numerics.torch.networks.loading import load
    from bdia_numerics.torch.networks.sampling import noise

    network, labels = load(), np.arange(config.images) % 10
    fine = network.grid(40, "log_snr")
    dtype = next(network.network.parameters()).dtype
    z = noise((config.images, *(network.shape or ())), fine, config.seed, dtype=dtype)
    x = solve(DPMSolverPP(), network.model(labels), fine, z).z
    return _Setting(network, x, labels, np.array(TARGETS)[labels])


def compute(config: EditConfig, cell: Cell) -> Mapping[str, Any]:
    """Return what one solver makes of the sources at one scale, with these and the labels."""
    from bdia_numerics.torch.networks.steadiness import one_thread

    with one_thread():
        common, found = _setting(config), _measured(config, cell)
        pictures = {"images": found["images"], "sources": common.x.numpy()}
    columns = {name: value[:, 0].astype(np.float32) for name, value in pictures.items()}
    return {**found, **columns, "labels": common.labels, "targets": common.targets}


def _measured(config: EditConfig, cell: Cell) -> Mapping[str, Any]:
    from bdia_numerics.torch.networks.features import predicted
    from bdia_numerics.torch.networks.sampling import rms

    common, guidance, text = _setting(config), float(cell["guidance"]), str(cell["solver"])
    solver, method = solver_of(text), split(text)[1]
    own, other = (common.network.model(y, guidance=guidance) for y in (common.labels, common.targets))
    grid, x = to_clean(config.grid, common.network.schedule, config.steps), common.x
    there = encode(solver, own, grid, x, method)
    if not there.status.ok:
        nan = dict.fromkeys(("returned", "distance", "latent_std"), float("nan"))
        counts = {"nfe": there.nfe, "as_target": 0, "as_source": 0, "inversion": there.inversion}
        return {**nan, **counts, "images": np.full(x.shape, np.nan), "status": str(there.status)}
    begin = there.z if there.state is None else there.state
    back, edited = (solve(solver, model, grid, begin) for model in (own, other))
    images, error = edited.z.double().numpy(), rms(back.z - x)
    status = come_back(edited.status, error, rms(x), exact=there.inversion == DERIVED)
    read = predicted(images) if edited.status.ok else np.full(len(common.labels), -1)
    return {
        "nfe": there.nfe + edited.nfe,
        "returned": error,
        "distance": rms(edited.z - x),
        "as_target": int((read == common.targets).sum()),
        "as_source": int((read == common.labels).sum()),
        "latent_std": float(there.z.double().std()),
        "inversion": there.inversion,
        "images": images,
        "status": str(status),
    }


def _said(found: dict[str, Any], dataset: Any) -> dict[str, Any]:
    return {"config": found["config"], "targets": found["targets"], "edits": found["cells"]}


EDITING = Study(
    "editing",
    "Round-trip editing on the shipped network of digits",
    EditConfig,
    dims=lambda config: {"guidance": config.guidances, "solver": config.solvers},
    inner=lambda config: {"image": tuple(range(config.images)), "y": tuple(range(SIZE)), "x": tuple(range(SIZE))},
    compute=compute,
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
    said=_said,
)
