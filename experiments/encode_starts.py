"""BDIA with a start of second order: `experiments/encode_starts.py:HeunStarted` is a solver for every command.

The package's BDIA starts by a DDIM step, eq. (25), which leaves an error that gamma = 1 does not damp. Heun's step costs one more
evaluation.
"""

from __future__ import annotations

from dataclasses import dataclass

from bdia_numerics import BDIA, Heun


@dataclass(frozen=True)
class HeunStarted(BDIA):
    """BDIA-DDIM whose first state is made by Heun's method, in both directions."""

    @property
    def starter(self) -> Heun:
        """Heun's method."""
        return Heun()
