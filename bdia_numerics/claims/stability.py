"""Facts 5 and 6: zero-stability of BDIA-DDIM both ways, the growth of its inverse, and its real stability interval."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from bdia_numerics import grids, schedules
from bdia_numerics.analysis import amplification, gaussian_jacobian, stability_interval, zero_stability
from bdia_numerics.claims.formal import Formal, for_every_slot, symbols, vectors
from bdia_numerics.claims.ledger import check, require
from bdia_numerics.claims.mutants import mutant
from bdia_numerics.grids import Grid
from bdia_numerics.runs.solving import solve
from bdia_numerics.solvers import BDIA
from bdia_numerics.spaces.later import sympy

_MUTANTS = {
    "sign of the backward increment flipped": {"solver": mutant(BDIA, ("- g * backward", "+ g * backward"))},
    "gamma and 1 - gamma exchanged": {"solver": mutant(BDIA, ("(1 - g) *", "g *"))},
    "gamma squared": {"solver": mutant(BDIA, ("s.value(self.gamma)", "s.value(self.gamma) ** 2"))},
}


def _even(n: int, h: Any, alpha: Callable[[int], Any] = lambda i: 1) -> Grid:
    """Return a symbolic grid of equal steps h in sigma/alpha."""
    s0 = sympy.Symbol("s_0", positive=True)
    alphas = [sympy.sympify(alpha(i)) for i in range(n + 1)]
    levels = [s0 + k * h for k in range(n + 1)]
    return grids.from_values(levels, alphas, [a * s for a, s in zip(alphas, levels, strict=True)])


def weights(solver: Any, grid: Grid, J: Any) -> tuple[Any, Any]:
    """Return the weights of y_{i+1} and y_i in y_{i-1}, where eps = J y, y = z/alpha."""
    z2, z1 = vectors("z_2", "z_1")
    start = {"z_prev": grid.alpha[2] * z2, "z": grid.alpha[1] * z1}
    after = solve(solver, _linear(grid, J), grid, z1, start=start).z
    return after.coefficient("z_2") / grid.alpha[0], after.coefficient("z_1") / grid.alpha[0]


def _linear(grid: Grid, J: Any) -> Callable[[Any, Any], Any]:
    times = list(grid.t)
    return lambda z, t: J / grid.alpha[times.index(t)] * z


def growth(g: float, n: int, alpha: Any, integral: float) -> float:
    """Return the response of z_N to z_0 in the inverse: gamma^-(N-1) (alpha_1/alpha_{N-1}) exp(-integral of J)/(1+gamma)."""
    sign = (-1) ** n
    return float(sign * g ** -(n - 1) * alpha[1] / alpha[n - 1] * np.exp(-integral) / (1 + g))


@check(
    "fact-5",
    verdict="measured",
    mutants={
        **_MUTANTS,
        "unstable for negative gamma": {"stable": lambda: lambda g: (g >= 0, g <= 1)},
        "stable at gamma = -1, a double root": {"stable": lambda: lambda g: (g >= -1, g <= 1)},
        "alpha factor dropped": {"predicted": mutant(growth, (" * alpha[1] / alpha[n - 1]", ""))},
        "one power of gamma more": {"predicted": mutant(growth, ("-(n - 1)", "-n"))},
        "J with the other sign": {"predicted": mutant(growth, ("np.exp(-integral)", "np.exp(integral)"))},
    },
)
def both_ways(
    solver: Any = BDIA,
    predicted: Callable[..., float] = growth,
    stable: Callable[[Any], tuple[Any, Any]] = lambda g: (g > -1, g <= 1),
) -> dict[str, Any]:
    """Both characteristic polynomials from the program; the growth of the inverse for gamma < 1 and at gamma = 1."""
    g = sympy.Symbol("gamma", real=True)
    for_every_slot(solver(g))
    _root_conditions(solver, g, sympy.And(*stable(g)).as_set())
    _differences(solver, g)
    lines, sums = [], []
    for name, make in _grids().items():
        for gamma in (0.5, 0.8):
            coarse, fine = (_response(solver, make(n), gamma, predicted)[0] for n in (60, 120))
            limit = 2 * fine - coarse
            require(abs(limit - 1) < 0.01, f"{name}, gamma {gamma}: z_0 reaches z_N with {limit:.4f} of the formula")
            lines.append(f"{name}, gamma {gamma}: {limit:.3f}")
        at_one = [_response(solver, make(n), 1.0, predicted) for n in (60, 120)]
        limit, both = (2 * late - early for early, late in zip(*at_one, strict=True))
        require(abs(both - 1) < 0.01, f"{name}, gamma 1: z_0 reaches z_N with {both:.4f} of the sum of both modes")
        require(abs(limit) > 2, f"{name}, gamma 1: {limit:.3f} of the formula, which should miss a mode")
        lines.append(f"{name}, gamma 1: {limit:.1f}")
        sums.append(both)
    return {"lines": "; ".join(lines), "sums": sums}


def _root_conditions(solver: Any, g: Any, sampling: Any) -> None:
    """Require both polynomials, and that the root condition holds for exactly the gammas that their roots give."""
    zeta, everything, both_ways = sympy.Symbol("zeta"), sympy.S.Reals, sympy.S.Reals
    # Moduli of the roots 1 and r: none above 1, and r = 1, a double root of a companion matrix, has one eigenvector.
    for direction, root in (("sample", -g), ("invert", -1 / g)):
        found = zero_stability(solver(g), direction)
        miss = sympy.cancel(found.polynomial - (zeta - 1) * (zeta - root))
        require(miss == 0, f"the polynomial of {direction} is {found.polynomial}")
        inside = sympy.solveset(sympy.Abs(root) <= 1, g, everything)
        holds = inside - sympy.solveset(sympy.Eq(root, 1), g, everything)
        require(found.condition.as_set() == holds, f"{direction}: zero-stable for {found.condition}, by roots {holds}")
        both_ways = both_ways.intersect(holds)
        if direction == "sample":
            require(holds == sampling, f"zero-stable in sampling for gamma in {holds}, not {sampling}")
        for value in (-2, -1, -sympy.S.Half, sympy.S.Half, 1, 2):
            one = zero_stability(solver(value, allow_any=True), direction).stable
            require(one == (value in holds), f"{direction}: zero-stable at gamma = {value}: {one}")
    require(both_ways == sympy.FiniteSet(1), f"zero-stable both ways for gamma in {both_ways}")


def _differences(solver: Any, g: Any) -> None:
    """Require y_{i+1} - y_i = -alpha_{i-1}/(gamma alpha_{i+1}) (y_i - y_{i-1}) in the inverse with eps = 0, for any alpha."""
    p, (y1, y0) = Formal(2), vectors("y_1", "y_0")
    state = {"z_prev": p.alpha(1) * y1, "z": p.alpha(0) * y0}
    found = p.undo(solver(g), state)["z_prev"] / p.alpha(2)
    ratio = -p.alpha(0) / (g * p.alpha(2))
    for name, wanted in (("y_1", 1 + ratio), ("y_0", -ratio)):
        miss = sympy.cancel(found.coefficient(name) - wanted)
        require(miss == 0, f"the weight of {name} in the inverse has an error of {miss}")


def _grids() -> dict[str, Callable[[int], Grid]]:
    vp, ve = schedules.vp_linear(), schedules.edm()
    return {
        "VP": lambda n: grids.asinh(vp, n, t_max=0.7, t_min=0.05),
        "alpha = 1": lambda n: grids.uniform(ve, n, t_max=3.0, t_min=0.3),
    }


def _response(solver: Any, grid: Grid, g: float, predicted: Callable[..., float]) -> tuple[float, float]:
    """Return the response of z_N to z_0 in the inverse over the formula, and over the sum of both modes."""
    variance, s = 0.5, grid.sigma / grid.alpha
    integral = np.log((variance + s[-1] ** 2) / (variance + s[0] ** 2)) / 2  # of J = s/(variance + s^2)
    run = amplification(solver(g), grid, "invert", J=gaussian_jacobian(variance))
    found = run.product[run.registers.index(run.output), 1]  # the second register held z_0
    parasitic = predicted(g, grid.n, grid.alpha, integral)
    smooth = grid.alpha[-1] / grid.alpha[0] * np.exp(integral) * g / (1 + g)
    return float(found / parasitic), float(found / (parasitic + smooth))


@check("fact-6", verdict="proved", mutants={**_MUTANTS, "another alpha": {"effective": lambda: lambda p, g: g}})
def real_stability(
    solver: Any = BDIA, effective: Callable[[Formal, Any], Any] = lambda p, g: g * p.alpha(2) / p.alpha(0)
) -> None:
    """The Schur-Cohn conditions of the stability polynomial, alpha = 1 and with an effective gamma."""
    (g,) = symbols("gamma")
    h, J, r = sympy.symbols("h J r", positive=True)
    for_every_slot(solver(g))
    older, newer = weights(solver(g), _even(2, h), J)
    _interval(older, newer, g, -h * J)
    length = stability_interval(solver(g)).length
    require(sympy.cancel(length - 2 * (1 - g) / (1 + g)) == 0, f"the library's interval has the length {length}")
    p, (y2, y1) = Formal(2), vectors("y_2", "y_1")
    after = p.step(solver(g), {"z_prev": p.alpha(2) * y2, "z": p.alpha(1) * y1})["z"] / p.alpha(0)
    eff, steps = effective(p, g), (p.s(0) - p.s(1), p.s(1) - p.s(2))
    (e,) = p.eps(p.alpha(1) * y1, 1).terms
    for name, wanted in (("y_2", eff), ("y_1", 1 - eff), (e, steps[0] + eff * steps[1])):
        miss = sympy.cancel(after.coefficient(name) - wanted)
        require(miss == 0, f"the weight of {name} is not that of an effective gamma, by {miss}")
    # alpha_i = r^i with equal steps in s: the recursion in y has constant coefficients, with gamma r^2.
    older, newer = weights(solver(g), _even(2, h, lambda i: r**i), J)
    _interval(older, newer, g * r**2, -h * J)


def _interval(older: Any, newer: Any, g: Any, x: Any) -> None:
    """Require zeta^2 - newer zeta - older to have the interval -2(1-g)/(1+g) < x < 0."""
    end = sympy.Symbol("x")
    require(sympy.cancel(older - g) == 0, f"the older state has the weight {older}")
    affine = sympy.expand(
        sympy.cancel(newer).subs(sympy.Symbol("J", positive=True), end / (x / sympy.Symbol("J", positive=True)))
    )
    slope = sympy.cancel(sympy.diff(affine, end))
    require(sympy.cancel(slope - (1 + g)) == 0, f"the newer state's weight has the slope {slope} in x, not 1 + gamma")
    for at, value in ((0, 1 - g), (-2 * (1 - g) / (1 + g), g - 1)):
        miss = sympy.cancel(affine.subs(end, at) - value)
        require(miss == 0, f"at x = {at} the bound of Schur-Cohn is missed by {miss}")
