"""Data that comes with the package, and states without a draw."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np


def digits() -> np.ndarray[Any, Any]:
    """Return small handwritten digits, scaled to [-1, 1]: those that scikit-learn distributes.

    Returns
    -------
    array
        1797 images of 8 x 8 pixels, shape (1797, 64), float64.

    Examples
    --------
    >>> digits().shape, float(digits().min()), float(digits().max())
    ((1797, 64), -1.0, 1.0)

    Notes
    -----
    Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI repository (1998), test part.
    Pixels are integers 0 to 16, so that pixel / 8 - 1 is exact in every float.
    """
    # The last column has the labels.
    return np.loadtxt(Path(__file__).parent / "vendor" / "digits.csv.gz", delimiter=",")[:, :-1] / 8 - 1


def normal_quantiles(n: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return n states of N(0, 1) on the line without a draw: the midpoints of equal parts of its probability, shape (n, 1)."""
    from scipy.special import ndtri

    found: np.ndarray[Any, np.dtype[np.float64]] = ndtri((np.arange(n) + 0.5) / n)[:, None]
    return found
