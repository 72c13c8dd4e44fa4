"""What the operations of a program mean: one reading for runs, proofs, formulas and analyses.

Every operation is either an evaluation of the model, or gives linear combinations of values. `rows` says which ones, and
`interpret` computes them for values of any kind: numbers, series, matrices, dictionaries of coefficients, text. A reader
brings the two operations of its values, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from typing import NamedTuple, TypeVar

from bdia_numerics.program.ops import Combine, Evaluate, Op
from bdia_numerics.spaces import Scalar, UndecidedError

Value = TypeVar("Value")
Terms = tuple[tuple[Scalar, int], ...]


class Row(NamedTuple):
    """target = sum of coefficient * value; `register` is the one that is assigned, None for a scratch value."""

    target: int
    register: str | None
    terms: Terms


def rows(op: Op) -> Iterator[Row]:
    """Yield the linear combinations that an operation computes; an evaluation has none.

    What a mix takes over as it is has no row, since it keeps its number. A coefficient 0 of a mix stands for what the row
    does not mention, and is left out, but never the last term: an empty sum is not a state.
    """
    if isinstance(op, Combine):
        yield Row(op.target, op.register, op.terms)
    elif not isinstance(op, Evaluate):
        for target, register, row in zip(op.targets, op.registers, op.matrix, strict=True):
            # A value that is only handed on keeps its number, so there is nothing to compute.
            if target not in op.olds:
                terms = tuple(zip(row, op.olds, strict=True))
                yield Row(target, register, tuple(term for term in terms if _counts(term[0])) or terms[:1])


def _counts(c: Scalar) -> bool:
    """Say whether a coefficient may differ from 0; a ball that holds 0 and more may."""
    try:
        return bool(c)
    except UndecidedError:
        return True


def interpret(
    ops: Iterable[Op],
    values: MutableMapping[int, Value],
    evaluate: Callable[[Evaluate, Value], Value],
    combine: Callable[[Sequence[tuple[Scalar, Value]]], Value],
    definitions: Mapping[int, Op] | None = None,
) -> None:
    """Run operations on values of any kind.

    Parameters
    ----------
    ops
        In the order in which they run.
    values
        By number, those that stand before; what the operations compute is added. A mapping with defaults, as
        `collections.defaultdict`, says what a number that is not there stands for.
    evaluate
        Gives what an evaluation makes of its argument.
    combine
        Gives the sum of coefficient * value over pairs of them.
    definitions
        Operations by their target: from these a value of an earlier slot is made again where it is not there.
    """

    def value(number: int) -> Value:
        if definitions is not None and number not in values:
            # An evaluation that an earlier slot has left is made again from its definition, in a run that begins after it.
            interpret((definitions[number],), values, evaluate, combine, definitions)
        return values[number]

    for op in ops:
        if isinstance(op, Evaluate):
            values[op.target] = evaluate(op, value(op.argument))
        for target, _, terms in rows(op):
            values[target] = combine([(c, value(n)) for c, n in terms])
