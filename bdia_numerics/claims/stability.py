"""Facts 5, 6, 8 and 11: stability of BDIA-DDIM both ways, its symplectic structure, and which gamma has the smallest error."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import product
from typing import Any

import numpy as np

from bdia_numerics import grids, names, schedules
from bdia_numerics.analysis import (
    amplification,
    gaussian_jacobian,
    stability_interval,
    step_determinants,
    symplectic_defect,
    zero_stability,
)
from bdia_numerics.analysis.measurement.errors import root_mean_square
from bdia_numerics.claims.formal import Formal, bdia_mutants, for_every_slot, require_same, symbols, vectors
from bdia_numerics.claims.ledger import check, mutant, printed, require
from bdia_numerics.grids import Grid
from bdia_numerics.problems import GaussianMixture, normal_quantiles
from bdia_numerics.runs.solving import solve
from bdia_numerics.schedules import ddpm_linear
from bdia_numerics.solvers import BDIA
from bdia_numerics.spaces.later import sympy

_MUTANTS = bdia_mutants("sign of the backward increment flipped", "gamma and 1 - gamma exchanged", "gamma squared")


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


@cache  # mutants of the growth share it with the check
def _root_conditions(solver: Any, g: Any, sampling: Any) -> None:
    """Require both polynomials, and that the root condition holds for exactly the gammas that their roots give."""
    zeta, everything, both_ways = sympy.Symbol("zeta"), sympy.S.Reals, sympy.S.Reals
    # Moduli of the roots 1 and r: none above 1, and r = 1, a double root of a companion matrix, has one eigenvector.
    for direction, root in (("sample", -g), ("invert", -1 / g)):
        found = zero_stability(solver(g), direction)
        require_same(found.polynomial, (zeta - 1) * (zeta - root), f"the polynomial of {direction}")
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
        require_same(found.coefficient(name), wanted, f"the weight of {name} in the inverse")


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
    require_same(stability_interval(solver(g)).length, 2 * (1 - g) / (1 + g), "the length of the library's interval")
    p, (y2, y1) = Formal(2), vectors("y_2", "y_1")
    after = p.step(solver(g), {"z_prev": p.alpha(2) * y2, "z": p.alpha(1) * y1})["z"] / p.alpha(0)
    eff, steps = effective(p, g), (p.s(0) - p.s(1), p.s(1) - p.s(2))
    (e,) = p.eps(p.alpha(1) * y1, 1).terms
    for name, wanted in (("y_2", eff), ("y_1", 1 - eff), (e, steps[0] + eff * steps[1])):
        require_same(after.coefficient(name), wanted, f"the weight of {name}, for an effective gamma")
    # alpha_i = r^i with equal steps in s: the recursion in y has constant coefficients, with gamma r^2.
    older, newer = weights(solver(g), _even(2, h, lambda i: r**i), J)
    _interval(older, newer, g * r**2, -h * J)


def _interval(older: Any, newer: Any, g: Any, x: Any) -> None:
    """Require zeta^2 - newer zeta - older to have the interval -2(1-g)/(1+g) < x < 0."""
    end = sympy.Symbol("x")
    require_same(older, g, "the weight of the older state")
    affine = sympy.expand(
        sympy.cancel(newer).subs(sympy.Symbol("J", positive=True), end / (x / sympy.Symbol("J", positive=True)))
    )
    require_same(sympy.diff(affine, end), 1 + g, "the slope of the newer state's weight in x")
    for at, value in ((0, 1 - g), (-2 * (1 - g) / (1 + g), g - 1)):
        require_same(affine.subs(end, at), value, f"the bound of Schur-Cohn at x = {at}")


_CURL = np.array([[0.0, 0.1, 0.2], [-0.1, 0.0, 0.05], [-0.2, -0.05, 0.0]])


def defect_factor(a: Any, b: Any, g: Any) -> Any:
    """Return b_i + gamma b_{i+1}/a_{i+1}, on slots named 1 and 2 as a(1) = a_i, a(2) = a_{i+1}."""
    return b(1) + g * b(2) / a(2)


_FORM_MUTANTS = {
    "a dropped": {"factor": mutant(defect_factor, ("b(2) / a(2)", "b(2)"))},
    "gamma dropped": {"factor": mutant(defect_factor, ("g * b(2)", "b(2)"))},
    "next slot for the previous one": {"factor": mutant(defect_factor, ("b(2) / a(2)", "b(1) / a(1)"))},
}


@check(
    "fact-8",
    verdict="refuted",
    mutants={
        **_FORM_MUTANTS,
        **bdia_mutants("sign of the backward increment flipped", "forward increment dropped"),
        "another gamma at the oldest state": {"solver": mutant(BDIA, ("z_prev - (1 - g)", "z_prev - (1 - g * g)"))},
    },
)
def bdia_is_conformally_symplectic(solver: Any = BDIA, factor: Callable[..., Any] = defect_factor) -> dict[str, Any]:
    """Determinant, conformal factor and defect, by blocks in any dimension; the library's numbers agree."""
    p, (g,) = Formal(2), symbols("gamma")
    for_every_slot(solver(g))
    z2, z1 = vectors("z_2", "z_1")
    after = p.step(solver(g), {"z_prev": z2, "z": z1})
    require(after["z_prev"].terms == {"z_1": 1}, "the step does not hand z_i on")
    (e,) = p.eps(z1, 1).terms
    strangers = set(after["z"].terms) - {"z_2", "z_1", e}
    require(not strangers, f"the step uses {strangers}, so its Jacobian has other blocks")
    own, middle, slope = (after["z"].coefficient(name) for name in ("z_2", "z_1", e))
    E, Et = sympy.symbols("E E_T", commutative=False)  # d eps/dz and its transpose, of any size
    M, Mt = (sympy.Matrix([[0, 1], [own, middle + slope * x]]) for x in (E, Et))
    form = sympy.Matrix([[0, 1], [-1, 0]])
    got = Mt.T * form * M
    defect = factor(p.a, p.b, g)
    for i, j in product(range(2), repeat=2):
        value, wanted = got[i, j], -g * form[i, j] + (defect * (E - Et) if (i, j) == (1, 1) else 0)
        require(_is_zero(value - wanted), f"block {i}{j} of M^T Omega M + gamma Omega should be {wanted}, is {value}")
    # M is the exchange of the two registers after a block triangular matrix with gamma I and I on its diagonal.
    split = sympy.Matrix([[0, 1], [1, 0]]) * sympy.Matrix([[own, middle + slope * E], [0, 1]])
    require(all(map(_is_zero, split - M)), "M is not an exchange of registers times a triangular matrix")
    require(_is_zero(own - g), f"the oldest state enters with {own}")
    found = step_determinants(solver(g), grids.symbolic(3))
    require(found == (-g, -g), f"the determinants are the powers of {found}, not of -gamma")
    level, planted = _measured(solver, factor)
    return {"level": level, "planted": planted}


