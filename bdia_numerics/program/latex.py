"""A step and its derived inverse as formulas in LaTeX, printed from the recorded program."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from bdia_numerics import grids
from bdia_numerics.formulas import expression
from bdia_numerics.program.inverse import NotInvertibleError, inverse_run, symbolised
from bdia_numerics.program.ops import Evaluate, rows
from bdia_numerics.program.structure import Solver, structure
from bdia_numerics.program.trace import Run, Segment, record_steps
from bdia_numerics.spaces.later import sympy

_LETTERS = ("t", r"\alpha", r"\sigma", r"\dot\alpha", r"\dot\sigma")  # of a point's values
_I = 3  # slots below the printed one, so that i - 1, i - 2 exist on the symbolic grid


def step_latex(solver: Solver, *, symbols: bool = True, exploding: bool = False) -> str:
    r"""Return the step from t_i to t_{i-1} in LaTeX, one line per assignment.

    Parameters
    ----------
    solver
        Any object with `registers` and `step`.
    symbols
        Whether numerical parameters appear as symbols (True) or with their values.
    exploding
        Whether alpha is 1, as in EDM, which makes the coefficients short.

    Returns
    -------
    str
        An environment `aligned`.

    Raises
    ------
    TypeError
        For what is not a solver, and for a step that cannot be done with symbols.

    Examples
    --------
    >>> from bdia_numerics import Leapfrog, step_latex
    >>> print(step_latex(Leapfrog(), exploding=True))
    \begin{aligned}z_{i-1} &= z_{i+1} +\left(\sigma_{i-1} - \sigma_{i+1}\right)\, \hat\epsilon(z_{i}, i)\end{aligned}
    """
    run = _run(solver, symbols, exploding)
    return _print(run, run.segments[0])


def inverse_latex(solver: Solver, *, symbols: bool = True, exploding: bool = False) -> str:
    r"""Return the derived inverse of the step in LaTeX, one line per assignment; arguments as for `step_latex`.

    Parameters
    ----------
    solver, symbols, exploding
        As for `step_latex`.

    Returns
    -------
    str
        An environment `aligned`.

    Raises
    ------
    NotInvertibleError
        If the solver is not exactly invertible.

    Examples
    --------
    >>> from bdia_numerics import Leapfrog, inverse_latex
    >>> print(inverse_latex(Leapfrog(), exploding=True))
    \begin{aligned}z_{i+1} &= z_{i-1} +\left(\sigma_{i+1} - \sigma_{i-1}\right)\, \hat\epsilon(z_{i}, i)\end{aligned}
    """
    inverse, _ = inverse_run(_run(solver, symbols, exploding))
    return _print(inverse, inverse.segments[-1])


def latex(solver: Solver) -> str:
    """Return the step and, where there is one, its derived inverse in LaTeX between dollar signs, as notebooks set a solver."""
    texts = [rf"\text{{step}}\quad {step_latex(solver)}"]
    with suppress(NotInvertibleError):
        texts.append(rf"\text{{inverse}}\quad {inverse_latex(solver)}")
    return "\n\n".join(f"$\\displaystyle {text}$" for text in texts)


def _run(solver: Solver, symbols: bool, exploding: bool) -> Run:
    grid = grids.symbolic(_I + structure(solver).depth)
    if exploding:
        grid = grids.from_values(grid.t, [1] * (grid.n + 1), grid.sigma)
    return record_steps(symbolised(solver) if symbols else solver, grid)


def _print(run: Run, segment: Segment) -> str:
    labels = _Labels(run, segment)
    lines = []
    for op in segment.ops:
        if isinstance(op, Evaluate):
            labels.evaluation(op)
        lines += [f"{labels.of(target)} &= {labels.sum(terms)}" for target, _, terms in rows(op)]
    return r"\begin{aligned}" + r" \\ ".join(lines) + r"\end{aligned}"


class _Labels:
    """Names of values: the register's letter with its time, primed where two versions stand at one time."""

    def __init__(self, run: Run, segment: Segment) -> None:
        self.run = run
        self.labels: dict[int, str] = {}
        self.definitions = run.definitions()
        self.times = _times(run)
        self.symbols = _symbols(run, self.times)
        final = {h.number for h in (*segment.before.values(), *segment.after.values())}
        for number in sorted(final):
            self._name(number)

    def of(self, number: int) -> str:
        definition = self.definitions.get(number)
        if number not in self.labels and isinstance(definition, Evaluate):  # remembered from another slot
            self.evaluation(definition)
        return self.labels[number] if number in self.labels else self._name(number)

    def _name(self, number: int) -> str:
        name, _, time = self.run.trace.names[number].partition(" at ")
        letter = name.split("_")[0] if time else "w"
        label = f"{letter}_{{{self.times[time]}}}" if time else letter
        # Two versions at one time, as the two states of a coupled solver have, are told apart by primes.
        while label in self.labels.values():
            label = label.replace(letter, letter + "'", 1)
        self.labels[number] = label
        return label

    def evaluation(self, op: Evaluate) -> None:
        self.labels[op.target] = rf"\hat\epsilon({self.of(op.argument)}, {self.times[str(op.time)]})"

    def sum(self, terms: tuple[tuple[Any, int], ...]) -> str:
        parts = []
        for c, number in terms:
            scalar = sympy.factor(c).subs(self.symbols, simultaneous=True)
            if scalar == 0:
                continue
            body, sign, value = expression(scalar, tex=True), "+", self.of(number)
            if body.startswith("-"):  # a minus stands before the term, not inside its brackets
                body, sign = expression(-scalar, tex=True), "-"
            body = rf"\left({body}\right)" if scalar.is_Add else body
            parts.append(sign + (value if body == "1" else f"{body}\\, {value}"))
        return " ".join(parts).removeprefix("+") or "0"


def _times(run: Run) -> dict[str, str]:
    r"""Return the label of each time: i with an offset for an index of the grid, \tau, \tau', ... for those in between."""
    held = [h.time for segment in run.segments for h in (*segment.before.values(), *segment.after.values())]
    labels: dict[str, str] = {}
    between: dict[Any, str] = {}  # by the time itself, which may be reached from either side
    for time in dict.fromkeys((*run.trace.points, *(key[1] for key in run.trace.evaluations), *held)):
        if isinstance(time, int):
            labels[str(time)] = "i" if time == _I else f"i{time - _I:+d}"
        else:
            labels[str(time)] = between.setdefault(run.trace.point(time).t, r"\tau" + "'" * len(between))
    return labels


def _symbols(run: Run, times: dict[str, str]) -> dict[Any, Any]:
    return {
        symbol: sympy.Symbol(rf"{letter}_{{{times[str(time)]}}}")
        for time, point in run.trace.points.items()
        for letter, symbol in zip(_LETTERS, point, strict=True)
        if isinstance(symbol, sympy.Symbol)
    }
