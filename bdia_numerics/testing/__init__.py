"""Assertions for other people's test suites: order, inverse, latent, cost and program of any sampler, against exact solutions.

They take a solver of this package or any object with `registers` and `step`, a plain function ``sample(eps, grid, z)`` (with
``invert=``, a function of the same form, for the way from data to noise), or a scheduler of diffusers; `from_kdiffusion` makes such a
function of a sampler of k-diffusion. Each raises AssertionError with one line that gives the numbers and where to look.
`bdia_numerics.testing.plugin` is a plugin of pytest with the marker `claim`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bdia_numerics.testing.certificate import Certified, certify
    from bdia_numerics.testing.latents import assert_latent_valid
    from bdia_numerics.testing.orders import UndecidedOrder, assert_nfe, assert_order, order_of
    from bdia_numerics.testing.returns import Returned, assert_exactly_invertible, assert_round_trip, returned
    from bdia_numerics.testing.same import assert_same
    from bdia_numerics.testing.samplers import Undecided, from_kdiffusion

__all__ = [
    "Certified",
    "Returned",
    "Undecided",
    "UndecidedOrder",
    "assert_exactly_invertible",
    "assert_latent_valid",
    "assert_nfe",
    "assert_order",
    "assert_round_trip",
    "assert_same",
    "certify",
    "from_kdiffusion",
    "order_of",
    "returned",
]


def __getattr__(name: str) -> Any:
    # Not at once: the plugin is loaded in every session of pytest, and most of them have no claim.
    if name in __all__:
        for home in ("certificate", "latents", "orders", "returns", "same", "samplers"):
            found = getattr(import_module(f"{__name__}.{home}"), name, None)
            if getattr(found, "__module__", "").endswith(f".{home}"):
                globals()[name] = found
                return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "plugin"]
