"""EDM's Heun and BDIA-EDM: (35)-(37) and algorithm 1."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bdia_numerics import grids
from bdia_numerics.claims.as_printed import AS_PRINTED, AsPrinted
from bdia_numerics.claims.formal import Formal, equal, vectors
from bdia_numerics.claims.ledger import check, mutant, mutate, require
from bdia_numerics.runs.solving import solve
from bdia_numerics.solvers import BDIAHeun, Heun
from bdia_numerics.solvers.heun import heun
from bdia_numerics.spaces import Vector, formal_model
from bdia_numerics.spaces.later import sympy


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
BDIA_MUTANTS = {
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
        slope: Vector = f * x + g2 / (2 * point.sigma) * self.p.eps(x, i)
        return slope

    def heun(self, base: Vector, d: Vector, i: int) -> Vector:
        """(35)-(36) from t_i, with d as the first slope."""
        h = self.time(i - 1) - self.time(i)
        moved: Vector = base + h * (d / 2 + self.slope(base + h * d, i - 1) / 2)
        return moved


VARIABLES = ("sigma_bar", "t")


@check("eq-35", "eq-36", verdict="definition", mutants=_HEUN_MUTANTS)
def heun_step(solver: Any = Heun) -> None:
    """The Heun program is (35)-(36)."""
    for variable in VARIABLES:
        p, (z1,) = Formal(1), vectors("z_1")
        v = _Variables(p, variable)
        got, x = p.step(solver(variable), {"z": z1})["z"], v.of(z1, 1)
        equal(v.of(got, 0), v.heun(x, v.slope(x, 1), 1), f"(35)-(36) in {variable}")


@check("eq-37", verdict="proved", mutants=BDIA_MUTANTS)
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
        **{name: BDIA_MUTANTS[name] for name in ("one slope alone", "older slope alone in (37)")},
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
