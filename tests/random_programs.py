"""Random step programs, and an interpreter that shares no code with the package's: plain values, nothing remembered.

A program is a tuple of instructions, so that the recorder and the plain interpreter read one text:

    ("eval", name, ref, offset)     the model at a register or scratch value, at t_{i+offset}; None: where it stands
    ("scratch", name, terms, offset)
    ("form", name, terms)           a form that is kept, and may be stale when it is used
    ("assign", register, terms, offset)
    ("mix", registers, matrix, offset)
    ("swap", register, register)

Terms are (coefficient, reference); a reference is a name, or ("delta", i, j, reference, evaluation) with offsets i, j.
"""

from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from bdia_numerics.program import Recorder

Terms = tuple[tuple[Fraction, Any], ...]
QUARTERS = tuple(Fraction(k, 4) for k in (0, 0, 1, 2, 3, 4, 4, 6, -1, -2, -4, -5))
# What a register keeps of itself: with as many zeros as elsewhere, hardly a program of several lines could be undone.
OWN = (Fraction(0), *(2 * tuple(c for c in QUARTERS if c)))


@dataclass(frozen=True)
class Programmed:
    """A solver whose step is a random program."""

    registers: tuple[str, ...]
    program: tuple[tuple[Any, ...], ...]

    @property
    def output(self) -> str:
        return self.registers[-1]

    def step(self, s: Recorder) -> None:
        record(self, s, self.program)


def record(solver: Programmed, s: Recorder, program: tuple[tuple[Any, ...], ...]) -> None:
    """Write instructions into a recorder."""
    names: dict[str, Any] = dict(zip(solver.registers, s.registers, strict=True))

    def value(ref: Any) -> Any:
        return (
            s.delta(s.i + ref[1], s.i + ref[2], names[ref[3]], names[ref[4]]) if isinstance(ref, tuple) else names[ref]
        )

    def form(terms: Terms) -> Any:
        return sum(c * value(ref) for c, ref in terms)

    def at(offset: int | None) -> int | None:
        return None if offset is None else s.i + offset

    for kind, target, *rest in program:
        match kind:
            case "eval":
                names[target] = s.eps(names[rest[0]], at=at(rest[1]))
            case "scratch":
                names[target] = s.scratch(form(rest[0]), at=at(rest[1]))
            case "form":
                names[target] = form(rest[0])
            case "assign":
                s.assign(names[target], form(rest[0]), at=at(rest[1]))
            case "mix":
                rows = {
                    names[r]: sum(c * names[q] for c, q in zip(row, target, strict=True))
                    for r, row in zip(target, rest[0], strict=True)
                }
                s.mix(rows, at=at(rest[1]))
            case "swap":
                s.swap(names[target], names[rest[0]])


class Version(NamedTuple):
    """What a register holds in the plain interpreter."""

    value: Any
    time: int
    number: int


class Known(NamedTuple):
    """A named value: `mentions` are the atoms of its form, `leaves` the register versions that it is computed from."""

    value: Any
    time: int | None
    atoms: dict[Any, Fraction]


class Step(NamedTuple):
    """What undoing one instruction depends on."""

    slot: int
    place: int
    old: frozenset[int]
    contracts: bool
    leaves: frozenset[int]
    before: frozenset[int]
    after: frozenset[int]


class StaleError(Exception):
    """A form mentions an overwritten version."""


