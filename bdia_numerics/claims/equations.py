"""Steps against the paper's equations, and facts 1 and 9.

They are (6)-(10), (19)-(28) and (33) for DDIM and BDIA, (11)-(18) for EDICT, (43)-(50) and (60)-(63) for CBDIA, and (35)-(37) and
Algorithm 1 for Heun's method and BDIA-EDM.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bdia_numerics import grids
from bdia_numerics.claims.as_printed import AS_PRINTED, AsPrinted, MisprintedCBDIA
from bdia_numerics.claims.formal import Formal, bdia_mutants, equal, increments, symbols, vectors
from bdia_numerics.claims.ledger import check, mutant, mutate, require
from bdia_numerics.program import Recorder
from bdia_numerics.runs.inversion import DDIMInversion
from bdia_numerics.runs.solving import solve
from bdia_numerics.solvers import BDIA, CBDIA, DDIM, EDICT, BDIAHeun, Heun
from bdia_numerics.solvers.heun import heun
from bdia_numerics.spaces import Vector, formal_model
from bdia_numerics.spaces.later import sympy

_WRONG_DELTA = ("s.delta(s.i, s.i - 1, z, s.eps(z))", "s.delta(s.i - 1, s.i, z, s.eps(z))")


STEP_MUTANTS = bdia_mutants(
    "sign of the backward increment flipped",
    "gamma and 1 - gamma exchanged",
    "forward increment dropped",
    "eps of the state before",
)


@check("eq-6", "eq-7", verdict="proved", mutants={"ends of the slot exchanged": {"solver": mutant(DDIM, _WRONG_DELTA)}})
def ddim_step(solver: Any = DDIM) -> None:
    """(6) and (7) are the DDIM program."""
    p, (z1,) = Formal(1), vectors("z_1")
    got, e = p.step(solver(), {"z": z1})["z"], p.eps(z1, 1)
    equal(got, p.alpha(0) * ((z1 - p.sigma(1) * e) / p.alpha(1)) + p.sigma(0) * e, "(6)")
    equal(got, p.a(1) * z1 + p.b(1) * e, "(7)")


@check("eq-9", verdict="proved", mutants={"ends of the slot exchanged": {"solver": mutant(DDIM, _WRONG_DELTA)}})
def ddim_solved(solver: Any = DDIM) -> None:
    """(9) is (6) solved for z_i."""
    p, (z1,) = Formal(1), vectors("z_1")
    z0, e = p.step(solver(), {"z": z1})["z"], p.eps(z1, 1)
    equal(p.alpha(1) * ((z0 - p.sigma(0) * e) / p.alpha(0)) + p.sigma(1) * e, z1, "(9)")


_WRONG_TIME = ("end if self.at_target else start", "start if self.at_target else end")


@check(
    "eq-10", verdict="proved", mutants={"eps at the time of the state": {"method": mutant(DDIMInversion, _WRONG_TIME)}}
)
def ddim_inversion(method: Any = DDIMInversion) -> None:
    """(10) is the program of DDIMInversion on the reversed grid."""
    p, (z0,) = Formal(1), vectors("z_0")
    got, e = solve(method(), p.model, p.grid.reversed(), z0).z, p.eps(z0, 1)
    equal(got, p.alpha(1) * ((z0 - p.sigma(0) * e) / p.alpha(0)) + p.sigma(1) * e, "(10)")


class _Increment:
    """One increment as a program: z <- Delta(t_i -> t_{i-1} | z)."""

    registers = ("z",)

    def step(self, s: Recorder) -> None:
        (z,) = s.registers
        s.assign(z, s.delta(s.i, s.i - 1, z, s.eps(z)), at=s.i - 1)


_FULL_STEP = ("s.assign(z, s.delta(s.i, s.i - 1, z, s.eps(z))", "s.assign(z, z + s.delta(s.i, s.i - 1, z, s.eps(z))")


@check(
    "eq-21",
    verdict="proved",
    mutants={
        "z not subtracted": {"program": mutant(_Increment, _FULL_STEP)},
        "step doubled": {"solver": mutant(DDIM, ("z + s.delta", "z + 2 * s.delta"))},
        "BDIA without its correction": {"bdia": lambda: lambda g: BDIA(0)},
    },
)
def forward_increment(program: Any = _Increment, solver: Any = DDIM, bdia: Any = BDIA) -> None:
    """(21): its second line always, its first line for a DDIM successor and not for BDIA's states."""
    p, (z2, z1), (g,) = Formal(2), vectors("z_2", "z_1"), symbols("gamma")
    one = Formal(1)
    increment = one.step(program(), {"z": z1})["z"]
    equal(increment, one.forward(1, z1), "(21), second line")
    equal(increment, one.step(solver(), {"z": z1})["z"] - z1, "(21), first line, for DDIM")
    after = p.step(bdia(g), {"z_prev": z2, "z": z1})["z"] - z1
    require(after - p.forward(1, z1) != Vector({}), "the first line holds for BDIA as well")
    equal(after - p.forward(1, z1), g * (z2 - z1 - p.backward(2, z1)), "what the first line lacks for BDIA")


