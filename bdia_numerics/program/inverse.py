"""The derived inverse: every operation undone in reverse order, each assignment solved for what it overwrote.

Whether a solver has one, and under which condition on its parameters, is read from the same derivation on symbols.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import combinations
from typing import Any

from bdia_numerics import grids
from bdia_numerics.formulas import expression
from bdia_numerics.grids import Grid
from bdia_numerics.program.identity import remembered
from bdia_numerics.program.ops import Combine, Evaluate, Mix, Op, Parameter
from bdia_numerics.program.refusal import refusal
from bdia_numerics.program.structure import Solver, structure
from bdia_numerics.program.trace import Run, Segment, record_steps
from bdia_numerics.spaces import Scalar, Space, Symbols, decimal, is_float, vanishes
from bdia_numerics.spaces.later import sympy

Matrix = tuple[tuple[Scalar, ...], ...]


class NotInvertibleError(ValueError):
    """A step program that its structure does not let be undone.

    Attributes
    ----------
    kind : {"contraction", "lost"}
        The old value has own coefficient (or the mix determinant) zero; or an evaluation that the undoing needs was
        taken at a version that has been overwritten.
    slot : int
        Index i of the slot, from t_i to t_{i-1}.
    operation : Combine, Mix or None
        The operation that cannot be undone; None where the start makes the whole run, and keeps no state at the noise end.
    missing : int or None
        Number of the value that is gone.

    Examples
    --------
    >>> from bdia_numerics import DDIM, NotInvertibleError, grids, invert, problems, schedules, solve
    >>> grid = grids.uniform(schedules.vp_linear(), 4, t_min=0.1)
    >>> model = problems.Gaussian([0.0], 0.25).model(grid.schedule)
    >>> try:
    ...     invert(DDIM(), model, grid, solve(DDIM(), model, grid, [[1.0]]).state)
    ... except NotInvertibleError as error:
    ...     print(error.kind, error.slot)
    lost 1
    """

    def __init__(self, message: str, *, kind: str, slot: int, operation: Op | None, missing: int | None) -> None:
        super().__init__(message)
        self.kind, self.slot, self.operation, self.missing = kind, slot, operation, missing

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(type(self), **vars(self)), self.args


@dataclass
class _Undo:
    run: Run
    standing: set[int]
    divisors: list[Scalar] = field(default_factory=list)
    known: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.definitions = self.run.definitions()
        self.space = self.run.trace.grid.space

    def segment(self, segment: Segment) -> tuple[Op, ...]:
        ops: list[Op] = []
        # Evaluations and scratch values are not undone: they are repeated where the undoing of something needs them.
        for op in reversed(segment.ops):
            if isinstance(op, Combine) and op.register is not None:
                self._assignment(op, segment.slot, ops)
            elif isinstance(op, Mix):
                self._mix(op, segment.slot, ops)
        return tuple(ops)

    def _assignment(self, op: Combine, slot: int, ops: list[Op]) -> None:
        assert op.old is not None
        # x_new = own x_old + rest, so that x_old = (x_new - rest)/own.
        own = sum((c for c, number in op.terms if number == op.old), self.space.field(0))
        # Zero is decided in the field, on Fractions or expressions: a rounded coefficient says nothing of its zero.
        if self.space.is_zero(own):
            raise self._refusal(
                f"the step overwrites {self.name(op.old)} with own coefficient 0, so its old value is gone",
                "contraction", slot, op, op.old,
            )  # fmt: skip
        # Going back, the new value ends here, and the old one stands again only after it has been solved for.
        self.standing.discard(op.target)
        others = [(c, number) for c, number in op.terms if number != op.old]
        for _, number in others:
            self._need(number, "the old {} is needed", slot, op, ops)
        self.divisors.append(own)
        ops.append(
            Combine(
                op.old, ((1 / own, op.target), *((-c / own, number) for c, number in others)), op.register, op.target
            )
        )
        self.standing.add(op.old)

    def _mix(self, op: Mix, slot: int, ops: list[Op]) -> None:
        inverse, determinant = invert_matrix(op.matrix, self.space)
        if inverse is None:
            names = ", ".join(op.registers)
            raise self._refusal(f"the mix of {names} has determinant 0", "contraction", slot, op, op.olds[0])
        self.divisors.append(determinant)
        # All at once, since every row of the inverse reads all the new values.
        self.standing -= set(op.targets)
        self.standing |= set(op.olds)
        ops.append(Mix(op.olds, op.targets, inverse, op.registers))

    def _need(self, number: int, what: str, slot: int, user: Combine, ops: list[Op]) -> None:
        """Have a value at hand: standing, computed before in this direction, or computed again from what stands.

        `what` says for what the undoing of `user` needs it: itself, or something that is computed from it.
        """
        if number in self.standing or number in self.known:
            return
        definition = self.definitions.get(number)
        if definition is None:
            needed = what.format(self.name(number).partition(" at ")[0])
            reason = f"to undo the step {needed}, which the step has overwritten"
            raise self._refusal(reason, "lost", slot, user, number)
        # What it is computed from may itself be a scratch value or an evaluation, which is then repeated first.
        sources = [definition.argument] if isinstance(definition, Evaluate) else [n for _, n in definition.terms]  # type: ignore[union-attr]
        if isinstance(definition, Evaluate):
            what = "the network is needed at the old {}"
        elif what.startswith("the network"):
            what = "the network is needed at a state made of the old {}"
        for source in sources:
            self._need(source, what, slot, user, ops)
        # It stays at hand in the slots that follow, as a remembered evaluation does on the way there.
        self.known.add(number)
        ops.append(definition)

    def name(self, number: int) -> str:
        return self.run.trace.names[number]

    def _refusal(self, reason: str, kind: str, slot: int, op: Op, missing: int) -> NotInvertibleError:
        return NotInvertibleError(
            f"{reason} (slot from i={slot} to {slot - 1})", kind=kind, slot=slot, operation=op, missing=missing
        )


def inverse_run(run: Run) -> tuple[Run, list[Any]]:
    """Derive the exact inverse of a run of steps.

    Returns
    -------
    run
        The run from what the registers held at the end to what they held at the beginning.
    divisors
        Own coefficients and determinants that it divides by: the run is invertible where none of them vanishes.

    Raises
    ------
    NotInvertibleError
        If an own coefficient is zero, decided exactly, or an evaluation cannot be repeated.
    """
    undo = _Undo(run, {held.number for held in run.final.values()})
    segments = tuple(Segment(s.slot, s.slot, s.after, undo.segment(s), s.before) for s in reversed(run.segments))
    return Run(run.trace, run.final, segments, run.inputs), undo.divisors


def invert_matrix(matrix: Matrix, space: Space) -> tuple[Matrix | None, Scalar]:
    """Return the inverse over the exact field of a space, None if singular, and the determinant (Gauss-Jordan)."""
    n = len(matrix)
    zero, one = space.field(0), space.field(1)
    rows = [[*row, *(one if i == j else zero for j in range(n))] for i, row in enumerate(matrix)]
    determinant = one
    for k in range(n):
        pivot = next((r for r in range(k, n) if not space.is_zero(rows[r][k])), None)
        if pivot is None:
            return None, zero
        # Any pivot that is not zero serves, since nothing is rounded here.
        if pivot != k:
            rows[k], rows[pivot] = rows[pivot], rows[k]
            determinant = -determinant
        scale = rows[k][k]
        determinant = determinant * scale
        rows[k] = [x / scale for x in rows[k]]
        for r in range(n):
            if r != k and not space.is_zero(rows[r][k]):
                factor = rows[r][k]
                rows[r] = [x - factor * y for x, y in zip(rows[r], rows[k], strict=True)]
    return tuple(tuple(row[n:]) for row in rows), determinant


def own_coefficients(segment: Segment, space: Space) -> Any:
    """Return the product of a step's own coefficients and determinants of mixes, with the sign of how registers are exchanged."""
    product, places = space.field(1), [held.number for held in segment.before.values()]
    for op in segment.ops:
        if isinstance(op, Combine) and op.old is not None:
            product = product * sum(c for c, number in op.terms if number == op.old)
            places[places.index(op.old)] = op.target
        elif isinstance(op, Mix):
            product = product * invert_matrix(op.matrix, space)[1]
            moved = dict(zip(op.olds, op.targets, strict=True))
            places = [moved.get(number, number) for number in places]
    after = [places.index(segment.after[name].number) for name in segment.before]
    exchanged = (-1) ** sum(a > b for a, b in combinations(after, 2))
    return space.coefficient(exchanged * product) if space.exact else exchanged * product


