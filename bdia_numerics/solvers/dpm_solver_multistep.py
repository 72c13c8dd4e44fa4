"""DPM-Solver, multistep, for noise predictions."""

from __future__ import annotations

from dataclasses import dataclass

from bdia_numerics.program import Recorder, checked
from bdia_numerics.solvers.exponential import integral, usable
from bdia_numerics.solvers.history import KeepsEvaluations, renew


@dataclass(frozen=True)
class DPMSolverMultistep(KeepsEvaluations):
    """DPM-Solver with the history of noise predictions in place of stages: 1 is DDIM.

    z_{i-1} = (alpha_{i-1}/alpha_i) z_i - sigma_{i-1} (e^h - 1) D,      h = l_{i-1} - l_i, l = log(alpha/sigma)
    2: D = e_i + (h/2) (e_i - e_{i+1})/h_{i+1}

    State     (z_i, e_{i+1}, e_{i+2}), each of shape (*batch, *data)
    Order     1, 2, 2 as published
    NFE       1 per step
    Requires  an approximate inversion: each step drops its oldest prediction; sigma_i != 0
    Source    the program of Lu, Zhou, Bao, Chen, Li, Zhu, NeurIPS 2022 (midpoint variant)
    Same as   DEIS in "log_snr", if the interpolant were integrated exactly
    Start     order by order

    Parameters
    ----------
    order
        Number of the variant, 1, 2 or 3.

    Raises
    ------
    ValueError
        For another `order`.

    Examples
    --------
    >>> from bdia_numerics import DPMSolverMultistep, analysis, problems
    >>> law, grid = problems.Gaussian([0.0], 0.25), analysis.GridFamily()(20)
    >>> f"{analysis.global_error(DPMSolverMultistep(), law, grid, start='own').error:.1e}"
    '1.8e-03'
    """

    order: int = 2

    def __post_init__(self) -> None:
        checked(self, order=(1, 2, 3))

    @property
    def starter(self) -> DPMSolverMultistep | None:
        """The solver of one order less."""
        return DPMSolverMultistep(self.order - 1) if self.order > 1 else None

    def step(self, s: Recorder) -> None:
        """Record the step from t_i to t_{i-1}."""
        z, *older = s.registers
        e, top, n = s.eps(z), s.sigma(s.i - 1), usable(s, self.order)
        if n == 1:
            s.assign(z, z + s.delta(s.i, s.i - 1, z, e), at=s.i - 1)
        else:
            kept = s.alpha(s.i - 1) / s.alpha(s.i)
            past = integral(
                s, top, top - kept * s.sigma(s.i), 1, (e, *older)[:n], (s.i, s.i + 1, s.i + 2), s.i - 1, "published"
            )
            s.assign(z, kept * z + past, at=s.i - 1)
        renew(s, older, e, at=s.i)
