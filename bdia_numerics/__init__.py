"""Analysis and verification of exactly invertible diffusion ODE solvers."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.2.0"

# Each name is loaded when it is first asked for, so that `bdia --help`, and pytest with our plugin, wait for nothing.
_ROOMS = (
    *("analysis", "claims", "configs", "grids", "models", "plots", "problems"),
    *("program", "schedules", "spaces", "studies", "testing", "torch"),
)
_HOMES = {
    **{name: f"bdia_numerics.{name}" for name in _ROOMS},
    "inversion": "bdia_numerics.runs.inversion",
    **dict.fromkeys(("NotInvertibleError", "inverse_latex", "invertibility", "step_latex"), "bdia_numerics.program"),
    **dict.fromkeys(
        ("RoundTrip", "Solution", "Status", "encode", "invert", "round_trip", "solve"), "bdia_numerics.runs.encoding"
    ),
    "fit": "bdia_numerics.runs.fitting",
    "State": "bdia_numerics.runs.state",
    **dict.fromkeys(("Datasheet", "datasheet"), "bdia_numerics.analysis"),
}
"""The module of each name, or the module that a name is; the solvers' names are those of their room."""


def __getattr__(name: str) -> Any:
    if name == "__all__":
        value: Any = sorted(
            {*_HOMES, *_solvers().PUBLIC, "SOLVERS"} - {"claims", "configs", "plots", "studies", "testing", "torch"}
        )
    elif name in _HOMES:
        home = import_module(_HOMES[name])
        value = home if home.__name__.endswith(f".{name}") else getattr(home, name)
    elif not name.startswith("_") and name in {*_solvers().PUBLIC, "SOLVERS"}:
        value = getattr(_solvers(), name)
    else:
        # What others look for, such as __path__ or _pytest's marks, is not asked of users.
        near = [] if name.startswith("_") else import_module("bdia_numerics.texts").nearest(name, __dir__())
        said = f": use {' or '.join(near)}" if near else ""
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}{said}")
    globals()[name] = value
    return value


def _solvers() -> Any:
    return import_module("bdia_numerics.solvers")


def __dir__() -> list[str]:
    return sorted({*__getattr__("__all__"), *_ROOMS, "__version__"})
