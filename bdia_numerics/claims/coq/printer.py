"""Step programs as Coq definitions: the recorded step and its derived inverse, for a slot of which nothing is known.

The slot goes from t_i to t_{i-1}. Coq's k is the lowest index that the step mentions, i - 1 or below. A parameter may vary
with the slot, so it is a function of the index, as alpha and sigma are. Coefficients are rational expressions in Coq's notation
of fields and modules. `steps` is the whole of Steps.v, the generated part of the development.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

from bdia_numerics.claims.formal import AnyIndex, DeltaRecorder, any_slot, before_a_slot
from bdia_numerics.claims.ledger import CheckFailed
from bdia_numerics.program import Recorder, Run, Segment, Solver, Trace, inverse_run, parameters, record_step
from bdia_numerics.program.ops import Evaluate, Held, Op, rows
from bdia_numerics.solvers import BDIA, CBDIA, DDIM, EDICT
from bdia_numerics.spaces import SYMBOLS
from bdia_numerics.spaces.later import sympy

_WIDTH = 100


def combination(coefficients: Iterable[Any], values: Iterable[str], places: Mapping[int, str]) -> str:
    """Return a linear combination as text, a term a line if it is long.

    Parameters
    ----------
    coefficients
        sympy expressions; a symbol is called as a function of the index, with the index's offset behind its last underscore.
    values
        Coq's names of the vectors.
    places
        Coq's name of each index, by its offset.
    """
    terms = []
    for c, v in zip(coefficients, values, strict=True):
        sign, size = ("-:", -c) if c.could_extract_minus_sign() else ("+:", c)
        terms.append((sign, v if size == 1 else f"({scalar(size, places)}) *: {v}"))
    (sign, first), *rest = terms
    pieces = [first if sign == "+:" else f"-: ({first})", *(" ".join(term) for term in rest)]
    return (" " if sum(map(len, pieces)) < _WIDTH else "\n").join(pieces)


def scalar(c: Any, places: Mapping[int, str]) -> str:
    """Return a rational expression as text; CheckFailed for anything else."""
    if c.is_Symbol:
        name, _, offset = c.name.rpartition("_")
        return f"{name} {places[int(offset)]}"
    if c.is_Integer and c >= 0:
        return " + ".join(["1"] * int(c)) or "0"
    if c.is_Add:
        first, *rest = c.as_ordered_terms()
        return scalar(first, places) + "".join(_signed(term, places) for term in rest)
    if c.could_extract_minus_sign():
        return f"- {_factor(-c, places)}"
    over, under = c.as_numer_denom()
    if under != 1:
        return f"{_factor(over, places)} / {_factor(under, places)}"
    if c.is_Mul:
        return " * ".join(_factor(x, places) for x in c.args)
    if c.is_Pow and c.exp.is_Integer and c.exp > 1:
        return " * ".join([_factor(c.base, places)] * int(c.exp))
    raise CheckFailed(f"the coefficient {c} is not a rational expression")


def _signed(term: Any, places: Mapping[int, str]) -> str:
    negative = term.could_extract_minus_sign()
    return f" - {_factor(-term, places)}" if negative else f" + {scalar(term, places)}"


def _factor(c: Any, places: Mapping[int, str]) -> str:
    """Return an expression as an operand of a product: in parentheses unless it is one symbol."""
    text = scalar(c, places)
    return text if c.is_Symbol or c in (0, 1) else f"({text})"


_RESERVED = frozenset(
    [
        "F",
        "O",
        "S",
        "V",
        "as",
        "at",
        "else",
        "end",
        "exists",
        "fix",
        "for",
        "forall",
        "fun",
        "if",
        "in",
        "let",
        "match",
        "mod",
        "return",
        "s",
        "then",
        "using",
        "where",
        "with",
    ]
)
_MODEL = "(alpha sigma : nat -> F) (eps : nat -> V -> V)"
_INCREMENT = "(delta : nat -> nat -> V -> V)"

Deltas = Mapping[int, tuple[AnyIndex, AnyIndex, int]]


def step_definition(name: str, solver: Solver) -> str:
    """Return the step with DDIM increments, from what the registers hold at t_i to what they hold at t_{i-1}.

    Parameters
    ----------
    name
        Name of the definition.
    solver
        Any object with `registers` and `step`; its numerical parameters become functions of the index.

    Raises
    ------
    CheckFailed
        If the step looks at its index, or uses what the definition has no name for, as times inside a slot.
    """
    run = _recorded(solver)
    return _text(name, run, f"{_MODEL}{_parameters(solver)}")


def inverse_definition(name: str, solver: Solver) -> str:
    """Return the derived inverse of the step; coefficients are in lowest terms, as in a run on symbols.

    Raises
    ------
    NotInvertibleError
        If the solver is not exactly invertible.
    CheckFailed
        As for `step_definition`.
    """
    return _text(name, inverse_run(_recorded(solver))[0], f"{_MODEL}{_parameters(solver)}")


def increments_definition(name: str, solver: Solver) -> str:
    """Return the step with any delta i j z in the place of Delta(t_i -> t_j | z), whatever approximates the integral.

    Raises
    ------
    CheckFailed
        As for `step_definition`; or if the step uses the model outside of such increments.
    """
    free = _with_free_parameters(solver)
    trace, held = before_a_slot(free)
    s = DeltaRecorder(trace, AnyIndex(), dict(held), solver=free)
    free.step(s)
    run = _one_segment(trace, held, s.ops, s.held)
    return _text(name, run, f"{_INCREMENT}{_parameters(solver)}", s.deltas)


def delta_definition(name: str) -> str:
    """Return `s.delta`, the DDIM increment Delta(t_i -> t_j | z) that all programs share, for any two indices."""
    i, j = AnyIndex(0), AnyIndex(1)
    trace = Trace(any_slot())
    held = {"z": Held(trace.new("z"), i)}
    s = Recorder(trace, i, dict(held))
    (z,) = s.registers
    s.assign(z, s.delta(i, j, z, s.eps(z)), at=j)
    run = _one_segment(trace, held, s.ops, s.held)
    return _text(name, run, f"{_MODEL} (i j : nat)", places={i: "i", j: "j"})


def _with_free_parameters(solver: Solver) -> Solver:
    def free(name: str) -> Any:
        return lambda slot: sympy.Symbol(f"{name}_{slot.i.offset}")

    names = parameters(solver)
    return dataclasses.replace(solver, **{name: free(name) for name in names}) if names else solver  # type: ignore[type-var]


def _parameters(solver: Solver) -> str:
    names = " ".join(parameters(solver))
    return f" ({names} : nat -> F) (k : nat)" if names else " (k : nat)"


def _recorded(solver: Solver) -> Run:
    free = _with_free_parameters(solver)
    trace, held = before_a_slot(free)
    segment = record_step(free, trace, AnyIndex(), held)
    return Run(trace, held, (segment,), segment.after)


def _one_segment(trace: Trace, held: Mapping[str, Held], ops: Iterable[Op], after: Mapping[str, Held]) -> Run:
    segment = Segment(0, -1, dict(held), tuple(ops), dict(after))
    return Run(trace, dict(held), (segment,), dict(after))


@dataclass(frozen=True)
class _Line:
    """One value: a linear combination, or eps or delta, at its times, of one value."""

    target: int
    label: str
    uses: tuple[int, ...]
    coefficients: tuple[Any, ...] = ()
    times: tuple[Any, ...] = ()


_NUMBERED = {"eps": "e", "delta": "d", "scratch": "w"}


def _lines(segment: Segment, deltas: Deltas) -> Iterator[_Line]:
    """Yield the values of a segment in order, each increment before its first use."""
    told: set[int] = set()

    def combined(target: int, label: str, terms: Iterable[tuple[Any, int]]) -> Iterator[_Line]:
        coefficients, uses = zip(*((SYMBOLS.coefficient(c), n) for c, n in terms), strict=True)
        for number in uses:
            if number in deltas and number not in told:
                i, j, base = deltas[number]
                told.add(number)
                yield _Line(number, "delta", (base,), times=(i, j))
        yield _Line(target, label, uses, coefficients)

    for op in segment.ops:
        if isinstance(op, Evaluate):
            yield _Line(op.target, "eps", (op.argument,), times=(op.time,))
        for target, register, terms in rows(op):
            yield from combined(target, register or "scratch", terms)


def _used(lines: Iterable[_Line], final: Iterable[int]) -> list[_Line]:
    kept, wanted = [], set(final)
    for line in reversed(list(lines)):
        if line.target in wanted:
            kept.append(line)
            wanted.update(line.uses)
    return kept[::-1]


def _text(
    name: str, run: Run, binders: str, deltas: Deltas | None = None, places: Mapping[AnyIndex, str] | None = None
) -> str:
    if strangers := [t for t in run.trace.points if not isinstance(t, AnyIndex)]:
        raise CheckFailed(f"{name} takes a time inside a slot, {strangers[0]}, which has no index")
    (segment,) = run.segments
    lines = _used(_lines(segment, deltas or {}), (h.number for h in run.final.values()))
    symbols = {str(symbol) for line in lines for c in line.coefficients for symbol in c.free_symbols}
    place = _places(lines, symbols) if places is None else places
    names: dict[int, str] = {}
    taken = _RESERVED | set(re.findall(r"\w+", binders))
    if unknown := {symbol for symbol in symbols if symbol.rpartition("_")[0] not in taken}:
        raise CheckFailed(f"the coefficients of {name} hold {', '.join(sorted(unknown))}, of which Coq is told nothing")
    for register, held in run.inputs.items():
        names[held.number] = _fresh(register, taken.union(names.values()))
    body = [f"let {_tuple(names[h.number] for h in run.inputs.values())} := s in"]
    for line in lines:
        strangers = [n for n in line.uses if n not in names]
        if strangers:
            raise CheckFailed(f"{name} uses {run.trace.names[strangers[0]]} as it is, which it should not")
        arguments = [names[n] for n in line.uses]
        if line.times:
            value = " ".join((line.label, *(place[t] for t in line.times), *arguments))
        else:
            value = combination(line.coefficients, arguments, {t.offset: text for t, text in place.items()})
        names[line.target] = _fresh(line.label, taken.union(names.values()))
        value = "\n    ".join(["", *value.splitlines()]) if "\n" in value else f" {value}"
        body.append(f"let {names[line.target]} :={value} in")
    state = " * ".join("V" for _ in run.inputs)
    head = f"Definition {name} {{F : Field}} {{V : Space F}} {binders} (s : {state}) : {state} :="
    last = _tuple(names[h.number] for h in run.final.values()).removeprefix("'")
    return "\n  ".join([head, *body, f"{last}."])


def _places(lines: Iterable[_Line], symbols: Iterable[str]) -> dict[AnyIndex, str]:
    """Return Coq's name of each index that occurs: k, S k, ... from the lowest one."""
    offsets = {int(symbol.rpartition("_")[2]) for symbol in symbols} | {t.offset for line in lines for t in line.times}
    low = min(offsets, default=0)
    return {AnyIndex(n): "(S " * (n - low) + "k" + ")" * (n - low) for n in sorted(offsets)}


