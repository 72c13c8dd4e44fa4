"""What a run leaves behind, so that the opposite run starts exactly: the registers, with names and times."""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from bdia_numerics.grids import Grid
from bdia_numerics.program import Solver, identity, structure
from bdia_numerics.runs.files import writing
from bdia_numerics.spaces import FLOAT64, Shown, of, plain, read_stored, share, tree
from bdia_numerics.texts import shown

__all__ = ["State", "check_state", "identity"]


@dataclass(frozen=True, repr=False)
class State(Shown):
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

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from bdia_numerics import BDIA, State, grids, problems, schedules, solve
    >>> grid = grids.uniform(schedules.vp_linear(), 20, t_min=0.1)
    >>> state = solve(BDIA(), problems.Gaussian([0.0], 0.25).model(grid.schedule), grid, [[1.0]]).state
    >>> with TemporaryDirectory() as folder:
    ...     state.save(Path(folder) / "end.npz")
    ...     State.load(Path(folder) / "end.npz") == state
    True
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
        return of(value).frozen(value) if name == "registers" else FLOAT64.frozen(value)

    def save(self, path: str | Path) -> None:
        """Write the state to an .npz file, every digit kept, without pickles; a file that is there stays whole until all is written.

        Raises
        ------
        TypeError
            For symbols, which have no file form.
        OSError
            If the file cannot be written, as on a full disk; what was there before is then unchanged.
        """
        path = _path(path)
        arrays, systems = {}, {}
        for name, value in self.registers.items():
            arrays[f"register:{name}"], systems[name] = of(value).stored(value)
        arrays |= {f"remainder:{name}": value for name, value in self.remainder.items()}
        meta = {"format": FORMAT, "arrays": sorted(arrays), "solver": self.solver, "grid": self.grid}
        meta |= {"times": dict(self.times), "systems": systems, "prediction": self.prediction}
        content = io.BytesIO()  # older NumPy leaves an archive open in a file that cannot take it
        np.savez(content, meta=np.asarray(json.dumps(meta)), **arrays)  # type: ignore[arg-type]
        with writing(path) as file:
            file.write(content.getbuffer())

    @classmethod
    def load(cls, path: str | Path) -> State:
        """Read a state that `save` wrote, of this version or an earlier one.

        Raises
        ------
        ValueError
            If the file holds no state, is damaged, or is of a later format.
        OSError
            If there is no such file, or it cannot be read.
        ImportError
            If it holds tensors, and bdia_numerics.torch was not imported.
        """
        content = io.BytesIO(_path(path).read_bytes())
        try:
            return cls._read(content)
        except _LaterError as error:
            raise ValueError(f"path={str(path)!r} {error}") from None
        except ImportError:
            raise
        except Exception:  # noqa: BLE001 - the parsers of zip, npy and JSON fail in many ways on damaged bytes
            raise ValueError(f"path={str(path)!r} holds no State: pass a file written by State.save") from None

    @classmethod
    def _read(cls, content: io.BytesIO) -> State:
        parts = _members(content)
        meta = json.loads(str(parts.pop("meta")))
        made = meta.get("format", 1)  # the first format did not say
        if not isinstance(made, int) or made > FORMAT:
            raise _LaterError(
                f"is a State of format {made}, and this version reads up to {FORMAT}: update bdia_numerics"
            )
        if made > 1 and sorted(parts) != meta["arrays"]:
            raise KeyError("arrays")
        systems, times = meta["systems"], meta["times"]
        if not all(type(i) is int for i in times.values()) or times.keys() != systems.keys():
            raise ValueError("times")
        registers = {name: read_stored(parts[f"register:{name}"], system) for name, system in systems.items()}
        remainder = {name.partition(":")[2]: value for name, value in parts.items() if name.startswith("remainder:")}
        return cls(
            _text(meta["solver"]),
            _text(meta["grid"]),
            registers,
            times,
            remainder,
            _text(meta.get("prediction", "")),
        )


FORMAT = 2
"""Of saved states: 1 named no format and did not list its arrays."""


class _LaterError(Exception):
    """A file of a format that this version does not know."""


def _path(path: Any) -> Path:
    if not isinstance(path, str | PathLike):
        raise TypeError(f"path={shown(path)} is not a path: pass the name of a file, such as 'latent.npz'")
    return Path(path)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    return value


def _members(content: io.BytesIO) -> dict[str, np.ndarray[Any, Any]]:
    """Return the arrays of an .npz file by name, each compared with its checksum; whatever a parser raises if one is damaged."""
    size, found = content.getbuffer().nbytes, {}
    with zipfile.ZipFile(content) as archive:
        for info in archive.infolist():
            name, suffix = info.filename[:-4], info.filename[-4:]
            if suffix != ".npy" or name in found or info.compress_type != zipfile.ZIP_STORED or info.file_size > size:
                raise zipfile.BadZipFile(info.filename)  # a few bytes can claim to unpack to more than a machine has
            stream = io.BytesIO(archive.read(info))  # all of it, since only then the checksum is looked at
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                array = np.lib.format.read_array(stream, allow_pickle=False)
            if stream.read(1):
                raise ValueError("more bytes than the array has")
            found[name] = array
    return found


share(State)
tree(State, "registers", "remainder")


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
    if {*state.registers} != {*expected}:
        raise ValueError(f"state holds {', '.join(state.registers)}: pass one with {', '.join(expected)}")