@dataclass
class Plain:
    """The plain interpreter: every evaluation is made anew, every value is computed when its line is reached."""

    model: Any
    t: Any
    alpha: Any
    sigma: Any
    registers: dict[str, Version]
    number: Any = Fraction
    steps: list[Step] = field(default_factory=list)
    evaluated: set[tuple[Any, int]] = field(default_factory=set)
    origin: dict[Any, frozenset[int]] = field(default_factory=dict)
    count: int = 0
    largest: float = 0.0

    @classmethod
    def start(cls, model: Any, grid: Any, values: dict[str, Any], times: dict[str, int], **options: Any) -> "Plain":
        plain = cls(model, grid.t, grid.alpha, grid.sigma, {}, **options)
        for name, value in values.items():
            plain._set(name, np.copy(value), times[name])
        return plain

    def run(self, solver: Programmed, slots: range) -> "Plain":
        for i in slots:
            self.slot(solver.program, i, {})
        return self

    def slot(
        self, program: tuple[tuple[Any, ...], ...], i: int, names: dict[str, Known], first: int = 0
    ) -> dict[str, Known]:
        for place, instruction in enumerate(program[first:], start=first):
            self._do(instruction, i, place, names)
        return names

    def values(self) -> dict[str, Any]:
        return {name: version.value for name, version in self.registers.items()}

    def held(self) -> frozenset[int]:
        return frozenset(version.number for version in self.registers.values())

    def _do(self, instruction: tuple[Any, ...], i: int, place: int, names: dict[str, Known]) -> None:
        kind, target, *rest = instruction
        before = self.held()
        if kind == "eval":
            source = self._of(rest[0], i, names)
            time = source.time if rest[1] is None else i + rest[1]
            key = ("eval", next(iter(source.atoms)), time)
            self.origin[key] = self._leaves(source.atoms)
            self.evaluated.add(key)
            names[target] = Known(np.copy(self.model(source.value, self.t[time])), time, {key: self.number(1)})
        elif kind in ("scratch", "form"):
            value, atoms = self._sum(rest[0], i, names)
            if kind == "scratch":
                self._fresh(atoms)
                key = ("scratch", i, place)
                self.origin[key] = self._leaves({a: c for a, c in atoms.items() if c} or dict(list(atoms.items())[:1]))
                atoms = {key: self.number(1)}
            names[target] = Known(value, i + rest[1] if kind == "scratch" else None, atoms)
        elif kind == "swap":
            a, b = self.registers[target], self.registers[rest[0]]
            self.registers[target], self.registers[rest[0]] = b, a
        elif kind == "assign":
            value, atoms = self._sum(rest[0], i, names)
            self._fresh(atoms)
            old = self.registers[target]
            own = atoms.get(old.number, Fraction(0))
            leaves = self._leaves({a: c for a, c in atoms.items() if c and a != old.number})
            self._set(target, value, old.time if rest[1] is None else i + rest[1])
            self.steps.append(Step(i, place, frozenset({old.number}), own == 0, leaves, before, self.held()))
        elif kind == "mix":
            olds = [self.registers[r] for r in target]
            for r, row, old in zip(target, rest[0], olds, strict=True):
                value = sum(self.number(c) * v.value for c, v in zip(row, olds, strict=True))
                self._set(r, value, old.time if rest[1] is None else i + rest[1])
            numbers = frozenset(v.number for v in olds)
            self.steps.append(Step(i, place, numbers, determinant(rest[0]) == 0, frozenset(), before, self.held()))

    def _set(self, name: str, value: Any, time: int) -> None:
        self.count += 1
        if self.number is float:
            self.largest = max(self.largest, float(np.max(np.abs(value))))
        self.registers[name] = Version(value, time, self.count)

    def _of(self, ref: Any, i: int, names: dict[str, Known]) -> Known:
        if ref in self.registers:
            version = self.registers[ref]
            return Known(version.value, version.time, {version.number: self.number(1)})
        return names[ref]

    def _sum(self, terms: Terms, i: int, names: dict[str, Known]) -> tuple[Any, dict[Any, Fraction]]:
        total, atoms = 0, dict[Any, Fraction]()
        for c, ref in terms:
            parts = [(Fraction(1), ref)]
            if isinstance(ref, tuple):
                _, a, b, z, e = ref
                ratio = self.alpha[i + b] / self.alpha[i + a]
                parts = [(ratio - 1, z), (self.sigma[i + b] - ratio * self.sigma[i + a], e)]
            for factor, name in parts:
                known = self._of(name, i, names)
                scale = self.number(factor) * self.number(c)
                total = total + scale * known.value
                for atom, weight in known.atoms.items():
                    atoms[atom] = atoms.get(atom, self.number(0)) + scale * weight
        return total, atoms

    def _fresh(self, atoms: dict[Any, Fraction]) -> None:
        if any(isinstance(a, int) and a not in self.held() for a in atoms):
            raise StaleError

    def _leaves(self, atoms: dict[Any, Fraction]) -> frozenset[int]:
        return frozenset().union(*(frozenset({a}) if isinstance(a, int) else self.origin[a] for a in atoms))


