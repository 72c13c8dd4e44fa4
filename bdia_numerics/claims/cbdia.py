"""CBDIA against (43)-(50) and (60)-(63)."""

from __future__ import annotations

from typing import Any

import numpy as np

from bdia_numerics import grids, schedules
from bdia_numerics.claims.formal import Formal, equal, symbols, vectors
from bdia_numerics.claims.ledger import CheckFailed, check, require
from bdia_numerics.claims.mutants import mutant
from bdia_numerics.problems import GaussianMixture
from bdia_numerics.program import NotInvertibleError, Recorder
from bdia_numerics.run import solve
from bdia_numerics.solvers import CBDIA
from bdia_numerics.spaces import Vector

CBDIA_MUTANTS = {
    "backward increment added": {"solver": mutant(CBDIA, ("y - s.delta(end", "y + s.delta(end"))},
    "ends of the backward increment exchanged": {
        "solver": mutant(CBDIA, ("s.delta(end, s.i, z", "s.delta(s.i, end, z"))
    },
    "weights of the mixing exchanged": {
        "solver": mutant(CBDIA, ("z: g1 * z + (1 - g1) * y", "z: (1 - g1) * z + g1 * y"))
    },
}


@check("eq-43", "eq-44", verdict="misprint", mutants=CBDIA_MUTANTS)
def cbdia_lines(solver: Any = CBDIA) -> str:
    """(43) and (44) in their right form are the CBDIA program."""
    _is_cbdia(solver)
    return (
        "the right forms are proved: the program equals (43)-(46) with the increments Delta(t_i -> t_{i-1}|y_i) and "
        "Delta(t_{i-1} -> t_i|w_{i-1}), for any eps. As printed, the same integral, over a path that is not known, "
        "stands in both."
    )


def _is_cbdia(solver: Any) -> None:
    f, z1, y1, w, v = _cbdia_parts()
    g1, g2 = symbols("gamma_1", "gamma_2")
    got = f.step(solver(g1, g2), {"z": z1, "y": y1})
    equal(got["z"], g1 * w + (1 - g1) * v, "z")
    equal(got["y"], g2 * w + (1 - g2) * v, "y")


class MisprintedCBDIA(CBDIA):
    """CBDIA with (61) as printed: alpha_{i-1} stands where alpha_i belongs, in front of the bracket."""

    def step(self, s: Recorder) -> None:
        """Record (60), (61) as printed, (62) and (63)."""
        z, y = s.registers
        g1, g2, end = s.value(self.gamma1), s.value(self.gamma2), s.i - 1
        s.assign(z, z + s.delta(s.i, end, y, s.eps(y)), at=end)
        e = s.eps(z)
        bracket = (z - s.sigma(end) * e) / s.alpha(end)
        s.assign(y, y - (s.alpha(end) * bracket + s.sigma(s.i) * e - z), at=end)
        s.mix({z: g1 * z + (1 - g1) * y, y: g2 * z + (1 - g2) * y})


_PRINT_MUTANTS = {
    **CBDIA_MUTANTS,
    "the print corrected": {"printed": lambda: CBDIA},
    "another print": {"printed": mutant(MisprintedCBDIA, ("+ s.sigma(s.i) * e", "- s.sigma(s.i) * e"))},
}


@check("eq-61", verdict="misprint", mutants=_PRINT_MUTANTS)
def cbdia_backward_line(solver: Any = CBDIA, printed: Any = MisprintedCBDIA) -> str:
    """(61) in its right form is the CBDIA program; as printed it does not converge where alpha varies."""
    _is_cbdia(solver)
    f, z1, y1, w, _ = _cbdia_parts()
    v = y1 - (f.sigma(1) - f.sigma(0)) * f.eps(w, 0)  # what is left of (61) as printed, where alpha_{i-1} cancels
    equal(f.step(printed(0, 1), {"z": z1, "y": y1})["z"], v, "(61) as printed")
    errors = {name: misprint_errors(program(0, 1), STEPS) for name, program in (("right", solver), ("print", printed))}
    require(errors["right"][-1] < errors["right"][0] / 50, f"the right form should converge, errors {errors['right']}")
    require(
        errors["print"][-1] > errors["print"][-2] / 1.5, f"the print should stop converging, errors {errors['print']}"
    )
    return (
        "the right form is proved: the program equals (60)-(63) with alpha_i in (61), for any eps. As printed, "
        "alpha_{i-1} cancels and "
        "v_{i-1} = y_i - (sigma_i - sigma_{i-1}) eps(w_{i-1}), proved too: harmless for constant alpha, another "
        "equation otherwise. Run with "
        f"(0, 1) on a Gaussian mixture, linear VP, N = {', '.join(map(str, STEPS))}: errors {_show(errors['print'])}; "
        f"with alpha_i: "
        f"{_show(errors['right'])}."
    )


