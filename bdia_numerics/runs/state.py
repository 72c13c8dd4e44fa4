"""What a run leaves behind, so that the opposite run starts exactly: the registers, with names and times."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from bdia_numerics.grids import Grid
from bdia_numerics.program import Solver, identity, structure
from bdia_numerics.spaces import Lattice, Memory, MPMath, Numpy, Rationals, of, plain, read_stored
from bdia_numerics.values import share

__all__ = ["State", "check_state", "identity"]


@dataclass(frozen=True)
class State:
    """Registers of a solver at one end of a run.

    Attributes
    ----------
    solver : str
        Which solver it belongs to, with its parameters; a function of the slot by its values on the grid.
    grid : str
        Fingerprint of the grid (of the whole one, if the run was on a part).
    registers : mapping of str to array
        Values by register, each of shape (*batch, *data); read-only copies.
    times : mapping of str to int
        Index on the whole grid at which each register stands.
    remainder : mapping of str to array
        Digits kept by bit-exact arithmetic; empty in the other number systems.
    prediction : str
        What the run read the model's output as, such as "eps" or "v"; empty where that is not known, and fits every run.
    """

    solver: str
    grid: str
    registers: Mapping[str, Any]
    times: Mapping[str, int]
    remainder: Mapping[str, Any] = field(default_factory=dict)
    prediction: str = ""

    def __post_init__(self) -> None:
        for name in ("registers", "times", "remainder"):
            values = {k: self._frozen(name, plain(k, v)) for k, v in getattr(self, name).items()}
            object.__setattr__(self, name, MappingProxyType(values))

    @staticmethod
    def _frozen(name: str, value: Any) -> Any:
        return of(value).frozen(value) if name == "registers" else Memory().frozen(value)

    def save(self, path: str | Path) -> None:
        """Write the state to an .npz file, every digit kept, without pickles.

        Raises
        ------
        TypeError
            For symbols, which have no file form.
        """
        arrays, systems = {}, {}
        for name, value in self.registers.items():
            arrays[f"register:{name}"], systems[name] = _encode(value)
        arrays |= {f"remainder:{name}": value for name, value in self.remainder.items()}
        meta = {"solver": self.solver, "grid": self.grid, "times": dict(self.times), "systems": systems}
        meta["prediction"] = self.prediction
        with Path(path).open("wb") as file:  # a bare name would be given another suffix
            np.savez(file, meta=np.asarray(json.dumps(meta)), **arrays)  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: str | Path) -> State:
        """Read a state that `save` wrote.

        Raises
        ------
        ValueError
            If the file holds no state.
        ImportError
            If it holds tensors, and bdia_numerics.torch was not imported.
        """
        nothing = f"path={str(path)!r} holds no State: pass a file written by State.save"
        with Path(path).open("rb") as file:
            if not zipfile.is_zipfile(file):
                raise ValueError(nothing)
        try:
            with np.load(Path(path), allow_pickle=False) as data:
                meta = json.loads(str(data["meta"]))
                systems = meta["systems"].items()
                registers = {name: _decode(data[f"register:{name}"], system) for name, system in systems}
                kept = [name for name in data.files if name.startswith("remainder:")]
                remainder = {name.partition(":")[2]: data[name] for name in kept}
            kind = str(meta.get("prediction", ""))  # files of before have none
            return cls(str(meta["solver"]), str(meta["grid"]), registers, meta["times"], remainder, kind)
        except (ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile):
            raise ValueError(nothing) from None


share(State)


def _encode(value: Any) -> tuple[np.ndarray[Any, Any], str]:
    if isinstance(value, Lattice):
        return value.integers, f"lattice:{value.bits}:{value.dtype}:{value.scale}"
    space = of(value)
    if (kept := space.stored(value)) is not None:
        return kept
    if isinstance(space, Numpy):
        return np.asarray(value), "numpy"
    if isinstance(space, Rationals | MPMath):
        exact = np.asarray(np.frompyfunc(space.field, 1, 1)(np.asarray(value, dtype=object)), dtype=object)
        text = np.asarray(np.frompyfunc(str, 1, 1)(exact), dtype=str)
        # An mpf does not know the precision that it was made in: enough digits for the longest one here.
        bits = max((x.numerator.bit_length() for x in exact.flat), default=1)
        return text, "fraction" if isinstance(space, Rationals) else f"mpmath:{bits * 3 // 10 + 2}"
    raise TypeError(f"a state in {space.name} has no file form: save states of numbers")


def _decode(array: np.ndarray[Any, Any], system: str) -> Any:
    if system == "numpy":
        return array if array.ndim else array[()]
    if system.startswith("lattice:"):
        bits, dtype, scale = system.split(":")[1:]
        return Lattice(array, int(bits), np.dtype(dtype), Fraction(scale))
    if system != "fraction" and not system.startswith("mpmath:"):
        return read_stored(array, system)
    if system == "fraction":
        convert: Any = Fraction
    else:
        space = MPMath(int(system.partition(":")[2]))
        convert = space.number
    return np.frompyfunc(convert, 1, 1)(array.astype(object))


def check_state(state: State, solver: Solver, grid: Grid, first: int, prediction: str) -> None:
    """Raise ValueError unless a state is of this solver, grid and prediction, and stands where a run from index `first` begins."""
    if state.grid != grid.root:
        raise ValueError("state belongs to another grid: pass the grid of the run that made it, or a part of that grid")
    own = identity(solver, grid)
    if state.solver != own:
        raise ValueError(f"state is of solver {state.solver}, not of {own}: run the solver that made it")
    if state.prediction not in ("", prediction):
        raise ValueError(
            f"state is of a run whose model predicts {state.prediction}, and this one's predicts {prediction}: pass the same model"
        )
    shape = structure(solver)
    expected = {name: grid.offset + first + lag for name, lag in zip(shape.registers, shape.lags, strict=True)}
    if dict(state.times) != expected:
        raise ValueError(
            f"state stands at indices {dict(state.times)}, and this run begins at {expected}: pass the state of that end"
        )
