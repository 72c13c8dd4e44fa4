"""Facts 27 to 30: which variable, which start and which grids serve exactly invertible multistep methods, and methods of two registers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import cache, partial
from typing import Any

import numpy as np

from bdia_numerics import grids, models, names, schedules
from bdia_numerics.analysis import (
    PRACTICAL,
    GridFamily,
    Multistep,
    amplification,
    gaussian_jacobian,
    stability_polynomial,
)
from bdia_numerics.analysis.measurement.errors import exact_states, root_mean_square, run_from
from bdia_numerics.analysis.perturbation.amplification import evaluations
from bdia_numerics.claims.bdia_order import require_order
from bdia_numerics.claims.formal import require_same
from bdia_numerics.claims.ledger import check, printed, require
from bdia_numerics.claims.multistep import vp_errors
from bdia_numerics.grids import Grid
from bdia_numerics.problems import Gaussian
from bdia_numerics.program import Slot, invertibility, record_steps
from bdia_numerics.runs.encoding import encode, solve
from bdia_numerics.solvers import (
    ALF,
    BDIA3,
    DDIM,
    RK4,
    Composed,
    DPMSolver,
    Heun,
    Leapfrog,
    ReversibleHeun,
    SymmetricMultistep,
)
from bdia_numerics.spaces import SYMBOLS, Array, Vector, formal_model
from bdia_numerics.spaces.later import sympy

HALF = Fraction(1, 2)
ANGLE = schedules.vp_cosine(0)
"""alpha = cos(pi t/2): steps equal in t are equal in the angle atan(sigma/alpha), and dz/dt is pi v/2."""


FOUR = partial(SymmetricMultistep, 4, variable="angle")
"""The method of four steps and order 4 with the roots of zeta^2 + 2 c zeta + 1, from its c."""
LEAPFROG = Multistep((-1, 0), (2,), "angle")
STARTS = {"four steps": 9, "leapfrog": 1, "ALF": 1, "DDIM": 0}
"""Evaluations of a run less its number of slots."""
STATES = 64


def errors_in_angle(four: Any, law: str, schedule: Any, nfe: int, back: bool = False) -> dict[str, float]:
    """Return root mean square errors of samples, or of latents, at a number of evaluations with starts paid, steps equal in t."""
    problem, rng = names.distribution(law), np.random.default_rng(0)
    z = problem.sample(STATES, rng) if back else rng.standard_normal((STATES, 1))
    found = {}
    for (name, more), solver in zip(STARTS.items(), (four, LEAPFROG, ALF("angle"), DDIM()), strict=True):
        grid = grids.uniform(schedule, nfe - more, t_max=Fraction(99, 100), t_min=Fraction(1, 1000))
        model, ends = models.counted(problem.model(schedule)), (grid.t[grid.n], grid.t[0])
        end = encode(solver, model, grid, z).z if back else solve(solver, model, grid, z).z
        require(nfe <= model.nfe <= nfe + 2 * back, f"{name}: {model.nfe} evaluations, not {nfe}")
        found[name] = root_mean_square(end - problem.flow(z, *(ends[::-1] if back else ends), schedule))
    return found


def contractions(variance: Fraction, schedule: Any = ANGLE) -> tuple[float, float]:
    """Return how many times the flow of a Gaussian contracts z, and z/alpha, times its standard deviation; the latter over s_max."""
    t = 0.9999
    scale = Gaussian([0.0], float(variance)).flow(np.ones((1, 1)), t, 0, schedule).item()
    width = float(variance) ** 0.5
    return width / scale, width / (scale * schedule.alpha(t)) / schedule.sigma_bar(t)


@check(
    "fact-27",
    verdict="measured",
    mutants={
        "steps equal in t of another schedule": {"schedule": schedules.vp_linear},
        "roots near 1": {"four": lambda: FOUR(Fraction(-9, 10))},
        "a schedule that explodes the variance": {"contracted": lambda: lambda v: contractions(v, schedules.edm())},
    },
)
def coordinate(
    four: Any = FOUR(),  # noqa: B008
    schedule: Any = ANGLE,
    contracted: Callable[[Fraction], Sequence[float]] = contractions,
) -> dict[str, Any]:
    """Contractions from the exact flow; errors at equal evaluations on three distributions, and which method is ahead where."""
    found = [contracted(Fraction(1, k)) for k in (4, 100)]
    require(
        np.abs(np.array(found) - 1).max() < 1e-3, f"sd times the contractions in z, and in z/alpha over s_max: {found}"
    )
    broad = errors_in_angle(four, "mixture", schedule, 40)
    said = [f"{name} {printed(broad[name], text)}" for name, text in BROAD.items()]
    ahead = {(law, nfe, back): errors_in_angle(four, law, schedule, nfe, back) for law, nfe, back, _ in CROSSING}
    for (*key, first), errors in zip(CROSSING, ahead.values(), strict=True):
        best = min(errors, key=lambda name: errors[name])
        require(best == first, f"{key}: the least error is that of {best}: {errors}")
    lines = [
        f"{law}, {nfe} for {'latents' if back else 'samples'}: {e['four steps']:.1e} and {e['ALF']:.1e}"
        for (law, nfe, back), e in ahead.items()
    ]
    widths = [float(names.distribution(law).covs[0]) ** 0.5 for law in ("modes", "small")]
    return {"broad": said, "widths": widths, "lines": "; ".join(lines)}


BROAD = {"four steps": "4.0e-06", "leapfrog": "4.2e-04", "ALF": "7.4e-05", "DDIM": "3.2e-02"}
"""Errors at 40 evaluations on two broad modes."""
CROSSING = (
    ("modes", 40, False, "ALF"),
    ("modes", 60, False, "four steps"),
    ("modes", 60, True, "ALF"),
    ("modes", 100, True, "four steps"),
    ("small", 100, False, "ALF"),
)
"""A distribution, a number of evaluations, whether latents and not samples, and the method of the least error."""


START_ORDERS: Mapping[str, tuple[Any, int]] = {
    "exact": ("exact", 4), "Heun": (Heun(), 3), "order 3": (DPMSolver(3), 4), "DDIM": (DDIM(), 2),
}  # fmt: skip
"""First states by name, and the order of BDIA3(1, 1, 1) from them."""


@check(
    "fact-28",
    verdict="refuted",
    mutants={
        "gammas inside the circle": {"solver": lambda: BDIA3(Fraction(9, 10), Fraction(3, 5), Fraction(3, 10))},
        "Heun's method for one of order 3": {"starts": lambda: {**START_ORDERS, "order 3": (Heun(), 4)}},
        "DDIM for Heun's method": {"starts": lambda: {**START_ORDERS, "Heun": (DDIM(), 3)}},
        "DDIM for Heun's method at 40 steps": {"early": lambda: (DDIM(), DDIM(), RK4())},
    },
)
def start(
    solver: Any = BDIA3(1, 1, 1),  # noqa: B008
    starts: Mapping[str, tuple[Any, int]] | None = None,
    early: Sequence[Any] = (Heun(), DDIM(), RK4()),
) -> dict[str, Any]:
    """The order and the error of four-step BDIA after starts of orders 1 to 3, beside exact first states; errors at 40 steps."""
    found, orders = {}, []
    for name, (first, order) in (starts or START_ORDERS).items():
        found[name] = vp_errors(solver, "smooth", first)
        orders.append(require_order(*found[name], order, f"{name} as start", 0.2))
    exact, third, heun = (np.array(found[name]) for name in ("exact", "order 3", "Heun"))
    require(
        np.abs(third / exact - 1).max() < 0.05,
        f"after a start of order 3 the errors are {third}, from exact states {exact}",
    )
    errors = np.transpose([after_forty(solver, s) for s in early])
    second, first = errors[:, :2].T / errors[:, 2]
    require(second.max() < 10 < 40 < first.max(), f"errors at 40 steps over those after RK4: {second}, {first}")
    return {
        "orders": orders, "names": list(found), "steps": (80, 160), "worse": (heun / exact).tolist(), "cells": len(second),
        "least": second.min(), "most": second.max(), "even": int((second <= 1.001).sum()), "ddim": first.max(),
    }  # fmt: skip


@cache
def after_forty(solver: Any, start: Any) -> tuple[float, ...]:
    """Return a solver's errors on `forty_steps`."""
    runs = [(run_from(solver, law, grid, truth, start), truth) for law, grid, truth in forty_steps()]
    return tuple(root_mean_square(run.z - truth[0]) for run, truth in runs)