def _is_zero(value: Any) -> bool:
    """Decide whether a polynomial in E and E^T vanishes, monomial by monomial."""
    parts: dict[Any, Any] = {}
    for term in sympy.Add.make_args(sympy.expand(value)):
        commuting, word = term.args_cnc()
        parts[tuple(word)] = parts.get(tuple(word), 0) + sympy.Mul(*commuting)
    return all(sympy.cancel(sympy.together(c)) == 0 for c in parts.values())


def _measured(solver: Any, factor: Callable[..., Any]) -> tuple[float, float]:
    """Return the library's defect on an exact score, and its distance from the closed form with a planted curl."""
    law = GaussianMixture([0.4, 0.6], [[-1.0, 0.0, 0.3], [1.5, 0.2, -1.0]], [0.3, 0.4])
    schedule, g = schedules.vp_linear(), 0.5
    grid, exact = grids.uniform(schedule, 5, t_min=0.01), law.model(schedule)
    z = np.random.default_rng(0).standard_normal((4, 3))
    level = float(symplectic_defect(solver(g), exact, grid, z).defects.max())
    # Differences of fourth order leave eps^(4/5) = 3e-13 of the slope; five slots have coefficients below 10.
    require(level < 1e-10, f"the defect of an exact score is {level:.1e}")
    curled = symplectic_defect(solver(g), lambda x, t: exact(x, t) + x @ _CURL.T, grid, z)
    misses = []
    for defect, i in zip(curled.defects, curled.slots, strict=True):
        a, b = zip(*(_slot(grid, j) for j in (i, i + 1)), strict=True)
        closed = abs(factor(lambda k, a=a: a[k - 1], lambda k, b=b: b[k - 1], g)) * np.linalg.norm(2 * _CURL)
        misses.append(float(np.abs(defect / closed - 1).max()))
    require(max(misses) < 1e-9, f"with a planted curl the defect differs from the closed form by {max(misses):.1e}")
    return level, max(misses)


def _slot(grid: Any, i: int) -> tuple[float, float]:
    """Return a_i and b_i."""
    a = grid.alpha[i - 1] / grid.alpha[i]
    return a, grid.sigma[i - 1] - grid.sigma[i] * a


GAMMAS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 1.0)
LAWS = ("modes", "broad", "small", "sharp")
STEPS, STATES = 10, 256
LEADING, CUT, TRAILING, QUAD = map(names.grid, ("leading", "cut", "trailing", "quad"))


