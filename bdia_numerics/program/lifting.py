"""Integer lifting: an invertible linear map of several integers as assignments of one at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction

Row = list[Fraction]
Assignment = tuple[int, int, Fraction, list[tuple[Fraction, int]]]


def lifted(
    targets: Sequence[int], olds: Sequence[int], matrix: list[Row], between: Callable[[int], int]
) -> Iterator[Assignment]:
    """Yield assignments that together compute targets = matrix @ olds.

    Each is (target, old, own, others): target = own * old + sum of coefficient * other. Shears have own = 1; the pivots
    of a PLU factorisation are the other own coefficients, and their product is the determinant up to its sign. A target
    that is one of the olds is taken over untouched.

    Parameters
    ----------
    targets, olds
        Numbers of the values.
    matrix
        Rows by target, columns by old.
    between
        Gives a number to a value between two shears, from the number of the old that it comes from.
    """
    rows = [r for r, target in enumerate(targets) if target not in olds]
    kept = [olds.index(target) for target in targets if target in olds]
    free = [c for c in range(len(olds)) if c not in kept]
    order, lower, upper = _plu([[matrix[r][c] for c in free] for r in rows])
    now = [olds[c] for c in free]
    last = len(free) - 1

    def rest(k: int) -> list[tuple[Fraction, int]]:
        return [(matrix[rows[order[k]]][c], olds[c]) for c in kept if matrix[rows[order[k]]][c]]

    for k in range(last):  # upper triangle, downwards: row k reads the values below it, which stand yet
        others = [(upper[k][j], now[j]) for j in range(k + 1, last + 1) if upper[k][j]]
        ends = not rest(k) and not any(lower[k][:k])
        if ends or others or upper[k][k] != 1:
            target = targets[rows[order[k]]] if ends else between(now[k])
            yield target, now[k], upper[k][k], others
            now[k] = target
    for k in range(last, -1, -1):  # unit lower triangle, upwards
        target = targets[rows[order[k]]]
        if now[k] == target:
            continue
        own = upper[k][k] if k == last else Fraction(1)
        yield target, now[k], own, [(lower[k][j], now[j]) for j in range(k) if lower[k][j]] + rest(k)


def _plu(matrix: list[Row]) -> tuple[list[int], list[Row], list[Row]]:
    """Return the order of the rows, and the triangles (unit lower), with partial pivoting; a zero pivot stays in upper."""
    n = len(matrix)
    order, upper = list(range(n)), [list(row) for row in matrix]
    lower = [[Fraction(int(i == j)) for j in range(n)] for i in range(n)]
    for k in range(n):
        pivot = max(range(k, n), key=lambda r: abs(upper[r][k]))
        order[k], order[pivot] = order[pivot], order[k]
        upper[k], upper[pivot] = upper[pivot], upper[k]
        lower[k][:k], lower[pivot][:k] = lower[pivot][:k], lower[k][:k]
        if not upper[k][k]:
            continue
        for r in range(k + 1, n):
            lower[r][k] = upper[r][k] / upper[k][k]
            upper[r] = [a - lower[r][k] * b for a, b in zip(upper[r], upper[k], strict=True)]
    return order, lower, upper