@cache  # a grid keeps the plans of its solvers, whatever their start
def forty_steps() -> list[tuple[Any, Grid, Array]]:
    """Return distributions with grids of 40 slots over the whole range of a schedule, and exact states at both ends."""
    made = [
        make(schedule, 40, t_max=t_max, t_min=Fraction(t_min))
        for schedule, t_max, t_min in ((schedules.vp_linear(), 1, "0.001"), (schedules.edm(), 80, "0.002"))
        for make in (grids.log_snr, grids.karras, grids.asinh)
    ]
    cases = [(names.distribution(law), grid) for grid in made for law in ("mixture", "modes")]
    return [(law, grid, exact_states(law, grid, STATES // 2, indices=[0])) for law, grid in cases]


CONSTANT = Multistep((-1, 0, 0, 0), (Fraction(8, 3), Fraction(-4, 3), Fraction(8, 3)))
"""Milne's predictor with its weights of equal steps."""


def adapted(slot: Slot) -> Any:
    """Return gamma_3 with which BDIA3(1, 1, gamma_3) has order 4 on any steps: the errors of its interpolant cancel over the slots."""
    h = (slot.h, *(-s.h for s in (slot.previous, slot.previous.previous, slot.previous.previous.previous)))
    places = (h[0], 0, h[1], h[1] + h[2], h[1] + h[2] + h[3])  # of t_{i-1}, t_i, ..., seen from t_i

    def primitive(x: Any) -> Any:  # of x (x - places[2]) (x - places[3])
        return x**4 / 4 - (places[2] + places[3]) * x**3 / 3 + places[2] * places[3] * x**2 / 2

    new, first, second, third = (
        primitive(b) - primitive(a) for a, b in zip((0, *places[1:]), (places[0], *places[2:]), strict=False)
    )
    return (new - first - second) / third


@check(
    "fact-29",
    verdict="measured",
    mutants={
        "weights of equal steps": {"constant": lambda: CONSTANT},
        "the constant rho for the adapted one": {"other": lambda: BDIA3(1, 1, 1)},
    },
)
def uneven(constant: Any = BDIA3(1, 1, 1), other: Any = BDIA3(1, 1, adapted, allow_any=True)) -> dict[str, Any]:  # noqa: B008
    """Orders on smooth and alternating grids; growth of errors in the inverse of constant and of adapted rho."""
    require(invertibility(constant).invertible, "interpolated weights cost the inverse")
    orders = [
        require_order(*vp_errors(constant, kind), order, f"{kind} grid", 0.25)
        for kind, order in (("smooth", 4), ("alternating", 3))
    ]
    alternating = GridFamily("alternating", schedules.vp_linear(), 0.6, 0.1)
    makes: Mapping[str, Callable[[int], Grid]] = {"alternating": alternating, **PRACTICAL}
    J, lines = gaussian_jacobian(1.0), []
    for name, make in makes.items():
        kept, lost = (amplification(s, make(20), "invert", J=J).total for s in (constant, other))
        require(
            lost > 1e5 * kept,
            f"{name}: the inverse enlarges errors {kept:.2g} times with constant rho, {lost:.2g} adapted",
        )
        lines.append(f"{name} {kept:.2g} and {lost:.1g}")
    return {"orders": orders, "lines": "; ".join(lines)}


def evaluated_at(solver: Any) -> list[tuple[Vector, Vector]]:
    """Return where a solver evaluates an uninterpreted model, and the evaluations, over equal steps of length -1 with alpha = 1."""
    grid = grids.from_timesteps(schedules.edm(), [Fraction(t) for t in (5, 4, 3, 2, 1)]).to(SYMBOLS)
    model, seen = formal_model(), []

    def listening(z: Vector, t: Any) -> Vector:
        seen.append((z, model(z, t)))
        return seen[-1][1]

    start = {name: Vector.basis(name) for name in solver.registers}
    solve(solver, listening, grid, start["z"], start=start)
    return seen


def one_evaluation(r: int) -> Any:
    """Return what one evaluation adds to the matrix of a step, over x: a column, into the registers, times a row, of its argument."""
    column, row = (sympy.Matrix(sympy.symbols(f"{name}_0:{r}")) for name in "bc")
    return column * row.T


@check(
    "fact-30",
    verdict="measured",
    mutants={
        "another method for ALF": {"hidden": lambda: (Heun(), ReversibleHeun())},
        "one step of ALF": {"jumps": lambda: (ALF(),)},
        "two evaluations a step": {"update": lambda: lambda r: one_evaluation(r) + sympy.diag(*range(r))},
    },
)
def two_registers(
    hidden: Sequence[Any] = (ALF(), ReversibleHeun()),
    jumps: Sequence[Any] = (Composed(), Composed(scheme="suzuki")),
    update: Callable[[int], Any] = one_evaluation,
) -> dict[str, Any]:
    """Leapfrog in two solvers, for any model; the order of any method of two registers; measured orders of composed steps."""
    for solver in hidden:
        places = evaluated_at(solver)
        require(len(places) > 3, f"{solver} evaluates the model {len(places)} times in four steps")
        for (before, _), (_, e), (after, _) in zip(places, places[1:], places[2:], strict=False):
            require(
                not (after - before + 2 * e).terms,
                f"{solver}: the states at which it evaluates do not obey the leapfrog step",
            )
        require_same(stability_polynomial(solver), stability_polynomial(Leapfrog()), f"{solver}: the polynomial")
    zeta, x = sympy.symbols("zeta x")
    for r in (2, 3):
        A = sympy.Matrix(r, r, lambda i, j: sympy.Symbol(f"a_{i}{j}"))
        parts = sympy.Poly((A + x * update(r)).charpoly(zeta).as_expr(), x)
        require(parts.degree() == 1, f"with one evaluation a step the polynomial has degree {parts.degree()} in x")
    # zeta^2 - (t_0 + t_1 x) zeta + d, d the product of own coefficients: at zeta = e^x, over zeta, for t_0 = 1 + d, t_1 = 1 - d.
    d = sympy.Symbol("d")
    series = sympy.series(sympy.exp(x) + d * sympy.exp(-x) - (1 + d) - (1 - d) * x, x, 0, 4).removeO()
    second, third = (series.coeff(x, q) for q in (2, 3))
    require(
        sympy.solve(second, d) == [-1] and third.subs(d, -1) != 0,
        f"order 2 asks for {second} = 0, order 3 for {third} = 0",
    )
    orders = []
    for solver in jumps:
        orders.append(require_order(*vp_errors(solver, "smooth", None), 4, str(solver), 0.2))
        run = record_steps(solver, PRACTICAL["flow"](4))
        require(all(0 < op.time.theta < 1 for op in evaluations(run)), f"{solver} evaluates outside the slot")
    return {"orders": orders}
