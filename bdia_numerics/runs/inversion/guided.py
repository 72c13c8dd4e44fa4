"""Inversions that fit something to the run: null-text and edit-friendly DDPM inversion.

The first fits an unconditional prediction at each step, so that guided sampling returns to the data. The second keeps the noise of
each stochastic step, chosen so that the run passes through given states.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from bdia_numerics import spaces
from bdia_numerics.grids import Grid
from bdia_numerics.models import Predicting, guided, prediction_of
from bdia_numerics.problems.checks import generator
from bdia_numerics.program import Recorder, Solver, record_steps, structure
from bdia_numerics.runs.inversion.steps import DDIMInversion, Method, dependence
from bdia_numerics.runs.solving import Model, Solution, Status, prepared, solve
from bdia_numerics.spaces.values import ordered
from bdia_numerics.texts import refuse, shown


@dataclass(frozen=True)
class NullText:
    """A latent with what the unconditional model says besides, time by time.

    Attributes
    ----------
    z : array, shape (*batch, *data)
        The latent z_N: the far end of the pivot.
    nulls : mapping of time to array
        Added to the unconditional prediction at t_i; one array of z's shape for each t_N, ..., t_1.
    reconstruction : array, shape (*batch, *data)
        Where the guided run from z ends, bit for bit that of `solve` with `model(cond)`.
    pivot : array, shape (N+1, *batch, *data)
        The states that the guided run was fitted to, indexed as in the paper: 0 is the data.
    nfe : int
        Evaluations of cond and of uncond, the pivot's included.
    status : Status
        Of the pivot, or of the fit.
    """

    z: Any
    nulls: Mapping[Any, Any]
    reconstruction: Any
    pivot: Any
    nfe: int
    status: Status
    uncond: Model = field(repr=False)
    scale: Any

    def model(self, cond: Model) -> Predicting:
        """Return the guided model with the fitted nulls: of the condition inverted, or of another one for an edit.

        Raises
        ------
        ValueError
            If the predictions differ; called, at a time for which no null was fitted.
        """

        def uncond(z: Any, t: Any) -> Any:
            if t not in self.nulls:
                raise ValueError(f"t={t} has no fitted null: run a solver that evaluates at the grid's times alone")
            return self.uncond(z, t) + self.nulls[t]

        return guided(cond, Predicting(uncond, prediction_of(self.uncond)), self.scale)


@ordered
def null_text(
    solver: Solver,
    cond: Model,
    uncond: Model,
    grid: Grid,
    x_0: Any,
    *,
    scale: Any,
    pivot: Method | None = None,
) -> NullText:
    """Invert data so that sampling at a guidance scale returns to it, by fitting the unconditional prediction.

    The pivot is the trajectory of an inversion at scale 1, that is with `cond` alone. From its noise end the guided
    solver runs back, and at each step the unconditional prediction u is replaced by u + n_i, with the n_i for which
    the step ends on the pivot.

    Parameters
    ----------
    solver
        One state and one evaluation per step, at that state, as DDIM.
    cond, uncond
        Models of one prediction.
    grid
        N slots.
    x_0
        Data, shape (*batch, *data).
    scale
        Guidance scale w of uncond + w (cond - uncond), not 1; a number of the states' system.
    pivot
        The inversion at scale 1; DDIMInversion() by default.

    Returns
    -------
    NullText

    Raises
    ------
    ValueError
        For scale 1, for predictions that differ, for a solver of another shape, for a pivot without a trajectory.

    Notes
    -----
    Mokady, Hertz, Aberman, Pritch, Cohen-Or, CVPR 2023. There n_i acts through a text embedding and is found by some
    ten gradient steps. A distribution has no embedding, and n_i here is free, of the state's shape. The step is affine in it,
    so the least-squares problem of each step has a solution in closed form with residual 0: what is measured is the
    method's floor, whichever the network, in both reconstruction and NFE. A family of unconditional distributions would put a
    second question, how much that family can express, in front of the first.

    NFE: that of the pivot (N for DDIM inversion) and 2N for the fit; a guided run costs another 2N. The gradient form
    takes N more evaluations, and as many derivatives, per iteration.
    """
    guided(cond, uncond, scale)
    shape = structure(solver)
    if len(shape.registers) != 1 or shape.nfe != 1:
        raise ValueError(f"solver={shown(solver)} is not of one state and one evaluation a step: use DDIM()")
    space, grid = prepared("x_0", x_0, grid)
    w = space.field(scale)
    if space.is_zero(w - 1):
        raise ValueError("scale=1 leaves the unconditional model, and so the null, without effect: use encode")
    there = (pivot or DDIMInversion())(solver, cond, grid, x_0)
    if there.status.ok and there.trajectory is None:
        raise ValueError(f"pivot={shown(pivot)} keeps no trajectory to fit: use one of bdia_numerics.runs.inversion")
    nulls: dict[Any, Any] = {}
    found = NullText(there.z, nulls, there.z, there.trajectory, there.nfe, there.status, uncond, scale)
    if not there.status.ok:
        return found
    states, z, nfe = there.trajectory[::-1], there.z, there.nfe
    for i in range(grid.n, 0, -1):
        part, once = grid[i - 1 : i], (_Once(cond), _Once(uncond))
        plain = solve(solver, guided(*once, scale), part, z)
        nfe += 2
        if not plain.status.ok:
            failed = Status(False, i, plain.status.register)
            return replace(found, reconstruction=z, pivot=states, nfe=nfe, status=failed)
        program = record_steps(solver, part, prediction_of(cond))
        weights = dependence(program, shape.output)
        (evaluation,) = set(weights) - {h.number for h in program.inputs.values()}
        with space.working():
            t = part.point(1).t
            nulls[t] = (states[i - 1] - plain.z) * space.coefficient(1 / (weights[evaluation] * (1 - w)))
        # The same operations as a later run makes, on the same values, so that this run is that one to the last bit.
        z = solve(solver, replace(found, uncond=once[1]).model(once[0]), part, z).z
    return replace(found, reconstruction=z, pivot=states, nfe=nfe)


class _Once:
    """A model that is asked once, at one state, and repeats itself."""

    def __init__(self, model: Model) -> None:
        self.model, self.prediction = model, prediction_of(model)
        self.output: Any = None

    def __call__(self, z: Any, t: Any) -> Any:
        if self.output is None:
            output = spaces.plain(f"model(z, t={t})", self.model(z, t))
            self.output = np.array(output) if isinstance(z, np.ndarray) else output
        return self.output


@dataclass(frozen=True)
class DDPMMean:
    """Mean of the DDPM step, DDIM with eta = 1, given the data prediction x.

    m_i(z_i) = alpha_{i-1} (1 - r) x + (alpha_{i-1}/alpha_i) r z_i,    r = (sigma_{i-1} alpha_i)^2/(sigma_i alpha_{i-1})^2

    State     z_i, of shape (*batch, *data)
    NFE       1 per step
    Source    Ho, Jain, Abbeel, NeurIPS 2020, eq. (7), for any alpha and sigma; Song, Meng, Ermon, ICLR 2021, eq. (12)
    """

    registers = ("z",)

    def step(self, s: Recorder) -> None:
        """Record the step from t_i to t_{i-1}."""
        (z,) = s.registers
        top, alpha = s.alpha(s.i - 1), s.alpha(s.i)
        kept = s.sigma(s.i - 1) ** 2 * alpha / (s.sigma(s.i) ** 2 * top)
        s.assign(z, (top - kept * alpha) * s.x0(z, s.eps(z)) + kept * z, at=s.i - 1)


@dataclass(frozen=True)
class EditFriendly:
    """States and noise of a DDPM run that ends on the data.

    Attributes
    ----------
    trajectory : array, shape (N+1, *batch, *data)
        The states that the run passes through, indexed as in the paper. Index 0 is where the run ends: the data, but
        for one rounding of an addition.
    offsets : array, shape (N, *batch, *data)
        For slot i, at index i-1, z_{i-1} - m_i(z_i): the noise of the step times its standard deviation.
    nfe : int
        Evaluations made, N.
    status : Status
        Whether all went well.
    """

    trajectory: Any
    offsets: Any
    nfe: int
    status: Status
    grid: Grid = field(repr=False)

    @property
    def z(self) -> Any:
        """The latent z_N; with `offsets` it determines the run."""
        return self.trajectory[-1]

    @property
    def deviations(self) -> Any:
        """Standard deviation of the DDPM step in each slot, shape (N,): sigma_{i-1} sqrt(1 - r)."""
        a, s = (np.asarray(x, dtype=self.offsets.dtype) for x in (self.grid.alpha, self.grid.sigma))
        ratio = s[:-1] * a[1:] / (s[1:] * a[:-1])
        return s[:-1] * np.sqrt(1 - ratio * ratio)

    @property
    def noises(self) -> Any:
        """The noise maps offsets/deviation, shape of `offsets`; NaN in a step to sigma = 0, which has no noise."""
        d = self.deviations.reshape(-1, *(1,) * (self.offsets.ndim - 1))
        return np.divide(self.offsets, d, out=np.full_like(self.offsets, np.nan), where=d > 0)

    def replay(self, model: Model, first: int | None = None) -> Solution:
        """Run the stochastic sampler with the kept noise.

        Parameters
        ----------
        model
            The one that was inverted, which returns to `trajectory` bit for bit, or one of another condition.
        first
            Index of the state of `trajectory` to start from, N by default. Fewer steps keep more of the data: the edit
            of the source starts after T_skip steps, first = N - T_skip.

        Returns
        -------
        Solution
            With NFE `first`, and without a State, since no solver starts from there.

        Raises
        ------
        ValueError
            For `first` outside 1..N.
        """
        n = self.grid.n
        first = n if first is None else first
        if isinstance(first, bool) or first not in range(1, n + 1):
            raise ValueError(f"first={shown(first)} is not an index of a state above the data: pass one of 1..{n}")
        z = self.trajectory[first]
        for i in range(first, 0, -1):
            found = solve(DDPMMean(), model, self.grid[i - 1 : i], z)
            z = found.z + self.offsets[i - 1]
            if not (found.status.ok and np.all(np.isfinite(z))):
                return Solution(z, None, first - i + 1, Status(False, i, "z"))
        return Solution(z, None, first)


@ordered
def edit_friendly(model: Model, grid: Grid, x_0: Any, rng: np.random.Generator | int) -> EditFriendly:
    """Draw noisy states of the data independently of each other, and take the noise that a DDPM run needs for them.

    z_i = (alpha_i/alpha_0) x_0 + sqrt(sigma_i^2 - (alpha_i sigma_0/alpha_0)^2) xi_i,    xi_i independent for i = 1..N

    Parameters
    ----------
    model
        Any prediction; evaluated at z_N, ..., z_1.
    grid
        N slots. The step to t_0 is noiseless where sigma_0 = 0. What it misses the data by is then kept as an offset,
        too, which the source leaves out.
    x_0
        Data at t_0, NumPy floats, shape (*batch, *data).
    rng
        Draws xi.

    Returns
    -------
    EditFriendly

    Raises
    ------
    TypeError
        For states that are not NumPy floats, or another `rng`.
    ValueError
        For states that are not finite; for models and grids that leave x open, as with eps at alpha_N = 0.

    Notes
    -----
    Huberman-Spiegelglas, Kulikov, Michaeli, CVPR 2024. z_{i-1} is replaced by m_i(z_i) + offset_i before it is used, as
    there, so that rounding does not add up. The noise maps are neither of variance 1 nor independent, which is what
    makes them good for edits and no sample of the DDPM's own noise.
    """
    rng = generator(rng)
    space, grid = prepared("x_0", x_0, grid)
    if not space.floats:
        raise TypeError(f"x_0 is in {space.name}: random states are drawn in NumPy floats")
    spaces.require_finite("x_0", x_0, space)
    refuse((grid.t[0] > grid.t[grid.n], "grid is a reversed one, from data to noise: pass grid.reversed() of it"))
    x_0 = np.asarray(x_0)
    trajectory = np.empty((grid.n + 1, *x_0.shape), x_0.dtype)
    trajectory[0], offsets = x_0, np.zeros((grid.n, *x_0.shape), x_0.dtype)
    for i in range(1, grid.n + 1):
        kept = grid.alpha[i] / grid.alpha[0]
        spread = np.sqrt(grid.sigma[i] ** 2 - (kept * grid.sigma[0]) ** 2)
        trajectory[i] = kept * x_0 + spread * rng.standard_normal(x_0.shape)
    for i in range(grid.n, 0, -1):
        found = solve(DDPMMean(), model, grid[i - 1 : i], trajectory[i])
        if not found.status.ok:
            return EditFriendly(trajectory, offsets, grid.n - i + 1, Status(False, i, found.status.register), grid)
        offsets[i - 1] = trajectory[i - 1] - found.z
        trajectory[i - 1] = found.z + offsets[i - 1]
    return EditFriendly(trajectory, offsets, grid.n, Status(), grid)
