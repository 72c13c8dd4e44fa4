"""What can be certified: solvers, plain functions, diffusers' schedulers and k-diffusion's samplers, in one form.

Torch is imported when one of the latter two runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from importlib.util import find_spec
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from bdia_numerics import grids, names, schedules
from bdia_numerics.analysis import GridFamily
from bdia_numerics.analysis.measurement.errors import ExactProblem, doubt
from bdia_numerics.analysis.measurement.observed import as_family
from bdia_numerics.grids import Grid
from bdia_numerics.grids.grid import build, slots_of
from bdia_numerics.problems import GaussianMixture
from bdia_numerics.problems.problem import known_flow
from bdia_numerics.program import Solver, invertibility, structure
from bdia_numerics.runs.encoding import encode, invert, solve
from bdia_numerics.runs.state import State, identity
from bdia_numerics.spaces import plain
from bdia_numerics.spaces.values import takes
from bdia_numerics.testing.carry import CountedStates, copied
from bdia_numerics.texts import one_of, refuse, shown

Array = np.ndarray[Any, Any]
Function = Callable[[Any, Grid, Any], Any]
"""(eps, grid, z) to the state at the other end, or to a tuple with it in front, which the opposite function takes as its z."""

NEAR = 1e-6
"""Levels that differ by this part are one: tables are in single precision, and looked up in more than one way."""
PATTERNS: dict[Any, tuple[int, ...]] = {"smooth": (1,), "alternating": (1, 2), "own": ()}
OWN_STEPS = 25
"""Divides 1000, also doubled and redoubled."""
DIRECTIONS = ("sample", "invert")
SLOTS, STATES = 24, 32
RAISES = ArithmeticError, AssertionError, LookupError, RuntimeError, TypeError, ValueError
"""What a sampler may raise on grids that it was not asked about: it is reported, and does not end the test."""
LAW = GaussianMixture([0.4, 0.6], [[-1.0], [1.2]], [0.1, 0.2])
"""The default distribution: two modes on the line, so that eps is not linear, the flow is exact, and states leave [-1, 1]."""


NOTES: list[str] = []
"""What assertions have measured since it was last emptied, in words: the plugin's ledger and `certify` hold it."""


class Undecided(AssertionError):
    """Neither a claim nor its contrary was shown; the message says why."""


@dataclass(frozen=True)
class InUse:
    """Grids as they are used: what they are called, the function of n that makes them, and the numbers of steps that divide them evenly."""

    label: str
    make: Callable[[int], Grid]
    steps: tuple[int, ...] | None = None

    def __call__(self, n: int, **_: Any) -> Grid:
        """Return the grid of n slots, in floats."""
        return self.make(n)


_SD = schedules.stable_diffusion()
_TRAINED = 1000
_DIVISORS = (20, 25, 40, 50, 100, 125, 200, 250, 500)
IN_USE: Mapping[str, InUse] = {
    "leading": InUse(
        "Stable Diffusion's leading",
        cache(lambda n: grids.leading(_SD, n, steps_offset=1, final_alpha=None)),
        _DIVISORS,
    ),
    "trailing": InUse(
        "Stable Diffusion's trailing", cache(lambda n: grids.trailing(_SD, n, final_alpha=None)), _DIVISORS
    ),
    "flow": InUse("the uniform flow", cache(lambda n: grids.uniform(schedules.flow(), n, t_max="0.99", t_min="0.01"))),
}
"""By the word that names them. Those that count training steps have numbers of steps that divide these: with others their span changes."""


def family_of(family: Any) -> Callable[..., Grid]:
    """Return the family of grids that a text names, of `IN_USE`; everything else as `as_family`.

    Raises
    ------
    TypeError
        For what makes no grids.
    ValueError
        For a text that names no family.
    """
    if isinstance(family, str) and ":" not in family:
        one_of("family", family, (*names.FAMILIES, *IN_USE))
    return IN_USE[family] if isinstance(family, str) and family in IN_USE else as_family(family)


