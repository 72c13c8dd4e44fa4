"""Samplers with places for defects, as plain functions of (eps, grid, z): what experiments/defects.py runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bdia_numerics import grids


def ddim(eps: Any, grid: Any, z: Any, i: int, j: int, t: Any = None, change: Any = None) -> Any:
    """Return a DDIM step from t_i to t_j; the model is told t_i, or t."""
    x0 = (z - grid.sigma[i] * (e := eps(z, grid.t[i] if t is None else t))) / grid.alpha[i]
    return grid.alpha[j] * (x0 if change is None else change(x0)) + grid.sigma[j] * e


@dataclass(frozen=True)
class Leap:
    """BDIA as two functions, with places for defects.

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
    gamma
        Of BDIA.
    stretch
        How much too far back the sampler looks, its inverse not.
    clean
        Whether the last slot ends on clean data, whatever the grid ends on.
    """

    start: Callable[[Any, Any, Any], Any] = lambda eps, grid, x: ddim(eps, grid, x, 0, 1)
    back: Callable[[int, int], int] = lambda i, before: before
    told: Callable[[Any, int], Any] = lambda grid, i: grid.t[i]
    equal: bool = False
    calls: int = 1
    gamma: float = 1.0
    stretch: float = 1.0
    clean: bool = False

    def _slot(self, eps: Any, grid: Any, pair: Any, i: int, j: int, before: int, stretch: float = 1.0) -> Any:
        old, z = pair
        e = eps(z, self.told(grid, i))
        for _ in range(self.calls - 1):
            e = eps(z, self.told(grid, i))
        s = grid.sigma / grid.alpha
        clean = self.clean and j == 0
        forward = (1.0 if clean else grid.alpha[j]) * (z / grid.alpha[i] + ((0.0 if clean else s[j]) - s[i]) * e)
        a, g = grid.alpha[self.back(i, before)], self.gamma
        step = s[i] - s[j] if self.equal else s[before] - s[i]
        if stretch != 1:
            t = grid.t[i] + stretch * (grid.t[before] - grid.t[i])
            a, step = grid.schedule.alpha(t), grid.schedule.sigma_bar(t) - s[i]
        return z, g * old + (1 - g) * z + forward - z - g * (a * (z / grid.alpha[i] + step * e) - z)

    def sample(self, eps: Any, grid: Any, z: Any) -> Any:
        """Noise to data."""
        n = grid.n
        pair = z if isinstance(z, tuple) else (z, ddim(eps, grid, z, n, n - 1, self.told(grid, n)))
        for i in range(n - 1, 0, -1):
            pair = self._slot(eps, grid, pair, i, i - 1, i + 1, self.stretch)
        return pair[::-1]

    def invert(self, eps: Any, grid: Any, x: Any) -> Any:
        """Data to noise; every slot of `sample` solved for the older state."""
        pair = x if isinstance(x, tuple) else (x, self.start(eps, grid, x))
        for i in range(1, grid.n):
            new, z = pair
            zero = self._slot(eps, grid, (0 * z, z), i, i - 1, i + 1)[1]
            pair = (z, (new - zero) / self.gamma)
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
