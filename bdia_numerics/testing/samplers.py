"""What can be certified: solvers, plain functions and diffusers' schedulers, brought into one form."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any, Protocol

import numpy as np

from bdia_numerics import grids
from bdia_numerics.analysis import GridFamily
from bdia_numerics.analysis.measurement.errors import Problem, doubt
from bdia_numerics.grids import Grid
from bdia_numerics.grids.grid import build, slots_of
from bdia_numerics.models import prediction_of
from bdia_numerics.problems import GaussianMixture
from bdia_numerics.problems.certificate import known_flow
from bdia_numerics.program import Solver, invertibility, structure
from bdia_numerics.runs.encoding import encode
from bdia_numerics.runs.solving import Solution, invert, solve
from bdia_numerics.runs.state import State, identity
from bdia_numerics.spaces import plain
from bdia_numerics.testing.carry import copied

Array = np.ndarray[Any, Any]
Function = Callable[[Any, Grid, Any], Any]
"""(eps, grid, z) to the state at the other end, or to a tuple with it in front, which the opposite function takes as its z."""

DIRECTIONS = ("sample", "invert")
SLOTS, STATES = 24, 32
RAISES = ArithmeticError, AssertionError, LookupError, RuntimeError, TypeError, ValueError
"""What a sampler may raise on grids that it was not asked about: it is reported, and does not end the test."""
LAW = GaussianMixture([0.4, 0.6], [[-1.0], [1.2]], [0.1, 0.2])
"""The default distribution: two modes on the line, so that eps is not linear, the flow is exact, and states leave [-1, 1]."""


@dataclass(frozen=True, eq=False)
class Run:
    """One run from exact states, with what it should have come to.

    Attributes
    ----------
    start, end, truth : array, shape (*batch, *data)
        States before and after it; the exact flow of `start`.
    doubt : float
        The error that `truth` may have, apart from rounding.
    nfe : int or float
        Evaluations of the model, each of one state with its batch; see `Asked`.
    slots : int
        Of the grid.
    carry
        What the opposite run goes on from: `end`, or more of it.
    """

    start: Array
    end: Array
    truth: Array
    doubt: float
    nfe: float
    slots: int
    carry: Any


class Sampler(Protocol):
    """A method under test; `place` is its grid, or the number of steps of a scheduler."""

    @property
    def label(self) -> str:
        """What it is called."""

    def place(self, grid: Any) -> Any:
        """Return where to run for a grid, a number of slots, or None for the default."""

    def family(self, family: Any) -> tuple[str, Callable[[int, int | None], Any]]:
        """Return what a family of grids is called, and the function from (n, seed) to a place on it."""

    def divided(self, grid: Any, family: Any) -> tuple[str, Callable[..., Any]]:
        """Return what grids are called, and the function from (k, more=0) to a place with k times the first one's slots, and more."""

    @property
    def takes_grids(self) -> bool:
        """Whether it runs on any grid."""

    def grid(self, place: Any) -> tuple[Grid, Any]:
        """Return the grid of a place, and the schedule in whose times it counts."""

    def run(self, problem: Problem, place: Any, direction: str, states: Any = STATES, carry: Any = None) -> Run:
        """Run from exact states at one end, or from what the opposite run left."""


def as_sampler(subject: Any, invert: Any = None, mu: float | None = None) -> Sampler:
    """Return a solver, a function or a scheduler as a sampler.

    Parameters
    ----------
    subject
        A solver (`registers` and `step`), a function ``sample(eps, grid, z)``, or an object with diffusers'
        `set_timesteps` and `step`.
    invert
        What takes data to noise: a function ``invert(eps, grid, x)``, or an inverse scheduler. Solvers need none: theirs is derived.
    mu
        What a scheduler with use_dynamic_shifting is passed with its number of steps, which its pipeline takes from the size of the image.

    Raises
    ------
    TypeError
        For anything else.
    """
    is_class = isinstance(subject, type)
    if not is_class and hasattr(subject, "set_timesteps") and hasattr(subject, "step"):
        from bdia_numerics.testing.schedulers import SchedulerSampler

        return SchedulerSampler(subject, invert, mu)
    if mu is not None:
        raise TypeError(f"mu={mu}: only a scheduler takes it: leave it out")
    if not is_class and hasattr(subject, "registers") and hasattr(subject, "step"):
        if invert is not None:
            raise TypeError(f"invert={invert!r}: the inverse of a solver is derived from its step: leave it out")
        return SolverSampler(subject)
    if callable(subject) and not is_class:
        return FunctionSampler(subject, invert)
    raise TypeError(
        f"{subject!r} is not a sampler: pass an object with registers and step, a function sample(eps, grid, z), "
        "or a scheduler with set_timesteps and step; of a class, an instance"
    )


