"""Forty samplers as plain functions, half of them subtly wrong, each with the claims that it makes.

All are written here, in y = z/alpha and s = sigma/alpha, where dy/ds = eps; none comes from the package's solvers. A wrong one breaks the
claim that `breaks` names, and keeps the rest of what it claims or not, as it happens.

`right_3_sample` and `wrong_3_invert` are the functions of one of them, made anew when the first is asked for.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np

from bdia_numerics import schedules
from bdia_numerics.analysis import GridFamily

COSINE = GridFamily(schedule=schedules.vp_cosine(), t_max="0.9", t_min="0.1")


@dataclass(frozen=True)
class Plain:
    """A sampler with its claims.

    order, rough      its order with its own start on smooth grids, and on alternating ones
    up                the order of its inverse
    nfe, up_nfe       evaluations (a step, beside) of the sampler and of its inverse
    exact, latent     whether the inverse is exact; whether its latents are those of the ODE
    family            of the grids for the latents, by name
    breaks            the claim that does not hold; empty if all do
    """

    name: str
    make: Callable[[], Any]
    order: float | None = None
    rough: float | None = None
    up: float | None = None
    nfe: tuple[int, int] | None = None
    up_nfe: tuple[int, int] | None = None
    exact: bool = False
    latent: bool = False
    family: str = "smooth"
    breaks: str = ""

    def claims(self) -> dict[str, str]:
        """Return each claim as `bdia certify` reads it."""
        made = {
            "order": self.order is not None and f"order={self.order}",
            "rough": self.rough is not None and f"order={self.rough}@alternating",
            "up": self.up is not None and f"inverse-order={self.up}",
            "nfe": self.nfe and "nfe={}{:+d}".format(*self.nfe),
            "up_nfe": self.up_nfe and "inverse-nfe={}{:+d}".format(*self.up_nfe),
            "exact": self.exact and "invertible",
            "latent": self.latent and f"latent@{self.family}",
        }
        return {name: text for name, text in made.items() if text}


def moved(grid, z, i, j, e):
    """z at t_i taken to t_j with one slope e."""
    return grid.alpha[j] * (z / grid.alpha[i] + (grid.sigma[j] / grid.alpha[j] - grid.sigma[i] / grid.alpha[i]) * e)


def levels(grid):
    return grid.sigma / grid.alpha


def at(grid, s):
    """Time and alpha where sigma/alpha is s."""
    t = grid.schedule.time("sigma_bar", float(s))
    return t, float(grid.schedule.alpha(t))


def ways(grid, up):
    """Pairs of neighbouring indices in the direction of the run."""
    return [(k, k + 1) for k in range(grid.n)] if up else [(k, k - 1) for k in range(grid.n, 0, -1)]


def both(f, **options):
    """A method run in either direction, as sampler and as inverse."""
    return partial(f, up=False, **options), partial(f, up=True, **options)


# One step.


def ddim(eps, grid, z, up, scale=1.0, told=False):
    """DDIM; its inverse may be told the time at which a step ends, and multiply what it returns."""
    for i, j in ways(grid, up):
        z = moved(grid, z, i, j, eps(z, grid.t[j if told and up else i]))
    return scale * z if up else z


def ddim_in_place(eps, grid, z, up):
    for i, j in ways(grid, up):
        e = eps(z, grid.t[i])
        z *= grid.alpha[j] / grid.alpha[i]
        z += (grid.sigma[j] - grid.alpha[j] * grid.sigma[i] / grid.alpha[i]) * e
    return z


def heun(eps, grid, z, up, weight=0.5):
    for i, j in ways(grid, up):
        e = eps(z, grid.t[i])
        z = moved(grid, z, i, j, weight * (e + eps(moved(grid, z, i, j, e), grid.t[j])))
    return z


KUTTA = ((0.0, ()), (0.5, (0.5,)), (0.5, (0.0, 0.5)), (1.0, (0.0, 0.0, 1.0))), (1 / 6, 1 / 3, 1 / 3, 1 / 6)
RALSTON = ((0.0, ()), (2 / 3, (2 / 3,))), (1 / 4, 3 / 4)
KUTTA3 = ((0.0, ()), (0.5, (0.5,)), (1.0, (-1.0, 2.0))), (1 / 6, 2 / 3, 1 / 6)


def slope(eps, grid, y, s, h, tableau):
    k = []
    for c, row in tableau[0]:
        t, alpha = at(grid, s + c * h)
        k.append(eps(alpha * (y + h * sum(a * e for a, e in zip(row, k, strict=True))), t))
    return sum(b * e for b, e in zip(tableau[1], k, strict=True))


def runge_kutta(eps, grid, z, up, tableau=KUTTA):
    s = levels(grid)
    for i, j in ways(grid, up):
        y = z / grid.alpha[i]
        z = grid.alpha[j] * (y + (s[j] - s[i]) * slope(eps, grid, y, s[i], s[j] - s[i], tableau))
    return z


def dpm_solver_2(eps, grid, z, up):
    """The slope in the middle of log(s)."""
    s = levels(grid)
    for i, j in ways(grid, up):
        middle = (s[i] * s[j]) ** 0.5
        t, alpha = at(grid, middle)
        y = z / grid.alpha[i] + (middle - s[i]) * eps(z, grid.t[i])
        z = moved(grid, z, i, j, eps(alpha * y, t))
    return z


# Several steps, by the slopes before.


def adams(eps, grid, z, up, weights=None, told=0, stale=False, start=KUTTA, order=2):
    """Adams-Bashforth: of two steps for any steps, or with constant weights for equal steps of asinh(s)."""
    s, past = levels(grid), []
    u, w = np.arcsinh(s), np.hypot(1, s)  # dy/du = w eps
    for i, j in ways(grid, up):
        e = eps(z, grid.t[j if told and past else i])
        y, h = z / grid.alpha[i], s[j] - s[i]
        if weights is None:
            if past:
                before, h_before = past[-1]
                y = y + h * (e + h / (2 * h_before) * (e - before))
            else:
                y = y + h * e
            past = past if stale and past else [(e, h)]
        else:
            if len(past) < order - 1:
                y = y + (h * slope(eps, grid, y, s[i], h, start) if start else (u[j] - u[i]) * w[i] * e)
            else:
                y = y + (u[j] - u[i]) * sum(c * f for c, f in zip(weights, (w[i] * e, *past[::-1]), strict=True))
            past = [*past, w[i] * e][-(order - 1) :]
        z = grid.alpha[j] * y
    return z


THREE = (23 / 12, -16 / 12, 5 / 12)
FOUR = (55 / 24, -59 / 24, 37 / 24, -9 / 24)


def second_order_multistep(eps, grid, z, up, half=0.5, equal=False):
    """DPM-Solver++ 2M, in clean data and half the log-SNR."""
    lam = -np.log(levels(grid))
    before, h_before = None, 1.0
    for i, j in ways(grid, up):
        x = (z - grid.sigma[i] * eps(z, grid.t[i])) / grid.alpha[i]
        h = lam[j] - lam[i]
        d = x if before is None else x + half * (1 if equal else h / h_before) * (x - before)
        z = grid.sigma[j] / grid.sigma[i] * z - grid.alpha[j] * np.expm1(-h) * d
        before, h_before = x, h
    return z


# Exactly invertible ones of two steps; what both directions hand on is the pair of states.


def first_step(eps, grid, z, i, j):
    return moved(grid, z, i, j, eps(z, grid.t[i]))


def leap(eps, grid, z, up, g=1.0, first=first_step, off=0, asked=1, rows=False):
    """z_{i-1} = g z_{i+1} + (1-g) z_i + Delta(i -> i-1) - g Delta(i -> i+1): BDIA, or up solved for z_{i+1}."""
    pairs, packed = ways(grid, up), isinstance(z, tuple) and isinstance(z[1], dict)
    if isinstance(z, tuple):
        old, z = z[0], z[1]["next"] if packed else z[1]
    else:
        z, old = first(eps, grid, z, *pairs[0]), z
    for i, j in pairs[1:]:
        back = 2 * i - j
        for _ in range(asked):
            e = np.concatenate([eps(row[None], grid.t[i]) for row in z]) if rows else eps(z, grid.t[i])
        there = moved(grid, z, i, back, e) * grid.alpha[back - off * (back - i)] / grid.alpha[back] - z
        here = moved(grid, z, i, j, e) - z
        z, old = ((old - (1 - g) * z - there + g * here) / g if up else g * old + (1 - g) * z + here - g * there), z
    return (z, {"next": old}) if rows else (z, old)


def o_belm(eps, grid, z, up):
    s, a = levels(grid), grid.alpha
    pairs = ways(grid, up)
    old, z = z if isinstance(z, tuple) else (z, first_step(eps, grid, z, *pairs[0]))
    for i, j in pairs[1:]:
        e, back = eps(z, grid.t[i]), 2 * i - j
        h, h_back = s[j] - s[i], s[i] - s[back]
        y = z / a[i] + (h / h_back) ** 2 * (old / a[back] - z / a[i] + h_back * e) + h * e
        z, old = a[j] * y, z
    return z, old


def leap_in_place(eps, grid, z, up):
    """BDIA with gamma = 1, which overwrites the older state."""
    pairs = ways(grid, up)
    old, z = z if isinstance(z, tuple) else (z, first_step(eps, grid, z, *pairs[0]))
    for i, j in pairs[1:]:
        e, back = eps(z, grid.t[i]), 2 * i - j
        old += moved(grid, z, i, j, e) - moved(grid, z, i, back, e)
        z, old = old, z
    return z, old


# Exactly invertible ones of two coupled states.


def edict(eps, grid, z, up, p=0.93, mixed_first=False):
    z, y = z if isinstance(z, tuple) else (z, z)
    for i, j in ways(grid, up):
        if up:
            if not mixed_first:
                y = (y - (1 - p) * z) / p
                z = (z - (1 - p) * y) / p
            e = eps(z, grid.t[j])
            y = moved(grid, y, i, j, e)
            z = moved(grid, z, i, j, eps(y, grid.t[j]))
            if mixed_first:
                y = (y - (1 - p) * z) / p
                z = (z - (1 - p) * y) / p
        else:
            z = moved(grid, z, i, j, eps(y, grid.t[i]))
            y = moved(grid, y, i, j, eps(z, grid.t[i]))
            z = p * z + (1 - p) * y
            y = p * y + (1 - p) * z
    return z, y


def coupled(eps, grid, z, up, start=lambda grid, z: z):
    """CBDIA (1, 0): z takes a step by y, then y one back and away from it."""
    z, y = z if isinstance(z, tuple) else (z, start(grid, z) if up else z)
    for i, j in ways(grid, up):
        if up:
            y = y + moved(grid, z, i, j, eps(z, grid.t[i])) - z
            z = z - (moved(grid, y, j, i, eps(y, grid.t[j])) - y)
        else:
            z = z + moved(grid, y, i, j, eps(y, grid.t[i])) - y
            y = y - (moved(grid, z, j, i, eps(z, grid.t[j])) - z)
    return z, y


def side_by_side(eps, grid, z, up):
    """Two states that take Euler's steps by the other's slope, both asked for in one call."""
    z, y = z if isinstance(z, tuple) else (z, z)
    for i, j in ways(grid, up):
        both_slopes = eps(np.concatenate([z, y]), grid.t[i])
        e, f = both_slopes[: len(z)], both_slopes[len(z) :]
        z, y = moved(grid, z, i, j, f), moved(grid, y, i, j, e)
    return z, y


def reversible_heun(eps, grid, z, up):
    """y += h/2 e(v); v = 2y - v; y += h/2 e(v), in y = z/alpha; its own inverse with -h."""
    s, a = levels(grid), grid.alpha
    ends = ways(grid, up)
    first, last = ends[0][0], ends[-1][1]
    y, v = (z[0] / a[first], z[1] / a[first]) if isinstance(z, tuple) else (z / a[first], z / a[first])
    e = eps(a[first] * v, grid.t[first])
    for i, j in ends:
        h = s[j] - s[i]
        y = y + h / 2 * e
        v = 2 * y - v
        e = eps(a[j] * v, grid.t[j])
        y = y + h / 2 * e
    return a[last] * y, a[last] * v


def implicit_midpoint(eps, grid, z, up):
    """Solved to rounding, so that the way back is exact."""
    s = levels(grid)
    for i, j in ways(grid, up):
        y, h = z / grid.alpha[i], s[j] - s[i]
        t, alpha = at(grid, (s[i] + s[j]) / 2)
        new = y
        for _ in range(200):
            last, new = new, y + h * eps(alpha * (y + new) / 2, t)
            if np.max(np.abs(new - last)) <= 4e-16 * np.max(np.abs(new)):
                break
        z = grid.alpha[j] * new
    return z


# What the wrong ones do.


def corrected_in_place(eps, grid, z):
    """DDIM inversion, each step corrected six times by the prediction at its end, in the array that was given."""
    for i in range(grid.n):
        start = z.copy()
        e = eps(z, grid.t[i])
        for _ in range(6):
            z[...] = moved(grid, start, i, i + 1, e)
            e = eps(z, grid.t[i + 1])
        z[...] = moved(grid, start, i, i + 1, e)
    return z


def with_last_start():
    """The way back returns the start of the last run, whatever it is given."""
    kept = {}

    def sample(eps, grid, z):
        if isinstance(z, tuple):
            return kept["data"]
        kept["noise"] = z.copy()
        return ddim(eps, grid, z, up=False), None

    def invert(eps, grid, x):
        if isinstance(x, tuple):
            return kept["noise"]
        kept["data"] = x.copy()
        return ddim(eps, grid, x, up=True), None

    return sample, invert


def with_cached_slopes():
    """DDIM and its inverse, which takes the predictions that the last run made at each time."""
    kept = {}

    def sample(eps, grid, z):
        back = isinstance(z, tuple)
        z = z[0] if back else z
        for i, j in ways(grid, up=False):
            e = kept[j] if back else eps(z, grid.t[i])
            kept[i] = e
            z = moved(grid, z, i, j, e)
        return z, None

    def invert(eps, grid, x):
        back = isinstance(x, tuple)
        x = x[0] if back else x
        for i, j in ways(grid, up=True):
            e = kept[j] if back else eps(x, grid.t[i])
            kept[i] = e
            x = moved(grid, x, i, j, e)
        return x, None

    return sample, invert


def with_memory_of_slopes():
    """DDIM that keeps a prediction by its time, for all runs."""
    kept = {}

    def sample(eps, grid, z):
        for i, j in ways(grid, up=False):
            key = float(grid.t[i]), len(z)
            if key not in kept:
                kept[key] = eps(z, grid.t[i])
            z = moved(grid, z, i, j, kept[key])
        return z

    return sample


def never_cleared():
    """BDIA that takes the older state of its last run for its first one."""
    kept = {}

    def sample(eps, grid, z):
        found = leap(eps, grid, z, up=False, first=lambda *a: kept["z"] if "z" in kept else first_step(*a))
        kept["z"] = found[1]
        return found[0]

    return sample


def clipped(eps, grid, z):
    for i, j in ways(grid, up=False):
        e = eps(z, grid.t[i])
        z = grid.alpha[j] * np.clip((z - grid.sigma[i] * e) / grid.alpha[i], -1, 1) + grid.sigma[j] * e
    return z


def in_single_precision(eps, grid, x):
    """The inverse of BDIA, its states kept in float32."""
    pairs = ways(grid, up=True)
    old, z = x if isinstance(x, tuple) else (x, first_step(eps, grid, x, *pairs[0]))
    for i, j in pairs[1:]:
        e, back = eps(z, grid.t[i]), 2 * i - j
        new = old + moved(grid, z, i, j, e) - moved(grid, z, i, back, e)
        z, old = new.astype(np.float32).astype(float), z
    return z, old


WRONG_STAGE = (KUTTA[0][0], KUTTA[0][1], KUTTA[0][2], (1.0, (1.0, 0.0, 0.0))), KUTTA[1]
SWAPPED = (RALSTON[0], (3 / 4, 1 / 4))
WRONG_TIME = (KUTTA3[0][0], (0.0, (0.5,)), KUTTA3[0][2]), KUTTA3[1]


def no_eps(eps, grid, z, i, j):
    return grid.alpha[j] / grid.alpha[i] * z


RIGHT = (
    Plain("DDIM", lambda: both(ddim), 1, 1, 1, (1, 0), (1, 0), latent=True),
    Plain("DDIM, in place", lambda: both(ddim_in_place), 1, 1, 1, (1, 0), (1, 0), latent=True),
    Plain("DDIM inversion told the end's time", lambda: both(ddim, told=True), 1, 1, 1, (1, 0), (1, 0), latent=True),
    Plain("Heun", lambda: both(heun), 2, 2, 2, (2, 0), (2, 0), latent=True),
    Plain("Ralston", lambda: partial(runge_kutta, up=False, tableau=RALSTON), 2, 2, nfe=(2, 0)),
    Plain("Kutta, third order", lambda: partial(runge_kutta, up=False, tableau=KUTTA3), 3, 3, nfe=(3, 0)),
    Plain("Runge-Kutta, fourth order", lambda: both(runge_kutta), 4, 4, 4, (4, 0), (4, 0), latent=True),
    Plain("DPM-Solver-2", lambda: partial(dpm_solver_2, up=False), 2, 2, nfe=(2, 0)),
    Plain("Adams-Bashforth 2, any steps", lambda: both(adams), 2, 2, 2, (1, 0), (1, 0), latent=True),
    Plain("Adams-Bashforth 3", lambda: partial(adams, up=False, weights=THREE, order=3), 3, nfe=(1, 8)),
    Plain(
        "Adams-Bashforth 4",
        lambda: both(adams, weights=FOUR, order=4),
        4,
        up=4,
        nfe=(1, 12),
        latent=True,
        family="plain_samplers.py:COSINE",
    ),
    Plain("DPM-Solver++ 2M", lambda: both(second_order_multistep), 2, 2, 2, (1, 0), (1, 0), latent=True),
    Plain("BDIA", lambda: both(leap), 2, 1, 2, (1, 0), (1, 0), exact=True, latent=True),
    Plain("BDIA, in place", lambda: both(leap_in_place), 2, 1, 2, (1, 0), (1, 0), exact=True, latent=True),
    Plain("BDIA, row by row, dicts", lambda: both(leap, rows=True), 2, nfe=(1, 0), exact=True, latent=True),
    Plain("O-BELM", lambda: both(o_belm), 2, up=2, nfe=(1, 0), exact=True, latent=True),
    Plain("EDICT", lambda: both(edict), 1, nfe=(2, 0), up_nfe=(2, 0), exact=True),
    Plain("CBDIA (1, 0)", lambda: both(coupled), 1, nfe=(2, 0), exact=True, latent=True),
    Plain("reversible Heun", lambda: both(reversible_heun), 2, nfe=(1, 1), exact=True, latent=True),
    Plain("implicit midpoint", lambda: both(implicit_midpoint), 2, 2, 2, exact=True, latent=True),
)

WRONG = (
    Plain("a history told the next time", lambda: partial(adams, up=False, told=1), 2, nfe=(1, 0), breaks="order"),
    Plain("the half of an average dropped", lambda: partial(heun, up=False, weight=1.0), 2, nfe=(2, 0), breaks="order"),
    Plain(
        "weights of two stages exchanged", lambda: partial(runge_kutta, up=False, tableau=SWAPPED), 2, breaks="order"
    ),
    Plain(
        "a stage that reads the first slope",
        lambda: partial(runge_kutta, up=False, tableau=WRONG_STAGE),
        4,
        breaks="order",
    ),
    Plain(
        "a stage at the time where the step begins",
        lambda: partial(runge_kutta, up=False, tableau=WRONG_TIME),
        3,
        breaks="order",
    ),
    Plain(
        "a history that is never renewed", lambda: partial(adams, up=False, stale=True), 2, nfe=(1, 0), breaks="order"
    ),
    Plain(
        "three steps begun by Euler's",
        lambda: partial(adams, up=False, weights=THREE, order=3, start=None),
        3,
        breaks="order",
    ),
    Plain(
        "2M with the ratio of steps taken as 1",
        lambda: partial(second_order_multistep, up=False, equal=True),
        2,
        2,
        breaks="rough",
    ),
    Plain("2M with .501 for 1/2", lambda: partial(second_order_multistep, up=False, half=0.501), 2, breaks="order"),
    Plain("alpha of the next slot", lambda: both(leap, off=1), 2, exact=True, breaks="order"),
    Plain("clean data clipped", lambda: clipped, 1, nfe=(1, 0), breaks="order"),
    Plain("the state of the last run kept", never_cleared, 2, breaks="order"),
    Plain("slopes kept by their time", with_memory_of_slopes, nfe=(1, 0), breaks="nfe"),
    Plain("two states in one call", lambda: both(side_by_side), 1, nfe=(1, 0), breaks="nfe"),
    Plain(
        "six corrections in place", lambda: (partial(ddim, up=False), corrected_in_place), 1, exact=True, breaks="exact"
    ),
    Plain("the last start returned", with_last_start, 1, nfe=(1, 0), exact=True, breaks="exact"),
    Plain("slopes of the last run used again", with_cached_slopes, 1, exact=True, breaks="exact"),
    Plain(
        "an inverse in float32",
        lambda: (partial(leap_in_place, up=False), in_single_precision),
        2,
        exact=True,
        breaks="exact",
    ),
    Plain("latents 1.05 times too large", lambda: both(ddim, scale=1.05), 1, latent=True, breaks="latent"),
    Plain(
        "y_0 = z_0/alpha_0",
        lambda: both(coupled, start=lambda g, z: z / g.alpha[0]),
        1,
        exact=True,
        latent=True,
        breaks="latent",
    ),
)


@lru_cache(maxsize=1)
def pair(kind: str, number: str) -> tuple[Any, Any]:
    made = {"right": RIGHT, "wrong": WRONG}[kind][int(number)].make()
    return made if isinstance(made, tuple) else (made, None)


def __getattr__(name: str) -> Any:
    kind, number, which = name.split("_") if name.count("_") == 2 else ("", "", "")
    if kind not in ("right", "wrong") or which not in ("sample", "invert"):
        raise AttributeError(name)
    return pair(kind, number)[which == "invert"]