STEPS = (10, 20, 40, 80, 160, 320)


def _show(errors: list[float]) -> str:
    return ", ".join(f"{e:.2g}" for e in errors)


def misprint_errors(solver: Any, steps: tuple[int, ...]) -> list[float]:
    """Return the root-mean-square error of x_0 against the exact flow, for each number of steps.

    Linear VP schedule, 200 states, a mixture of two Gaussians on the line, grid uniform in asinh(sigma/alpha).
    """
    schedule = schedules.vp_linear()
    law = GaussianMixture([0.4, 0.6], [[-1.0], [1.5]], [0.1, 0.2])
    z = np.random.default_rng(0).standard_normal((200, 1))
    truth = law.flow(z, 1.0, 0.001, schedule)
    errors = []
    for n in steps:
        grid = grids.asinh(schedule, n, t_min=0.001)
        got = solve(solver, law.model(schedule), grid, z).z
        errors.append(float(np.sqrt(np.mean((got - truth) ** 2))))
    return errors


def _cbdia_parts() -> tuple[Formal, Vector, Vector, Vector, Vector]:
    f, (z1, y1) = Formal(1), vectors("z_1", "y_1")
    w = z1 + f.forward(1, y1)
    return f, z1, y1, w, y1 - f.backward(1, w)


@check("eq-45", "eq-46", "eq-62", "eq-63", verdict="definition", mutants=CBDIA_MUTANTS)
def cbdia_mixing(solver: Any = CBDIA) -> str:
    """The mixing of the CBDIA program."""
    f, z1, y1, w, v = _cbdia_parts()
    g1, g2 = symbols("gamma_1", "gamma_2")
    got = f.step(solver(g1, g2), {"z": z1, "y": y1})
    equal(got["z"], g1 * w + (1 - g1) * v, "(45)")
    equal(got["y"], g2 * w + (1 - g2) * v, "(46)")
    return "defines the mixing; the program, run on symbols over one slot, equals it, for any eps."


@check(
    "eq-60",
    verdict="proved",
    mutants={"eps of the other state": {"solver": mutant(CBDIA, ("y, s.eps(y)", "y, s.eps(z)"))}},
)
def cbdia_forward_part(solver: Any = CBDIA) -> str:
    """(60): with g1 = 1 the step's z is w."""
    f, z1, y1, _, _ = _cbdia_parts()
    e = f.eps(y1, 1)
    got = f.step(solver(1, 0), {"z": z1, "y": y1})["z"]
    equal(got, z1 + f.alpha(0) * ((y1 - f.sigma(1) * e) / f.alpha(1)) + f.sigma(0) * e - y1, "(60)")
    return "the program at (1, 0), whose z is w, equals (60) on symbols, for any eps."


@check("eq-47", "eq-48", "eq-49", "eq-50", verdict="proved", mutants=CBDIA_MUTANTS)
def cbdia_inverse(solver: Any = CBDIA) -> str:
    """(47)-(50) are the derived inverse."""
    f, (z0, y0) = Formal(1), vectors("z_0", "y_0")
    g1, g2 = symbols("gamma_1", "gamma_2")
    after = {"z": z0, "y": y0}
    found = f.undo(solver(g1, g2), after)
    v = (g1 * y0 - g2 * z0) / (g1 - g2)
    w = ((1 - g1) * y0 - (1 - g2) * z0) / (g2 - g1)
    y1 = v + f.backward(1, w)
    equal(found["y"], y1, "(47)-(49)")
    equal(found["z"], w - f.forward(1, y1), "(50)")
    for name, value in f.step(solver(g1, g2), found).items():
        equal(value, after[name], f"step after undo, {name}")
    try:
        f.undo(solver(g1, g1), after)
    except NotInvertibleError:
        return (
            "the inverse derived from the CBDIA program equals (47)-(50) coefficient by coefficient, for any eps, and "
            "the step undoes it; the condition, the "
            "mixing's determinant, is gamma_1 != gamma_2, and equal ones are refused."
        )
    raise CheckFailed("gamma_1 = gamma_2 was not refused")
