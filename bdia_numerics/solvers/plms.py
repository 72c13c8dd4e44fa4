"""PLMS, the linear multistep part of PNDM, and its form with BDIA's correction of the previous slot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from bdia_numerics.program import Evaluation, Form, Linear, Parameter, Recorder
from bdia_numerics.solvers.heun import Heun
from bdia_numerics.solvers.history import over_previous_slot, renew
from bdia_numerics.solvers.parameters import in_unit_interval, one_of

ORDERS = (1, 2, 3, 4)
WEIGHTS = ((1,), (3, -1), (23, -16, 5), (55, -59, 37, -9))
"""Adams and Bashforth's, over their sums 1, 2, 12 and 24; the newest first."""


def increment(s: Recorder, z: Linear, e: Evaluation, older: Sequence[Linear]) -> Form:
    """Return the DDIM increment of the extrapolated noise prediction."""
    if not older:
        return s.delta(s.i, s.i - 1, z, e)
    weights = WEIGHTS[len(older)]
    slope = sum(Fraction(w, sum(weights)) * m for w, m in zip(weights, (e, *older), strict=True))
    return s.delta(s.i, s.i - 1, z, slope)


@dataclass(frozen=True)
class PLMS:
    """PLMS: DDIM with the noise prediction of Adams and Bashforth, whose weights are those of equal steps.

    z_{i-1} = z_i + Delta(t_i -> t_{i-1} | z_i) with (55 e_i - 59 e_{i+1} + 37 e_{i+2} - 9 e_{i+3})/24 for eps,
    with (23, -16, 5)/12 for order 3, (3, -1)/2 for order 2, 1 for order 1

    State     (z_i, e_{i+1}, e_{i+2}, e_{i+3}), each of shape (*batch, *data)
    Order     `order` on grids uniform in sigma/alpha, with a start that is as good; 2 on other smooth grids (1 for
              order 1), 1 where the step ratios only are bounded
    NFE       1 per step; the start takes one more
    Requires  an approximate inversion: each step drops its oldest evaluation
    Source    Liu, Ren, Lin, Zhao, ICLR 2022, eq. (9) and (12) (S-PNDM: order 2, F-PNDM: order 4)
    Start     order by order, the first step by Heun's method, as in PLMS without the Runge-Kutta steps of PNDM
    """

    order: int = 4

    def __post_init__(self) -> None:
        one_of("order", self.order, ORDERS)

    @property
    def registers(self) -> tuple[str, ...]:
        """z_i, and the evaluations before it."""
        return ("z", "e_1", "e_2", "e_3")[: self.order]

    @property
    def evaluations(self) -> tuple[str, ...]:
        """The registers that hold evaluations."""
        return self.registers[1:]

    @property
    def starter(self) -> PLMS | Heun:
        """PLMS of one order less, at first Heun's method."""
        return PLMS(self.order - 1) if self.order > 2 else Heun()

    def step(self, s: Recorder) -> None:
        """Record the step from t_i to t_{i-1}."""
        z, *older = s.registers
        e = s.eps(z)
        s.assign(z, z + increment(s, z, e, older), at=s.i - 1)
        renew(s, older, e, at=s.i)


@dataclass(frozen=True)
class BDIAPLMS:
    """BDIA-PLMS: PLMS for the slot ahead, BDIA's average for the slot behind.

    z_{i-1} = z_{i+1} + [(1-g)(z_i - z_{i+1}) - g Delta(t_i -> t_{i+1} | z_i)] + PLMS increment

    State     (z_{i+1}, z_i, e_{i+2}, e_{i+3}), each of shape (*batch, *data)
    Order     1 for g > 0, with g/(1+g) of DDIM's error constant, of the other sign; PLMS for g = 0; BDIA for order 1
    NFE       1 per step; the start of PLMS
    Requires  an approximate inversion, but for order 1: eps was taken at z_{i+1}, which an inverse would have to find
    Source    paper, remark 4, by the pattern of eq. (65)
    """

    gamma: Parameter = 1
    order: int = 4
    allow_any: bool = False

    def __post_init__(self) -> None:
        in_unit_interval("gamma", self.gamma, self.allow_any)
        one_of("order", self.order, ORDERS)

    @property
    def registers(self) -> tuple[str, ...]:
        """The two states, and the evaluations before them."""
        return ("z_prev", "z", "e_2", "e_3")[: max(self.order, 2)]

    @property
    def evaluations(self) -> tuple[str, ...]:
        """The registers that hold evaluations."""
        return self.registers[2:]

    @property
    def starter(self) -> PLMS | Heun | None:
        """That of PLMS; DDIM for order 1."""
        return PLMS(self.order).starter if self.order > 1 else None

    def step(self, s: Recorder) -> None:
        """Record the step from t_i to t_{i-1}."""
        z_prev, z, *older = s.registers
        e, last = s.eps(z), s.eps(z_prev)
        forward = increment(s, z, e, (last, *older)[: self.order - 1])
        s.assign(z_prev, over_previous_slot(s, self.gamma, z_prev, z, forward), at=s.i - 1)
        renew(s, older, last, at=s.i + 1)
        s.swap(z_prev, z)