@dataclass(frozen=True, eq=False)
class SamplerRun:
    """One run from exact states, with what it should have come to.

    Attributes
    ----------
    start, end, truth : array, shape (*batch, *data)
        States before and after it; the exact flow of `start`.
    doubt : float
        The error that `truth` may have, apart from rounding.
    nfe : int or float
        Evaluations of the model, each of one state with its batch; see `CountedStates`.
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


class OnGrids:
    """What solvers and functions share: they run on a `Grid` with a schedule, which is their place."""

    takes_grids = True
    _go: Callable[..., tuple[Array, Any]]

    def place(self, grid: Any) -> Any:
        """Return the grid, or the default family's of so many slots."""
        if grid is None or isinstance(grid, int):
            return GridFamily()(SLOTS if grid is None else grid)
        if not isinstance(grid, Grid) or grid.schedule is None:
            raise TypeError(
                f"grid={shown(grid)}: pass a grid with a schedule, as grids.uniform makes, or a number of slots"
            )
        return grid

    def family(self, family: Any) -> tuple[str, Callable[[int, int | None], Any]]:
        """Return what a family of grids is called, the smooth one by default, and the function from (n, seed) to a grid of it."""
        chosen = family_of(family)
        label = str(getattr(chosen, "label", getattr(chosen, "__name__", "given")))
        return label, lambda n, seed: chosen(n) if seed is None else chosen(n, seed=seed)

    def steps_of(self, family: Any) -> tuple[int, ...] | None:
        """Return the numbers of steps of a family that has its own, None for others."""
        return getattr(family, "steps", None)

    def divided(self, grid: Any, family: Any) -> tuple[str, Callable[..., Any]]:
        """Return what grids are called, and the function from (k, more=0) to one with k times the first one's slots, and more."""
        family = None if family == "any" else family
        if isinstance(grid, Grid):
            if family is not None:
                raise ValueError(f"grid={shown(grid)} and family={shown(family)}: pass one of them")
            return "the given", partial(divided, self.place(grid))
        label, chosen = self.family(family)
        n = slots_of(SLOTS if grid is None else grid)
        return label, lambda k, more=0: chosen(k * n + more, None)

    def grid(self, place: Any) -> tuple[Grid, Any]:
        """Return the grid of a place, and the schedule in whose times it counts."""
        return place, place.schedule

    def run(
        self, problem: ExactProblem, place: Any, direction: str, states: Any = STATES, carry: Any = None
    ) -> SamplerRun:
        """Run from exact states at one end, or from what the opposite run left."""
        begin, finish = (place.n, 0) if direction == "sample" else (0, place.n)
        start = law_states(problem, float(place.alpha[begin]), float(place.sigma[begin]), states)
        eps = CountedStates(problem.model(place.schedule), start.size)
        with np.errstate(all="ignore"):
            end, further = copied(self._go(direction, eps, place, copied(start if carry is None else carry)))
        truth = truth_of(problem, start, place.t[begin], place.t[finish], place.schedule)
        return SamplerRun(start, end, *truth, eps.nfe, place.n, further)


@dataclass(frozen=True, eq=False)
class SolverSampler(OnGrids):
    """A solver, run by `solve` and `invert`; from the data it starts as `encode` does."""

    solver: Solver

    @property
    def label(self) -> str:
        """The solver with its parameters."""
        return identity(self.solver)

    def _go(self, direction: str, eps: Any, grid: Grid, given: Any) -> tuple[Array, Any]:
        if direction == "sample":
            found = solve(self.solver, eps, grid, given)
        elif not isinstance(given, State):
            found = encode(self.solver, eps, grid, given)
        elif invertibility(self.solver).invertible:
            found = invert(self.solver, eps, grid, given)
        else:
            found = encode(self.solver, eps, grid, given.registers[structure(self.solver).output])
        return found.z, found.z if found.state is None else found.state


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

    def _go(self, direction: str, eps: Any, grid: Grid, given: Any) -> tuple[Array, Any]:
        function = self.sample if direction == "sample" else self.inverse
        if function is None:
            raise TypeError(f"{self.label} has no inverse: pass invert=, a function of (eps, grid, x)")
        name, sent = getattr(function, "__name__", function), np.shape(given[0] if isinstance(given, tuple) else given)
        found = copied(function(eps, grid, given))
        end = found[0] if isinstance(found, tuple) else found
        if np.shape(end) != sent:
            said = "None" if end is None else f"shape {np.shape(end)}"
            also = " (its z is the tuple that the opposite run returned)" if isinstance(given, tuple) else ""
            raise TypeError(
                f"{name} returned {said} for states of shape {sent}{also}: return the state at the other end, "
                "or a tuple with it in front"
            )
        state = np.asarray(plain("the returned state", end))
        if state.dtype.kind not in "fiu":
            raise TypeError(f"{name} returned a state of {state.dtype}: return real numbers")
        return state, found


