"""Linear combinations with rational expressions as coefficients, in Coq's notation of fields and modules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bdia_numerics.claims.ledger import CheckFailed

_WIDTH = 100


def combination(coefficients: Iterable[Any], values: Iterable[str], places: Mapping[int, str]) -> str:
    """Return a linear combination as text, a term a line if it is long.

    Parameters
    ----------
    coefficients
        sympy expressions; a symbol is called as a function of the index, with the index's offset behind its last underscore.
    values
        Coq's names of the vectors.
    places
        Coq's name of each index, by its offset.
    """
    terms = []
    for c, v in zip(coefficients, values, strict=True):
        sign, size = ("-:", -c) if c.could_extract_minus_sign() else ("+:", c)
        terms.append((sign, v if size == 1 else f"({scalar(size, places)}) *: {v}"))
    (sign, first), *rest = terms
    pieces = [first if sign == "+:" else f"-: ({first})", *(" ".join(term) for term in rest)]
    return (" " if sum(map(len, pieces)) < _WIDTH else "\n").join(pieces)


def scalar(c: Any, places: Mapping[int, str]) -> str:
    """Return a rational expression as text; CheckFailed for anything else."""
    if c.is_Symbol:
        name, _, offset = c.name.rpartition("_")
        return f"{name} {places[int(offset)]}"
    if c.is_Integer and c >= 0:
        return " + ".join(["1"] * int(c)) or "0"
    if c.is_Add:
        first, *rest = c.as_ordered_terms()
        return scalar(first, places) + "".join(_signed(term, places) for term in rest)
    if c.could_extract_minus_sign():
        return f"- {_factor(-c, places)}"
    over, under = c.as_numer_denom()
    if under != 1:
        return f"{_factor(over, places)} / {_factor(under, places)}"
    if c.is_Mul:
        return " * ".join(_factor(x, places) for x in c.args)
    if c.is_Pow and c.exp.is_Integer and c.exp > 1:
        return " * ".join([_factor(c.base, places)] * int(c.exp))
    raise CheckFailed(f"the coefficient {c} is not a rational expression")


def _signed(term: Any, places: Mapping[int, str]) -> str:
    negative = term.could_extract_minus_sign()
    return f" - {_factor(-term, places)}" if negative else f" + {scalar(term, places)}"


def _factor(c: Any, places: Mapping[int, str]) -> str:
    """Return an expression as an operand of a product: in parentheses unless it is one symbol."""
    text = scalar(c, places)
    return text if c.is_Symbol or c in (0, 1) else f"({text})"
