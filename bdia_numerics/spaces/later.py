"""Libraries that take long to import, loaded when something of them is first used: a module names them once, at its top."""

from __future__ import annotations

from pkgutil import resolve_name
from typing import Any


class Later:
    """What `pkgutil.resolve_name` finds under a name, a module or an object of one, found when it is first asked for an attribute."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(resolve_name(self._name), attribute)


sympy = Later("sympy")
mp = Later("mpmath:mp")
