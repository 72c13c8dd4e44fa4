"""A run on the integer lattice: each assignment a contraction by a ratio and a rounded increment, undone bit by bit.

An assignment x <- c x + sum_k c_k v_k is run as x <- contraction(c, x) + round(sum_k c_k v_k). The increment is a function of
the other registers' integers and of the model's output alone, so the inverse finds the very same integers to subtract. A
mix is lifted to such assignments (PLU: shears, and a contraction for each pivot). The inverse run tells which operation is
undone when; its undoing is that of the forward operation, never an operation of its own. Registers hold integers, the model is
given floats, and one buffer keeps the digits that contractions drop.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import numpy as np

from bdia_numerics.program.ops import Combine, Evaluate, Mix, rows
from bdia_numerics.program.plan import Arithmetic, Call, Plan, Stage, make_plan
from bdia_numerics.program.structure import Solver, structure
from bdia_numerics.program.trace import Run, Segment, record_steps
from bdia_numerics.spaces import Array, Lattice, LatticeSpace, Memory, kernel
from bdia_numerics.spaces.lattice import OVERFLOW, Remainder

BUFFER, FLOATS, SPARE, BEFORE = -1, -2, -3, -4
"""Where a run's store keeps the remainder, registers as floats by number, arrays to be used again, and the remainder before the slot."""


@dataclass(slots=True)
class Assign:
    """target = own * old + round(sum of coefficient * other), in integers; `others` are floats, registers in z.

    With `undo`, `old` is what that made and `target` is what it was made from.
    """

    target: int
    old: int
    own: Fraction
    coefficients: tuple[float, ...]
    others: tuple[int, ...]
    scales: tuple[Fraction, Fraction]
    undo: bool = False
    reuse: int | None = None
    dead: tuple[int, ...] = ()

    @property
    def sources(self) -> tuple[int, ...]:
        """Every value that it reads."""
        return (self.old, *self.others)

    def undone(self) -> Assign:
        """Return what undoes it."""
        return replace(self, target=self.old, old=self.target, scales=self.scales[::-1], undo=True)


@dataclass(slots=True)
class Weigh:
    """target = sum of coefficient * source: floats, or a first state, rounded to integers with a `scale`."""

    target: int
    coefficients: tuple[float, ...]
    sources: tuple[int, ...]
    scale: Fraction | None
    reuse: int | None = None
    dead: tuple[int, ...] = ()