@check(
    "eq-23",
    "eq-24",
    verdict="proved",
    mutants={"z not subtracted": {"program": mutant(_Increment, _FULL_STEP)}},
)
def delta_forms(program: Any = _Increment) -> None:
    """The increment that every program uses is (23) = (24) upwards."""
    p, (z0,) = Formal(1), vectors("z_0")
    up, e = solve(program(), p.model, p.grid.reversed(), z0).z, p.eps(z0, 0)
    equal(up, p.alpha(1) * ((z0 - p.sigma(0) * e) / p.alpha(0)) + p.sigma(1) * e - z0, "(23)")
    equal(up, p.backward(1, z0), "(24)")


@check(
    "eq-19", verdict="proved", mutants={"step doubled": {"solver": mutant(DDIM, ("z + s.delta", "z + 2 * s.delta"))}}
)
def ddim_sum(solver: Any = DDIM) -> None:
    """(19) by induction: each step adds its increment."""
    source = frozenset({("z", "z"): 1}.items())
    got = increments(solver(), 1, {"z": 1})["z"]
    require(got == {("z", "z"): 1, (1, 0, source): 1}, f"a DDIM step is not z_i plus its increment: {got}")


_NO_EPS = ("z + s.delta(s.i, s.i - 1, z, s.eps(z))", "s.alpha(s.i - 1) / s.alpha(s.i) * z")


@check(
    "eq-25",
    verdict="proved",
    mutants={"start without the noise prediction": {"start": mutant(DDIM, _NO_EPS)}},
)
def bdia_start(start: Any = DDIM) -> None:
    """The start of BDIA is the DDIM step (25)."""
    p, (zn,) = Formal(2), vectors("z_2")
    first = solve(BDIA(*symbols("gamma")), p.model, p.grid, zn, start(), return_trajectory=True).trajectory[1]
    equal(first, p.a(2) * zn + p.b(2) * p.eps(zn, 2), "(25), first line")
    equal(first, zn + p.forward(2, zn), "(25), second line")


BDIA_MUTANTS = bdia_mutants(
    "sign of the backward increment flipped",
    "ends of the backward increment exchanged",
    "gamma and 1 - gamma exchanged",
)


def braced(gamma: Any, integral: Any, *, minus_inside: bool = True) -> Any:
    """Return what stands over a brace of (27) or (29) where both approximations of the slot's integral are exact."""
    difference, backward = -integral, -integral  # z_{i+1} - z_i, and Delta(t_i -> t_{i+1} | z_i)
    return (-1 if minus_inside else 1) * (1 - gamma) * difference - gamma * backward


def require_brace(brace: Callable[..., Any]) -> None:
    """Require the braced term to be the integral with the minus sign inside it, and (2 gamma - 1) times that without."""
    g, integral = sympy.symbols("gamma I")
    require(sympy.expand(brace(g, integral) - integral) == 0, "the braced term is not the integral")
    outside = brace(g, integral, minus_inside=False)
    require(sympy.expand(outside - (2 * g - 1) * integral) == 0, f"without the minus sign the braced term is {outside}")


