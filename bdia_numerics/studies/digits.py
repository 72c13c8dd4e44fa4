"""DDIM and BDIA on handwritten digits with the Stable Diffusion schedule, against a reference solution of the same ODE.

The distribution is the digits of scikit-learn, each a Gaussian of standard deviation 0.25 around its image. Atoms would not do.
The flow takes an atom to the middle of the cell of noise that belongs to it, and an image beside the atoms far out: a
latent of either is not a draw of the noise (`choices` measures that). 0.25 is the bandwidth with the highest leave-one-out
likelihood among multiples of 0.05. The images that are encoded are draws of the same distribution, digits with that much blur.

The grids are those of Stable Diffusion: spacing "leading" with one step of offset, and "trailing", both ending at t = 0.
They begin at different times; the runs begin at the states of one reference trajectory, so that all have one x_0.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, wraps
from itertools import pairwise
from typing import Any, ParamSpec, TypeVar

import numpy as np

from bdia_numerics import grids, problems, schedules
from bdia_numerics.grids import Grid
from bdia_numerics.problems import reference_flow
from bdia_numerics.program import NotInvertibleError, Solver, structure
from bdia_numerics.runs.encoding import Solution, encode, invert, solve
from bdia_numerics.runs.inversion import Method
from bdia_numerics.solvers import BDIA, DDIM
from bdia_numerics.studies.engine.blas import one_blas_thread
from bdia_numerics.studies.results import (
    Array,
    Choice,
    Config,
    Contender,
    Digits,
    Portrait,
    Reference,
    Row,
    Spacing,
    rms,
)

Encode = Callable[..., Solution]
P = ParamSpec("P")
R = TypeVar("R")


def _single_threaded(function: Callable[P, R]) -> Callable[P, R]:
    """Return the function on one BLAS thread: products are small here, and on a busy machine a second one costs tenfold."""

    @wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        with one_blas_thread():
            return function(*args, **kwargs)

    return wrapped


def make_grid(spacing: Spacing, steps: int) -> Grid:
    """Return Stable Diffusion's grid: its schedule, ending at t = 0, not at clean data."""
    schedule = schedules.stable_diffusion()
    if spacing == "leading":
        return grids.leading(schedule, steps, steps_offset=1, final_alpha=None)
    return grids.trailing(schedule, steps, final_alpha=None)


@cache
def law(bandwidth: float) -> problems.Empirical:
    """Return the digits as a distribution."""
    return problems.Empirical(problems.digits(), bandwidth=bandwidth)


def images(config: Config) -> Array:
    """Return the images that are encoded, draws of the distribution, shape (images, 64)."""
    return law(config.bandwidth).sample(config.images, np.random.default_rng([config.seed, 1]))


def study(config: Config | None = None, encode: Encode = encode) -> Digits:
    """Run the study; one result per configuration is kept.

    Parameters
    ----------
    config
        What to run; `Config()` by default.
    encode
        How images are taken to noise.
    """
    return _study(config or Config(), encode)


@cache
@_single_threaded
def _study(config: Config, encode: Encode) -> Digits:
    model = law(config.bandwidth).model(schedules.stable_diffusion())
    grids_of = {(s, n): make_grid(s, n) for s in config.spacings for c in config.contenders for n in _steps(config, c)}
    truth = reference(config, tuple(sorted({float(g.t[g.n]) for g in grids_of.values()})))
    x = images(config)
    rows = [
        _row(c, model, spacing, grids_of[spacing, n], dtype, truth, x, encode)
        for spacing in config.spacings
        for dtype in config.dtypes
        for c in config.contenders
        for n in (_steps(config, c) if dtype == config.dtypes[-1] else sorted({config.steps[0], config.steps[-1]}))
    ]
    return Digits(config, tuple(rows))