@dataclass(frozen=True)
class Integers(Arithmetic):
    """Arithmetic of a lattice plan.

    Attributes
    ----------
    scales
        Scales of the inputs, by number.
    read
        Registers' versions that something reads as floats.
    """

    space: LatticeSpace
    scales: Mapping[int, Fraction]
    read: frozenset[int]

    def enter(self, store: dict[int, Any], remainder: Mapping[str, Array]) -> None:
        """Bring the inputs to the units of the run, every bit kept, and take up the buffer."""
        for number, scale in self.scales.items():
            store[number] = store[number].embedded(scale)
        store.update({BUFFER: Remainder(remainder), FLOATS: {}, SPARE: []})

    def remainder(self, store: Mapping[int, Any]) -> Mapping[str, Array]:
        """Return the buffer as arrays."""
        return store[BUFFER].arrays()

    def shown(self, value: Lattice) -> Lattice:
        """Return a state in units of z, rounded where its own are finer."""
        return value.rescaled(Fraction(1))

    def begin(self, stage: Stage, store: dict[int, Any]) -> None:
        """Begin a slot: remember the buffer where the model is evaluated after it has changed."""
        # Arrays of floats whose register is gone are used for the next one.
        for number in [n for n in store[FLOATS] if n not in store]:
            store[SPARE].append(store[FLOATS].pop(number))
        store[BEFORE] = store[BUFFER].copy() if _asks_after_a_contraction(stage.instructions) else store[BUFFER]

    def argument(self, number: int, store: dict[int, Any]) -> Any:
        """Return a register as floats of the model's dtype."""
        return _in_z(store, number).astype(self.space.dtype, copy=False)

    def receive(self, x: Call, output: Any, store: dict[int, Any], space: Memory) -> None:
        """Take the model's output; a copy where it lasts, or shares the memory of the state."""
        shares = isinstance(output, np.ndarray) and (
            x.copy or np.may_share_memory(output, self.argument(x.argument, store))
        )
        store[x.target] = output.copy() if shares else output
        for n in x.dead:
            self._forget(n, store)

    def carry_out(self, x: Any, store: dict[int, Any], space: Memory) -> None:
        """Carry out an assignment or a rounded sum."""
        (self._assign if isinstance(x, Assign) else self._weigh)(x, store)
        for n in x.dead:
            self._forget(n, store)

    def abandon(self, store: dict[int, Any]) -> None:
        """Leave the slot: the buffer is again as it was before it."""
        store[BUFFER] = store[BEFORE]

    def _assign(self, x: Assign, store: dict[int, Any]) -> None:
        old: Lattice = store[x.old]
        p, q = abs(x.own.numerator), x.own.denominator
        # Contraction by q/p undoes that by p/q, and takes from the buffer what that one has put there.
        exchanged = (q, p) if x.undo else (p, q)
        head = None if p == q else store[BUFFER].opened(*exchanged, old.shape)
        values = [_in_z(store, n) for n in x.others]
        out = old.integers if x.reuse == x.old else np.empty(old.shape, dtype=np.int64)
        floats = _spare(store, old.shape) if x.target in self.read else None
        # Bounds are carried along, so that the range is checked without a pass over the array.
        bound = kernel.largest(old.integers) if old.bound is None else old.bound
        made = Lattice(out, self.space.bits, self.space.dtype, x.scales[1])
        bound = kernel.FAILED if bound >= kernel.LIMIT else kernel.assign(
            old.integers, out, (x.own.numerator, q), x.coefficients, values, head,
            bound=bound, undo=x.undo, floats=floats, factor=made.factor,
        )  # fmt: skip
        if bound == kernel.FAILED:
            out.fill(OVERFLOW)
        elif floats is not None:
            store[FLOATS][x.target] = floats
        if head is not None:
            store[BUFFER].closed(*exchanged)
        store[x.target] = replace(made, bound=bound)

    def _weigh(self, x: Weigh, store: dict[int, Any]) -> None:
        total = kernel.combination(x.coefficients, [_in_z(store, n) for n in x.sources])
        if x.scale is None:
            store[x.target] = total
            return
        out = np.empty(total.shape, dtype=np.int64)
        bound = kernel.rounded(total, out)
        if bound == kernel.FAILED:
            out.fill(OVERFLOW)
        store[x.target] = Lattice(out, self.space.bits, self.space.dtype, x.scale, bound)

    def _forget(self, number: int, store: dict[int, Any]) -> None:
        floats = store[FLOATS].pop(number, None)
        if floats is not None:
            store[SPARE].append(floats)
        store.pop(number, None)


def _in_z(store: dict[int, Any], number: int) -> Any:
    """Return a value as floats in z; a register is converted once for each version."""
    value, floats = store[number], store[FLOATS]
    if not hasattr(value, "integers"):
        return value
    if number not in floats:
        floats[number] = kernel.dequantise(value.integers, value.factor, _spare(store, value.shape))
    return floats[number]


def _spare(store: dict[int, Any], shape: tuple[int, ...]) -> Any:
    return store[SPARE].pop() if store[SPARE] else np.empty(shape)


def _asks_after_a_contraction(instructions: Iterable[Any]) -> bool:
    contracted = False
    for x in instructions:
        if contracted and isinstance(x, Call):
            return True
        # A factor of 1 or -1 drops no digits, so that the buffer stays as it was.
        contracted |= isinstance(x, Assign) and abs(x.own) != 1
    return False


LARGEST = 1 << 16
"""Largest numerator and denominator of an own coefficient: the digits of one contraction fit a word of the buffer."""

Term = tuple[Fraction, int]


class NotOnLatticeError(ValueError):
    """An own coefficient is 0, or too far from 1 for the words of the buffer."""