BRACE_MUTANT = {
    "the brace as it is printed": {
        "brace": lambda: lambda g, i, minus_inside=False: braced(g, i, minus_inside=minus_inside)
    }
}


@check("definition-1", "eq-26", "eq-27", "eq-28", verdict="proved", mutants={**BDIA_MUTANTS, **BRACE_MUTANT})
def bdia_step(solver: Any = BDIA, brace: Callable[..., Any] = braced) -> None:
    """(26) = (27) = the BDIA program; (28) is gamma = 1; gamma = 0 is DDIM."""
    p, (z2, z1), (g,) = Formal(2), vectors("z_2", "z_1"), symbols("gamma")
    got, e = p.step(solver(g), {"z_prev": z2, "z": z1})["z"], p.eps(z1, 1)
    right_26 = g * (z2 - z1) - g * (z1 / p.a(2) - p.b(2) / p.a(2) * e - z1) + (p.a(1) * z1 + p.b(1) * e)
    right_27 = z2 - (1 - g) * (z2 - z1) - g * p.backward(2, z1) + p.forward(1, z1)
    equal(right_26, right_27, "(26) = (27)")
    equal(got, right_27, "the program = (27)")
    one = p.step(solver(1), {"z_prev": z2, "z": z1})["z"]
    equal(one, z2 - p.backward(2, z1) + p.forward(1, z1), "(28)")
    equal(p.step(solver(0), {"z_prev": z2, "z": z1})["z"], p.below(DDIM(), z1), "gamma = 0")
    require_brace(brace)


@check("fact-1", verdict="proved", mutants=BDIA_MUTANTS)
def bdia_in_y(solver: Any = BDIA) -> None:
    """The y-form of BDIA."""
    p, (y2, y1), (g,) = Formal(2), vectors("y_2", "y_1"), symbols("gamma")
    z2, z1 = p.alpha(2) * y2, p.alpha(1) * y1
    y0, e = p.step(solver(g), {"z_prev": z2, "z": z1})["z"] / p.alpha(0), p.eps(z1, 1)
    h1, h2 = p.s(0) - p.s(1), p.s(1) - p.s(2)
    equal(p.alpha(0) * (y0 - y1 - h1 * e), g * p.alpha(2) * (y2 - y1 + h2 * e), "the y-form")


@check(
    "fact-9",
    verdict="proved",
    mutants=bdia_mutants("sign of the backward increment flipped"),
)
def bdia_is_leapfrog(solver: Any = BDIA) -> None:
    """Gamma = 1, alpha = 1, uniform s: leapfrog with an Euler start."""
    s0, h = sympy.Symbol("s_0", positive=True), sympy.Symbol("h", positive=True)
    s = [s0 + k * h for k in range(5)]
    grid, model, y = grids.from_values(s, [sympy.Integer(1)] * 5, s), formal_model(), Vector.basis("y_4")
    path = solve(solver(1), model, grid, y, return_trajectory=True).trajectory
    equal(path[3], y - h * model(y, s[4]), "the Euler start")
    for i in (3, 2, 1):
        equal(path[i - 1], path[i + 1] - 2 * h * model(path[i], s[i]), f"leapfrog to y_{i - 1}")


EDICT_MUTANTS = {
    "second evaluation at the old state": {
        "solver": mutant(EDICT, ("s.eps(first, at=end if self.shifted else s.i)", "s.eps(second)"))
    },
    "p and 1 - p exchanged in one mixing": {"solver": mutant(EDICT, ("p * y + (1 - p) * z", "(1 - p) * y + p * z"))},
    "second evaluation at t_{i-1}": {"solver": mutant(EDICT, ("end if self.shifted else s.i", "end"))},
}


@check("eq-11", "eq-12", "eq-13", "eq-14", verdict="definition", mutants=EDICT_MUTANTS)
def edict_step(solver: Any = EDICT) -> None:
    """The EDICT program is (11)-(14)."""
    f, (z1, y1), (p,) = Formal(1), vectors("z_1", "y_1"), symbols("p")
    got = f.step(solver(p), {"z": z1, "y": y1})
    z_inter = f.a(1) * z1 + f.b(1) * f.eps(y1, 1)
    y_inter = f.a(1) * y1 + f.b(1) * f.eps(z_inter, 1)
    z0 = p * z_inter + (1 - p) * y_inter
    equal(got["z"], z0, "(11)-(13)")
    equal(got["y"], p * y_inter + (1 - p) * z0, "(14)")


