"""What feeds what in a run: the arrows of a recorded step program, and which evaluation stands for which slot's integral."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate
from typing import Any

from bdia_numerics import grids, schedules
from bdia_numerics.grids import Between
from bdia_numerics.program import Evaluate, Solver, interpret, record_run, rows, structure, weighted
from bdia_numerics.runs.solving import starter_of
from bdia_numerics.texts import shown

SLOTS = 4


@dataclass(frozen=True)
class Value:
    """A state, or a scratch value, of a run.

    Attributes
    ----------
    number : int
        Of the value in the run.
    lane : str
        The register that holds it when its slot is done, else the one that was assigned; "scratch" for a value without one.
    time : float
        Index of the grid at which it stands.
    slot : int
        The slot from t_slot that made it; 0 for what the run was given.
    inner : bool
        Whether it is overwritten or dropped within its slot.
    """

    number: int
    lane: str
    time: float
    slot: int
    inner: bool


@dataclass(frozen=True)
class Arrow:
    """A value enters another: by itself, or through the model's output at it and the time `told`.

    Attributes
    ----------
    source, target : int
        Numbers of values.
    told : float or None
        The time that the model was told; None where the state itself enters.
    weight : float
        Coefficient: of the state, or of eps, for alpha = 1.
    slot : int
        In which slot.
    """

    source: int
    target: int
    told: float | None
    weight: float
    slot: int


@dataclass(frozen=True)
class Scheme:
    """Values and arrows of a run over `slots` slots; `output` is the register that is the solution."""

    slots: int
    lanes: tuple[str, ...]
    output: str
    values: tuple[Value, ...]
    arrows: tuple[Arrow, ...]


@dataclass(frozen=True)
class Share:
    """How much of one slot's integral, in the state at t_state, the model's output at one time stands for.

    Attributes
    ----------
    state, slot : int
        z_state; the slot from t_slot to t_{slot-1}.
    taken_at : int
        Index at which the evaluation was taken: `slot` for a forward update, slot-1 for a backward one.
    weight : Fraction
        Of the update; over the evaluations of a slot they add up to 1 in a consistent solver.
    """

    state: int
    slot: int
    taken_at: int
    weight: Fraction


def scheme(solver: Solver, *, slots: int = SLOTS) -> Scheme:
    """Read the arrows off the recorded program of a run from z_N, its start included.

    Parameters
    ----------
    solver
        Any object with registers and a step.
    slots
        Of a grid with alpha = 1, whose steps grow towards the noise.

    Raises
    ------
    ValueError
        If the grid is too short for the solver's start.
    """
    grid = grids.from_timesteps(schedules.edm(), [float(k * (k + 3) + 1) for k in reversed(range(slots + 1))])
    run, output = record_run(solver, starter_of(solver), grid), structure(solver).output
    first = run.inputs["z"].number
    values = {first: Value(first, output, slots, 0, False)}
    arrows: list[Arrow] = []
    taken: dict[int, tuple[int, float]] = {}
    for segment in run.segments:
        kept = {held.number: name for name, held in segment.after.items()}
        for op in segment.ops:
            if isinstance(op, Evaluate):
                taken[op.target] = op.argument, _index(op.time)
                continue
            for target, register, terms in rows(op):
                time = _index(run.trace.times.get(target, segment.reached))
                lane = kept.get(target, register or "scratch")
                values[target] = Value(target, lane, time, segment.slot, target not in kept)
                for weight, number in terms:
                    source, told = taken.get(number, (number, None))
                    arrows.append(Arrow(source, target, told, float(weight), segment.slot))
    lanes = tuple(dict.fromkeys([output, *(v.lane for v in values.values())]))
    return Scheme(slots, lanes, output, tuple(values.values()), tuple(arrows))


def interlacing(solver: Solver, *, slots: int = SLOTS) -> tuple[Share, ...]:
    """Read off which update stands for the integral over which slot, in every state: the arrows of Fig. 3 of the paper.

    The coefficient of each evaluation in each state is followed through the recorded program, for alpha = 1 and exact sigma. Where it is
    linear in sigma it is a sum over slots of weight times (sigma_{slot-1} - sigma_slot), and the weights are returned.

    Raises
    ------
    ValueError
        If a coefficient is not linear in sigma, as those of O-BELM, so that it cannot be shared out among the slots.
    """
    base = [Fraction(k * (k + 3)) for k in range(slots + 1)]
    own = _coefficients(solver, base)
    moved = [_coefficients(solver, [x + (k == j) for k, x in enumerate(base)]) for j in range(slots + 1)]
    shares: list[Share] = []
    for (state, taken_at), value in own.items():
        slopes = [other.get((state, taken_at), Fraction(0)) - value for other in moved]
        again = sum((c * x for c, x in zip(slopes, base, strict=True)), Fraction(0))
        if again != value or sum(slopes, Fraction(0)):
            raise ValueError(
                f"{shown(solver)}: its coefficients are not linear in sigma, so no slot's share can be read off"
            )
        # sum of c_k sigma_k = sum over slots of (c_0 + ... + c_{slot-1}) (sigma_{slot-1} - sigma_slot)
        weights = enumerate(accumulate(slopes[:slots]), 1)
        shares += [Share(state, slot, taken_at, weight) for slot, weight in weights if weight]
    return tuple(shares)


def _coefficients(solver: Solver, sigma: Sequence[Fraction]) -> dict[tuple[int, int], Fraction]:
    """Return the coefficient of the evaluations at each index in the output at each index, {(state, taken_at): coefficient}."""
    grid = grids.from_values([Fraction(k) for k in range(len(sigma))], [Fraction(1)] * len(sigma), sigma)
    run, output = record_run(solver, starter_of(solver), grid), structure(solver).output
    inside: dict[int, dict[int, Fraction]] = {run.inputs["z"].number: {}}
    found: dict[tuple[int, int], Fraction] = {}

    for segment in run.segments:
        interpret(segment.ops, inside, lambda op, argument: {op.time: Fraction(1)}, weighted)
        if output in segment.after:
            end = segment.after[output]
            found |= {(end.time, at): c for at, c in inside[end.number].items()}
    return found


def _index(time: Any) -> float:
    """Return a time as an index, which lies between two integers for a stage."""
    return float(time.i + (time.j - time.i) * Fraction(time.theta) if isinstance(time, Between) else time)