@dataclass(frozen=True, eq=False)
class Steps:
    """A place of a scheduler: a number of steps, on its own times or on levels that repeat a pattern of steps."""

    n: int
    pattern: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class SchedulerSampler:
    """A scheduler, the one that inverts it, and what both shift their levels by."""

    scheduler: Any
    inverse: Any = None
    mu: float | None = None
    takes_grids: ClassVar[bool] = False

    @property
    def label(self) -> str:
        """The class of the scheduler."""
        return type(self.scheduler).__name__

    def place(self, grid: Any) -> Any:
        """Return the steps."""
        if grid is None or isinstance(grid, int):
            return Steps(SLOTS if grid is None else grid)
        raise TypeError(f"grid={shown(grid)}: a scheduler makes its own times: pass a number of steps")

    def family(self, family: Any) -> tuple[str, Callable[[int, int | None], Any]]:
        """Return smooth times, or alternating ones (h, 2h), or with "own" those of the configuration."""
        chosen = "smooth" if family is None else family
        if chosen not in PATTERNS:
            raise TypeError(
                f"family={shown(family)}: a scheduler makes its own times: pass 'smooth', 'alternating', 'any' or 'own'"
            )
        return "own times" if chosen == "own" else chosen, lambda n, _: Steps(n, PATTERNS[chosen])

    def steps_of(self, family: Any) -> tuple[int, ...] | None:
        """Return the numbers of steps that divide its own times, where these are of a table."""
        whole = len(getattr(self.scheduler, "alphas_cumprod", ())) == _TRAINED
        return _DIVISORS if family == "own" and whole else None

    def divided(self, grid: Any, family: Any) -> tuple[str, Callable[..., Any]]:
        """Return its own times, k times as many, and more."""
        if family not in (None, "own"):
            raise TypeError(f"family={shown(family)}: a scheduler makes its own times: pass None or 'own'")
        n = self.place(OWN_STEPS if grid is None else grid).n
        return "own", lambda k, more=0: Steps(k * n + more)

    def grid(self, place: Any) -> tuple[Grid, Any]:
        """Return the grid of the levels at which the scheduler evaluates the model, with both ends, in times s = sigma/alpha."""
        from bdia_numerics.testing.driving import walked

        walk = walked(self.scheduler, place.n, self.mu)
        s = np.array(sorted((*walk.told, walk.begins[0], walk.ends[-1])))
        s = s[np.concatenate([[True], np.diff(s) > NEAR * s[1:]])]
        return grids.from_values(s, walk.levels.alpha(s), walk.levels.sigma(s)), walk.levels

    def run(
        self, problem: ExactProblem, place: Any, direction: str, states: Any = STATES, carry: Any = None
    ) -> SamplerRun:
        """Drive the scheduler of a direction by `set_timesteps` and `step`."""
        from bdia_numerics.testing.driving import refined, walked

        scheduler = self.scheduler if direction == "sample" else self.inverse
        if scheduler is None:
            raise TypeError(f"{self.label} has no inverse: pass invert=, a scheduler that takes data to noise")
        chosen, passed = refined(scheduler, place.n, pattern=place.pattern) if place.pattern else (scheduler, None)
        walk = walked(chosen, place.n, self.mu, passed)
        s_from, s_to, levels = float(walk.begins[0]), float(walk.ends[-1]), walk.levels
        if carry is None:
            start = law_states(problem, float(levels.alpha(s_from)), float(levels.sigma(s_from)), states)
        else:
            start = np.array(plain("carry", carry))
        model = CountedStates(problem.model(levels), start.size)
        end = walk.run(model, start)
        return SamplerRun(start, end, *truth_of(problem, start, s_from, s_to, levels), model.nfe, place.n, end)


