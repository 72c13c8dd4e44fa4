"""Solvers that exercise what a step program may do. They are written as a user's file would be, and listed nowhere."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

HALF = Fraction(1, 2)


class AdamsBashforth:
    """Two-step Adams-Bashforth that keeps its last evaluation in a register: 1 NFE, not invertible."""

    registers = ("f", "z")
    evaluations = ("f",)

    def step(self, s: Any) -> None:
        f, z = s.registers
        e = s.eps(z)
        s.assign(z, z + s.delta(s.i, s.i - 1, z, 3 * e / 2 - f / 2), at=s.i - 1)
        s.assign(f, e, at=s.i)


class AdamsBashforthAgain:
    """The same method, which keeps states and asks the model again: 1 NFE, not invertible."""

    registers = ("z_prev", "z")

    def step(self, s: Any) -> None:
        z_prev, z = s.registers
        slope = 3 * s.eps(z) / 2 - s.eps(z_prev) / 2
        s.assign(z_prev, z + s.delta(s.i, s.i - 1, z, slope), at=s.i - 1)
        s.swap(z_prev, z)


class ALF:
    """Asynchronous leapfrog with a velocity register: 1 NFE, invertible."""

    registers = ("v", "z")
    evaluations = ("v",)

    def step(self, s: Any) -> None:
        v, z = s.registers
        middle = s.between(s.i, s.i - 1, HALF)
        s.assign(z, z + s.delta(s.i, middle, z, v), at=middle)
        s.assign(v, 2 * s.eps(z) - v, at=s.i - 1)
        s.assign(z, z + s.delta(middle, s.i - 1, z, v), at=s.i - 1)


class ReversibleHeun:
    """y += h/2 f(v); v <- 2y - v; y += h/2 f(v), for alpha = 1: 1 NFE, since the second is the next step's first."""

    registers = ("v", "z")

    def step(self, s: Any) -> None:
        v, z = s.registers
        h = s.sigma(s.i - 1) - s.sigma(s.i)
        s.assign(z, z + h * s.eps(v) / 2)
        s.assign(v, 2 * z - v, at=s.i - 1)
        s.assign(z, z + h * s.eps(v) / 2, at=s.i - 1)


@dataclass(frozen=True)
class EDICT:
    """Coupled states with mixing, eq. (12): 2 NFE, invertible for p != 0."""

    p: "Parameter" = Fraction(9, 10)  # noqa: F821
    registers = ("z", "y")

    def step(self, s: Any) -> None:
        z, y = s.registers
        p = s.value(self.p)
        s.assign(z, z + s.delta(s.i, s.i - 1, z, s.eps(y)))
        s.assign(y, y + s.delta(s.i, s.i - 1, y, s.eps(z)))
        mixed = p * z + (1 - p) * y
        s.mix({z: mixed, y: p * y + (1 - p) * mixed}, at=s.i - 1)


class Coupled:
    """Two states, each moved by a two-stage increment of the other: scratch stages at times in between, invertible."""

    registers = ("y", "z")

    def step(self, s: Any) -> None:
        y, z = s.registers
        s.assign(z, z + self.increment(s, y, s.i, s.i - 1), at=s.i - 1)
        s.assign(y, y - self.increment(s, z, s.i - 1, s.i), at=s.i - 1)

    def increment(self, s: Any, x: Any, i: int, j: int) -> Any:
        middle = s.between(i, j, HALF)
        stage = s.scratch(x + s.delta(i, middle, x, s.eps(x, at=i)), at=middle)
        return s.delta(i, j, x, s.eps(stage))


class Midpoint:
    """The explicit midpoint rule in sigma/alpha: 2 NFE, not invertible."""

    registers = ("z",)

    def step(self, s: Any) -> None:
        (z,) = s.registers
        middle = s.between(s.i, s.i - 1, HALF)
        stage = s.scratch(z + s.delta(s.i, middle, z, s.eps(z)), at=middle)
        s.assign(z, z + s.delta(s.i, s.i - 1, z, s.eps(stage)), at=s.i - 1)


class StaleMutant:
    """e at the old z; assign z; then y += e: it looks like a step of coupled states, and cannot be undone."""

    registers = ("y", "z")

    def step(self, s: Any) -> None:
        y, z = s.registers
        e = s.eps(z)
        s.assign(z, z + s.delta(s.i, s.i - 1, z, s.eps(y)), at=s.i - 1)
        s.assign(y, y + e, at=s.i - 1)


INVERTIBLE = {"ALF": ALF(), "ReversibleHeun": ReversibleHeun(), "EDICT": EDICT(), "Coupled": Coupled()}
REFUSED = {
    "AdamsBashforth": AdamsBashforth(),
    "AdamsBashforthAgain": AdamsBashforthAgain(),
    "Midpoint": Midpoint(),
    "StaleMutant": StaleMutant(),
}
