"""Linear forms over the versions of registers, and the handles that a step program holds.

Every value of a run has a number of its own (static single assignment): assigning a register gives it a new version,
swapping two registers moves versions about. A form is a linear combination of such numbers, so it knows which versions
it mentions, and a form that outlives one of them is found out when it is used.
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bdia_numerics.program.record import Recorder


def short(value: object) -> str:
    """Return how a value prints, on one line and not longer than a few words."""
    return " ".join(reprlib.repr(value).split())


class StaleFormError(ValueError):
    """A form mentions a version of a register that has been overwritten."""


class Linear:
    """Algebra shared by forms and handles: sums, differences, multiples."""

    recorder: Recorder
    __array_ufunc__ = None  # a NumPy scalar on the left leaves the product to us

    def form(self) -> Form:
        """Return this value as a form."""
        raise NotImplementedError

    def __add__(self, other: object) -> Form:
        return self.form().plus(other, 1)

    __radd__ = __add__

    def __sub__(self, other: object) -> Form:
        return self.form().plus(other, -1)

    def __rsub__(self, other: object) -> Form:
        return (-self).plus(other, 1)

    def __neg__(self) -> Form:
        return self.form().times(self.recorder.scalar(-1))

    def __mul__(self, scalar: object) -> Form:
        if isinstance(scalar, Linear):
            raise TypeError(
                f"the product of {self} and {scalar} is not linear: a step program is linear in its registers, "
                "so multiply states in the model"
            )
        return self.form().times(self.recorder.scalar(scalar))

    __rmul__ = __mul__

    def __truediv__(self, scalar: object) -> Form:
        if isinstance(scalar, Linear):
            raise TypeError(
                f"the quotient of {self} by {scalar} is not linear: a step program is linear in its registers, "
                "so divide states in the model"
            )
        return self.form().times(1 / self.recorder.scalar(scalar))

    def __bool__(self) -> bool:
        raise TypeError(
            f"a step does not know the value of {self}: it is recorded once for all states, so branch on s.i, s.slot "
            "or a parameter"
        )

    def __gt__(self, other: object) -> bool:
        return bool(self)

    __lt__ = __ge__ = __le__ = __gt__


@dataclass(frozen=True, repr=False)
class Form(Linear):
    """A linear combination of values: coefficients by the number of the value."""

    recorder: Recorder
    terms: Mapping[int, Any]

    def __repr__(self) -> str:
        names = [self.recorder.trace.names[number] for number in self.terms]
        return f"Form({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"

    def form(self) -> Form:
        """Return itself."""
        return self

    def plus(self, other: object, sign: int) -> Form:
        """Return self + sign * other; the number 0 is accepted, so that `sum` works."""
        if isinstance(other, Linear):
            terms = dict(self.terms)
            for number, c in other.form().terms.items():
                terms[number] = terms[number] + sign * c if number in terms else sign * c
            return Form(self.recorder, terms)
        if isinstance(other, int) and other == 0:
            return self
        raise TypeError(f"{short(other)} cannot be added to a linear form: a step program is linear in its registers")

    def times(self, scalar: Any) -> Form:
        """Return the multiple by a scalar of the field."""
        return Form(self.recorder, {number: scalar * c for number, c in self.terms.items()})


@dataclass(frozen=True)
class Register(Linear):
    """A named register; as a form it stands for the version that it holds when it is mentioned."""

    recorder: Recorder = field(repr=False)
    name: str

    def form(self) -> Form:
        """Return the present version with coefficient 1."""
        return Form(self.recorder, {self.recorder.held[self.name].number: self.recorder.one})


@dataclass(frozen=True)
class Scratch(Linear):
    """A value computed within the step and dropped at its end."""

    recorder: Recorder = field(repr=False)
    number: int
    time: Any

    def form(self) -> Form:
        """Return the value with coefficient 1."""
        return Form(self.recorder, {self.number: self.recorder.one})


@dataclass(frozen=True)
class Evaluation(Linear):
    """One evaluation of the model, at one version and one time; in algebra it stands for eps."""

    recorder: Recorder = field(repr=False)
    number: int
    argument: int
    time: Any

    def form(self) -> Form:
        """Return eps, converted from what the model predicts."""
        return Form(self.recorder, {self.recorder.eps_number(self): self.recorder.one})