def lattice_plan(run: Run, space: LatticeSpace, solver: Solver, *, forward: Run | None = None) -> Plan:
    """Prepare a run for the lattice, in the first of three coordinates that it can have.

    z and y = z/alpha need own coefficients that are ratios of integers up to 2^16. Else z/k, with a unit k in (1/2, 1] for every
    version of a register: k_target = |c| k_old / 2^e, so that the own coefficient c of an assignment is the power 2^e there.

    Parameters
    ----------
    run
        A run of steps, one with its start, or an inverse run. What makes its first states is rounded, and no inverse passes it.
    space
        Unit, and the model's dtype.
    solver
        Its registers that hold evaluations have no coordinate alpha; and its steps on the whole grid give the units k that a
        run on a part of it begins with.
    forward
        For an inverse run, the run that it undoes.

    Raises
    ------
    NotOnLatticeError
        (a ValueError) with the register and the slot, if an own coefficient is 0, or further from 1 than 2^16.
    """
    # A unit of its own for each register (z/k) makes every own coefficient a power of 2, but then the units differ from slot to slot.
    # It is the last resort, and its refusal is the one that is shown.
    for coordinate in ("z", "y"):
        try:
            return _plan(_Lowering(run, space, solver, forward, coordinate))
        except NotOnLatticeError:
            continue
    return _plan(_Lowering(run, space, solver, forward, "z/k"))


def _plan(lowering: _Lowering) -> Plan:
    run, space = lowering.run, lowering.space
    begun = {id(segment) for segment in run.segments[: run.starting]}
    plan = make_plan(run, space, lambda s: lowering.start(s) if id(s) in begun else lowering.steps(s))
    inputs = {h.number: lowering.scale(h.number) for h in run.inputs.values()}
    read = frozenset(n for stage in plan.stages for x in stage.instructions for n in _floats_read(x))
    return replace(plan, arithmetic=Integers(space, inputs, read))


def _floats_read(x: Any) -> tuple[int, ...]:
    if isinstance(x, Call):
        return (x.argument,)
    return x.others if isinstance(x, Assign) else x.sources


