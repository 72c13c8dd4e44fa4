"""Remark 1 and figure 3: BDIA with any increments, and the chain of increments at gamma = 1."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bdia_numerics import grids, schedules
from bdia_numerics.claims.formal import Formal, abstract_run, bdia_relation, equal, increments, symbols, vectors
from bdia_numerics.claims.ledger import CheckFailed, check, require
from bdia_numerics.claims.mutants import mutant
from bdia_numerics.program import NotInvertibleError, Recorder, inverse_run, invertibility, record_steps
from bdia_numerics.solvers import BDIA, BDIA2, BDIA3, DDIM
from bdia_numerics.solvers.runge_kutta import Base, Midpoint


@dataclass(frozen=True)
class AnyBDIA:
    """(27) with the increments of any one-step method, both taken at z_i."""

    gamma: Any = 1
    base: Base = field(default_factory=Midpoint)
    registers = ("z_prev", "z")

    def step(self, s: Recorder) -> None:
        """Record (27) with other increments."""
        z_prev, z = s.registers
        g = s.value(self.gamma)
        backward, forward = (self.base.increment(s, z, s.i, end) for end in (s.i + 1, s.i - 1))
        s.assign(z_prev, z_prev - (1 - g) * (z_prev - z) - g * backward + forward, at=s.i - 1)
        s.swap(z_prev, z)


def _conditions(solver: Any) -> tuple[Any, ...]:
    found = invertibility(solver)
    require(found.invertible, f"{solver!r} is not invertible: {found}")
    return found.condition


_AT_THE_OLD_STATE = ("self.base.increment(s, z, s.i, end)", "self.base.increment(s, z_prev, s.i + 1, end)")


@check(
    "remark-1",
    verdict="proved",
    mutants={
        "an increment of the older state": {"general": mutant(AnyBDIA, _AT_THE_OLD_STATE)},
        "gamma dropped from the oldest state": {"solver": mutant(BDIA, ("(1 - g) * (z_prev - z)", "(z_prev - z)"))},
        "gamma_1 at the oldest state": {"second": mutant(BDIA2, ("-(1 - g2) *", "-(1 - g1) *"))},
        "gamma_2 at the oldest state": {"third": mutant(BDIA3, ("again(self.gamma3, 3,", "again(self.gamma2, 3,"))},
    },
)
def any_increments(solver: Any = BDIA, general: Any = AnyBDIA, second: Any = BDIA2, third: Any = BDIA3) -> None:
    """(27) with abstract increments is solved for z_{i+1}; (29) and its third-order form by structure."""
    g, g1, g2, g3 = symbols("gamma", "gamma1", "gamma2", "gamma3")
    weights = bdia_relation(solver, g)
    require(weights == (g, 1 - g, -g, 1), f"the weights of z_(i+1), z_i and the two increments are {weights}")
    own = increments(solver(g), 1, {"z_prev": 2, "z": 1})["z"][("z", "z_prev")]
    require(own == g, f"z_(i+1) enters with {own}")
    for made, condition in ((general(g), (g,)), (second(g1, g2), (g2,)), (third(g1, g2, g3), (g3,))):
        found = _conditions(made)
        require(found == condition, f"{type(made).__name__}: invertible where {found} do not vanish, not {condition}")
    p, (z2, z1) = Formal(2), vectors("z_2", "z_1")
    before = {"z_prev": z2, "z": z1}
    for name, value in p.undo(BDIA(g), p.step(solver(g), before)).items():
        equal(value, before[name], f"undo after step, {name}")
    grid = grids.uniform(schedules.vp_linear(), 5, t_min=0.1)
    for refused in (solver(0), general(0), second(1, 0), third(1, 1, 0)):
        try:
            inverse_run(record_steps(refused, grid))
        except NotInvertibleError:
            continue
        raise CheckFailed(f"{refused!r} was not refused")


@check(
    "figure-3",
    verdict="proved",
    mutants={
        "sign of the backward increment flipped": {"solver": mutant(BDIA, ("- g * backward", "+ g * backward"))},
        "gamma = 1/2": {"solver": lambda: lambda gamma: BDIA(gamma / 2)},
        "start with half a step": {"starter": mutant(DDIM, ("z + s.delta", "z + s.value(s.one / 2) * s.delta"))},
        "parity exchanged": {"forward": lambda: lambda m: m % 2 == 0},
    },
)
def interlaced(solver: Any = BDIA, starter: Any = DDIM, forward: Callable[[int], bool] = lambda m: m % 2 == 1) -> None:
    """At gamma = 1 every slot enters a state once, forwards and backwards in turn."""
    (one,) = symbols("gamma")
    weights = bdia_relation(solver, one / one)
    require(weights == (1, 0, -1, 1), f"z_(k-1) is not z_(k+1) with one backward and one forward slot: {weights}")
    for n in range(2, 9):
        states, increment = abstract_run(solver(one / one), starter(), n)
        for i in range(n):
            chain = states[n]
            for j in range(i + 1, n + 1):
                ahead = forward(j - i)
                chain = chain + (increment(j, j - 1) if ahead else -1 * increment(j - 1, j))
            equal(states[i], chain, f"the chain of z_{i}, N = {n}")
