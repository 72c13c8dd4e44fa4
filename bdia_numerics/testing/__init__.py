"""Assertions for other people's test suites: order, inverse, latent, cost and program of any sampler, against exact solutions.

They take a solver of this package or any object with `registers` and `step`, a plain function ``sample(eps, grid, z)`` (with
``invert=``, a function of the same form, for the way from data to noise), or a scheduler of diffusers; `from_kdiffusion` makes such a
function of a sampler of k-diffusion. Each raises AssertionError with one line that gives the numbers and where to look.
`bdia_numerics.testing.plugin` is a plugin of pytest with the marker `claim`.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    **dict.fromkeys(("Certified", "certify"), "certificate"),
    **dict.fromkeys(("UndecidedOrder", "assert_nfe", "assert_order", "order_of"), "orders"),
    **dict.fromkeys(("Returned", "assert_exactly_invertible", "assert_round_trip", "returned"), "returns"),
    **dict.fromkeys(("Undecided", "from_kdiffusion"), "samplers"),
    "assert_latent_valid": "latents",
    "assert_same": "same",
}
"""The module of each name. Not loaded at once: the plugin is loaded in every session of pytest, and most of them have no claim."""
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return found


def __dir__() -> list[str]:
    return [*__all__, "plugin"]
