"""Tools of the proofs: solvers run on symbols, and the paper's formulas written once, as the thing to be proved.

Coupled two-state solvers are relations between states and abstract increments, for any slot and over whole runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bdia_numerics import grids
from bdia_numerics.claims.ledger import CheckFailed, mutant, require
from bdia_numerics.grids import Between, Grid, Index, Levels, Point, Pointwise
from bdia_numerics.program import Evaluation, Form, Linear, Recorder, Solver, Trace, structure
from bdia_numerics.program.ops import Held, interpret
from bdia_numerics.runs.solving import invert, solve
from bdia_numerics.runs.state import State, identity
from bdia_numerics.solvers import BDIA
from bdia_numerics.spaces import SYMBOLS, Vector, formal_model
from bdia_numerics.spaces.later import sympy


@dataclass(frozen=True)
class Formal:
    """A symbolic grid with the paper's abbreviations; eps is uninterpreted.

    Indices are those of the grid: on three points, 2, 1, 0 stand for i+1, i, i-1.

    Parameters
    ----------
    n
        Slots of the grid.

    Raises
    ------
    ValueError
        For a number below 1.

    Examples
    --------
    >>> from bdia_numerics.claims.formal import Formal
    >>> Formal(2).grid.n
    2
    """

    n: int
    grid: Grid = field(init=False)
    model: Callable[[Any, Any], Any] = field(init=False, default_factory=formal_model)

    def __post_init__(self) -> None:
        object.__setattr__(self, "grid", grids.symbolic(self.n))

    def alpha(self, i: int) -> Any:
        """alpha_i."""
        return self.grid.alpha[i]

    def sigma(self, i: int) -> Any:
        """sigma_i."""
        return self.grid.sigma[i]

    def s(self, i: int) -> Any:
        """sigma_i / alpha_i."""
        return self.sigma(i) / self.alpha(i)

    def a(self, i: int) -> Any:
        """a_i = alpha_{i-1}/alpha_i, below eq. (8)."""
        return self.alpha(i - 1) / self.alpha(i)

    def b(self, i: int) -> Any:
        """b_i = sigma_{i-1} - sigma_i alpha_{i-1}/alpha_i, below eq. (8)."""
        return self.sigma(i - 1) - self.sigma(i) * self.a(i)

    def eps(self, z: Vector, i: int) -> Vector:
        """eps(z, i)."""
        return self.model(z, self.grid.t[i])

    def forward(self, j: int, z: Vector) -> Vector:
        """Delta(t_j -> t_{j-1} | z), eq. (21)."""
        return z * self.a(j) + self.eps(z, j) * self.b(j) - z

    def backward(self, j: int, z: Vector) -> Vector:
        """Delta(t_{j-1} -> t_j | z), eq. (24)."""
        return z / self.a(j) - self.eps(z, j - 1) * (self.b(j) / self.a(j)) - z

    def step(self, solver: Solver, registers: Mapping[str, Vector]) -> dict[str, Vector]:
        """Run the solver, one step for every i, over the whole grid from given registers; return what they hold then."""
        for_every_slot(solver)
        z = next(iter(registers.values()))
        return dict(solve(solver, self.model, self.grid, z, start=dict(registers)).state.registers)  # type: ignore[union-attr]

    def undo(self, solver: Solver, registers: Mapping[str, Vector]) -> dict[str, Vector]:
        """Run the derived inverse of a step, one for every i, over the whole grid from given registers."""
        for_every_slot(solver)
        shape = structure(solver)
        times = {name: shape.end_index(name) for name in shape.registers}
        state = State(identity(solver), self.grid.root, registers, times)
        return dict(invert(solver, self.model, self.grid, state).state.registers)  # type: ignore[union-attr]

    def below(self, solver: Solver, z: Vector) -> Vector:
        """Return z_0 of a step over the lowest slot alone, from z_1."""
        return solve(solver, self.model, self.grid[0:1], z).z

    def run(self, solver: Solver, z: Vector) -> list[Vector]:
        """Solve from z_N; return z_0, ..., z_N."""
        return list(solve(solver, self.model, self.grid, z, return_trajectory=True).trajectory)


def symbols(*names: str) -> tuple[Any, ...]:
    """Return sympy symbols."""
    return tuple(sympy.Symbol(name) for name in names)


def vectors(*names: str) -> tuple[Vector, ...]:
    """Return free vectors.

    Parameters
    ----------
    names
        Of the vectors.

    Returns
    -------
    tuple of Vector
        One a name, each a generator of a free module.

    Examples
    --------
    >>> from bdia_numerics.claims.formal import vectors
    >>> z, y = vectors("z", "y")
    >>> 2 * z - y + y == 2 * z
    True
    """
    return tuple(Vector.basis(name) for name in names)


def equal(left: Vector, right: Vector, what: str) -> None:
    """Require two vectors to be equal.

    Parameters
    ----------
    left, right
        Vectors.
    what
        What is compared, for the message.

    Returns
    -------
    None

    Raises
    ------
    CheckFailed
        Unless all their coefficients are equal.

    Examples
    --------
    >>> from bdia_numerics.claims.formal import equal, vectors
    >>> (z,) = vectors("z")
    >>> equal(z + z, 2 * z, "twice z")
    """
    difference = left - right
    require(not difference.terms, f"{what}: the two sides differ by {dict(difference.terms)}")


def require_same(left: Any, right: Any, what: str) -> None:
    """Require two rational expressions to be equal; None, for one that does not exist, equals nothing."""
    difference = None if left is None else sympy.cancel(left - right)
    require(difference == 0, f"{what} should be {right}, and is {left}")


def require_identity(left: Any, right: Any, what: str) -> None:
    """Require two expressions in gamma and (-gamma)^m to be equal, for symbolic m."""
    difference = sympy.simplify((sympy.sympify(left) - right).expand(power_exp=True))
    require(difference == 0, f"{what}: the sides differ by {difference}")


@dataclass(eq=False)
class DeltaRecorder(Recorder):
    """A recorder to which an increment Delta(t_i -> t_j | z) is a value of its own, whatever approximates the integral."""

    deltas: dict[int, tuple[Any, Any, int]] = field(default_factory=dict)

    def delta(self, i: Any, j: Any, z: Linear, e: Any) -> Form:
        """Return a new value for the increment; equal increments give the same one.

        Raises
        ------
        CheckFailed
            If the prediction is not that of the model at `z` and t_i: then it is not an increment given z at t_i.
        """
        (base,) = z.form().terms
        own = isinstance(e, Evaluation) and e.argument == base and e.time == i
        require(
            own, "an increment takes its noise prediction from elsewhere than the state and time that it starts from"
        )
        key = (i, j, base)
        number = next((n for n, known in self.deltas.items() if known == key), None)
        if number is None:
            number = self.trace.new(f"Delta({i} -> {j})")
            self.deltas[number] = key
            self.own.add(number)
        return Form(self, {number: self.one})


class AnyIndex(Index):
    """The index of a slot; a claim about every slot fails where its step looks at it."""

    def refuse(self) -> Any:
        """Raise CheckFailed."""
        raise CheckFailed("the step looks at its index, so it is not one step for every i")


def any_slot() -> Levels:
    """Return what a step sees of a grid whose indices are opaque: a symbol for each quantity at each offset."""

    def point(time: AnyIndex | Between) -> Point:
        place = time.offset if isinstance(time, Index) else abs(hash(time))
        return Point(*symbols(*(f"{name}_{place}" for name in Point._fields)))

    return Pointwise(SYMBOLS, point)


def before_a_slot(solver: Solver) -> tuple[Trace, dict[str, Held]]:
    """Return what a step of any slot is recorded on, and what the registers hold before it."""
    shape, trace = structure(solver), Trace(any_slot())
    return trace, {n: Held(trace.new(n), AnyIndex(lag)) for n, lag in zip(shape.registers, shape.lags, strict=True)}


def for_every_slot(solver: Solver) -> None:
    """Require the step not to look at its index, so that what holds in one slot holds in all."""
    trace, held = before_a_slot(solver)
    solver.step(Recorder(trace, AnyIndex(), held))


def increments(solver: Solver, i: int, times: Mapping[str, int]) -> dict[str, dict[Any, Any]]:
    """Return a step, for any i, as a linear relation between states and increments.

    Parameters
    ----------
    solver
        Its `step` is recorded once, from t_i to t_{i-1}, with an opaque index: the relation holds for every slot.
    i
        What the index is called in the result.
    times
        Index at which each register stands before the step.

    Returns
    -------
    dict
        For each register, what it holds after the step: coefficients by ("z", register) for what a register held
        before, and by (j, k, source) for Delta(t_j -> t_k | source), where source is such a coefficient dictionary
        itself, as a frozenset of items.

    Raises
    ------
    CheckFailed
        If the step looks at its index.
    """
    trace = Trace(any_slot())
    held = {name: Held(trace.new(name), AnyIndex(time - i)) for name, time in times.items()}
    s = DeltaRecorder(trace, AnyIndex(), dict(held))
    solver.step(s)
    moved = all(h.time == held[name].time - 1 for name, h in s.held.items())
    require(moved, "the step does not move each of its registers by one slot")

    one = trace.grid.space.field(1)

    class Known(dict[int, dict[Any, Any]]):
        """Values by number; an increment is made known when it is first asked for."""

        def __missing__(self, number: int) -> dict[Any, Any]:
            start, end, base = s.deltas[number]
            self[number] = {(i + start.offset, i + end.offset, frozenset(self[base].items())): one}
            return self[number]

    def expand(terms: Sequence[tuple[Any, Mapping[Any, Any]]]) -> dict[Any, Any]:
        total: dict[Any, Any] = {}
        for c, content in terms:
            for key, value in content.items():
                total[key] = trace.grid.space.coefficient(total.get(key, 0) + c * value)
        return {key: value for key, value in total.items() if value != 0}

    known = Known({h.number: {("z", name): one} for name, h in held.items()})
    # An evaluation outside of an increment stands for itself.
    interpret(s.ops, known, lambda op, argument: {("eps", trace.names[op.target]): one}, expand)
    return {name: known[h.number] for name, h in s.held.items()}


Increment = Callable[[int, int], Vector]
"""Increment(j, k): Delta(t_j -> t_k | z_j)."""


def source(terms: dict[Any, Any]) -> frozenset[Any]:
    """Return the name of what an increment is taken at."""
    return frozenset(terms.items())


def delta(j: int, k: int, state: str) -> Vector:
    """Return the basis element of Delta(t_j -> t_k | state_j)."""
    return Vector.basis(f"Delta({j} -> {k} | {state}_{j})")


def stepped(solver: Solver, i: int, before: Mapping[str, tuple[str, int, Vector]]) -> dict[str, Vector]:
    """Return what each register holds after the step from t_i, in terms of increments at the states of a run.

    `before` has for each register the state that it holds: its letter, its index, and its value. A register that the step
    gives a new value holds the state at t_{i-1} of its own letter.
    """
    relation = increments(solver, i, {name: time for name, (_, time, _) in before.items()})
    known = {source(terms): (name, i - 1) for name, terms in relation.items()}
    known |= {source({("z", name): 1}): (letter, time) for name, (letter, time, _) in before.items()}
    basis = {("z", name): value for name, (*_, value) in before.items()}
    for key in (key for terms in relation.values() for key in terms if key not in basis):
        letter, time = known.get(key[-1], ("", None))
        require(time == key[0], f"an increment is taken at {key[-1]}, which is not a state of the run at its time")
        basis[key] = delta(key[0], key[1], letter)
    return {name: sum((c * basis[key] for key, c in terms.items()), Vector({})) for name, terms in relation.items()}


def abstract_run(solver: Solver, starter: Solver, n: int) -> tuple[list[Vector], Increment]:
    """Run the programs of a two-step solver and of its one-step starter over n slots, with abstract increments.

    Returns
    -------
    states
        z_0, ..., z_n in terms of z_N and increments.
    increment
        The basis element of an increment.
    """
    (start,) = vectors("z_N")
    states = [stepped(starter, n, {"z": ("z", n, start)})["z"], start]
    for i in range(n - 1, 0, -1):
        before = {"z_prev": ("z", i + 1, states[1]), "z": ("z", i, states[0])}
        states.insert(0, stepped(solver, i, before)["z"])
    return states, lambda j, k: delta(j, k, "z")


_BDIA_EDITS = {
    "sign of the backward increment flipped": ("- g * backward", "+ g * backward"),
    "ends of the backward increment exchanged": ("s.delta(s.i, s.i + 1, z, e)", "s.delta(s.i + 1, s.i, z, e)"),
    "forward increment dropped": (" + forward", ""),
    "gamma and 1 - gamma exchanged": ("(1 - g) *", "g *"),
    "gamma squared": ("s.value(self.gamma)", "s.value(self.gamma) ** 2"),
    "eps of the state before": ("s.eps(z)", "s.eps(z_prev)"),
}


def bdia_mutants(*names: str) -> dict[str, dict[str, Callable[[], Any]]]:
    """Return planted errors of BDIA by name, each for the argument `solver` of a check."""
    return {name: {"solver": mutant(BDIA, _BDIA_EDITS[name])} for name in names}


def forward_weight(m: Any, g: Any) -> Any:
    """Weight of Delta(t_j -> t_{j-1} | z_j) in z_i, with m = j - i, eq. (30)."""
    return (1 - (-g) ** m) / (1 + g)


def backward_weight(m: Any, g: Any) -> Any:
    """Weight of -Delta(t_{j-1} -> t_j | z_{j-1}) in z_i, with m = j - i, eq. (30)."""
    return (g + (-g) ** m) / (1 + g)


def bdia_relation(solver: Any, g: Any, k: int = 1) -> tuple[Any, Any, Any, Any]:
    """Return the weights (z_{k+1}, z_k, Delta(t_k -> t_{k+1} | z_k), Delta(t_k -> t_{k-1} | z_k)) in its z_{k-1}."""
    got = increments(solver(g), k, {"z_prev": k + 1, "z": k})
    current = frozenset({("z", "z"): 1}.items())
    keys = (("z", "z_prev"), ("z", "z"), (k, k + 1, current), (k, k - 1, current))
    require(
        set(got["z"]) <= set(keys),
        f"the step is not a combination of z_(i+1), z_i and their two increments: {got['z']}",
    )
    require(got["z_prev"] == {("z", "z"): 1}, "the step does not hand z_i on")
    weights = [got["z"].get(key, 0) for key in keys]
    return weights[0], weights[1], weights[2], weights[3]


def relations(solver: Any, i: int) -> dict[str, dict[Any, Any]]:
    """Return the step of a coupled solver as a relation between states and increments."""
    return increments(solver, i, {"z": i, "y": i})


Z, Y = ("z", "z"), ("z", "y")


def coupled_run(solver: Any, n: int) -> Iterator[tuple[int, Vector, Vector]]:
    """Expand a CBDIA run from z_N = y_N into abstract increments; yield (i, z_i, y_i) from N down."""
    z = y = vectors("y_N")[0]
    yield n, z, y
    for i in range(n, 0, -1):
        z, y = stepped(solver, i, {"z": ("z", i, z), "y": ("y", i, y)}).values()
        yield i - 1, z, y


@dataclass(frozen=True)
class CoupledStep:
    """Coefficients of a new register in a step: of z_i, y_i, Delta(t_i -> t_{i-1}|y_i) and Delta(t_{i-1} -> t_i|w)."""

    z: Any
    y: Any
    forward: Any
    backward: Any


def coupled_steps(solver: Any) -> dict[str, CoupledStep]:
    """Return the coefficients of both new registers."""
    got = relations(solver, 1)
    forward = (1, 0, source({Y: 1}))
    backward = (0, 1, source({Z: 1, forward: 1}))
    for name, terms in got.items():
        strangers = set(terms) - {Z, Y, forward, backward}
        require(not strangers, f"{name} is not a combination of z, y and the two increments: {strangers}")
    return {name: CoupledStep(*(terms.get(key, 0) for key in (Z, Y, forward, backward))) for name, terms in got.items()}
