"""How nearly a one-step solver undoes itself when it steps back: the order of Phi_{-h} Phi_h - id, from its program."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from bdia_numerics.analysis.expansion.order import resolved
from bdia_numerics.analysis.expansion.propagation import known_order
from bdia_numerics.analysis.expansion.series import EXACT, Series, TooShort
from bdia_numerics.analysis.expansion.step import SeriesStep
from bdia_numerics.program import Evaluate, Solver, interpret, structure, weighted

Value = dict[Any, Series]
"""Coefficients by the name of a register, or by the number of an evaluation."""


def symmetry_order(solver: Solver) -> int | float:
    """Derive the order of symmetry of a one-step solver: the largest q with Phi_{-h} Phi_h = id + O(h^(q+1)).

    Phi_h is the step from t_i to t_{i-1} of all registers, Phi_{-h} the same program from t_{i-1} to t_i. A symmetric method has
    q = infinity. One whose only register is z, of even order p, has q >= p + 1: the leading terms of the two steps cancel. With other
    registers q may be lower than the order of z, since all of them count: FireFlow, of order 2, has q = 0.

    Parameters
    ----------
    solver
        A solver whose registers all stand at t_i.

    Returns
    -------
    int or float
        Infinity where the step back undoes the step, for every model and all values of the registers: decided on the program,
        for alpha = 1 and where its weights are polynomials in the step. Else the registers begin on the exact solution.

    Raises
    ------
    ValueError
        For a solver that needs first states.
    TypeError
        If the step needs what has no expansion in the step.

    Notes
    -----
    Hairer, Lubich, Wanner, Geometric Numerical Integration, sec. II.3 and V.1.

    Examples
    --------
    >>> from bdia_numerics import ALF, DDIM, Heun
    >>> from bdia_numerics.analysis import symmetry_order
    >>> [symmetry_order(solver) for solver in (DDIM(), Heun(), ALF())]
    [1, 3, inf]
    """
    if structure(solver).depth:
        raise ValueError(
            f"{type(solver).__name__} takes first states, so that its step has no step back: give a one-step solver"
        )
    return math.inf if _returns(solver) else resolved(solver, lambda terms: _there_and_back(solver, terms))


def _there_and_back(solver: Solver, terms: int) -> int:
    step = SeriesStep.of(solver, terms, "rough")
    before = [step.exact(name, held.time, {}) for name, held in step.run.inputs.items()]
    missed = [x - y for x, y in zip(step.back().taken(step.taken(before)), before, strict=True)]
    k = min(map(known_order, missed))
    if k >= terms:
        raise TooShort
    return k - 1


def _returns(solver: Solver) -> bool:
    """Say whether the step back undoes the step, with an evaluation that is equal where its argument and its time are."""
    there = SeriesStep.of(solver, 2, "rough", "one")
    one, asked = there.layout.space.one, list[tuple[Value, Series]]()
    values: list[Value] = [{name: one} for name in there.shape.registers]

    def combine(terms: Sequence[tuple[Any, Value]]) -> Value:
        return {key: x for key, x in weighted(terms).items() if x or x.precision < EXACT}

    for step in (there, there.back()):

        def evaluate(op: Evaluate, argument: Value, step: SeriesStep = step) -> Value:
            question = argument, step.layout.place(op.time)
            if question not in asked:
                asked.append(question)
            return {asked.index(question): one}

        (segment,) = step.run.segments
        known = {held.number: value for held, value in zip(segment.before.values(), values, strict=True)}
        interpret(segment.ops, known, evaluate, combine)
        values = [known[held.number] for held in segment.after.values()]
    exact = all(x.precision >= EXACT for value in (*values, *(v for v, _ in asked)) for x in value.values())
    return exact and values == [{name: one} for name in there.shape.registers]
