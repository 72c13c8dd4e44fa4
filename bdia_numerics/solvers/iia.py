"""Improved integration approximation: DDIM and EDM with coefficients of the slot, which `fit` makes."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from bdia_numerics.program import Parameter, Recorder
from bdia_numerics.solvers.ddim import DDIM
from bdia_numerics.solvers.heun import Heun


@dataclass(frozen=True)
class IIADDIM:
    """IIA-DDIM: DDIM corrected by what the predictions of data and noise changed since the last step.

    z_{i-1} = z_i + Delta(t_i -> t_{i-1} | z_i) + phi0 (x_i - x_{i+1}) + phi1 (e_i - e_{i+1}) + beta e_i

    State     (z_i, e_{i+1}, x_{i+1}), each of shape (*batch, *data), x = (z - sigma e)/alpha; the first step is of DDIM,
              but for beta
    Order     1 with coefficients of 0, as by default, which make it DDIM, or with such as go to 0 like the steps (beta like
              their squares); else none. After an uncorrected step alpha_i (x_i - x_{i+1}) = -sigma_i (e_i - e_{i+1}), so there
              phi0 and phi1 do one thing
    NFE       1 per step
    Requires  an approximate inversion: each step drops its oldest predictions; alpha_N != 0 unless the model predicts x0, v
              or a velocity
    Source    Zhang, Niwa, Kleijn, ICLR 2024, arXiv:2304.11328, sec. 4: phi0 and phi1 for plain DDIM, beta alone under guidance.
              Not checked against the paper itself, but against a public program that cites its eq. (6) and (8)

    Parameters
    ----------
    phi0, phi1, beta
        Weights of the corrections: numbers, symbols, or functions of the slot.

    Examples
    --------
    >>> from bdia_numerics import IIADDIM, analysis, problems
    >>> law, grid = problems.Gaussian([0.0], 0.25), analysis.GridFamily()(20)
    >>> f"{analysis.global_error(IIADDIM(), law, grid, start='own').error:.1e}"
    '2.0e-02'
    """

    phi0: Parameter = 0
    phi1: Parameter = 0
    beta: Parameter = 0
    registers = ("z", "e_1", "x_1")
    evaluations = {"e_1": "eps", "x_1": "x0"}  # noqa: RUF012  a table of the class
    base = DDIM()
    fitted = ("phi0", "phi1")

    def step(self, s: Recorder) -> None:
        """Record the step from t_i to t_{i-1}."""
        z, e_1, x_1 = s.registers
        e, end = s.eps(z), s.i - 1
        x = s.scratch(s.x0(z, e))
        corrections = s.value(self.phi0) * (x - x_1) + s.value(self.phi1) * (e - e_1) + s.value(self.beta) * e
        s.assign(z, z + s.delta(s.i, end, z, e) + corrections, at=end)
        s.assign(e_1, e, at=end)
        s.assign(x_1, x, at=end)


@dataclass(frozen=True)
class IIAEDM:
    """IIA-EDM: Heun's method with weights of its two gradients, and of those of the step before.

    In y = z/alpha and s = sigma/alpha, with e'_i = eps(~z_{i-1}, t_{i-1}) at the Euler step ~z_{i-1} from z_i:
    y_{i-1} = y_i + (s_{i-1} - s_i) (a0 e_i + a1 (e'_i - e_i) + b0 e_{i+1} + b1 (e'_{i+1} - e_{i+1}))

    State     (z_i, e_{i+1}, e'_{i+1}), each of shape (*batch, *data); both begin as eps(z_N, t_N)
    Order     1 if a0 + b0 = 1; 2 if also a1 h_i + (b1 - b0) h_{i+1} = h_i/2, h_i = s_{i-1} - s_i; by default the weights are
              (1, 1/2, 0, 0), Heun's method
    NFE       2 per step, 1 for a step to sigma = 0
    Requires  an approximate inversion: each step drops its oldest predictions
    Source    Zhang, Niwa, Kleijn, ICLR 2024, arXiv:2304.11328, sec. 3.3, with one step before (r = 1). That its gradients are
              z - D(z), which is sigma e, and the difference of two D, which is that of e times sigma_{i-1}, is known from its
              public reviews; that a1 and b1 stand here without that factor, that the previous step keeps its e', and what
              happens in the first and in the last step, was settled here

    Parameters
    ----------
    a0, a1, b0, b1
        Weights of the gradients: numbers, symbols, or functions of the slot.

    Examples
    --------
    >>> from bdia_numerics import IIAEDM, analysis, problems
    >>> law, grid = problems.Gaussian([0.0], 0.25), analysis.GridFamily()(20)
    >>> f"{analysis.global_error(IIAEDM(), law, grid, start='own').error:.1e}"
    '2.6e-03'
    """

    a0: Parameter = 1
    a1: Parameter = Fraction(1, 2)
    b0: Parameter = 0
    b1: Parameter = 0
    registers = ("z", "e_1", "p_1")
    evaluations = ("e_1", "p_1")
    base = Heun()
    fitted = ("a0", "a1", "b0", "b1")

    def step(self, s: Recorder) -> None:
        """Record the step from t_i to t_{i-1}."""
        z, e_1, p_1 = s.registers
        e, i, end = s.eps(z), s.i, s.i - 1
        euler = z + s.delta(i, end, z, e)
        p = e if s.is_zero(s.sigma(end)) else s.eps(euler, at=end)
        slope = s.value(self.a0) * e + s.value(self.a1) * (p - e)
        slope += s.value(self.b0) * e_1 + s.value(self.b1) * (p_1 - e_1)
        s.assign(z, z + s.delta(i, end, z, slope), at=end)
        s.assign(e_1, e, at=end)
        s.assign(p_1, p, at=end)
