"""Round-trip editing on the shipped network: images are encoded under their label and decoded under another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bdia_numerics import spec
from bdia_numerics.integrate import encode, solve
from bdia_numerics.solvers import DPMSolverPP
from bdia_numerics.studies.gamma_map import GRIDS
from bdia_numerics.torch.features import predicted
from bdia_numerics.torch.loading import load
from bdia_numerics.torch.sampling import noise, rms

Array = np.ndarray[Any, Any]
SOLVERS = (
    "DDIM",
    *(f"BDIA(gamma={g})" for g in ("1", "49/50", "19/20", "9/10")),
    *(f"EDICT(p={p})" for p in ("1", "93/100", "9/10")),
)
TARGETS = (6, 7, 3, 8, 9, 6, 0, 9, 3, 4)
"""For each digit another that resembles it."""


@dataclass(frozen=True)
class EditConfig:
    """What to run.

    Attributes
    ----------
    solvers
        As `bdia_numerics.spec` reads them; one without an exact inverse is encoded by DDIM inversion.
    guidances
        Scales of classifier-free guidance, there and back.
    steps, grid
        Of the round trip; a name of `studies.gamma_map.GRIDS`.
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
        if self.grid not in GRIDS:
            raise ValueError(f"grid={self.grid!r} is none of {', '.join(GRIDS)}")
        if self.images < 1 or self.steps < 3:
            raise ValueError(
                f"images={self.images}, steps={self.steps}: give an image or more, and three steps or more"
            )


@dataclass(frozen=True, eq=False)
class Edit:
    """One solver at one scale.

    Attributes
    ----------
    solver, guidance
        As in the configuration.
    nfe : int
        Evaluations there and back.
    returned : float
        Root mean square of the images decoded under their own label less the sources.
    distance : float
        The same under the other label.
    as_target, as_source : int
        Images that the classifier reads as the other label, and as their own.
    latent_std : float
        Standard deviation of the latents; that of the noise is 1.
    images : array
        The edited images, shape (n, 1, 28, 28).
    status : str
        "ok", or what went wrong.
    """

    solver: str
    guidance: float
    nfe: int
    returned: float
    distance: float
    as_target: int
    as_source: int
    latent_std: float
    images: Array
    status: str


@dataclass(frozen=True, eq=False)
class Editing:
    """The edits with their sources, shape (n, 1, 28, 28), the labels of these and those of the edits."""

    config: EditConfig
    sources: Array
    labels: Array
    targets: Array
    edits: tuple[Edit, ...]


def editing(config: EditConfig, *, advance: Callable[[], None] = lambda: None) -> Editing:
    """Edit samples of the network, drawn by DPM-Solver++ 2M, with every solver at every scale.

    Parameters
    ----------
    config
        What to run.
    advance
        Called after each solver at each scale.
    """
    network = load()
    labels = np.arange(config.images) % 10
    targets = np.array(TARGETS)[labels]
    fine = network.grid(40, "log_snr")
    dtype = next(network.network.parameters()).dtype
    z = noise((config.images, *(network.shape or ())), fine, config.seed, dtype=dtype)
    x = solve(DPMSolverPP(), network.model(labels), fine, z).z
    grid, edits = GRIDS[config.grid](network.schedule, config.steps), []
    for guidance in config.guidances:
        own, other = (network.model(y, guidance=guidance) for y in (labels, targets))
        for text in config.solvers:
            edits.append(_edit(text, guidance, own, other, grid, x, labels, targets))
            advance()
    return Editing(config, x.double().numpy(), labels, targets, tuple(edits))


def _edit(text: str, guidance: float, own: Any, other: Any, grid: Any, x: Any, labels: Array, targets: Array) -> Edit:
    solver, nan = spec.solver(text), float("nan")
    there = encode(solver, own, grid, x)
    if not there.status.ok:
        return Edit(text, guidance, there.nfe, nan, nan, 0, 0, nan, np.full(x.shape, nan), str(there.status))
    begin = there.z if there.state is None else there.state
    back, edited = (solve(solver, model, grid, begin) for model in (own, other))
    images = edited.z.double().numpy()
    read = predicted(images) if edited.status.ok else np.full(len(labels), -1)
    return Edit(
        solver=text,
        guidance=guidance,
        nfe=there.nfe + edited.nfe,
        returned=rms(back.z - x),
        distance=rms(edited.z - x),
        as_target=int((read == targets).sum()),
        as_source=int((read == labels).sum()),
        latent_std=float(there.z.double().std()),
        images=images,
        status=str(edited.status),
    )
