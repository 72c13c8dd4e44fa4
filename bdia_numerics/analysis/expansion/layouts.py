"""Grids of series: where the points around t_i lie when the step h falls, and how alpha goes with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import factorial
from typing import Any

from bdia_numerics.analysis.expansion.series import Series, SeriesSpace, rational_functions
from bdia_numerics.grids import Between, Index, Point
from bdia_numerics.spaces.later import sympy

SPACINGS = ("rough", "smooth", "uniform")


class NeedsRoot(Exception):
    """A step whose weights are rational in the n-th root of a number: it is analysed with a symbol for it, which is reduced."""


class NeedsTime(Exception):
    """A step that asks for t, or for a derivative in t: it is analysed in (z, t); or in (z, phi), if it asks for the angle."""


@dataclass(frozen=True, eq=False)
class PointLayout:
    """What a step program sees of a grid near t_i, index 0 being t_i, -1 the end of the slot and 1, 2, ... the points before.

    Attributes
    ----------
    space
        Its numbers, series in h.
    depth
        How many points before t_i there are.
    spacing
        "rough": s_{-1} = s + h, and the earlier steps are h w_1, h w_2, ... for independent ratios w.
        "smooth": s_k is a smooth function of k h, s - k h + k_2 (k h)^2/2 - ..., with h its slope at t_i.
        "uniform": equal steps h.
    alphas
        "smooth": alpha is a smooth function of s, alpha (1 + a_1 x + a_2 x^2/2 + ...); "free": a symbol at each point;
        "one": alpha = 1.
    in_time
        Whether the independent variable is t, not s = sigma/alpha; then alpha and sigma are smooth functions of t.
    in_angle
        Whether t is the angle of a variance-preserving schedule, alpha = cos(t) and sigma = sin(t), with u = tan(t_i/2).
    pattern
        Relative steps that repeat, from the data end, of "smooth" and "uniform" spacing: (1,) for equal ones. As many steps as it has
        are taken, to the index minus its length.
    """

    space: SeriesSpace
    depth: int
    spacing: str = "rough"
    alphas: str = "smooth"
    in_time: bool = False
    in_angle: bool = False
    pattern: tuple[Any, ...] = (1,)
    offset: int = 0
    is_reversed: bool = False
    places: dict[Any, Series] = field(default_factory=dict)
    _points: dict[Any, Point] = field(default_factory=dict)

    @property
    def n(self) -> int:
        """Number of slots before t_i."""
        return self.depth

    @property
    def entire(self) -> PointLayout:
        """Itself."""
        return self

    def place(self, time: Any) -> Series:
        """Return s - s_i, or t - t_i, at a time."""
        time = plain(time)
        if time not in self.places:
            self.places[time] = self._between(time) if isinstance(time, Between) else self._place(time)
        return self.places[time]

    def _place(self, index: int) -> Series:
        if not -len(self.pattern) <= index <= self.depth:
            raise IndexError(
                f"the step mentions t_{{i{index:+d}}}, beyond the {self.depth} points before t_i that it keeps"
            )
        if self.spacing == "rough":
            h, zero = self.space.h, self.space.field(0)
            ratios = [self.space.symbol(f"w{k}") for k in range(1, index + 1)]
            return h if index == -1 else sum((-h * w for w in ratios), zero)
        total = even = self._even(index)
        if self.spacing == "smooth" and index:
            for k in range(2, self.space.terms):
                total = total + self.space.symbol(f"k{k}") * even**k * Fraction(1, factorial(k))
        return total

    def _even(self, index: int) -> Series:
        steps = [self.pattern[k % len(self.pattern)] for k in range(min(index, 0), max(index, 0))]
        return self.space.h * sum(steps) * (-1 if index > 0 else 1)

    @property
    def variable(self) -> str:
        """The independent variable."""
        return "angle" if self.in_angle else "t" if self.in_time else "sigma_bar"

    def _between(self, time: Between) -> Series:
        ends = [self.place(time.i), self.place(time.j)]
        theta = self.space.field(time.theta)
        if time.variable == self.variable:
            return ends[0] + (ends[1] - ends[0]) * theta
        if self.in_time or time.variable in ("t", "angle"):
            raise NeedsTime(f"{time.variable} half-way")
        s = self.space.symbol("s")
        # log s cancels: only differences of logarithms are interpolated, so that no symbol for it is needed.
        logs = [self.space.log(1 + x / s) for x in ends]
        return s * (self.space.exp(logs[0] + (logs[1] - logs[0]) * theta) - 1)

    def carried(self, c: Series, index: int) -> Series:
        """Return at an index what is c at t_i, a function of h and of the derivatives of s, alpha and sigma there; not on rough grids.

        The grid is s(u) at u = -k h, and each point has its own normalised derivatives: h s'(u), s^(j)(u)/s'(u)^j. In terms of
        those, d/du is s'(u) D with D s' = k_2 s', so that the n-th derivative is s'^n c_n with c_(n+1) = D c_n + n k_2 c_n.
        """
        space, total = self.space, c
        bent = space.symbol("k2") if self.spacing == "smooth" else space.field(0)
        for n, power in enumerate(space.taylor(self._even(plain(index)))[1:]):
            c = self._derivative(c, bent) + c * bent * n
            total = total + c * power
        return total.truncated(space.terms)

    def _derivative(self, c: Series, bent: Series) -> Series:
        """Return D c; known up to the power of h where it asks for a derivative beyond the symbols of the layout."""
        total = self.space.field(0)
        for k, x in enumerate(c.coefficients, c.valuation):
            slope = self._slope(x)
            # A derivative beyond the symbols is unknown, and with it all from this power of h on.
            if slope is None:
                return total.truncated(k)
            total = total + self.space.series(k, [slope]) + self.space.series(k, [k * x]) * bent
        return total.truncated(c.precision)

    def _slope(self, x: Any) -> Any:
        """Return D of an element of the field; None if it asks for a derivative that no symbol stands for."""
        total = self.space.base.zero
        for name, g in self.space.symbols.items():
            if name.startswith("~") and (change := x.diff(g)):
                slope = self._slope_of(name)
                if slope is None:
                    return None
                total += change * slope
        return total

    def _slope_of(self, name: str) -> Any:
        """Return D of a symbol of the analysis."""
        known, letter, k = self.space.symbols, name[1], name[2:]
        g = known[name]
        if name == ("~t" if self.in_time else "~s"):
            return 1
        if letter == "u":
            return (1 + g * g) / 2
        if letter == "_":
            function, x = self.space.arguments[name]
            inner = self._slope(x)
            return inner and inner * {"log": 1 / x, "exp": g, "sqrt": 1 / (2 * g)}[function]
        if letter not in "kab" or not k.isdigit():
            return 0
        following = known.get(f"~{letter}{int(k) + 1}")
        if letter == "a" and not self.in_time:  # derivatives of alpha are taken relative to it
            first = known["~a1"]
            return g * first if k == "0" else following and following - first * g
        return following and (following - int(k) * known["~k2"] * g if letter == "k" else following)

    def scale(self, time: Any) -> Series:
        """Return the factor between the state and the dependent variable: alpha, or 1 in (z, t)."""
        return self.space.one if self.in_time else self.point(time).alpha

    def level(self, index: Any) -> Any:
        """Return (t, alpha, sigma) at an index."""
        return _Level(self.point(index)[:3])

    def point(self, time: Any) -> Point:
        """Return a time with its noise level."""
        time = plain(time)
        if time not in self._points:
            self._points[time] = self._point(time)
        return self._points[time]

    def sigma_bar(self, time: Any) -> Any:
        """Return sigma/alpha at a time; where it is the independent variable, without the series of alpha."""
        if not self.in_time:
            return self.place(time) + self.space.symbol("s")
        point = self.point(time)
        return point.sigma / point.alpha

    def readable(self) -> dict[Any, Any]:
        """Return the symbols in which results are written, by those of the layout."""
        table: dict[str, Any] = {
            "h": "h_i",
            "s": "s_i",
            "t": "t_i",
            "u": "tan(phi_i/2)",
            "a0": "alpha_i",
            "b0": "sigma_i",
        }
        # In (z, t) the series of alpha and sigma have their own derivatives, in (y, s) those of alpha are relative to it.
        relative = "" if self.in_time else "/alpha"
        for k in range(1, self.space.terms + 1):
            table |= {f"a{k}": "alpha" + "'" * k + relative, f"b{k}": "sigma" + "'" * k}
        table |= {alpha_name(time): f"alpha_{_subscript(time)}" for time in self.places}
        if self.space.root:
            table["r"] = sympy.root(*self.space.root)
        constants = {c.as_expr(): key.replace("~", "") for key, c in self.space.constants.items()}
        return {
            **{own(old): sympy.Symbol(new) if isinstance(new, str) else new for old, new in table.items()},
            **{c: sympy.Symbol(n) for c, n in constants.items()},
        }

    def _point(self, time: Any) -> Point:
        x = self.place(time)
        if self.in_angle:
            u, series = self.space.symbol("u"), self.space.taylor(x)
            signed = [power * (-1) ** (k // 2) for k, power in enumerate(series)]
            cosine, sine = (sum(signed[k::2], self.space.field(0)).truncated(self.space.terms) for k in (0, 1))
            alpha, sigma = (1 - u * u) / (1 + u * u), 2 * u / (1 + u * u)
            alpha, sigma = alpha * cosine - sigma * sine, sigma * cosine + alpha * sine
            return Point(x + self.space.symbol("t"), alpha, sigma, -sigma, alpha)
        if self.in_time:
            alpha, sigma = self._taylor("a", x), self._taylor("b", x)
            return Point(x + self.space.symbol("t"), alpha, sigma, self._taylor("a", x, 1), self._taylor("b", x, 1))
        alpha = self._alpha(time, x)
        return Point(None, alpha, alpha * (x + self.space.symbol("s")))

    def _alpha(self, time: Any, x: Series) -> Series:
        if self.alphas == "one":
            return self.space.one
        if self.alphas == "free":
            return self.space.symbol(alpha_name(time))
        return self.space.symbol("a0") * self._taylor("a", x, relative=True)

    def _taylor(self, letter: str, x: Series, derivatives: int = 0, relative: bool = False) -> Series:
        names = [f"{letter}{k + derivatives}" for k in range(self.space.terms)]
        first = [self.space.one] if relative else [self.space.symbol(names[0])]
        values = [*first, *map(self.space.symbol, names[1:])]
        return sum((c * power for c, power in zip(values, self.space.taylor(x), strict=False)), self.space.field(0))


def _subscript(time: Any) -> str:
    if isinstance(time, Between):
        return f"{{{_bare(time.i)},{_bare(time.j)},{time.theta}}}"
    return f"{{{_bare(time)}}}" if time else "i"


def _bare(index: int) -> str:
    return f"i{index:+d}" if index else "i"


class _Level(tuple[Any, ...]):
    """A level whose t may be unknown as a function of s."""

    __slots__ = ()

    def __getitem__(self, k: Any) -> Any:
        value = super().__getitem__(k)
        if k == 0 and value is None:
            raise NeedsTime("t")
        return value


def plain(time: Any) -> Any:
    """Return a time with ordinary ints as indices, which can be compared."""
    if isinstance(time, Between):
        return Between(plain(time.i), plain(time.j), time.theta, time.variable)
    return time.offset if isinstance(time, Index) else int(time)


def alpha_name(time: Any) -> str:
    """Return the name of the symbol alpha at a time."""
    return f"alpha[{time}]"


def own(name: str) -> Any:
    """Return the symbol that the analysis calls `name`, which is none of a solver's."""
    return sympy.Symbol(f"~{name}")


