"""Write what type checkers and editors see of the packages whose names are made from a table.

    python scripts/stubs.py

A solver stands in one line of SOLVERS; `bdia_numerics/__init__.pyi` and `bdia_numerics/solvers/__init__.pyi` follow from it, and
`bdia_numerics/testing/__init__.pyi` from the table of the modules that its names are in.
"""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("bdia_numerics", "bdia_numerics.solvers", "bdia_numerics.testing")


def stub(package: ModuleType) -> str:
    """Return the text of a package's stub: where each of its public names comes from."""
    imports, rest = [], []
    for name in sorted(
        {*package.__all__, *(n for n in dir(package) if not n.startswith("_") and hasattr(package, n))}
        & set(dir(package))
    ):
        value = getattr(package, name)
        home = getattr(value, "__module__", None)
        if inspect.ismodule(value):
            home, _, last = value.__name__.rpartition(".")
            if last == name and package.__name__ == PACKAGES[0]:
                imports.append(f"from {home} import {name} as {name}")
        elif home == package.__name__ and inspect.isfunction(value):
            rest.append(f"\ndef {name}{inspect.signature(value)}: ...".replace("'", ""))
        elif name not in package.__all__:
            continue
        elif home is None:
            rest.append(f"{name}: dict[str, Any]")
        else:
            imports.append(f"from {home} import {name} as {name}")
    if hasattr(package, "__version__"):
        rest.append("__version__: str")
    names = "".join(f'    "{name}",\n' for name in sorted(package.__all__))
    head = f"# Made by scripts/stubs.py: where the public names of {package.__name__} come from.\n\n"
    lines = [*sorted(imports), "", *rest, *[""] * bool(rest), f"__all__ = [\n{names}]"]
    return head + "from typing import Any\n\n" * bool(rest) + "\n".join(lines) + "\n"


def path(name: str) -> Path:
    """Return where the stub of a package lies."""
    return ROOT.joinpath(*name.split("."), "__init__.pyi")


def main() -> None:
    for name in PACKAGES:
        path(name).write_text(stub(importlib.import_module(name)), encoding="utf-8")


if __name__ == "__main__":
    main()