@dataclass
class _Lowering:
    run: Run
    space: LatticeSpace
    solver: Solver
    forward: Run | None
    coordinate: str
    scales: dict[int, Fraction] = field(default_factory=dict)
    states: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        source = self.forward or self.run
        self.assignments: dict[Any, Combine | Mix] = {}
        places: set[tuple[str, int, Any]] = set()
        # All versions that a register ever has, with their times: those are integers, and all else is floats.
        for segment in (*self.run.segments, *source.segments):
            places |= {(r, h.number, h.time) for held in (segment.before, segment.after) for r, h in held.items()}
        places |= {(r, h.number, h.time) for held in (self.run.inputs, self.run.final) for r, h in held.items()}
        for op in (op for segment in source.segments for op in segment.ops):
            if isinstance(op, Combine) and op.register is not None:
                self.assignments[op.target] = op
                places.add((op.register, op.target, self.run.trace.times[op.target]))
            elif isinstance(op, Mix):
                self.assignments[op.targets, op.olds] = op
                places |= {(r, n, self.run.trace.times.get(n)) for r, n in zip(op.registers, op.targets, strict=True)}
        for register, number, time in places:
            self.states.add(number)
            if self.coordinate == "y" and time is not None:
                self._place(register, number, time)
        if self.coordinate == "z/k":
            segments = source.segments[source.starting :]
            self._follow(segments, self._units_before(segments[0]) if segments else {})

    def _units_before(self, first: Segment) -> Mapping[str, Fraction]:
        """Return the units k of the registers before a step; 1 at the noise end of the whole grid."""
        grid = self.run.trace.grid
        earlier = range(grid.entire.n - structure(self.solver).depth, first.slot + grid.offset, -1)
        if not earlier:
            return {}
        whole = record_steps(self.solver, grid.entire, self.run.trace.prediction, written=self.run.trace.written)
        whole = replace(whole, segments=whole.segments[: len(earlier)])
        lowering = _Lowering(whole, self.space, self.solver, None, "z/k")
        return {name: lowering.scale(h.number) for name, h in whole.segments[-1].after.items()}

    def _follow(self, segments: Iterable[Segment], units: Mapping[str, Fraction]) -> None:
        """Find the units of all versions, from those of the registers before the first step."""
        for segment in segments:
            self.scales |= {segment.before[name].number: unit for name, unit in units.items()}
            units = {}
            for op in segment.ops:
                if isinstance(op, Mix) or (isinstance(op, Combine) and op.register is not None):
                    list(self._assignments(op))

    def _place(self, register: str, number: int, time: Any) -> None:
        # With the half a state in units of z comes back as it was: rounded to this unit it moves by a quarter of its own at most.
        alpha = Fraction(1) if register in structure(self.solver).evaluations else self.run.trace.point(time).alpha / 2
        if alpha == 0:
            raise NotOnLatticeError(f"in z/alpha it cannot run, since alpha = 0 at index {time}")
        if self.scales.setdefault(number, alpha) != alpha:
            raise NotOnLatticeError(
                f"in z/alpha it cannot run, since {self.run.trace.names[number]} stands at two times"
            )

    def scale(self, number: int) -> Fraction:
        return self.scales.get(number, Fraction(1))

    def start(self, segment: Segment) -> Iterator[Any]:
        """Lower what makes the first states: every state is rounded to the lattice as it is."""
        for op in segment.ops:
            if isinstance(op, Mix):
                yield from (self._fresh(target, terms) for target, _, terms in rows(op))
            elif op.target not in self.states:
                yield from self._floats(op)
            elif isinstance(op, Combine):
                yield self._fresh(op.target, op.terms)
            else:
                output = self.run.trace.new(self.run.trace.names[op.target])
                yield from self._floats(Evaluate(output, op.argument, op.time))
                yield self._fresh(op.target, [(Fraction(1), output)])

    def steps(self, segment: Segment) -> Iterator[Any]:
        """Lower steps, or their inverse."""
        for op in segment.ops:
            if isinstance(op, Evaluate) or (isinstance(op, Combine) and op.register is None):
                yield from self._floats(op)
                continue
            made = list(self._assignments(self._forward(op)))
            for x in made:
                self._check(x, segment.slot)
            # The way back undoes the very assignments of the way there, in reverse order: it has none of its own.
            yield from made if self.forward is None else (x.undone() for x in reversed(made))

    def _forward(self, op: Combine | Mix) -> Combine | Mix:
        """Return the operation that an inverse operation undoes: the one that made what it overwrites."""
        if self.forward is None:
            return op
        return self.assignments[(op.olds, op.targets) if isinstance(op, Mix) else op.old]

    def _assignments(self, op: Combine | Mix) -> Iterator[Assign]:
        if isinstance(op, Combine):
            assert op.old is not None
            own = sum((c for c, n in op.terms if n == op.old), Fraction(0))
            others = [(c, n) for c, n in op.terms if n != op.old]
            yield self._assign(op.target, op.old, self._own(op.target, op.old, own), others)
            return
        if self.coordinate == "z/k":
            for target, old, own, others in lifted(op.targets, op.olds, list(map(list, op.matrix)), self._between):
                yield self._assign(target, old, self._own(target, old, own), others)
            return
        matrix = [
            [c * self.scale(old) / self.scale(target) for c, old in zip(row, op.olds, strict=True)]
            for target, row in zip(op.targets, op.matrix, strict=True)
        ]
        for target, old, own, others in lifted(op.targets, op.olds, matrix, self._between):
            # The terms are in the integers' units; the executor has the sources in z.
            in_z = [(c * self.scale(target) / self.scale(n), n) for c, n in others]
            yield self._assign(target, old, own, in_z)

    def _own(self, target: int, old: int, own: Fraction) -> Fraction:
        """Return an own coefficient in the coordinate of the run."""
        if self.coordinate == "z/k" and own:
            # The coefficient is split into a power of 2, which shifts bits and loses none, and a factor that the unit takes over.
            unit, exponent = math.frexp(float(abs(own)) * float(self.scale(old)))
            unit, exponent = (1.0, exponent - 1) if unit == 0.5 else (unit, exponent)
            self.scales[target] = Fraction(unit)
            return (1 if own > 0 else -1) * Fraction(2) ** exponent
        return own * self.scale(old) / self.scale(target)

    def _between(self, old: int) -> int:
        """Number a value between the shears of a mix; it stands in the units of what it came from."""
        number = self.run.trace.new(self.run.trace.names[old])
        self.scales[number] = self.scale(old)
        return number

    def _assign(self, target: int, old: int, own: Fraction, others: list[Term]) -> Assign:
        return Assign(target, old, own, *self._units(target, others), (self.scale(old), self.scale(target)))

    def _units(self, target: int, terms: Iterable[Term]) -> tuple[tuple[float, ...], tuple[int, ...]]:
        unit = self.scale(target) / 2**self.space.bits
        terms = [(c, n) for c, n in terms if c]
        return tuple(float(c / unit) for c, _ in terms), tuple(n for _, n in terms)

    def _check(self, x: Assign, slot: int) -> None:
        own = x.own
        if own and max(abs(own.numerator), own.denominator) <= LARGEST:
            return
        what = f"the own coefficient of {self.run.trace.names[x.old]} (slot from i={slot} to {slot - 1})"
        if not own:
            raise NotOnLatticeError(f"{what} is 0, so that its bits are lost: pass parameters for which it is not 0")
        raise NotOnLatticeError(f"{what} is {float(own):.17g}, beyond 2^16: run the solver in float64")

    def _fresh(self, target: int, terms: Iterable[Term]) -> Weigh:
        return Weigh(target, *self._units(target, terms), self.scale(target))

    def _floats(self, op: Evaluate | Combine) -> Iterator[Any]:
        if isinstance(op, Evaluate):
            yield Call(op.target, op.argument, float(self.run.trace.point(op.time).t), False, ())
            return
        terms = [(c, n) for c, n in op.terms if c] or op.terms[:1]
        yield Weigh(op.target, tuple(float(c) for c, _ in terms), tuple(n for _, n in terms), None)


