"""One Gaussian."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from bdia_numerics.problems.checks import parameter, variances_of
from bdia_numerics.problems.law import Law


@dataclass(frozen=True, eq=False)
class Gaussian(Law):
    """The normal distribution N(mean, cov), with its flow in closed form.

    Parameters
    ----------
    mean
        Shape (D,).
    cov
        A variance, D variances, or a symmetric positive definite matrix (D, D). Variances may be 0 (an atom) where
        sigma > 0. Floats are taken at their exact binary value in mpmath and longdouble; a distribution for runs in Fractions or
        symbols is written in ints and Fractions.

    Raises
    ------
    ValueError
        For shapes that do not match, NaN, infinity, negative variances and matrices not positive definite.
    TypeError
        For complex numbers.
    """

    mean: Any
    cov: Any = 1

    def __post_init__(self) -> None:
        mean = parameter("mean", self.mean)
        if mean.ndim != 1 or mean.size == 0:
            raise ValueError(f"mean has shape {mean.shape}: pass D >= 1 numbers, shape (D,)")
        cov = variances_of("cov", self.cov, ((), mean.shape, (mean.size, mean.size)))
        object.__setattr__(self, "mean", mean)
        object.__setattr__(self, "cov", cov)
        one = np.empty(1, dtype=object)
        one[0] = Fraction(1)
        self._prepare(one, mean[None], cov[None], "cov")
