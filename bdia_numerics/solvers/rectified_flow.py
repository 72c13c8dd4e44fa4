"""Second-order samplers of rectified-flow models, in t."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from bdia_numerics.program import Recorder

HALF = Fraction(1, 2)


@dataclass(frozen=True)
class RFSolver:
    """RF-Solver-2: a Taylor step whose second derivative is a difference quotient over half the step.

    v = v(z_i, t_i);      v' = (v(z_i + h/2 v, t_i + h/2) - v)/(h/2);      z_{i-1} = z_i + h v + h^2/2 v'

    State     z_i, of shape (*batch, *data)
    Order     2
    NFE       2 per step
    Requires  an approximate inversion: its step is not exactly invertible by its structure; a grid with a schedule
    Source    Wang, Pu, Qi, Guo, Ma, Huang, Chen, Li, Shan, ICML 2025, arXiv:2411.04746, checked against the authors' program;
              it is the explicit midpoint rule in t

    Examples
    --------
    >>> from bdia_numerics import RFSolver, analysis, problems
    >>> law, grid = problems.Gaussian([0.0], 0.25), analysis.GridFamily()(20)
    >>> f"{analysis.global_error(RFSolver(), law, grid, start='own').error:.1e}"
    '4.6e-04'
    """

    registers = ("z",)

    def step(self, s: Recorder) -> None:
        """Record the step from t_i to t_{i-1}."""
        (z,) = s.registers
        middle, h = s.between(s.i, s.i - 1, HALF, "t"), s.t(s.i - 1) - s.t(s.i)
        v = s.velocity(z, s.eps(z))
        half = s.scratch(z + h / 2 * v, at=middle)
        derivative = (s.velocity(half, s.eps(half)) - v) / (h / 2)
        s.assign(z, z + h * v + h * h / 2 * derivative, at=s.i - 1)


@dataclass(frozen=True)
class FireFlow:
    """FireFlow: the midpoint rule in t, whose half step takes the velocity of the last midpoint.

    z_m = z_i + h/2 v_prev;      v_m = v(z_m, t_i + h/2);      z_{i-1} = z_i + h v_m;      v_prev <- v_m

    State     (v_prev, z_i), each of shape (*batch, *data); v_prev starts as v(z_N, t_N)
    Order     2
    NFE       1 per step, and 1 for the start
    Requires  an approximate inversion: its step is not exactly invertible by its structure; a grid with a schedule
    Source    Deng, He, Mei, Wang, Tang, arXiv:2412.07517, checked against a copy of the authors' program

    Examples
    --------
    >>> from bdia_numerics import FireFlow, analysis, problems
    >>> law, grid = problems.Gaussian([0.0], 0.25), analysis.GridFamily()(20)
    >>> f"{analysis.global_error(FireFlow(), law, grid, start='own').error:.1e}"
    '6.1e-04'
    """

    registers = ("v", "z")
    evaluations = {"v": "velocity"}  # noqa: RUF012  a table of the class

    def step(self, s: Recorder) -> None:
        """Record the step from t_i to t_{i-1}."""
        v, z = s.registers
        middle, h = s.between(s.i, s.i - 1, HALF, "t"), s.t(s.i - 1) - s.t(s.i)
        half = s.scratch(z + h / 2 * v, at=middle)
        s.assign(v, s.velocity(half, s.eps(half)), at=s.i - 1)
        s.assign(z, z + h * v, at=s.i - 1)