@cache  # mutants of a grid share the other grids with the check
def errors(solver: Callable[[float], Any], law: str, make: Callable[[Any, int], Grid]) -> dict[float, float]:
    """Return the error by gamma, from noise that is spread evenly over the probability of N(0, 1)."""
    schedule, problem = ddpm_linear(), names.distribution(law)
    grid = make(schedule, STEPS)
    z = normal_quantiles(STATES)
    exact = problem.flow(z, grid.t[grid.n], grid.t[0], schedule)
    ends = {g: solve(solver(g), problem.model(schedule), grid, z).z for g in GAMMAS}
    return {g: root_mean_square(end - exact) for g, end in ends.items()}


def best(found: dict[float, float]) -> float:
    """Return the gamma with the smallest error."""
    return min(found, key=lambda g: found[g])


@check(
    "fact-11",
    verdict="refuted",
    mutants={
        **bdia_mutants("sign of the backward increment flipped"),
        "gamma = 0 throughout": {"solver": lambda: lambda g: BDIA(0)},
        "the last slot left out": {"leading": lambda: CUT},
        "the last slot kept": {"cut": lambda: LEADING},
        "leading for quad": {"quad": lambda: LEADING},
    },
)
def best_gamma_at_ten_steps(
    solver: Callable[[float], Any] = BDIA,
    leading: Callable[[Any, int], Grid] = LEADING,
    cut: Callable[[Any, int], Grid] = CUT,
    quad: Callable[[Any, int], Grid] = QUAD,
) -> dict[str, Any]:
    """Errors against exact flows of four distributions on four grids of DDPM's schedule."""
    grids = {"leading": leading, "cut": cut, "trailing": TRAILING, "quad": quad}
    found = {(name, law): errors(solver, law, make) for name, make in grids.items() for law in LAWS}
    chosen = {name: [best(found[name, law]) for law in LAWS] for name in grids}
    wide = [found["leading", law] for law in LAWS[:3]]
    tight = {name: found[name, "sharp"] for name in grids}
    require(all(0 < best(errors) < 1 for errors in wide), "on leading an interior gamma is best for wide modes")
    require(chosen["leading"][3] == 0, "on leading DDIM is best for tight modes")
    ratio = tight["leading"][1.0] / tight["leading"][0.0]
    require(10 < ratio < 17, f"on leading gamma = 1 has {ratio:.3g} times DDIM's error on tight modes")
    require(all(g >= 0.8 for g in chosen["trailing"]), "on trailing gamma near 1 is best")
    require(1 <= chosen["trailing"].count(1.0) <= 3, "on trailing gamma = 1 wins for some of the distributions")
    gains = [found["quad", law][0.0] / found["quad", law][best(found["quad", law])] for law in LAWS]
    require(min(gains[:3]) > 4, f"on quad the best gamma gains {gains}")
    printed(found["quad", "broad"][0.0] / found["quad", "broad"][1.0], "91 times")
    require((min(chosen["quad"]), max(chosen["quad"])) == (0.3, 1.0), f"on quad the best gammas are {chosen['quad']}")
    require(tight["quad"][1.0] > 3 * tight["quad"][0.0], "on quad gamma = 1 is worse than DDIM on tight modes")
    # The cause: the same run, stopped before its last slot.
    require(tight["cut"][1.0] < tight["cut"][0.0], "without the last slot gamma = 1 is better than DDIM on tight modes")
    blown = tight["leading"][1.0] / tight["cut"][1.0]
    predicted = _growth(leading)
    require(
        0.7 * predicted < blown < 1.3 * predicted, f"the slot multiplies the error by {blown:.3g}, not {predicted:.3g}"
    )
    require(set(names.distribution("broad").covs) == {0.75}, "the two wide modes have another variance")
    t = LEADING(ddpm_linear(), STEPS).t
    require([*t[1:3], t[-1]] == [0, 100, 900], f"leading takes the times {t}")
    times = f"{t[1]:g}, {t[2]:g}, ..., {t[-1]:g}"
    listed = {name: ", ".join(f"{g:g}" for g in gammas) for name, gammas in chosen.items()}
    over = {name: e[1.0] / e[0.0] for name, e in tight.items()}
    return {
        "steps": STEPS,
        "laws": LAWS,
        "gammas": GAMMAS,
        "times": times,
        "listed": listed,
        "gains": gains,
        "over": over,
        "blown": blown,
        "predicted": predicted,
    }


def _growth(make: Callable[[Any, int], Grid]) -> float:
    """Return h_2/s_1: the growth in the last slot at gamma = 1, where eps answers an error dy with dy/s."""
    grid = make(ddpm_linear(), STEPS)
    s = grid.sigma / grid.alpha
    return float((s[2] - s[1]) / s[1]) if s[1] > 0 else 0.0
