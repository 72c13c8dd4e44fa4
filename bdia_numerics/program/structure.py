"""What a step program is, whatever its numbers: registers, times, evaluations and linear combinations per step."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import SimpleNamespace
from typing import Any, Protocol, cast

from bdia_numerics.grids import Grid, Point
from bdia_numerics.program.forms import Linear
from bdia_numerics.program.identity import identity
from bdia_numerics.program.ops import Evaluate, Held, Mix, Op, Trace
from bdia_numerics.program.record import Recorder


class Solver(Protocol):
    """What any solver must have: the names of its registers, and one step.

    Optional attributes: ``output``, the register that is the solution's `.z` ("z" by default); ``evaluations``, the
    names of the registers that hold evaluations instead of states, or a dict from names to "eps", "x0" or "velocity"; ``starter``,
    the solver that makes the first states, DDIM by default; ``given``, the registers that only the caller's start can fill.
    """

    @property
    def registers(self) -> Sequence[str]: ...
    def step(self, s: Any) -> None: ...


class _Opaque:
    """A scalar of which nothing is known: every operation gives another one."""

    def _same(self, *others: object) -> _Opaque:
        return NotImplemented if any(isinstance(x, Linear) for x in others) else self

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = __pow__ = _same
    __neg__ = _same


_SCALAR = _Opaque()
_SPACE = SimpleNamespace(field=lambda x: _SCALAR, is_zero=lambda x: False)
_ANY_GRID = cast(
    Grid,
    SimpleNamespace(
        space=_SPACE, offset=0, point=lambda time: Point(*[_SCALAR] * 5), level=lambda index: (_SCALAR,) * 3
    ),
)


class _ShapeRecorder(Recorder):
    def value(self, parameter: object) -> Any:
        return _SCALAR

    def function(self, name: str, x: Any) -> Any:
        return _SCALAR


@dataclass(frozen=True)
class Structure:
    """Shape of a step program, once it has settled.

    Attributes
    ----------
    registers
        Names, as the solver gives them.
    lags
        For each register, the index at which it stands before a step from t_i, less i: 0 for the present state, 1 for
        the state before it.
    output
        The register that is the solution's `.z`.
    evaluations
        Registers that hold evaluations.
    nfe
        Model evaluations per step.
    combinations
        Linear combinations per step, each one pass over memory.
    """

    registers: tuple[str, ...]
    lags: tuple[int, ...]
    output: str
    evaluations: tuple[str, ...]
    nfe: int
    combinations: int

    @property
    def depth(self) -> int:
        """Number of slots that the start takes."""
        return max(self.lags)

    def end_index(self, name: str) -> int:
        """Index at which a register stands after the last step."""
        return self.lags[self.registers.index(name)]


def structure(solver: Solver) -> Structure:
    """Read the shape of a solver off its step.

    Raises
    ------
    TypeError
        If the object has no `registers` or no `step`.
    ValueError
        If the registers' times do not settle, or `output` names no register.
    """
    if isinstance(solver, str):
        raise TypeError(f"solver={solver!r} is text: pass an instance, for instance {solver}()")
    if isinstance(solver, type):
        name = solver.__name__
        raise TypeError(
            f"solver={name} is a class, which needs registers and a step of its own: pass an instance, for instance {name}()"
        )
    if not (hasattr(solver, "registers") and callable(getattr(solver, "step", None))):
        raise TypeError(f"solver={solver!r} is no solver: it needs an attribute registers and a method step(s)")
    try:
        return _structure(cast(Hashable, solver), identity(solver))
    except TypeError as error:
        if "unhashable" not in str(error):
            raise
        return _structure.__wrapped__(solver, "")


@lru_cache(maxsize=256)
def _structure(solver: Any, attributes: str) -> Structure:
    """Read a structure; `attributes` is the text of what may change in one and the same solver."""
    registers = _names(solver)
    lags: tuple[Any, ...] = (0,) * len(registers)
    for _ in range(len(registers) + 2):
        after = tuple(held.time for held in _two_steps(solver, registers, lags)[0].values())
        if after == lags:
            break
        lags = after
    else:
        raise ValueError(
            f"{solver!r}: the times of its registers do not settle: end each step with them moved by one slot"
        )
    if any(not isinstance(lag, int) or lag < 0 for lag in lags) or 0 not in lags:
        raise ValueError(
            f"{solver!r}: after a step its registers stand at {lags} slots before the new time: move one to at=s.i - 1"
        )
    evaluations = tuple(getattr(solver, "evaluations", ()))
    _, ops = _two_steps(solver, registers, lags)
    return Structure(
        registers=registers,
        lags=lags,
        output=_output(solver, registers, lags, evaluations),
        evaluations=evaluations,
        nfe=sum(isinstance(op, Evaluate) for op in ops),
        combinations=sum(len(op.targets) if isinstance(op, Mix) else 1 for op in ops if not isinstance(op, Evaluate)),
    )


def _names(solver: Any) -> tuple[str, ...]:
    given = solver.registers
    names = () if isinstance(given, str) else tuple(given)
    if not names or len(set(names)) < len(names) or not all(isinstance(name, str) and name for name in names):
        kind = type(solver).__name__
        raise ValueError(
            f"registers={given!r} of {kind} are no distinct names: give a tuple, for instance ('z_prev', 'z')"
        )
    return names


def _output(solver: Solver, registers: tuple[str, ...], lags: tuple[int, ...], evaluations: tuple[str, ...]) -> str:
    current = [name for name, lag in zip(registers, lags, strict=True) if lag == 0 and name not in evaluations]
    output = getattr(solver, "output", "z" if "z" in current else None)
    if output is None:
        if not current or len(registers) == 1:
            raise ValueError(
                f"registers={registers} of {type(solver).__name__} hold no state z, which would be the solution: "
                "name a register 'z', or say which one it is by output="
            )
        output = current[-1]
    if output not in registers:
        raise ValueError(f"{solver!r}: output={output!r} is none of its registers {registers}")
    return str(output)


def _two_steps(solver: Solver, registers: tuple[str, ...], lags: tuple[Any, ...]) -> tuple[dict[str, Held], list[Op]]:
    """Record the steps from t_1 and t_0; return what is held at t_0, and the second step, which shows what is remembered."""
    trace = Trace(_ANY_GRID)
    held = {
        name: Held(trace.new(name), 1 + lag if isinstance(lag, int) else lag)
        for name, lag in zip(registers, lags, strict=True)
    }
    first = _ShapeRecorder(trace, 1, held)
    solver.step(first)
    settled = {name: first.held[name] for name in registers}
    second = _ShapeRecorder(trace, 0, dict(settled))
    solver.step(second)
    return settled, second.ops
