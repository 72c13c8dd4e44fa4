"""Assertions for other people's test suites: order, inverse, latent and cost of any sampler, against exact solutions.

They take a solver of this package or any object with `registers` and `step`, a plain function ``sample(eps, grid, z)`` (with
``invert=``, a function of the same form, for the way from data to noise), or a scheduler of diffusers. Each raises AssertionError with
one line that gives the numbers and where to look. `bdia_numerics.testing.plugin` is a plugin of pytest with the marker `claim`.
"""

from __future__ import annotations

from bdia_numerics.spaces.values import share
from bdia_numerics.testing.latents import assert_latent_valid
from bdia_numerics.testing.orders import UndecidedOrder, assert_nfe, assert_order, order_of
from bdia_numerics.testing.returns import (
    Returned,
    assert_exactly_invertible,
    assert_round_trip,
    returned,
)

__all__ = [
    "Returned",
    "UndecidedOrder",
    "assert_exactly_invertible",
    "assert_latent_valid",
    "assert_nfe",
    "assert_order",
    "assert_round_trip",
    "order_of",
    "returned",
]

share(*map(globals().get, __all__))
