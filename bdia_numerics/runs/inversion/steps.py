"""One step of any solver as a map from a state to the next: the only text of a step here is the solver's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bdia_numerics.grids import Grid
from bdia_numerics.models import prediction_of
from bdia_numerics.program import Run, Solver, record_steps, structure
from bdia_numerics.program.ops import interpret
from bdia_numerics.runs.solving import Model, Solution, begin, solve, starter_of
from bdia_numerics.spaces import Scalar
from bdia_numerics.texts import shown


@dataclass(frozen=True)
class Step:
    """The step from t_i to t_{i-1}, F(z_i; z_{i+1}, ...) = z_{i-1}; its history is made of later states.

    `part` is the grid from t_{i-1} to t_{i+depth}.
    """

    solver: Solver
    model: Model
    part: Grid
    depth: int

    def history(self, states: Sequence[Any]) -> tuple[Mapping[str, Any] | None, int]:
        """Return the registers made from the states at i, i+1, ..., i+depth, and the NFE."""
        if not self.depth:
            return None, 0
        return begin(self.solver, self.model, self.part, dict(enumerate(states, 1)), 1)

    def __call__(self, z: Any, history: Mapping[str, Any] | None) -> Solution:
        """Take z_i one step."""
        if history is None:
            return solve(self.solver, self.model, self.part, z)
        return solve(self.solver, self.model, self.part, z, {**history, structure(self.solver).output: z})

    def inverse_slope(self) -> Scalar:
        """Return 1/c of z_{i-1} = c z_i + (what the model says of eps), or of the model's own output where alpha_i = 0.

        Raises
        ------
        ValueError
            If c = 0.
        """
        space, output = self.part.space, structure(self.solver).output
        if space.is_zero(space.field(self.part.alpha[1])):
            run = record_steps(self.solver, self.part, prediction_of(self.model))
        else:
            run = record_steps(self.solver, self.part)
        slope = dependence(run, output).get(run.inputs[output].number, 0)
        if space.is_zero(slope):
            raise ValueError(
                f"{shown(self.solver)} leaves z_i out of its step from t={self.part.t[1]}, so there is nothing to iterate: "
                "end the grid before it"
            )
        return space.coefficient(1 / slope)


def step_at(solver: Solver, model: Model, grid: Grid, i: int) -> Step:
    """Return the step that a run takes from t_i, which near t_N is that of its starter.

    Raises
    ------
    ValueError
        If the solver carries more than z_i and what earlier steps left: then z_{i-1} alone does not determine z_i.
    """
    while structure(solver).depth > grid.n - i:
        solver = starter_of(solver)
    shape = structure(solver)
    if shape.lags.count(0) != 1 or shape.end_index(shape.output) != 0:
        here = [name for name, lag in zip(shape.registers, shape.lags, strict=True) if lag == 0]
        raise ValueError(
            f"{type(solver).__name__} carries {', '.join(here)} at the same time, which z alone does not determine: "
            "use invert, or encode without a method"
        )
    return Step(solver, model, grid[i - 1 : i + shape.depth], shape.depth)


def dependence(run: Run, register: str) -> dict[int, Scalar]:
    """Return the coefficients of a register's last version in the run's inputs and evaluations, by their numbers."""
    one = run.trace.grid.space.field(1)
    forms: dict[int, dict[int, Scalar]] = {h.number: {h.number: one} for h in run.inputs.values()}
    for segment in run.segments:
        interpret(segment.ops, forms, lambda op, argument: {op.target: one}, _sum)
    return forms[run.final[register].number]


def _sum(terms: Sequence[tuple[Scalar, Mapping[int, Scalar]]]) -> dict[int, Scalar]:
    total: dict[int, Scalar] = {}
    for c, form in terms:
        for k, value in form.items():
            total[k] = total[k] + c * value if k in total else c * value
    return total