Assignment = tuple[int, int, Fraction, list[tuple[Fraction, int]]]


def lifted(
    targets: Sequence[int], olds: Sequence[int], matrix: list[list[Fraction]], between: Callable[[int], int]
) -> Iterator[Assignment]:
    """Yield assignments that together compute targets = matrix @ olds.

    Each is (target, old, own, others): target = own * old + sum of coefficient * other. Shears have own = 1; the pivots
    of a PLU factorisation are the other own coefficients, and their product is the determinant up to its sign. A target
    that is one of the olds is taken over untouched.

    Parameters
    ----------
    targets, olds
        Numbers of the values.
    matrix
        Rows by target, columns by old.
    between
        Gives a number to a value between two shears, from the number of the old that it comes from.
    """
    rows = [r for r, target in enumerate(targets) if target not in olds]
    kept = [olds.index(target) for target in targets if target in olds]
    free = [c for c in range(len(olds)) if c not in kept]
    order, lower, upper = _plu([[matrix[r][c] for c in free] for r in rows])
    now = [olds[c] for c in free]
    last = len(free) - 1

    def rest(k: int) -> list[tuple[Fraction, int]]:
        return [(matrix[rows[order[k]]][c], olds[c]) for c in kept if matrix[rows[order[k]]][c]]

    for k in range(last):  # upper triangle, downwards: row k reads the values below it, which stand yet
        others = [(upper[k][j], now[j]) for j in range(k + 1, last + 1) if upper[k][j]]
        ends = not rest(k) and not any(lower[k][:k])
        if ends or others or upper[k][k] != 1:
            target = targets[rows[order[k]]] if ends else between(now[k])
            yield target, now[k], upper[k][k], others
            now[k] = target
    for k in range(last, -1, -1):  # unit lower triangle, upwards
        target = targets[rows[order[k]]]
        if now[k] == target:
            continue
        own = upper[k][k] if k == last else Fraction(1)
        yield target, now[k], own, [(lower[k][j], now[j]) for j in range(k) if lower[k][j]] + rest(k)


def _plu(matrix: list[list[Fraction]]) -> tuple[list[int], list[list[Fraction]], list[list[Fraction]]]:
    """Return the order of the rows, and the triangles (unit lower), with partial pivoting; a zero pivot stays in upper."""
    n = len(matrix)
    order, upper = list(range(n)), [list(row) for row in matrix]
    lower = [[Fraction(int(i == j)) for j in range(n)] for i in range(n)]
    for k in range(n):
        pivot = max(range(k, n), key=lambda r: abs(upper[r][k]))
        order[k], order[pivot] = order[pivot], order[k]
        upper[k], upper[pivot] = upper[pivot], upper[k]
        lower[k][:k], lower[pivot][:k] = lower[pivot][:k], lower[k][:k]
        if not upper[k][k]:
            continue
        for r in range(k + 1, n):
            lower[r][k] = upper[r][k] / upper[k][k]
            upper[r] = [a - lower[r][k] * b for a, b in zip(upper[r], upper[k], strict=True)]
    return order, lower, upper