@dataclass(frozen=True)
class Invertibility:
    """Verdict on the exact invertibility of a solver.

    Attributes
    ----------
    invertible : bool
        Whether the derived inverse exists, under `condition`.
    condition : tuple of sympy.Expr
        Expressions that must not vanish; empty if the solver is invertible for all values of its parameters.
    reason : str
        Why it is refused; empty if it is not.
    """

    invertible: bool
    condition: tuple[Any, ...] = ()
    reason: str = ""

    def __str__(self) -> str:
        if not self.invertible:
            return f"no: {self.reason}"
        return " and ".join(f"{expression(c)} != 0" for c in self.condition) or "always"


def parameters(solver: Solver) -> dict[str, Any]:
    """Return the numerical parameters of a solver: the dataclass fields annotated `Parameter`, `float` or `Fraction`."""
    fields: Any = getattr(solver, "__dataclass_fields__", {})
    return {name: getattr(solver, name) for name, field in fields.items() if _numerical(field.type)}


def _numerical(annotation: Any) -> bool:
    text = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    words = set(re.findall(r"\w+", text))
    return (
        annotation == Parameter or "Parameter" in words or (bool(words) and words <= {"float", "Fraction", "fractions"})
    )


def symbolised(solver: Solver) -> Solver:
    """Return the solver with a symbol in place of each numerical parameter; itself, if it is made of numbers only."""
    fields: Any = getattr(solver, "__dataclass_fields__", {})
    names = [name for name in parameters(solver) if fields[name].init]
    if not names:
        return solver
    try:
        return dataclasses.replace(solver, **{name: sympy.Symbol(name) for name in names})  # type: ignore[type-var]
    except (TypeError, ValueError):  # a check of its own that compares them with numbers
        return solver


