"""Multistep solvers against the paper's (64), (65) and remark 4, and fact 10."""

from __future__ import annotations

from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np

from bdia_numerics import grids, names, schedules
from bdia_numerics.analysis import GridFamily, symbolic_order
from bdia_numerics.analysis.measurement.errors import exact_states, root_mean_square, run_from
from bdia_numerics.claims.formal import Formal, equal, for_every_slot, vectors
from bdia_numerics.claims.ledger import CheckFailed, check, require
from bdia_numerics.claims.mutants import mutant
from bdia_numerics.program import NotInvertibleError, Slot, invertibility, structure
from bdia_numerics.runs.solving import solve
from bdia_numerics.solvers.bdia import BDIA
from bdia_numerics.solvers.bdia_deis import BDIADEIS
from bdia_numerics.solvers.bdia_dpm_solver_pp import BDIADPMSolverPP
from bdia_numerics.solvers.bdia_plms import BDIAPLMS
from bdia_numerics.solvers.belm import OBELM
from bdia_numerics.solvers.ddim import DDIM
from bdia_numerics.solvers.dpm_solver_pp import DPMSolverPP
from bdia_numerics.solvers.heun import Heun
from bdia_numerics.spaces.later import sympy

_STEPS = (40, 80, 160)


def vp_errors(solver: Any, kind: str = "smooth", start: Any = "exact") -> list[float]:
    """Return errors against the exact flow, from exact starts unless another one is given: linear VP, t from 0.5 to 0.15."""
    family, law, found = (
        GridFamily(kind, schedules.vp_linear(), 0.5, 0.15, "log_snr"),
        names.distribution("mixture"),
        [],
    )
    for n in _STEPS:
        grid, first = family(n), n - structure(solver).depth
        truth = exact_states(law, grid, np.linspace(-2, 2, 5)[:, None], indices=[0, *range(first, n)])
        found.append(root_mean_square(run_from(solver, law, grid, truth, start).z - truth[0]))
    return found


def order_of(errors: list[float]) -> float:
    """Return the slope between the last two numbers of steps."""
    return float(np.log2(errors[-2] / errors[-1]))


def require_order(errors: list[float], order: int, what: str) -> None:
    """Require the slope to lie around an order, 1/4 to both sides."""
    found = order_of(errors)
    require(abs(found - order) < 0.25, f"{what}: order {found:.2f}, not {order}")


def _gamma(slot: Slot) -> Any:
    """The gamma of O-BELM, fact 10."""
    return slot.next.alpha * slot.h**2 / (slot.previous.alpha * slot.previous.h**2)


@check(
    "fact-10",
    verdict="measured",
    mutants={
        "h not squared": {"solver": mutant(OBELM, ("(h / h_prev) ** 2", "h / h_prev"))},
        "steps exchanged": {"solver": mutant(OBELM, ("(h / h_prev) ** 2", "(h_prev / h) ** 2"))},
        "half the response": {"slow": lambda: Fraction(3, 16)},
    },
)
def obelm_is_bdia(solver: Any = OBELM, slow: Fraction = Fraction(3, 8)) -> dict[str, Any]:
    """O-BELM is BDIA with its gamma; its start on an alternating grid."""
    p, (z2, z1) = Formal(2), vectors("z_2", "z_1")
    for_every_slot(solver())
    before = {"z_prev": p.alpha(2) * z2, "z": p.alpha(1) * z1}
    got = p.step(solver(), before)["z"] / p.alpha(0)
    equal(got, p.step(BDIA(_gamma), before)["z"] / p.alpha(0), "O-BELM and BDIA")
    h, older = p.s(0) - p.s(1), p.s(1) - p.s(2)
    ratio = (h / older) ** 2
    for name, wanted in (("z_2", ratio), ("z_1", 1 - ratio)):
        miss = sympy.cancel(got.coefficient(name) - wanted)
        require(miss == 0, f"in y the weight of {name} has an error of {miss}")
    (e,) = p.eps(p.alpha(1) * z1, 1).terms
    require(sympy.cancel(got.coefficient(e) - (h + ratio * older)) == 0, "in y the weight of eps contains alpha")
    found = symbolic_order(solver())
    require(
        (found.order, found.order_rough, found.bounded_products) == (2, 2, True),
        f"orders {found.order_rough}, {found.order}",
    )
    # On steps h, 2h the differences of y are multiplied by -4 and -1/4 in turn: they come back after two steps.
    said = []
    for lengths, rate in (((2, 1), slow), ((1, 2), -4 * slow)):
        responses = {n: _response(solver(), n, lengths) for n in (20, 40, 80)}
        for n, found_there in responses.items():
            require(found_there == rate * n, f"first step {lengths[0]}: after {n} steps {found_there}, not {rate * n}")
        values = ", ".join(str(abs(x)) for x in responses.values())
        said.append(f"{abs(rate)} N with the first step {'2h' if lengths[0] == 2 else 'h'} ({values})")
    orders = [vp_errors(solver(), "alternating", start) for start in (DDIM(), Heun())]
    for errors, order, name in zip(orders, (1, 2), ("DDIM", "Heun"), strict=True):
        require_order(errors, order, f"{name} start")
    return {"said": " and ".join(said), "orders": [order_of(errors) for errors in orders]}


