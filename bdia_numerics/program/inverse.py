"""The derived inverse: every operation undone in reverse order, each assignment solved for what it overwrote."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any

from bdia_numerics.program.ops import Combine, Evaluate, Held, Mix, Op
from bdia_numerics.program.trace import Recording, Segment

Matrix = tuple[tuple[Any, ...], ...]


class NotInvertibleError(ValueError):
    """A step program that its structure does not let be undone.

    Attributes
    ----------
    kind : {"contraction", "lost"}
        The old value has own coefficient (or the mix determinant) zero; or an evaluation that the undoing needs was
        taken at a version that has been overwritten.
    slot : int
        Index i of the slot, from t_i to t_{i-1}.
    operation : Combine or Mix
        The operation that cannot be undone.
    missing : int
        Number of the value that is gone.
    """

    def __init__(self, message: str, *, kind: str, slot: int, operation: Op, missing: int) -> None:
        super().__init__(message)
        self.kind, self.slot, self.operation, self.missing = kind, slot, operation, missing

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(type(self), **vars(self)), self.args


@dataclass
class _Undo:
    run: Recording
    standing: set[int]
    divisors: list[Any] = field(default_factory=list)
    known: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.definitions = self.run.definitions()
        self.space = self.run.trace.grid.space

    def segment(self, segment: Segment) -> tuple[Op, ...]:
        ops: list[Op] = []
        for op in reversed(segment.ops):
            if isinstance(op, Combine) and op.register is not None:
                self._assignment(op, segment.slot, ops)
            elif isinstance(op, Mix):
                self._mix(op, segment.slot, ops)
        return tuple(ops)

    def _assignment(self, op: Combine, slot: int, ops: list[Op]) -> None:
        assert op.old is not None
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
            self._need(number, number, slot, op, ops)
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
        self.standing -= set(op.targets)
        self.standing |= set(op.olds)
        ops.append(Mix(op.olds, op.targets, inverse, op.registers))

    def _need(self, number: int, wanted: int, slot: int, user: Combine, ops: list[Op]) -> None:
        """Have a value at hand: standing, computed before in this direction, or computed again from what stands.

        `wanted` is what the undoing of `user` mentions itself; `number` is that, or something that it is computed from.
        """
        if number in self.standing or number in self.known:
            return
        definition = self.definitions.get(number)
        if definition is None:
            needs = f"undoing the assignment of {user.register} needs {self.name(wanted)}"
            reason = f"{needs}, but the step has overwritten {self.name(number)}"
            raise self._refusal(reason, "lost", slot, user, number)
        # What it is computed from may itself be a scratch value or an evaluation, which is then repeated first.
        sources = [definition.argument] if isinstance(definition, Evaluate) else [n for _, n in definition.terms]  # type: ignore[union-attr]
        for source in sources:
            self._need(source, wanted, slot, user, ops)
        self.known.add(number)
        ops.append(definition)

    def name(self, number: int) -> str:
        return self.run.trace.names[number]

    def _refusal(self, reason: str, kind: str, slot: int, op: Op, missing: int) -> NotInvertibleError:
        return NotInvertibleError(
            f"{reason} (slot from i={slot} to {slot - 1})", kind=kind, slot=slot, operation=op, missing=missing
        )


def inverse_run(run: Recording) -> tuple[Recording, list[Any]]:
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
    segments = []
    for segment in reversed(run.segments):
        ops = undo.segment(segment)
        segments.append(Segment(segment.slot, segment.slot, segment.after, ops, segment.before))
    return Recording(run.trace, run.final, tuple(segments), run.inputs), undo.divisors


def invert_matrix(matrix: Matrix, space: Any) -> tuple[Matrix | None, Any]:
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


__all__ = ["Held", "NotInvertibleError", "inverse_run", "invert_matrix"]
