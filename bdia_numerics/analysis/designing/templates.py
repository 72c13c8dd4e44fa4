"""Linear multistep methods as step programs with any weights: what `design` searches, and what proofs on all of them are about."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from bdia_numerics.program import Recorder, Solver
from bdia_numerics.solvers.history import start_of
from bdia_numerics.solvers.variables import chosen, position, scale, slope
from bdia_numerics.spaces.later import sympy
from bdia_numerics.texts import one_of, refuse

TEMPLATES = {"two-step": 2, "three-step": 3, "four-step": 4, "five-step": 5, "increments": 2}
"""Numbers of steps by name."""


@dataclass(frozen=True)
class Multistep:
    """A linear multistep method of k steps, sum of a_j y_{n+j} = h (sum of b_j f_{n+j}), a_k = 1 and b_k = 0.

    y = z/alpha and f = eps on steps equal in s = sigma/alpha, h the step that is taken; in "t" y = z and f = dz/dt, in "angle" y = z and
    f = v.

    Attributes
    ----------
    a, b
        a_0, ..., a_{k-1} and b_1, ..., b_{k-1}, numbers, symbols or functions of the slot: no evaluation at the state that is overwritten,
        so that the step has an exact inverse if a_0 != 0. With one b more, the first is b_0, and it has none.
    variable : {"sigma_bar", "t", "angle"}
        What the steps are of.
    """

    a: tuple[Any, ...]
    b: tuple[Any, ...]
    variable: str = "sigma_bar"

    def __post_init__(self) -> None:
        chosen(self.variable, "t")
        if not 0 <= len(self.a) - len(self.b) < 2 or not self.b:
            raise ValueError(
                f"a has {len(self.a)} weights and b {len(self.b)}: pass b_1, ..., b_{{k-1}} to k of a, or b_0 as well"
            )

    @property
    def registers(self) -> tuple[str, ...]:
        """The states, the oldest first."""
        return (*(f"z_{lag}" for lag in range(len(self.a) - 1, 0, -1)), "z")

    @property
    def starter(self) -> Solver:
        """A start of the order that so many steps can have, in the same variable."""
        return start_of(2 if len(self.a) < 4 else 4, self.variable)

    def step(self, s: Recorder) -> None:
        """Record the step from t_i to t_{i-1}."""
        held, end = s.registers, s.i - 1
        slopes = [slope(s, self.variable, z, s.eps(z)) for z in held[-len(self.b) :]]
        states = [z / scale(s, self.variable, s.time(z)) for z in held]
        y = sum(map(operator.mul, states, map(s.value, self.a)))
        f = sum(map(operator.mul, slopes, map(s.value, self.b)))
        h = position(s, self.variable, end) - position(s, self.variable, s.i)
        s.assign(held[0], scale(s, self.variable, end) * (h * f - y), at=end)
        for older, newer in pairwise(held):
            s.swap(older, newer)


@dataclass(frozen=True)
class Increments:
    """Two states and the increments of DDIM back and forth, as BDIA combines them.

    z_{i-1} = p z_{i+1} + q z_i + r Delta(t_i -> t_{i+1}) + u Delta(t_i -> t_{i-1})

    Attributes
    ----------
    weights
        p, q, r and u, numbers, symbols or functions of the slot; the step has an exact inverse if p != 0.
    """

    weights: tuple[Any, Any, Any, Any]
    registers = ("z_prev", "z")

    def step(self, s: Recorder) -> None:
        """Record the step from t_i to t_{i-1}."""
        (z_prev, z), (p, q, r, u) = s.registers, map(s.value, self.weights)
        e = s.eps(z)
        back, forth = s.delta(s.i, s.i + 1, z, e), s.delta(s.i, s.i - 1, z, e)
        s.assign(z_prev, p * z_prev + q * z + r * back + u * forth, at=s.i - 1)
        s.swap(z_prev, z)


def multistep(name: str, *, symmetric: bool = False, variable: str = "sigma_bar") -> Multistep | Increments:
    """Return a multistep method, or the two-step one in increments of DDIM, with a symbol for each weight, as a template of `design`.

    Parameters
    ----------
    name : {"two-step", "three-step", "four-step", "five-step", "increments"}
        How many states it keeps; "increments" is `Increments`.
    symmetric
        With a_j = -a_{k-j} and b_j = b_{k-j}, without which no method is zero-stable in both directions.
    variable
        As of `Multistep`.

    Raises
    ------
    ValueError
        For another name or variable, and for symmetric weights or another variable than "sigma_bar" of "increments".

    Examples
    --------
    >>> from bdia_numerics import analysis
    >>> analysis.multistep("three-step", symmetric=True)
    Multistep(a=(-1, -a_2, a_2), b=(b_2, b_2), variable='sigma_bar')
    """
    k = TEMPLATES[one_of("template", name, TEMPLATES)]
    if name == "increments":
        refuse(
            (symmetric, "symmetric=True: increments are taken with any weights: leave it out"),
            (
                variable != "sigma_bar",
                f"variable={variable}: the increments of DDIM are those of sigma_bar: leave it out",
            ),
        )
        return Increments(tuple(sympy.symbols("p q r u")))
    a, b = ([sympy.Symbol(f"{letter}_{j}") for j in range(k)] for letter in "ab")
    if symmetric:
        a = [-1, *((-a[k - j] if 2 * j < k else 0 if 2 * j == k else a[j]) for j in range(1, k))]
        b = [b[max(j, k - j) % k] for j in range(k)]
    return Multistep(tuple(a), tuple(b[1:]), variable)
