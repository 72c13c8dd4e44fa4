"""Defects that samplers were shipped with, planted again: what a round trip sees, and what sees the defect."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from bdia_numerics import grids
from bdia_numerics.analysis import GridFamily
from bdia_numerics.testing import (
    assert_exactly_invertible,
    assert_latent_valid,
    assert_nfe,
    assert_order,
    assert_round_trip,
)

ALTERNATING = GridFamily("alternating")


def ddim(eps: Any, grid: Any, z: Any, i: int, j: int, t: Any = None, change: Any = None) -> Any:
    """Return a DDIM step from t_i to t_j; the model is told t_i, or t."""
    x0 = (z - grid.sigma[i] * (e := eps(z, grid.t[i] if t is None else t))) / grid.alpha[i]
    return grid.alpha[j] * (x0 if change is None else change(x0)) + grid.sigma[j] * e


@dataclass(frozen=True)
class Leap:
    """BDIA with gamma = 1 as two functions, with places for defects.

    Attributes
    ----------
    start
        The first step from the data, a function of (eps, grid, x).
    back
        Index of alpha in the backward increment, from (i of the state, i of the state before).
    told
        Time told to the model, from (grid, i).
    equal
        Whether the backward step is taken to be as long as the forward one.
    calls
        Evaluations a slot.
    """

    start: Callable[[Any, Any, Any], Any] = lambda eps, grid, x: ddim(eps, grid, x, 0, 1)
    back: Callable[[int, int], int] = lambda i, before: before
    told: Callable[[Any, int], Any] = lambda grid, i: grid.t[i]
    equal: bool = False
    calls: int = 1

    def _slot(self, eps: Any, grid: Any, pair: Any, i: int, j: int, before: int) -> Any:
        old, z = pair
        e = eps(z, self.told(grid, i))
        for _ in range(self.calls - 1):
            e = eps(z, self.told(grid, i))
        s = grid.sigma / grid.alpha
        forward = grid.alpha[j] * (z / grid.alpha[i] + (s[j] - s[i]) * e)
        step = s[i] - s[j] if self.equal else s[before] - s[i]
        a = grid.alpha[self.back(i, before)]
        return z, old + forward - a * (z / grid.alpha[i] + step * e)

    def sample(self, eps: Any, grid: Any, z: Any) -> Any:
        """Noise to data."""
        n = grid.n
        pair = z if isinstance(z, tuple) else (z, ddim(eps, grid, z, n, n - 1, self.told(grid, n)))
        for i in range(n - 1, 0, -1):
            pair = self._slot(eps, grid, pair, i, i - 1, i + 1)
        return pair[::-1]

    def invert(self, eps: Any, grid: Any, x: Any) -> Any:
        """Data to noise; every slot of `sample` solved for the older state."""
        pair = x if isinstance(x, tuple) else (x, self.start(eps, grid, x))
        for i in range(1, grid.n):
            new, z = pair
            zero = self._slot(eps, grid, (0 * z, z), i, i - 1, i + 1)[1]
            pair = (z, new - zero)
        return pair[::-1]


def runge_kutta(weights: tuple[Any, ...], scaled: bool = True) -> Callable[..., Any]:
    """Return a four-stage method in (z/alpha, sigma/alpha) whose stages read the given earlier ones."""

    def sample(eps: Any, grid: Any, z: Any) -> Any:
        s, schedule = grid.sigma / grid.alpha, grid.schedule
        for i in range(grid.n, 0, -1):
            h, y, k = s[i - 1] - s[i], z / grid.alpha[i], list[Any]()
            for c, reads in zip((0.0, 0.5, 0.5, 1.0), weights, strict=True):
                t = grid.t[i] if c == 0 else schedule.time("sigma_bar", float(s[i] + c * h))
                moved = y if reads is None else y + c * h * k[reads]
                k.append(eps(float(schedule.alpha(t)) * moved, t))
            slope = (k[0] + 2 * k[1] + 2 * k[2] + k[3]) / 6
            z = grid.alpha[i - 1] * (y + (h if scaled else 1 / grid.n) * slope)
        return z

    return sample


def ddim_sample(eps: Any, grid: Any, z: Any, change: Any = None) -> Any:
    """DDIM."""
    for i in range(grid.n, 0, -1):
        z = ddim(eps, grid, z, i, i - 1, change=change)
    return z


def ddim_invert(eps: Any, grid: Any, z: Any) -> Any:
    """DDIM inversion, eq. (10)."""
    for i in range(grid.n):
        z = ddim(eps, grid, z, i, i + 1)
    return z


def corrected(eps: Any, grid: Any, z: Any) -> Any:
    """DDIM inversion, each step corrected once with the prediction at its end."""
    for i in range(grid.n):
        moved = ddim(eps, grid, z, i, i + 1)
        e = eps(moved, grid.t[i + 1])
        z = grid.alpha[i + 1] * (z - grid.sigma[i] * e) / grid.alpha[i] + grid.sigma[i + 1] * e
    return z


class Unreset:
    """Leapfrog that keeps the state of its last run as the older one of the next."""

    def __init__(self) -> None:
        self.kept: Any = None

    def __call__(self, eps: Any, grid: Any, z: Any) -> Any:
        """Noise to data."""
        if isinstance(z, tuple):
            return Leap().sample(eps, grid, z)
        n = grid.n
        after = ddim(eps, grid, z, n, n - 1) if self.kept is None else self.kept
        found = Leap().sample(eps, grid, (z, after))
        self.kept = found[0]
        return found


def adaptive(eps: Any, grid: Any, z: Any, up: bool = False) -> Any:
    """Leapfrog on steps that it chooses by the prediction where it begins."""
    e = eps(z, grid.t[0 if up else grid.n])
    bend = 1 + 0.2 * float(np.sqrt(np.mean(e**2)))
    share = np.linspace(0, 1, grid.n + 1) ** bend
    u = np.arcsinh(np.asarray(grid.sigma / grid.alpha, dtype=float))
    s = np.sinh(u[0] + (u[-1] - u[0]) * share)
    times = [float(grid.schedule.time("sigma_bar", float(x))) for x in s[1:-1]]
    own = grids.from_timesteps(grid.schedule, [grid.t[grid.n], *times[::-1], grid.t[0]])
    return Leap().invert(eps, own, z) if up else Leap().sample(eps, own, z)


@dataclass(frozen=True)
class Defect:
    """A defect, the right method beside it, and the assertion that tells them apart.

    Attributes
    ----------
    name
        The defect.
    sample, invert
        With the defect; no inverse where the method has none.
    right
        The same without it: (sample, invert).
    check
        An assertion of (sample, invert=).
    shown
        That assertion in words.
    returns
        Whether the plain round trip passes with the defect; None where there is none to make.
    """

    name: str
    sample: Any
    invert: Any
    right: tuple[Any, Any]
    check: Callable[..., Any]
    shown: str
    returns: bool | None

    def exposed(self) -> str:
        """Return the message of the assertion; empty if it passes."""
        try:
            self.check(self.sample, invert=self.invert)
        except AssertionError as error:
            return str(error)
        return ""

    def round_trip(self, within: float = 1e-6) -> bool:
        """Say whether a plain round trip from the data passes."""
        try:
            assert_round_trip(self.sample, invert=self.invert, within=within, grid=24)
        except AssertionError:
            return False
        return True


def _leap(name: str, check: Any, shown: str, returns: bool = True, **options: Any) -> Defect:
    wrong, right = Leap(**options), Leap()
    return Defect(name, wrong.sample, wrong.invert, (right.sample, right.invert), check, shown, returns)


_SAMPLED = partial(assert_order, order=2)
_UP = partial(assert_order, order=2, direction="invert")
_RK4 = (None, 0, 1, 2)
_PAIR = (Leap().sample, Leap().invert)


def defects() -> tuple[Defect, ...]:
    """Return all of them, made anew."""
    kutta = runge_kutta(_RK4)
    fourth = ((kutta, None), partial(assert_order, order=4), "assert_order(..., 4)", None)
    return (
        _leap(
            "the inverse's first step without the noise prediction",
            _UP,
            'assert_order(..., 2, direction="invert")',
            start=lambda eps, grid, x: grid.alpha[1] / grid.alpha[0] * x,
        ),
        _leap(
            "the same, seen by the latent",
            assert_latent_valid,
            "assert_latent_valid(...)",
            start=lambda eps, grid, x: grid.alpha[1] / grid.alpha[0] * x,
        ),
        _leap(
            "alpha of the next slot for that of the previous one", _SAMPLED, "assert_order(..., 2)", back=lambda i, b: i
        ),
        _leap(
            "equal steps assumed",
            partial(assert_order, order=1, family=ALTERNATING),
            'assert_order(..., 1, family=GridFamily("alternating"))',
            equal=True,
        ),
        _leap(
            "the index of the step told for its time",
            _SAMPLED,
            "assert_order(..., 2)",
            told=lambda g, i: g.t[-1] * i / g.n / 2,
        ),
        _leap(
            "two evaluations a slot where one is needed", partial(assert_nfe, per_step=1), "assert_nfe(..., 1)", calls=2
        ),
        Defect(
            "a state of the last run kept for the next",
            Unreset(),
            Leap().invert,
            _PAIR,
            _SAMPLED,
            "assert_order(..., 2)",
            True,
        ),
        Defect(
            "predicted clean data clipped to [-1, 1]",
            partial(ddim_sample, change=lambda x: np.clip(x, -1, 1)),
            ddim_invert,
            (ddim_sample, ddim_invert),
            partial(assert_order, order=1),
            "assert_order(..., 1)",
            False,
        ),
        Defect(
            "an inverse that is a predictor-corrector",
            ddim_sample,
            corrected,
            _PAIR,
            assert_exactly_invertible,
            "assert_exactly_invertible(...)",
            False,
        ),
        Defect(
            "adaptive steps that the way back chooses anew",
            adaptive,
            partial(adaptive, up=True),
            _PAIR,
            assert_exactly_invertible,
            "assert_exactly_invertible(...)",
            False,
        ),
        Defect("a last stage that reads the first slope", runge_kutta((None, 0, 1, 0)), None, *fourth),
        Defect("a step size left out of the sum", runge_kutta(_RK4, scaled=False), None, *fourth),
    )


def table() -> str:
    """Return the defects in Markdown: what a round trip says, and what the assertion says."""
    lines = ["| defect | plain round trip | exposed by | what it says |", "|---|---|---|---|"]
    for defect in defects():
        trip = "none to make" if defect.returns is None else "passes" if defect.round_trip() else "fails"
        said = defect.exposed().split(": ", 2)[-1].split(". ")[0].replace("|", "\\|")
        lines.append(f"| {defect.name} | {trip} | `{defect.shown}` | {said} |")
    return "\n".join(lines)