def _steps(config: Config, contender: Contender) -> list[int]:
    """Return the steps that a solver takes: those of all, and those that cost as many evaluations."""
    nfe = structure(contender.solver).nfe
    return sorted({*config.steps, *(n // nfe for n in config.steps)})


def reference(config: Config, times: tuple[float, ...]) -> Reference:
    """Return the reference through rising times, from noise at the last one and from the images at t = 0."""
    return _reference(config.images, config.bandwidth, config.seed, config.rtol, times)


@cache
def _reference(count: int, bandwidth: float, seed: int, rtol: float, times: tuple[float, ...]) -> Reference:
    config = Config(images=count, bandwidth=bandwidth, seed=seed, rtol=rtol)
    noise = np.random.default_rng([seed, 0]).standard_normal((count, law(bandwidth).dimension))
    down, down_error = _trajectory(bandwidth, noise, (*times[::-1], 0.0), rtol)
    up, up_error = _trajectory(bandwidth, images(config), (0.0, *times), rtol)
    return Reference(down, down_error, up, up_error)


def _trajectory(
    bandwidth: float, start: Array, times: tuple[float, ...], rtol: float
) -> tuple[dict[float, Array], float]:
    schedule = schedules.stable_diffusion()
    states, error = {times[0]: start}, 0.0
    for begin, end in pairwise(times):
        piece = reference_flow(law(bandwidth).model(schedule), schedule, states[begin], begin, end, rtol=rtol)
        states[end], error = piece.z, error + piece.rms
    return states, error


def _row(
    contender: Contender, model: Any, spacing: str, grid: Grid, dtype: str, truth: Reference, x: Array, encode: Encode
) -> Row:
    solver, last = contender.solver, float(grid.t[grid.n])
    z, x = truth.noise[last].astype(dtype), x.astype(dtype)
    # An unstable inverse may overflow; the status says so, and the numbers are then infinite or not a number.
    with np.errstate(all="ignore"):
        sampled = solve(solver, model, grid, z)
        latent = encode(solver, model, grid, x, contender.method)
        returned = _back(solver, model, grid, latent)
        noise = _forth(solver, model, grid, sampled, contender.method)
        latent_std = float(np.std(latent.z, dtype=np.float64))
    runs = [run for run in (sampled, latent, returned, noise) if not run.status.ok]
    return Row(
        solver=contender.label,
        spacing=spacing,
        dtype=dtype,
        steps=grid.n,
        nfe=sampled.nfe,
        error=rms(sampled.z - truth.noise[0.0]),
        noise_round_trip=rms(noise.z - z),
        encode_nfe=latent.nfe,
        latent_distance=rms(latent.z - truth.latents[last]),
        latent_std=latent_std,
        data_round_trip=rms(returned.z - x),
        reference_error=truth.noise_error,
        latent_reference_error=truth.latent_error,
        inversion=latent.inversion,
        status=str(runs[0].status) if runs else "ok",
    )


def _back(solver: Solver, model: Any, grid: Grid, latent: Solution) -> Solution:
    return (
        solve(solver, model, grid, latent.z if latent.state is None else latent.state) if latent.status.ok else latent
    )


def _forth(solver: Solver, model: Any, grid: Grid, sampled: Solution, method: Method | None) -> Solution:
    if not sampled.status.ok or sampled.state is None:
        return sampled
    if method is None:
        try:
            return invert(solver, model, grid, sampled.state)
        except NotInvertibleError:
            pass
    return encode(solver, model, grid, sampled.z, method)


@_single_threaded
def portraits(config: Config | None = None, *, steps: int = 10, image: int = 0) -> tuple[Portrait, ...]:
    """Return one image through DDIM inversion and through BDIA with gamma 1, on the trailing grid in float64."""
    config = config or Config()
    grid = make_grid("trailing", steps)
    model, x = law(config.bandwidth).model(schedules.stable_diffusion()), images(config)
    last = float(grid.t[grid.n])
    truth = reference(config, (last,)).latents[last]
    found = []
    for label, solver in (("DDIM inversion", DDIM()), ("BDIA, gamma 1", BDIA(1))):
        latent = encode(solver, model, grid, x)
        returned = _back(solver, model, grid, latent)
        arrays = (a[image].reshape(8, 8) for a in (x, latent.z, truth, returned.z))
        found.append(Portrait(label, steps, *arrays))
    return tuple(found)


@_single_threaded
def choices(config: Config | None = None) -> tuple[Choice, ...]:
    """Measure what the choice of distribution and images does to the latents that the ODE itself gives at the last time."""
    config = config or Config()
    last, size = float(schedules.stable_diffusion().t_max), config.images
    data = problems.digits()
    order = np.random.default_rng([config.seed, 2]).permutation(len(data))
    held, rest = data[order[:size]], data[order[size:]]
    blur = config.bandwidth * np.random.default_rng([config.seed, 3]).standard_normal(rest[:size].shape)
    cases = (
        ("atoms", "the atoms themselves", 0.0, rest[:size]),
        ("atoms", "digits left out of the distribution", 0.0, held),
        (f"bandwidth {config.bandwidth}", "the atoms themselves", config.bandwidth, rest[:size]),
        (f"bandwidth {config.bandwidth}", "digits left out of the distribution", config.bandwidth, held),
        (f"bandwidth {config.bandwidth}", "draws of the distribution", config.bandwidth, rest[:size] + blur),
    )
    schedule, found = schedules.stable_diffusion(), []
    for name, what, width, x in cases:
        model = problems.Empirical(rest, bandwidth=width).model(schedule)
        latent = reference_flow(model, schedule, x, 0.0, last, rtol=1e-6).z
        found.append(Choice(name, what, float(latent.std())))
    return tuple(found)