def refusal(steps: list[Step]) -> tuple[str, Step] | None:
    """Return the kind and the place of the first instruction that cannot be undone, going backwards; None if all can."""
    for step in reversed(steps):
        if step.contracts:
            return "contraction", step
        if not step.leaves <= step.after:
            return "lost", step
    return None


def determinant(m: Any) -> Fraction:
    if len(m) == 1:
        return m[0][0]
    minors = ([[*row[:k], *row[k + 1 :]] for row in m[1:]] for k in range(len(m)))
    return sum(((-1) ** k * m[0][k] * determinant(minor) for k, minor in enumerate(minors)), Fraction(0))


@st.composite
def programs(draw: Any, kept_forms: bool = False) -> Programmed:
    """Draw a program of 1 to 3 registers whose times settle: all registers move by one slot, or one lags per slot."""
    registers = ("a", "b", "c")[: draw(st.integers(1, 3))]
    lagging = len(registers) > 1 and draw(st.booleans())
    lines: list[tuple[Any, ...]] = []
    scratches, evaluations, forms = list[str](), list[str](), list[str]()
    coefficient, own = st.sampled_from(QUARTERS), st.sampled_from(OWN)
    moves = st.just(None) if lagging else st.sampled_from((None, None, -1))

    def terms(*sure: Any) -> Terms:
        pool = [*registers, *scratches, *evaluations, *forms]
        refs = [*sure, *draw(st.lists(st.sampled_from(pool), min_size=0 if sure else 1, max_size=3))]
        if evaluations and draw(st.booleans()):
            ends = draw(st.sampled_from(((0, -1), (-1, 0))))
            refs.append(
                ("delta", *ends, draw(st.sampled_from([*registers, *scratches])), draw(st.sampled_from(evaluations)))
            )
        return tuple((draw(own if k < len(sure) else coefficient), ref) for k, ref in enumerate(refs))

    kinds = (
        ["eval", "eval", "assign", "assign", "scratch"]
        + ["mix", "mix", "swap"] * (len(registers) > 1 and not lagging)
        + ["form"] * kept_forms
    )
    for kind in draw(st.lists(st.sampled_from(kinds), max_size=6)):
        register = draw(st.sampled_from(registers))
        name = f"{kind[0]}{len(lines)}"
        if kind == "eval" and len(evaluations) < 2:
            ref = draw(st.sampled_from([*registers, *scratches]))
            offset = draw(st.sampled_from((0, -1) if ref in scratches else (None, None, 0, -1)))
            lines.append((kind, name, ref, offset))
            evaluations.append(name)
        elif kind == "assign":
            lines.append((kind, register, terms(register), draw(moves)))
        elif kind == "scratch":
            lines.append((kind, name, terms(), draw(st.sampled_from((0, -1)))))
            scratches.append(name)
        elif kind == "form":
            lines.append((kind, name, terms()))
            forms.append(name)
        elif kind == "mix":
            matrix = tuple(tuple(draw(own if r == q else coefficient) for q in registers) for r in registers)
            if draw(st.integers(0, 3)) == 0:
                matrix = (*matrix[:-1], matrix[0])
            lines.append((kind, registers, matrix, draw(moves)))
        elif kind == "swap":
            lines.append((kind, *draw(st.permutations(registers))[:2]))
    if lagging:
        lines.append(("assign", registers[0], terms(registers[0]), -1))
        lines += [("swap", a, b) for a, b in pairwise(registers)]
    else:
        lines += [("assign", r, terms(r), -1) for r in draw(st.permutations(registers))]
    return Programmed(registers, tuple(lines))
