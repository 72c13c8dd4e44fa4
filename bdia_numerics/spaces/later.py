"""Libraries that take long to import, loaded when something of them is first used: a module names them once, at its top."""

from __future__ import annotations

from pkgutil import resolve_name
from typing import Any


class Later:
    """What `pkgutil.resolve_name` finds under a name, a module or an object of one, found when it is first asked for an attribute.

    Of a package, modules are attributes, too, before anything has imported them.

    It is read alone: an attribute that is set here, such as a precision, would not be the library's.
    """

    __slots__ = ("_found", "_name")

    def __init__(self, name: str) -> None:
        object.__setattr__(self, "_name", name)

    def __getattr__(self, attribute: str) -> Any:
        if attribute == "_found":  # asked for the first time
            object.__setattr__(self, "_found", resolve_name(self._name))
            return self._found
        try:
            return getattr(self._found, attribute)
        except AttributeError:
            return resolve_name(f"{self._name}.{attribute}")

    def __setattr__(self, attribute: str, value: Any) -> None:
        raise AttributeError(
            f"{attribute} is not set by way of {self._name!r} as it is imported late: import it where it is set"
        )


sympy = Later("sympy")
mp, libmp = Later("mpmath:mp"), Later("mpmath.libmp")
jax, jnp = Later("jax"), Later("jax.numpy")
flint = Later("flint")
scipy = Later("scipy")
special = Later("scipy.special")  # takes half the time of importing the whole package
