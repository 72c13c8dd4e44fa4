"""UniPC, and SA-Solver without noise: a predictor whose step the next evaluation corrects."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bdia_numerics.program import Recorder, checked
from bdia_numerics.solvers.ddim import DDIM
from bdia_numerics.solvers.dpm_solver_pp import moved, solution
from bdia_numerics.solvers.history import reach, renew

ORDERS = (1, 2, 3)


@dataclass(frozen=True)
class UniPC:
    """UniPC, multistep, for data predictions: UniP-`order` ahead, then UniC-`corrector` with the evaluation made there.

    c_i = the step from c_{i+1} to t_i with x_i among the predictions;      z_{i-1} = the step from c_i to t_{i-1} without x_{i-1};
    x_i = (z_i - sigma eps(z_i, t_i))/alpha, whose interpolant is integrated as in DPM-Solver++

    State     (z_i, c_{i+1}, x_{i+1}, x_{i+2}, x_{i+3}), as many x as are used, each of shape (*batch, *data)
    Order     1 more than the smaller of `order` and `corrector`, where the step ratios are bounded; 3 at most with its own start
    NFE       1 per step
    Requires  an approximate inversion: each step drops its oldest prediction; sigma_i != 0, and one step of order 1 to
              sigma = 0
    Source    Zhao, Bai, Rao, Zhou, Lu, NeurIPS 2023, arXiv:2302.04867; what is simplified, from their program
    Options   `weights`: B(h) of the two simplified weights, "bh1" for h, "bh2" for e^h - 1; all others are exact
    Start     order by order

    Parameters
    ----------
    order
        1, 2 or 3: predictions through which the predictor goes.
    corrector
        1, 2 or 3, UniC-1 to UniC-3; at first the one that the history allows.
    weights
        "bh1" or "bh2".

    Raises
    ------
    ValueError
        For another `order`, `corrector` or `weights`.

    Examples
    --------
    >>> from bdia_numerics import UniPC, analysis, problems
    >>> law, grid = problems.Gaussian([0.0], 0.25), analysis.GridFamily()(20)
    >>> f"{analysis.global_error(UniPC(), law, grid, start='own').error:.1e}"
    '5.2e-04'
    """

    order: int = 2
    corrector: int = 2
    weights: str = "bh2"

    def __post_init__(self) -> None:
        checked(self, order=ORDERS, corrector=ORDERS, weights=("bh1", "bh2"))

    @property
    def registers(self) -> tuple[str, ...]:
        """The prediction of z, the corrected state before it, and the data predictions before."""
        return ("z", "c", "x_1", "x_2", "x_3")[: 2 + max(self.order - 1, self.corrector)]

    @property
    def evaluations(self) -> dict[str, str]:
        """The registers that hold data predictions."""
        return dict.fromkeys(self.registers[2:], "x0")

    @property
    def starter(self) -> UniPC | DDIM:
        """The solver with one prediction less, at first DDIM."""
        kept = len(self.registers) - 2
        return (
            replace(self, order=min(self.order, kept), corrector=min(self.corrector, kept - 1)) if kept > 1 else DDIM()
        )

    def step(self, s: Recorder) -> None:
        """Record the step from t_i to t_{i-1}."""
        z, c, *older = s.registers
        x, n, i = s.scratch(s.x0(z, s.eps(z))), reach(s, self.corrector + 1), s.i
        corrected = moved(s, c, (older[0], x, *older[1:])[:n], (i + 1, i, i + 2, i + 3), i, self.weights)
        s.assign(c, corrected if n > 1 else z, at=i)
        s.assign(z, solution(s, c, (x, *older)[: self.order], self.weights), at=i - 1)
        renew(s, older, x, at=i)


@dataclass(frozen=True)
class SASolver(UniPC):
    """SA-Solver without noise, eta = 0 (tau = 0): exponential Adams methods, a predictor and a corrector.

    State     as of UniPC
    Order     1 more than the smaller of `order` and `corrector`, where the step ratios are bounded; 3 at most with its own start
    NFE       1 per step
    Requires  as UniPC
    Source    Xue, Yi, Luo, Zhang, Sun, Li, Ma, NeurIPS 2023, arXiv:2309.05019; the weights of two predictions from their program
    Same as   UniPC with "bh1"; a corrector that counts x_i among its k predictions is the one of order k - 1 here
    Start     order by order

    Parameters
    ----------
    order
        1, 2 or 3: predictions through which the predictor goes.
    corrector
        1, 2 or 3, UniC-1 to UniC-3; at first the one that the history allows.
    weights
        "bh1" or "bh2".

    Raises
    ------
    ValueError
        As `UniPC`.

    Examples
    --------
    >>> from bdia_numerics import SASolver, analysis, problems
    >>> law, grid = problems.Gaussian([0.0], 0.25), analysis.GridFamily()(20)
    >>> f"{analysis.global_error(SASolver(), law, grid, start='own').error:.1e}"
    '2.7e-03'
    """

    corrector: int = 1
    weights: str = "bh1"
