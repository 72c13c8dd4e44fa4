"""How results show themselves: in a line, a table, a page and a figure. Pages, pandas and matplotlib are loaded when they are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from importlib.util import find_spec
from pkgutil import resolve_name
from typing import Any, TypeVar

T = TypeVar("T")
LONGEST, WIDEST, MOST = 300, 80, 8
"""Letters of a result and of one of its values, and entries of a list, that are shown."""


def brief(value: Any) -> str:
    """Return a value in at most some 80 letters: of an array its dtype and shape, unless it has few elements.

    >>> import numpy as np
    >>> brief(np.zeros((64, 2))), brief((1, 2)), brief({k: k for k in range(50)})
    ('float64 array of shape (64, 2)', '(1, 2)', '50 entries')
    """
    shape = getattr(value, "shape", ())
    if shape and hasattr(value, "dtype") and max(shape) > 3:
        kind = {"ndarray": "array"}.get(type(value).__name__, type(value).__name__)
        return f"{str(value.dtype).removeprefix('torch.')} {kind} of shape {tuple(shape)}"
    text = " ".join(repr(dict(value) if isinstance(value, Mapping) else value).split())
    if len(text) <= WIDEST:
        return text
    return f"{len(value)} entries" if isinstance(value, Mapping | tuple | list) else f"{text[: WIDEST - 3]}..."


class Shown:
    """What has a short repr, and shows itself in notebooks, in pandas and as a page; `pages.results` has the tables."""

    def __repr__(self) -> str:
        if type(self).__str__ is not object.__str__:
            return str(self)
        said = ", ".join(f"{f.name}={brief(getattr(self, f.name))}" for f in fields(self) if f.repr)  # type: ignore[arg-type]
        return f"{type(self).__name__}({said if len(said) <= LONGEST else said[: LONGEST - 3] + '...'})"

    def _repr_html_(self) -> str:
        return str(resolve_name("bdia_numerics.pages.results:fragment")(self))

    def to_pandas(self) -> Any:
        """Return its table as a pandas.DataFrame."""
        return resolve_name("bdia_numerics.pages.results:frame")(self)

    def to_html(self, path: Any) -> None:
        """Write it as a page, one file with its formulas and, if it has one, its figure; ImportError without the extra report."""
        resolve_name("bdia_numerics.pages.results:page")(self, path)


class Drawn(Shown):
    """What has a figure, too; `plots.results` draws it."""

    def plot(self, ax: Any = None) -> Any:
        """Draw it into axes of matplotlib, new ones by default, and return them; ImportError without matplotlib."""
        if find_spec("matplotlib") is None:
            raise ImportError("plot needs matplotlib: pip install 'bdia_numerics[report]'")
        if ax is not None and not hasattr(ax, "fill_between"):
            raise TypeError(f"ax={brief(ax)} is not a pair of axes: pass one of matplotlib, such as plt.subplots()[1]")
        return resolve_name("bdia_numerics.plots.results:plot")(self, ax)


class Listing(tuple[T, ...], Shown):
    """Several results of one kind, one below the other."""

    __slots__ = ()

    def __repr__(self) -> str:
        more = [f"and {len(self) - MOST} more"] if len(self) > MOST else []
        return "\n".join([*map(str, self[:MOST]), *more]) or "none"