def _fresh(label: str, taken: Container[str]) -> str:
    """Return a name not yet taken: a register's, primed for each new version; e1, e2, ... for evaluations."""
    if label in _NUMBERED:
        return next(name for n in count(1) if (name := f"{_NUMBERED[label]}{n}") not in taken)
    return next(name for n in count() if (name := label + "'" * n) not in taken)


def _tuple(names: Iterable[str]) -> str:
    listed = list(names)
    return f"'({', '.join(listed)})" if len(listed) > 1 else listed[0]


_HEAD = """(** The steps of the solvers and their derived inverses, printed from the step programs that run.

    Written by `python experiments/coq_steps.py`; a test compares. Indices: the slot of step k goes from t_(k+1) to t_k. *)

From BDIA Require Import Algebra.

"""


def steps(*, ddim: Any = DDIM, bdia: Any = BDIA, edict: Any = EDICT, cbdia: Any = CBDIA) -> str:
    """Return the text of Steps.v.

    Parameters
    ----------
    ddim, bdia, edict, cbdia
        Solver classes, or functions that make a solver without arguments.

    Raises
    ------
    CheckFailed, NotInvertibleError
        If a step cannot be printed for every slot, or has no derived inverse.
    """
    definitions = [delta_definition("ddim_delta"), step_definition("ddim_step", ddim())]
    definitions.append(increments_definition("ddim_step_by", ddim()))
    for name, solver in (("bdia", bdia()), ("edict", edict()), ("cbdia", cbdia())):
        definitions += [step_definition(f"{name}_step", solver), inverse_definition(f"{name}_undo", solver)]
    definitions += [increments_definition("bdia_step_by", bdia()), increments_definition("cbdia_step_by", cbdia())]
    return "\n\n".join([_HEAD, *definitions]) + "\n"
