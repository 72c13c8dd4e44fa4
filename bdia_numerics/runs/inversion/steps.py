"""Explicit inversions, one step of a solver as a map from a state to the next, and which inversion `encode` takes.

The only text of a step here is the solver's own. Run on the reversed grid it inverts with its own order where its step cannot be
undone. DDIM inversion is the start of the implicit methods, and the pivot of the guided ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from typing import Any

from bdia_numerics.grids import Grid
from bdia_numerics.models import prediction_of
from bdia_numerics.program import Linear, Recorder, Run, Solver, interpret, record_steps, structure, weighted
from bdia_numerics.runs.solving import Model, Solution, Status, begin, solve, starter_of
from bdia_numerics.solvers import DDIM
from bdia_numerics.spaces import Scalar, takes
from bdia_numerics.texts import shown


@dataclass(frozen=True)
class Step:
    """The step from t_i to t_{i-1}, F(z_i; z_{i+1}, ...) = z_{i-1}; its history is made of later states.

    `part` is the grid from t_{i-1} to t_{i+depth}.
    """

    solver: Solver
    model: Model
    part: Grid
    depth: int

    def history(self, states: Sequence[Any]) -> tuple[Mapping[str, Any] | None, int]:
        """Return the registers made from the states at i, i+1, ..., i+depth, and the NFE."""
        if not self.depth:
            return None, 0
        return begin(self.solver, self.model, self.part, dict(enumerate(states, 1)), 1)

    def __call__(self, z: Any, history: Mapping[str, Any] | None) -> Solution:
        """Take z_i one step."""
        if history is None:
            return solve(self.solver, self.model, self.part, z)
        return solve(self.solver, self.model, self.part, z, {**history, structure(self.solver).output: z})

    def inverse_slope(self) -> Scalar:
        """Return 1/c of z_{i-1} = c z_i + (what the model says of eps), or of the model's own output where alpha_i = 0.

        Raises
        ------
        ValueError
            If c = 0.
        """
        space, output = self.part.space, structure(self.solver).output
        if space.is_zero(space.field(self.part.alpha[1])):
            run = record_steps(self.solver, self.part, prediction_of(self.model))
        else:
            run = record_steps(self.solver, self.part)
        slope = dependence(run, output).get(run.inputs[output].number, 0)
        if space.is_zero(slope):
            raise ValueError(
                f"{shown(self.solver)} leaves z_i out of its step from t={self.part.t[1]}, so there is nothing to iterate: "
                "end the grid before it"
            )
        return space.coefficient(1 / slope)


def step_at(solver: Solver, model: Model, grid: Grid, i: int) -> Step:
    """Return the step that a run takes from t_i, which near t_N is that of its starter.

    Raises
    ------
    ValueError
        If the solver carries more than z_i and what earlier steps left: then z_{i-1} alone does not determine z_i.
    """
    while structure(solver).depth > grid.n - i:
        solver = starter_of(solver)
    shape = structure(solver)
    if shape.lags.count(0) != 1 or shape.end_index(shape.output) != 0:
        here = [name for name, lag in zip(shape.registers, shape.lags, strict=True) if lag == 0]
        raise ValueError(
            f"{type(solver).__name__} carries {', '.join(here)} at the same time, which z alone does not determine: "
            "use invert, or encode without a method"
        )
    return Step(solver, model, grid[i - 1 : i + shape.depth], shape.depth)


def dependence(run: Run, register: str) -> dict[int, Scalar]:
    """Return the coefficients of a register's last version in the run's inputs and evaluations, by their numbers."""
    one = run.trace.grid.space.field(1)
    forms: dict[int, dict[int, Scalar]] = {h.number: {h.number: one} for h in run.inputs.values()}
    for segment in run.segments:
        interpret(segment.ops, forms, lambda op, argument: {op.target: one}, weighted)
    return forms[run.final[register].number]


@dataclass(frozen=True)
class Reversed:
    """Run the solver from data to noise: its own step on the reversed grid, from its own start there.

    State     those of the solver; a multistep one makes its first states at the data end by its own starter
    Order     that of the solver, on the reversed grid; the round trip misses by the errors of both runs
    NFE       that of the solver
    Requires  what the solver requires, at the data end as at the noise end: sigma_0 != 0 where it divides by sigma, or where
              the model leaves eps open at sigma = 0
    Same as   DDIM inversion told its own time, eq. (23), for DDIM
    Source    the ODE (2) has no direction; for DPM-Solver++ it is the inverse scheduler of diffusers

    Raises
    ------
    ValueError
        Called, where the solver has no step on the reversed grid: in one line, with the condition.

    Examples
    --------
    >>> import numpy as np
    >>> from bdia_numerics import encode, grids, problems, schedules, solvers
    >>> schedule = schedules.vp_cosine()
    >>> grid, law = grids.uniform(schedule, 20, t_max=0.95, t_min=0.02), problems.Gaussian([0.0], 1.0)
    >>> encode(solvers.RK4(), law.model(schedule), grid, np.array([[0.5]]), Reversed()).inversion
    'solver on the reversed grid'
    """

    label = "solver on the reversed grid"

    def __call__(self, solver: Solver, model: Any, grid: Grid, x_0: Any) -> Solution:
        """Take data to noise; raises as the class says."""
        return _towards_noise(solver, model, grid, x_0, self.label)


Method = Callable[[Solver, Any, Grid, Any], Solution]
"""method(solver, model, grid, x_0) returns a Solution whose `.z` is the latent, z_N; its trajectory begins there."""


@dataclass(frozen=True)
class DDIMInversion:
    """DDIM inversion: the DDIM step towards the noise, with the model told the time at which the step ends.

    z_i = z_{i-1} + Delta(t_{i-1} -> t_i | z_{i-1}), eps taken at (z_{i-1}, t_i)

    It is a step program for the reversed grid, and a method for `encode`.

    State     z_{i-1}, of shape (*batch, *data)
    Order     1; the round trip with DDIM misses by O(1/N)
    NFE       `substeps` per step
    Source    paper, eq. (10); with `at_target` False the time is that of the state, as in eq. (23)
    Options   `substeps` equal parts of each slot in sigma/alpha, for which the grid needs a schedule: the finer naive
              inversion of Hong et al., CVPR 2024
    """

    at_target: bool = True
    substeps: int = 1
    registers = ("z",)

    @property
    def label(self) -> str:
        """Its name in results."""
        parts = f", {self.substeps} parts a slot" if self.substeps > 1 else ""
        return f"DDIM inversion ({10 if self.at_target else 23}){parts}"

    def __post_init__(self) -> None:
        if self.substeps != int(self.substeps) or self.substeps < 1:
            raise ValueError(f"substeps={shown(self.substeps)}: a slot has at least 1 part, pass an int")

    def step(self, s: Recorder) -> None:
        """Record the step between two neighbours of the reversed grid."""
        (z,) = s.registers
        times = [s.i, *(s.between(s.i, s.i - 1, Fraction(k, self.substeps)) for k in range(1, self.substeps)), s.i - 1]
        state: Linear = z
        for start, end in pairwise(times):
            moved = state + s.delta(start, end, state, s.eps(state, at=end if self.at_target else start))
            state = s.scratch(moved, at=end) if end != s.i - 1 else moved
        s.assign(z, state, at=s.i - 1)

    def __call__(self, solver: Solver, model: Any, grid: Grid, x_0: Any) -> Solution:
        """Take data to noise; the solver is not used."""
        return _towards_noise(self, model, grid, x_0, self.label)


def _towards_noise(program: Solver, model: Any, grid: Grid, x_0: Any, label: str) -> Solution:
    """Run a program on the reversed grid, with its slots counted as in sampling."""
    found = solve(program, model, grid.reversed(), x_0, return_trajectory=True)
    return replace(found, status=mirrored(found.status, grid.n), inversion=label)


def name_of(method: Method) -> str:
    """Return what results call an inversion: its `label`, or the name of a function."""
    return str(getattr(method, "label", None) or getattr(method, "__name__", None) or repr(method))


def mirrored(status: Status, n: int) -> Status:
    """Return the status of a run on the reversed grid of n slots with the slot counted as in sampling."""
    return status if status.slot is None else replace(status, slot=n + 1 - status.slot)


INVERSIONS: dict[str, Method] = {
    "(10)": DDIMInversion(),
    "(23)": DDIMInversion(at_target=False),
    "reversed": Reversed(),
}
"""By name: DDIM inversion of eq. (10), the same told its own time, eq. (23), and the solver on the reversed grid. The
implicit equation (9) by three accelerated iterations adds itself as "fixed point"."""


def default_for(solver: Solver) -> Method:
    """Return the inversion of a solver without an exact inverse: itself on the reversed grid; (10) for DDIM, as diffusers does."""
    return INVERSIONS["(10)" if isinstance(solver, DDIM) else "reversed"]


def named(text: str) -> Method | None:
    """Return the inversion that a word names; None for "default".

    Raises
    ------
    ValueError
        For a word that names none.

    >>> named("23")
    DDIMInversion(at_target=False, substeps=1)
    """
    word = text.strip().lower()
    if word == "default":
        return None
    found = INVERSIONS.get("(10)" if word == "ddim" else word) or INVERSIONS.get(f"({word})")
    if found is None:
        raise ValueError(f"inversion={shown(text)} is unknown: use one of default, ddim, {', '.join(INVERSIONS)}")
    return found


def as_method(method: Method | str | None) -> Method | None:
    """Return an inversion, of its name where that is a text; TypeError for what is none."""
    if isinstance(method, str):
        return named(method)
    if method is not None and (isinstance(method, type) or not callable(method)):
        raise TypeError(
            f"method={shown(method)} is not an inversion: pass an instance, such as inversion.DDIMInversion(), or a name, such as 'ddim'"
        )
    if method is not None:
        takes("method", method, "solver", "model", "grid", "x_0")
    return method


def split(text: str) -> tuple[str, Method | None]:
    """Return a solver's text and the inversion that is named behind it, None if none is.

    >>> split("DDIM by (23)")
    ('DDIM', DDIMInversion(at_target=False, substeps=1))
    """
    solver, by, word = text.partition(" by ")
    return solver.strip(), named(word) if by else None