class OnGrids:
    """What solvers and functions share: they run on a `Grid` with a schedule."""

    def place(self, grid: Any) -> Any:
        """Return the grid, or the default family's of so many slots."""
        if grid is None or isinstance(grid, int):
            return GridFamily()(SLOTS if grid is None else grid)
        if not isinstance(grid, Grid) or grid.schedule is None:
            raise TypeError(f"grid={grid!r}: pass a grid with a schedule, as grids.uniform makes, or a number of slots")
        return grid

    def family(self, family: Any) -> tuple[str, Callable[[int, int | None], Any]]:
        """Return the label and the grids of a family, the smooth one by default."""
        chosen = GridFamily() if family is None else family
        if not callable(chosen):
            raise TypeError(
                f"family={family!r} is not a family of grids: pass analysis.GridFamily(kind) a function of n that returns a grid, or 'any'"
            )
        label = str(getattr(chosen, "label", getattr(chosen, "__name__", "given")))
        return label, lambda n, seed: chosen(n) if seed is None else chosen(n, seed=seed)

    takes_grids = True

    def divided(self, grid: Any, family: Any) -> tuple[str, Callable[..., Any]]:
        """Return the label and the grids of a family, or a grid with its slots divided."""
        family = None if family == "any" else family
        if isinstance(grid, Grid):
            if family is not None:
                raise ValueError(f"grid={grid!r} and family={family!r}: pass one of them")
            return "the given", partial(divided, self.place(grid))
        label, chosen = self.family(family)
        n = slots_of(SLOTS if grid is None else grid)
        return label, lambda k, more=0: chosen(k * n + more, None)

    def grid(self, place: Any) -> tuple[Grid, Any]:
        """Return the grid and its schedule."""
        return place, place.schedule


@dataclass(frozen=True, eq=False)
class SolverSampler(OnGrids):
    """A solver, run by `solve` and `invert`; from the data it starts as `encode` does."""

    solver: Solver

    @property
    def label(self) -> str:
        """The solver with its parameters."""
        return identity(self.solver)

    def run(self, problem: Problem, place: Any, direction: str, states: Any = STATES, carry: Any = None) -> Run:
        """Run the solver, or its derived inverse."""
        return run_on_grid(partial(self._go, direction), problem, place, direction, states, carry)

    def _go(self, direction: str, eps: Any, grid: Grid, given: Any) -> tuple[Array, Any]:
        found = self._solution(direction, eps, grid, given)
        return found.z, found.z if found.state is None else found.state

    def _solution(self, direction: str, eps: Any, grid: Grid, given: Any) -> Solution:
        if direction == "sample":
            return solve(self.solver, eps, grid, given)
        if isinstance(given, State) and invertibility(self.solver).invertible:
            return invert(self.solver, eps, grid, given)
        return encode(
            self.solver,
            eps,
            grid,
            given.registers[structure(self.solver).output] if isinstance(given, State) else given,
        )


