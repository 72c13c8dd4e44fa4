"""The exact distribution of a finite data set."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from bdia_numerics.problems.checks import parameter
from bdia_numerics.problems.law import Law


@dataclass(frozen=True, eq=False)
class Empirical(Law):
    """A data set as a distribution: equal atoms at its points, or Gaussians of one bandwidth around them.

    Parameters
    ----------
    data
        Shape (K, D), for instance `problems.digits()`.
    bandwidth
        Standard deviation around each point, 0 for atoms. With atoms the score exists only where sigma > 0.

    Raises
    ------
    ValueError
        For data that are not two-dimensional, are empty or contain NaN or infinity, and for a negative bandwidth.
    TypeError
        For complex numbers.
    """

    data: Any
    bandwidth: Any = 0.0

    def __post_init__(self) -> None:
        data, bandwidth = parameter("data", self.data), parameter("bandwidth", self.bandwidth)
        if data.ndim != 2 or data.size == 0:
            raise ValueError(f"data has shape {data.shape}: pass K >= 1 points of length D, shape (K, D)")
        if bandwidth.ndim != 0 or bandwidth[()] < 0:
            raise ValueError(f"bandwidth={self.bandwidth!r}: pass one non-negative standard deviation")
        object.__setattr__(self, "data", data)
        # An exact zero lets atoms run in every number system.
        variance = Fraction(0) if bandwidth[()] == 0 else bandwidth[()] ** 2
        # One number each, seen K times.
        weights, variances = (
            np.broadcast_to(np.array(x, dtype=object), len(data)) for x in (Fraction(1, len(data)), variance)
        )
        self._prepare(weights, data, variances, "bandwidth")