class _Written(Symbols):
    """Symbols, with the floats of a step taken as the decimals that they print as."""

    def number(self, x: object) -> Scalar:
        return super().number(decimal(x) if is_float(x) else x)

    field = number


@remembered
def invertibility(solver: Solver) -> Invertibility:
    """Decide whether a solver is exactly invertible, for symbolic parameters on a symbolic grid.

    Parameters
    ----------
    solver
        Any object with `registers` and `step`. Dataclass fields annotated `Parameter`, `float` or `Fraction` become
        symbols; other floats are taken as the decimals that they print as.

    Returns
    -------
    Invertibility
        The verdict, its condition on the parameters, or the reason.

    Raises
    ------
    TypeError
        If the step computes what cannot be done with symbols on the grid.

    Examples
    --------
    >>> from bdia_numerics import BDIA, invertibility
    >>> str(invertibility(BDIA()))
    'gamma != 0'
    """
    shape = structure(solver)
    grid = replace(grids.symbolic(shape.depth + 3), space=_Written())
    try:
        divisors = _divisors(solver, grid)
    except NotInvertibleError as error:
        return Invertibility(False, reason=str(error))
    if shape.noise_lost:
        return Invertibility(False, reason=shape.noise_lost)
    # No two points of a grid have the same sigma/alpha.
    noise = list(zip(grid.alpha, grid.sigma, strict=True))
    distinct = {a * v - b * u for k, (a, u) in enumerate(noise) for b, v in noise[:k]}
    halves = [
        sympy.atan(sigma / (1 + alpha)) for alpha, sigma in noise
    ]  # of the angles, which differ where the levels do
    distinct |= {x - y for k, x in enumerate(halves) for y in halves[:k]}
    factors: dict[Any, None] = {}
    for divisor in divisors:
        numerator = sympy.numer(sympy.cancel(sympy.together(divisor)))
        for factor, _ in sympy.factor_list(numerator)[1]:
            if not (factor.is_nonzero or factor in distinct or -factor in distinct):
                factors[factor] = None
    return Invertibility(True, tuple(factors))


def _divisors(solver: Solver, grid: Grid) -> list[Scalar]:
    try:
        return inverse_run(record_steps(symbolised(solver), grid))[1]
    except TypeError as error:  # functions such as math.exp take its numbers and no symbols
        refusal(error)
    try:
        return inverse_run(record_steps(solver, grid))[1]
    except TypeError as error:
        raise TypeError(
            f"{type(solver).__name__} has no verdict in symbols, {refusal(error)}: "
            "give it ints, floats or Fractions, or try invert on a grid of numbers"
        ) from None


def end_without_inverse(grid: Grid, depth: int, has_inverse: Callable[[Grid], bool]) -> str:
    """Return the condition and the remedy if an end with sigma = 0 or alpha = 0 is what has no inverse; else nothing.

    Parameters
    ----------
    grid, depth
        The grid, and the slots that the solver takes for its start.
    has_inverse
        Says so of a part of the grid.
    """
    if grid.n - 1 <= depth:
        return ""
    ends = (
        ("sigma_0", grid.sigma[0], grid[1:], "end the grid above it (t_min > 0)"),
        ("alpha_N", grid.alpha[grid.n], grid[: grid.n - 1], "begin the grid below it"),
    )
    for name, level, rest, remedy in ends:
        if vanishes(grid.space, grid.space.field(level)) and has_inverse(rest):
            return f"invert needs {name} != 0: {remedy}"
    return ""


def condition_of(solver: Solver) -> str | None:
    """Return under which condition a solver is invertible; None if it never is, or its step takes numbers only."""
    try:
        verdict = invertibility(solver)
    except Exception as error:  # noqa: BLE001  a step of others, on a grid of symbols; faults are raised again
        refusal(error)
        return None
    return str(verdict) if verdict.invertible else None