CBDIA_MUTANTS = {
    "backward increment added": {"solver": mutant(CBDIA, ("y - s.delta(end", "y + s.delta(end"))},
    "ends of the backward increment exchanged": {
        "solver": mutant(CBDIA, ("s.delta(end, s.i, z", "s.delta(s.i, end, z"))
    },
    "weights of the mixing exchanged": {
        "solver": mutant(CBDIA, ("z: g1 * z + (1 - g1) * y", "z: (1 - g1) * z + g1 * y"))
    },
}


@check(
    "eq-43",
    "eq-44",
    verdict="proved",
    mutants={**CBDIA_MUTANTS, "the published text corrected": {"reading": AS_PRINTED["eq-43"].corrected}},
)
def cbdia_lines(solver: Any = CBDIA, reading: AsPrinted = AS_PRINTED["eq-43"]) -> dict[str, Any]:
    """(43) and (44) in their right form are the CBDIA program."""
    _is_cbdia(solver)
    return {"seen": reading.seen()}


def _is_cbdia(solver: Any) -> None:
    f, z1, y1, w, v = _cbdia_parts()
    g1, g2 = symbols("gamma_1", "gamma_2")
    got = f.step(solver(g1, g2), {"z": z1, "y": y1})
    equal(got["z"], g1 * w + (1 - g1) * v, "z, (45)")
    equal(got["y"], g2 * w + (1 - g2) * v, "y, (46)")


_WRONG_PRINT = ("+ s.sigma(s.i) * e", "- s.sigma(s.i) * e")


@check(
    "eq-61",
    verdict="misprint",
    mutants={
        **CBDIA_MUTANTS,
        "the published text corrected": {"reading": AS_PRINTED["eq-61"].corrected},
        "another print": {"printed": mutant(MisprintedCBDIA, _WRONG_PRINT)},
    },
)
def cbdia_backward_line(
    solver: Any = CBDIA, printed: Any = MisprintedCBDIA, reading: AsPrinted = AS_PRINTED["eq-61"]
) -> dict[str, Any]:
    """(61) in its right form is the CBDIA program; as printed it does not converge where alpha varies."""
    _is_cbdia(solver)
    f, z1, y1, w, _ = _cbdia_parts()
    v = y1 - (f.sigma(1) - f.sigma(0)) * f.eps(w, 0)  # what is left of (61) as printed, where alpha_{i-1} cancels
    equal(f.step(printed(0, 1), {"z": z1, "y": y1})["z"], v, "(61) as printed")
    return {"seen": reading.seen()}


def _cbdia_parts() -> tuple[Formal, Vector, Vector, Vector, Vector]:
    f, (z1, y1) = Formal(1), vectors("z_1", "y_1")
    w = z1 + f.forward(1, y1)
    return f, z1, y1, w, y1 - f.backward(1, w)


@check("eq-45", "eq-46", "eq-62", "eq-63", verdict="definition", mutants=CBDIA_MUTANTS)
def cbdia_mixing(solver: Any = CBDIA) -> None:
    """The mixing of the CBDIA program."""
    _is_cbdia(solver)


@check(
    "eq-60",
    verdict="proved",
    mutants={"eps of the other state": {"solver": mutant(CBDIA, ("y, s.eps(y)", "y, s.eps(z)"))}},
)
def cbdia_forward_part(solver: Any = CBDIA) -> None:
    """(60): with g1 = 1 the step's z is w."""
    f, z1, y1, _, _ = _cbdia_parts()
    e = f.eps(y1, 1)
    got = f.step(solver(1, 0), {"z": z1, "y": y1})["z"]
    equal(got, z1 + f.alpha(0) * ((y1 - f.sigma(1) * e) / f.alpha(1)) + f.sigma(0) * e - y1, "(60)")