def _response(solver: Any, n: int, lengths: tuple[int, int]) -> Fraction:
    """Return the response to a perturbed start after n steps, an even number, whose lengths alternate in sampling order."""
    s = [Fraction(0)]
    for k in range(n):
        s.append(s[-1] + lengths[1 - k % 2])
    grid = grids.from_values(s, [Fraction(1)] * (n + 1), s)
    zero, one = (np.array([Fraction(k)], dtype=object) for k in (0, 1))
    return solve(solver, lambda z, t: 0 * z, grid, zero, start=[one]).z[0]  # type: ignore[no-any-return]


@check(
    "eq-64",
    verdict="definition",
    mutants={"history of the wrong state": {"solver": mutant(DPMSolverPP, ("(x, *older)", "(*older, x)"))}},
)
def dpm_solver_pp(solver: Any = DPMSolverPP) -> None:
    """The 2M program is the published update."""
    p, (z1, x2) = Formal(2), vectors("z_1", "x_2")
    got = p.step(solver(2), {"z": z1, "x_1": x2})["z"]
    x1 = (z1 - p.sigma(1) * p.eps(z1, 1)) / p.alpha(1)
    h, h_prev = sympy.log(p.s(1) / p.s(0)), sympy.log(p.s(2) / p.s(1))
    data = x1 + h / (2 * h_prev) * (x1 - x2)
    # e^{-h} = s_0/s_1
    right = p.sigma(0) / p.sigma(1) * z1 - p.alpha(0) * (p.s(0) / p.s(1) - 1) * data
    difference = got - right
    for name, c in difference.terms.items():
        require(sympy.simplify(sympy.expand_log(c, force=True)) == 0, f"2M: {name} differs by {c}")


_PLUS = "over_previous_slot(s, self.gamma, z_prev, z, forward)"
_BDIA_PLUS_MUTANTS = {
    "forward increment negated": {"solver": mutant(BDIADPMSolverPP, (_PLUS, _PLUS.replace("forward", "-forward")))},
    "z_i not subtracted": {"solver": mutant(BDIADPMSolverPP, ("self.exact) - z", "self.exact)"))},
}


@check("eq-65", verdict="proved", mutants=_BDIA_PLUS_MUTANTS)
def bdia_dpm_solver_pp(solver: Any = BDIADPMSolverPP) -> dict[str, Any]:
    """The program is (65), and its inverse is refused."""
    p, (z2, z1), g = Formal(2), vectors("z_2", "z_1"), sympy.Symbol("gamma")
    got = p.step(solver(g), {"z_prev": z2, "z": z1})["z"]
    x2 = (z2 - p.sigma(2) * p.eps(z2, 2)) / p.alpha(2)
    ahead = p.step(DPMSolverPP(2), {"z": z1, "x_1": x2})["z"]
    equal(got, z2 + (1 - g) * (z1 - z2) - g * p.backward(2, z1) + (ahead - z1), "(65)")
    try:
        p.undo(solver(g), {"z_prev": z1, "z": got})
    except NotInvertibleError as error:
        require(error.kind == "lost", f"refused for another reason: {error}")
        return {"reason": str(error).split("; ")[0]}
    raise CheckFailed("the inverse was not refused")


@check("remark-4", verdict="measured", mutants=_BDIA_PLUS_MUTANTS)
def bdia_in_multistep_solvers(solver: Any = BDIADPMSolverPP) -> dict[str, Any]:
    """Order, error constant and verdict of the three families."""
    ddim, lines, alone = np.array(vp_errors(DDIM())), [], []
    for name, make in (("BDIA-DPM-Solver++", solver), ("BDIA-PLMS", BDIAPLMS), ("BDIA-DEIS", partial(BDIADEIS, 3))):
        alone.append(order_of(vp_errors(make(Fraction(0)))))
        require(alone[-1] > 1.75, f"{name}, gamma 0: order {alone[-1]:.2f}")
        require(not invertibility(make(Fraction(1, 2))).invertible, f"{name} should not be invertible")
        for gamma in (Fraction(1, 2), Fraction(1)):
            errors = vp_errors(make(gamma))
            require_order(errors, 1, f"{name}, gamma {gamma}")
            ratio = np.array(errors) / ddim
            limit = 2 * ratio[-1] - ratio[-2]
            require(abs(limit - gamma / (1 + gamma)) < 0.01, f"{name}, gamma {gamma}: {limit:.3f} of DDIM's error")
            lines.append(f"{name} gamma {gamma}: {limit:.3f}")
    return {"alone": alone, "lines": "; ".join(lines)}
