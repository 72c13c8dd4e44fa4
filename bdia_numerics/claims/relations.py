"""What follows from BDIA's relation of three states: remark 1, figure 3, and every line of the proof of Proposition 1 in appendix A."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from bdia_numerics import grids, schedules
from bdia_numerics.claims.formal import (
    Formal,
    abstract_run,
    backward_weight,
    bdia_mutants,
    bdia_relation,
    equal,
    forward_weight,
    increments,
    require_identity,
    symbols,
    vectors,
)
from bdia_numerics.claims.ledger import CheckFailed, check, mutant, require
from bdia_numerics.program import NotInvertibleError, Recorder, inverse_run, invertibility, record_steps
from bdia_numerics.solvers import BDIA, BDIA2, BDIA3, DDIM
from bdia_numerics.solvers.runge_kutta import Base, Midpoint
from bdia_numerics.spaces.later import sympy


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
        **bdia_mutants("sign of the backward increment flipped"),
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


_MUTANTS = bdia_mutants(
    "sign of the backward increment flipped",
    "gamma and 1 - gamma exchanged",
    "forward increment dropped",
    "gamma squared",
)


@check("eq-38", verdict="proved", mutants=_MUTANTS)
def first_states(solver: Any = BDIA) -> None:
    """The lines of the chain from z_{N-1} down to z_{N-3}, with (38), for abstract increments."""
    g = sympy.Symbol("gamma", positive=True)
    z, d = abstract_run(solver(g), DDIM(), 3)  # here N = 3
    start, forward, backward = z[3], {j: d(j, j - 1) for j in (3, 2, 1)}, {j: d(j - 1, j) for j in (3, 2)}
    equal(z[2], start + forward[3], "z_(N-1)")
    for right in (
        start - (1 - g) * (start - z[2]) - g * backward[3] + forward[2],
        start + (1 - g) * forward[3] - g * backward[3] + forward[2],
    ):
        equal(z[1], right, "a line of z_(N-2)")
    difference = g * forward[3] + g * backward[3] - forward[2]
    equal(z[2] - z[1], difference, "(38)")
    newest = (1 - g) * forward[2] - g * backward[2] + forward[1]
    cubed = (1 - (-g) ** 3) / (1 + g)
    averaged = [forward_weight(m, g) * forward[j] - backward_weight(m, g) * backward[j] for j, m in ((3, 3), (2, 2))]
    for right in (
        z[2] - (1 - g) * (z[2] - z[1]) - g * backward[2] + forward[1],
        z[2] - (1 - g) * difference - g * backward[2] + forward[1],
        start + (1 - (1 - g) * g) * forward[3] - (1 - g) * g * backward[3] + newest,
        start + cubed * forward[3] - g * (1 - g**2) / (1 + g) * backward[3] + newest,
        start + averaged[0] + averaged[1] + forward[1],
    ):
        equal(z[0], right, "a line of z_(N-3)")


@check("eq-42", verdict="proved", mutants=_MUTANTS)
def conclusion(solver: Any = BDIA) -> dict[str, Any]:
    """Each line of the chain that ends in (42), slot by slot, with symbolic exponents."""
    g, m = sympy.Symbol("gamma", positive=True), sympy.Symbol("m", integer=True, positive=True)
    older, newer, back, forth = (sympy.sympify(w) for w in bdia_relation(solver, g))
    require_identity(older + newer, sympy.Integer(1), "z_N")
    require(forth == 1, f"slot k enters with {forth}")
    F, B = forward_weight, backward_weight
    one, two = sympy.Integer(1), sympy.Integer(2)
    # (40) at i = k+1 and (39) at i = k, put into the program's step: weights of slot j by m = j - k.
    plugged = {
        "forward": older * F(m - 1, g) + newer * F(m, g),
        "backward": older * B(m - 1, g) + newer * B(m, g),
        "forward, k+2": older * F(one, g) + newer * F(two, g),
        "backward, k+2": older * B(one, g) + newer * B(two, g),
        "forward, k+1": newer * F(one, g),
        "backward, k+1": newer * B(one, g) - back,
    }
    lines = 0
    for name, right in _printed(g, m):
        require_identity(plugged[name], right, f"{name} of slot j in line {lines + 2} of the chain to (42)")
        lines += name == "forward"
    return {"lines": lines}


def _printed(g: Any, m: Any) -> Iterator[tuple[str, Any]]:
    """Yield the weights in the printed lines after the first, without the signs in front of backward increments."""
    x, n = (-g) ** m, 1 + g
    yield "forward", ((g + x) + (1 - g) * (1 - x)) / n
    yield "backward", (g**2 - x + (1 - g) * (g + x)) / n
    yield "forward, k+2", (g + g**2 + (1 - g) * (1 - g**2)) / n
    yield "backward, k+2", (1 - g) * (g + g**2) / n
    yield from (("forward, k+1", 1 - g), ("backward, k+1", g))
    yield "forward", (1 - (-g) ** (m + 1)) / n
    yield "backward", (g + (-g) ** (m + 1)) / n
    yield "forward, k+2", (1 - (-g) ** 3) / n
    yield "backward, k+2", (g + (-g) ** 3) / n
    yield from (("forward, k+1", 1 - g), ("backward, k+1", g))
    yield "forward", forward_weight(m + 1, g)
    yield "backward", backward_weight(m + 1, g)
    for slot, k in (("k+2", 3), ("k+1", 2)):
        yield f"forward, {slot}", forward_weight(k, g)
        yield f"backward, {slot}", backward_weight(k, g)