def _with_heun(solver: Any, *replacements: tuple[str, str]) -> Callable[[], Any]:
    """Return a solver made anew, whose two stages have pieces of their source replaced."""

    def make() -> Any:
        made = mutate(solver)
        made.step.__globals__["heun"] = mutate(heun, *replacements)
        return made

    return make


_ONE_SLOPE = ("(first + second) / 2", "first")
_TOLD_THE_START = ("s.eps(predicted)", "s.eps(predicted, at=i)")
_NO_LAST_STEP = ("s.is_zero(s.sigma(end))", "False")
_HEUN_MUTANTS = {
    "one slope alone": {"solver": _with_heun(Heun, _ONE_SLOPE)},
    "second evaluation told t_i": {"solver": _with_heun(Heun, _TOLD_THE_START)},
}
EDM_MUTANTS = {
    "one slope alone": {"solver": _with_heun(BDIAHeun, _ONE_SLOPE)},
    "gamma and 1 - gamma exchanged": {
        "solver": mutant(BDIAHeun, ("average) * g + z * (1 - g)", "average) * (1 - g) + z * g"))
    },
    "older slope alone in (37)": {"solver": mutant(BDIAHeun, (" + slope(s, self.variable, z, s.eps(z))) / 2", ")"))},
}


class _Variables:
    """What (35)-(37) are about, in one variable: t and z, or sigma/alpha and z/alpha; slopes of it."""

    def __init__(self, p: Formal, variable: str) -> None:
        self.p, self.variable = p, variable

    def time(self, i: int) -> Any:
        return self.p.grid.t[i] if self.variable == "t" else self.p.s(i)

    def of(self, z: Vector, i: int) -> Vector:
        return z if self.variable == "t" else z / self.p.alpha(i)

    def slope(self, x: Vector, i: int) -> Vector:
        """d(z, t) = f z + g^2/(2 sigma) eps, eq. (2), with f and g of (3); of z/alpha by sigma/alpha it is eps."""
        if self.variable != "t":
            return self.p.eps(x * self.p.alpha(i), i)
        point = self.p.grid.point(i)
        f = point.alpha_dot / point.alpha
        g2 = 2 * point.sigma * point.sigma_dot - 2 * f * point.sigma * point.sigma
        return f * x + g2 / (2 * point.sigma) * self.p.eps(x, i)

    def heun(self, base: Vector, d: Vector, i: int) -> Vector:
        """(35)-(36) from t_i, with d as the first slope."""
        h = self.time(i - 1) - self.time(i)
        return base + h * (d / 2 + self.slope(base + h * d, i - 1) / 2)


VARIABLES = ("sigma_bar", "t")


@check("eq-35", "eq-36", verdict="definition", mutants=_HEUN_MUTANTS)
def heun_step(solver: Any = Heun) -> None:
    """The Heun program is (35)-(36)."""
    for variable in VARIABLES:
        p, (z1,) = Formal(1), vectors("z_1")
        v = _Variables(p, variable)
        got, x = p.step(solver(variable), {"z": z1})["z"], v.of(z1, 1)
        equal(v.of(got, 0), v.heun(x, v.slope(x, 1), 1), f"(35)-(36) in {variable}")