def layout(
    parameters: Sequence[Any],
    terms: int,
    depth: int,
    *,
    times: Sequence[Any] = (),
    root: tuple[int, int] | None = None,
    **options: Any,
) -> PointLayout:
    """Return a layout of series to O(h^terms) with a field of the symbols that it uses.

    Parameters
    ----------
    parameters
        Symbols of the solver. The analysis adds its own, ~J for the Jacobian among them.
    terms, depth
        Length of the series, and points before t_i.
    times
        Those that have an alpha of their own, for alphas="free".
    root
        (x, n), if the solver has the n-th root of x.
    options
        `spacing`, `alphas`, `in_time`, `in_angle` and `pattern` of `PointLayout`.
    """
    names = ["s", "J"]
    if options.get("spacing", "rough") == "rough":
        names += [f"w{k}" for k in range(1, depth + 1)]
    elif options["spacing"] == "smooth":
        names += [f"k{k}" for k in range(2, terms)]
    if options.get("in_angle"):
        names += ["t", "u"]
    elif options.get("in_time"):
        names += ["t", *(f"{letter}{k}" for letter in "ab" for k in range(terms + 1))]
    elif options.get("alphas", "smooth") == "smooth":
        names += [f"a{k}" for k in range(terms)]
    names += [alpha_name(time) for time in times]
    names += ["r"] * bool(root)
    # Weights of a template may be functions of the ratios of steps.
    field = rational_functions(list(dict.fromkeys([*parameters, *map(own, [*names, "_0", "_1"])])))
    return PointLayout(SeriesSpace(field, terms, root=root), depth, **options)