@dataclass(frozen=True, eq=False)
class FunctionSampler(OnGrids):
    """A plain function, and the one that inverts it."""

    sample: Function
    inverse: Function | None = None

    @property
    def label(self) -> str:
        """The function's name."""
        whole = getattr(self.sample, "func", self.sample)  # of a partial
        shown = repr(whole)
        return str(getattr(whole, "__name__", type(whole).__name__ if shown.startswith("<") else shown))

    def run(self, problem: Problem, place: Any, direction: str, states: Any = STATES, carry: Any = None) -> Run:
        """Call the function of a direction."""
        function = self.sample if direction == "sample" else self.inverse
        if function is None:
            raise TypeError(f"{self.label} has no inverse: pass invert=, a function of (eps, grid, x)")
        return run_on_grid(partial(self._go, function), problem, place, direction, states, carry)

    def _go(self, function: Function, eps: Any, grid: Grid, given: Any) -> tuple[Array, Any]:
        found = copied(function(eps, grid, given))
        end = found[0] if isinstance(found, tuple) else found
        if np.shape(end) != np.shape(given[0] if isinstance(given, tuple) else given):
            raise TypeError(
                f"{getattr(function, '__name__', function)} returned shape {np.shape(end)} for states of shape "
                f"{np.shape(given[0] if isinstance(given, tuple) else given)}: return the state at the other end"
            )
        state = np.asarray(plain("the returned state", end))
        if state.dtype.kind not in "fiu":
            raise TypeError(
                f"{getattr(function, '__name__', function)} returned a state of {state.dtype}: return real numbers"
            )
        return state, found


def run_on_grid(go: Any, problem: Problem, grid: Grid, direction: str, states: Any, carry: Any) -> Run:
    """Run `go(eps, grid, given)`, which returns an end and what to carry on, from exact states."""
    begin, finish = (grid.n, 0) if direction == "sample" else (0, grid.n)
    start = law_states(problem, float(grid.alpha[begin]), float(grid.sigma[begin]), states)
    eps = Asked(problem.model(grid.schedule), start.size)
    with np.errstate(all="ignore"):
        end, further = copied(go(eps, grid, copied(start if carry is None else carry)))
    return Run(
        start, end, *truth_of(problem, start, grid.t[begin], grid.t[finish], grid.schedule), eps.nfe, grid.n, further
    )


def truth_of(problem: Problem, start: Array, t_from: Any, t_to: Any, schedule: Any) -> tuple[Array, float]:
    """Return the exact end of a run, and the error that it may have, apart from rounding."""
    truth, stated = known_flow(problem, start.copy(), t_from, t_to, schedule)
    return np.asarray(truth), doubt(problem, start, truth, (t_from, t_to), schedule, stated)


@dataclass
class Asked:
    """A model that counts what it is asked in states: a call on two states stacked into one array is two evaluations.

    Attributes
    ----------
    model
        The model.
    part : int
        Elements of a state with its batch.
    elements : int
        Elements of all inputs so far, or of the outputs where these are more.
    """

    model: Any
    part: int = 1
    elements: int = 0

    @property
    def prediction(self) -> str:
        """What the model predicts."""
        return prediction_of(self.model)

    @property
    def nfe(self) -> float:
        """Evaluations so far: a fraction where only a part of the batch was asked for."""
        whole, rest = divmod(self.elements, self.part)
        return whole + rest / self.part if rest else whole

    def __call__(self, z: Any, t: Any) -> Any:
        """Return the model's output at states z and time t, and count its rows."""
        output = self.model(z, t)
        self.elements += max(math.prod(np.shape(z)), math.prod(np.shape(output)))
        return output


def divided(grid: Grid, k: int, more: int = 0) -> Grid:
    """Return a grid with k slots for each, and more: by its own rule where this has a number of slots, else by equal parts of t alone."""
    if k == 1 and not more:
        return grid
    rule: Any = grid.recipe
    if len(grid) == len(grid.entire) and "n" in getattr(rule, "__dict__", ()) and not getattr(rule, "parts", ()):
        return build(replace(rule, n=k * rule.n + more), grid.space, grid.schedule)
    t = [float(x) for x in grid.t]
    inner = [a + (b - a) * j / k for a, b in pairwise(t) for j in range(k)]
    return grids.from_timesteps(grid.schedule, [*inner, t[-1]][::-1])  # type: ignore[arg-type]


def law_states(problem: Problem, alpha: float, sigma: float, states: Any, seed: int = 0) -> Array:
    """Return given states, or that many draws of the distribution at a noise level, shape (states, D)."""
    if np.ndim(states):
        return np.asarray(plain("states", states), dtype=np.float64)
    if int(states) < 1:
        raise ValueError(f"states={states!r}: pass a number of 1 or more, or an array of states")
    rng = np.random.default_rng(seed)
    x = np.asarray(problem.sample(int(states), rng), dtype=np.float64)
    return np.asarray(alpha * x + sigma * rng.standard_normal(x.shape))