@check("eq-37", verdict="proved", mutants=EDM_MUTANTS)
def refined_state(solver: Any = BDIAHeun) -> None:
    """The BDIA-EDM program is (37) with (35)-(36); gamma = 0 is Heun; the bracket is right to O(h^3)."""
    g = sympy.Symbol("gamma")
    for variable in VARIABLES:
        p, (z2, z1, hat) = Formal(2), vectors("z_2", "z_1", "zhat_2")
        v = _Variables(p, variable)
        x2, x1, xhat = v.of(z2, 2), v.of(z1, 1), v.of(hat, 2)
        d2, d1, h = v.slope(x2, 2), v.slope(x1, 1), v.time(1) - v.time(2)
        for base, start, more in (("z", x2, {}), ("z_hat", xhat, {"z_hat": hat})):
            refined = start + (1 - g) * (x1 - start) + g * h * (d2 / 2 + d1 / 2)
            got = p.step(solver(g, base, variable), {"z_prev": z2, "z": z1, **more})
            equal(v.of(got["z"], 0), v.heun(refined, d1, 1), f"(37) and (35)-(36) in {variable}, base {base}")
            if more:
                equal(v.of(got["z_hat"], 1), refined, f"the refined state in {variable}")
            zero = p.step(solver(0, base, variable), {"z_prev": z2, "z": z1, **more})["z"]
            equal(zero, p.below(Heun(variable), z1), f"gamma = 0 in {variable}, base {base}")
    h, c = sympy.Symbol("h"), sympy.symbols("c:5")
    path = sum(c[k] * sympy.Symbol("s") ** k for k in range(5))
    at = [path.subs("s", end) for end in (0, h)]
    slopes = [path.diff("s").subs("s", end) for end in (0, h)]
    defect = sympy.Poly(sympy.expand(at[1] - at[0] - h * (slopes[0] + slopes[1]) / 2), h).all_coeffs()[::-1]
    require(defect[:3] == [0, 0, 0] and defect[3] == -(6 * c[3]) / 12, f"the bracket's defect is {defect}")


def algorithm_1(
    g: Any, t: list[Any], sigma: list[Any], d: Callable[[Vector, Any], Vector], z_n: Vector, *, printed: bool
) -> list[Vector | None]:
    """Return z_0..z_N of Algorithm 1, line by line; as printed, line 14 has no else."""
    n = len(t) - 1
    z: list[Vector | None] = [None] * n + [z_n]
    for i in range(n, 0, -1):
        current, older = z[i], z[i + 1] if i < n else None
        assert current is not None
        slope, hat = d(current, t[i]), current
        if older is not None:
            average = d(older, t[i + 1]) / 2 + slope / 2
            hat = older + (1 - g) * (current - older) + g * (t[i] - t[i + 1]) * average
        predicted = hat + (t[i - 1] - t[i]) * slope
        if sigma[i - 1] != 0:
            z[i - 1] = hat + (t[i - 1] - t[i]) * (slope / 2 + d(predicted, t[i - 1]) / 2)
        elif not printed:
            z[i - 1] = predicted
    return z


@check(
    "alg-1",
    verdict="misprint",
    mutants={
        **{name: EDM_MUTANTS[name] for name in ("one slope alone", "older slope alone in (37)")},
        "two evaluations in the step to sigma = 0": {"solver": _with_heun(BDIAHeun, _NO_LAST_STEP)},
        "refined base": {"solver": lambda: lambda gamma: BDIAHeun(gamma, "z_hat")},
        "the published text corrected": {"reading": AS_PRINTED["alg-1"].corrected},
    },
)
def bdia_edm(solver: Any = BDIAHeun, reading: AsPrinted = AS_PRINTED["alg-1"]) -> dict[str, Any]:
    """Algorithm 1 with the missing else is the BDIA-EDM program, at the cost of Heun."""
    g = sympy.Symbol("gamma")
    for n in range(1, 4):
        levels = [sympy.Integer(0), *sympy.symbols(f"s_1:{n + 1}", positive=True)]
        grid, model, z = (
            grids.from_values(levels, [sympy.Integer(1)] * (n + 1), levels),
            formal_model(),
            Vector.basis("z_N"),
        )
        run = solve(solver(g), model, grid, z, return_trajectory=True)
        right = algorithm_1(g, levels, levels, model, z, printed=False)
        for i in range(n + 1):
            equal(run.trajectory[i], right[i], f"z_{i} of Algorithm 1, N = {n}")  # type: ignore[arg-type]
        missing = [i for i, x in enumerate(algorithm_1(g, levels, levels, model, z, printed=True)) if x is None]
        require(missing == [0], f"as printed, the states {missing} are not set")
        plain = solve(Heun(), model, grid, z).nfe
        require(run.nfe == plain == 2 * n - 1, f"N = {n} took {run.nfe} evaluations, Heun {plain}, not {2 * n - 1}")
    return {"seen": reading.seen()}