Sampler = SolverSampler | FunctionSampler | SchedulerSampler


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
        return SchedulerSampler(subject, invert, mu)
    if mu is not None:
        raise TypeError(f"mu={mu}: only a scheduler takes it: leave it out")
    if not is_class and hasattr(subject, "registers") and hasattr(subject, "step"):
        if invert is not None:
            raise TypeError(f"invert={shown(invert)}: the inverse of a solver is derived from its step: leave it out")
        return SolverSampler(subject)
    if callable(subject) and not is_class:
        takes("subject", subject, "eps", "grid", "z")
        if invert is not None:
            takes("invert", invert, "eps", "grid", "x")
        return FunctionSampler(subject, invert)
    raise TypeError(
        f"{shown(subject)} is not a sampler: pass an object with registers and step, a function sample(eps, grid, z), "
        "or a scheduler with set_timesteps and step; of a class, an instance"
    )


def from_kdiffusion(function: Callable[..., Any], *, inverse: bool = False, **options: Any) -> Function:
    """Return a sampler of k-diffusion as a function ``sample(eps, grid, z)``, which `assert_order` and its like take.

    Parameters
    ----------
    function
        ``function(model, x, sigmas, disable=True, **options)``, such as those of k_diffusion.sampling or of a node of ComfyUI.
    inverse
        Whether it takes data to noise, for `invert=`: it is then given rising sigmas.
    **options
        More arguments of the function, such as ``order=3``.

    Returns
    -------
    callable
        The states have shape (batch, D) and are passed on as float64 tensors x = z/alpha; the levels are sigma/alpha.

    Raises
    ------
    TypeError
        For what cannot be called.

    Examples
    --------
    >>> from bdia_numerics.testing import assert_nfe, from_kdiffusion
    >>> def sample_euler(model, x, sigmas, extra_args=None, callback=None, disable=None):
    ...     for s, following in zip(sigmas, sigmas[1:]):
    ...         x = x + (following - s) * (x - model(x, s * x.new_ones(len(x)))) / s
    ...     return x
    >>> assert_nfe(from_kdiffusion(sample_euler), 1)
    (12, 25)
    """
    if not callable(function):
        raise TypeError(f"function={shown(function)} cannot be called: pass a sampler of k-diffusion")
    if find_spec("torch") is None:
        raise ImportError("a sampler of k-diffusion needs torch: pip install 'bdia_numerics[torch]'")

    def sample(eps: Any, grid: Grid, z: Array) -> Array:
        import torch

        alpha, levels = grid.alpha, grid.sigma / grid.alpha
        known = dict(zip(levels.tolist(), grid.t.tolist(), strict=True))
        begin, end = (0, grid.n) if inverse else (grid.n, 0)

        def model(x: Any, sigma: Any, **_: Any) -> Any:
            s = float(sigma.reshape(-1)[0])
            schedule: Any = grid.schedule
            # A stage between two levels of the grid is at a time of its own.
            t = known[s] if s in known else float(schedule.time("sigma_bar", s))
            return x - s * torch.from_numpy(np.asarray(eps(float(schedule.alpha(t)) * x.numpy(), t)))

        sigmas = torch.from_numpy(levels if inverse else levels[::-1].copy())
        found = function(model, torch.from_numpy(z / alpha[begin]), sigmas, disable=True, **options)
        return np.asarray(alpha[end] * found.numpy())

    sample.__name__ = str(getattr(function, "__name__", type(function).__name__))
    return sample


def truth_of(problem: ExactProblem, start: Array, t_from: Any, t_to: Any, schedule: Any) -> tuple[Array, float]:
    """Return the exact end of a run, and the error that it may have, apart from rounding."""
    truth, stated = known_flow(problem, start, t_from, t_to, schedule)
    return np.asarray(truth), doubt(problem, start, truth, (t_from, t_to), schedule, stated)


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


def below_one(tolerance: float, why: str) -> None:
    """Raise ValueError unless a tolerance, of what is 1 when all is lost, is from 0 to below 1."""
    refuse((not 0 <= tolerance < 1, f"tolerance={shown(tolerance)}: {why}: pass a number from 0 to below 1"))


def law_states(problem: ExactProblem, alpha: float, sigma: float, states: Any, seed: int = 0) -> Array:
    """Return given states, or that many draws of the distribution at a noise level, shape (states, D)."""
    if np.ndim(states):
        return np.asarray(plain("states", states), dtype=np.float64)
    if int(states) < 1:
        raise ValueError(f"states={shown(states)}: pass a number of 1 or more, or an array of states")
    rng = np.random.default_rng(seed)
    x = np.asarray(problem.sample(int(states), rng), dtype=np.float64)
    return np.asarray(alpha * x + sigma * rng.standard_normal(x.shape))
