"""A study run into a folder: what is finished there stays, what is missing is run, and all of it becomes one dataset.

Datasets are files of netCDF, written whole or not at all; a hash says what is in one.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from bdia_numerics.runs.files import writing
from bdia_numerics.studies.engine.journal import Journal, Task, tasks as tasks_of
from bdia_numerics.studies.engine.local import Outcome, Pool, StudyJob, direct, serial
from bdia_numerics.studies.engine.sources import content, source
from bdia_numerics.studies.records import register
from bdia_numerics.studies.study import (
    Cell,
    Dataset,
    Study,
    as_text,
    assemble,
    cells,
    key,
    parts_of,
    provenance,
    versions,
    work,
)
from bdia_numerics.texts import shown

_SAVED = 2
"""The format of saved datasets, in their attributes: 1 named none, and is read as it was."""
MISSING = "saved datasets need h5netcdf: pip install 'bdia_numerics[sweep]'"


def save(dataset: Dataset, path: str | Path) -> Path:
    """Write a dataset as netCDF, under another name first, so that a reader sees the old file or the new one.

    Returns
    -------
    Path
        Where it is.

    Raises
    ------
    ImportError
        Without h5netcdf; the message names the extra.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        import h5netcdf as _  # noqa: F401
    except ImportError:
        raise ImportError(MISSING) from None
    with writing(path) as file:
        dataset.assign_attrs(format=_SAVED).to_netcdf(file, engine="h5netcdf")
    return path


def load(path: str | Path) -> Dataset:
    """Read a dataset that `save` wrote, all of it.

    Parameters
    ----------
    path
        Of a .nc file.

    Returns
    -------
    xarray.Dataset

    Raises
    ------
    ValueError
        If there is no such file, it is not a netCDF, or is of a later format.
    ImportError
        Without h5netcdf; the message names the extra.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from bdia_numerics import studies
    >>> study = studies.STUDIES["precision"]
    >>> config = study.config(solvers=("BDIA",), gammas=(0.9,), grids=("uniform",), steps=(20,), ends=("noise",))
    >>> made = studies.run(study, config)
    >>> with TemporaryDirectory() as folder:
    ...     studies.load(studies.save(made, Path(folder) / "made.nc")).equals(made)
    True
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path} does not exist: run the study first, or give the path of its .nc file")
    try:
        import h5netcdf as _  # noqa: F401
        from xarray import load_dataset

        register()
    except ImportError:
        raise ImportError(MISSING) from None
    try:
        found = load_dataset(path, engine="h5netcdf")
    except OSError as error:
        raise ValueError(f"{path} is not a netCDF file ({str(error).splitlines()[0]}): run the study again") from None
    if (made := found.attrs.pop("format", 1)) not in range(1, _SAVED + 1):
        raise ValueError(
            f"{path} is a dataset of format {shown(str(made))}, and this version reads up to {_SAVED}: update bdia_numerics"
        )
    return found


def data_hash(dataset: Dataset) -> str:
    """Return the SHA-256 of a dataset's values and coordinates, with names and dimensions; attributes do not count.

    The same before it was saved and after it was loaded.

    Parameters
    ----------
    dataset
        Of any study.

    Returns
    -------
    str
        64 digits in base 16.

    Raises
    ------
    TypeError
        For values that are neither numbers nor texts.

    Examples
    --------
    >>> import xarray
    >>> from bdia_numerics import studies
    >>> studies.data_hash(xarray.Dataset({"x": 1.0}))[:8]
    'b59b2e0b'
    """
    digest = hashlib.sha256()
    for name in sorted(map(str, dataset.variables)):
        values = np.asarray(dataset[name].values)
        text = values.dtype.kind in "OUST"
        kind = "text" if text else values.dtype.newbyteorder("<").str
        head = f"{name}|{','.join(map(str, dataset[name].dims))}|{values.shape}|{kind}|"
        digest.update(head.encode() + (_texts(values) if text else _numbers(values)))
    return digest.hexdigest()


def _texts(values: np.ndarray[Any, Any]) -> bytes:
    encoded = [str(value).encode() for value in values.ravel()]
    return b"".join(len(e).to_bytes(8, "little") + e for e in encoded)


def _numbers(values: np.ndarray[Any, Any]) -> bytes:
    values = values.astype(values.dtype.newbyteorder("<"))
    if values.dtype.kind == "f":
        values[np.isnan(values)] = np.nan  # one of the many that there are
    return values.tobytes()


FORMAT = "3"


def run(
    study: Study,
    config: Any = None,
    *,
    folder: str | Path | None = None,
    pool: Pool | None = None,
    retry: bool = False,
    advance: Callable[[], None] = lambda: None,
    watch: Callable[[Outcome], None] = lambda outcome: None,
) -> Dataset:
    """Run a study: in this process or in others, and again from where it was killed.

    Each finished cell is kept in `folder/NAME.sqlite`, which is whole at any moment; at the end all of them become
    `folder/NAME.nc`. Run again, a study that was killed computes what is missing, and its dataset is the same to the bit. With more
    solvers, steps or seeds (the `lists` of its configuration) it computes the new cells alone. What depends on something else that has
    changed, on another field, the versions of packages or the source of a solver, is computed anew, and the rows of before are kept.

    Parameters
    ----------
    study, config
        What to run; the study's defaults without `config`.
    folder
        Where to keep it; None keeps nothing.
    pool
        Where cells are computed: `serial`, in this process, by default; `processes(...)` or `cluster(...)`.
    retry
        Whether cells that failed before are run again.
    advance
        Called after each cell, also for those that were finished before.
    watch
        Called with each outcome of this run.

    Returns
    -------
    xarray.Dataset
        As `study.assemble` makes it, its attribute `failed` the number of cells that failed. Their numbers are NaN, and their
        variable `status`, where the study has one, is the failure in one line.

    Raises
    ------
    ValueError
        If the folder holds another study or a journal of another format, or is in use.
    Exception
        Of a cell that fails where no folder keeps the failure; RuntimeError with its text, from another process.
    ImportError
        Without an extra that is needed; the message names it.

    Examples
    --------
    >>> from bdia_numerics import studies
    >>> study = studies.STUDIES["precision"]
    >>> config = study.config(solvers=("BDIA",), gammas=(0.9,), grids=("uniform",), steps=(20,), ends=("noise",))
    >>> dict(studies.run(study, config)["error"].sizes)
    {'end': 1, 'solver': 1, 'gamma': 1, 'grid': 1, 'steps': 1, 'dtype': 3}
    """
    if not isinstance(study, Study):
        raise TypeError(
            f"study={shown(study)} is not a Study: pass one of studies.STUDIES, such as studies.STUDIES['digits']"
        )
    config = study.config() if config is None else config
    job = StudyJob(study, config, source(study, config), versions())
    identity, origin = {"format": FORMAT, "study": study.name}, "\n".join((as_text(config), job.versions, job.source))
    path = None if folder is None else journal_path(folder, study)
    told = lambda: provenance(study, config) | {"source": job.source}  # noqa: E731
    journal = Journal(path, identity, origin, told, content(study, config))
    try:
        pending = _pending(study, config, journal, retry, advance)
        if (first := next(pending, None)) is not None:
            chosen = pool or (direct if path is None else serial)
            with closing(chosen(job, itertools.chain([first], pending))) as outcomes:
                for outcome in outcomes:
                    if outcome.failure and path is None:
                        raise RuntimeError(f"{dict(outcome.cell)}: {outcome.failure}")
                    journal.add(outcome)
                    watch(outcome)
                    advance()
        made = _dataset(study, config, journal)
        return made if folder is None else load(save(made, dataset_path(folder, study)))
    finally:
        journal.close()


def _pending(study: Study, config: Any, journal: Journal, retry: bool, advance: Callable[[], None]) -> Iterator[Cell]:
    for task in work(study, config):
        if journal.holds(task, failures=not retry):
            advance()
        else:
            yield task


def _dataset(study: Study, config: Any, journal: Journal) -> Dataset:
    failed = 0

    def results() -> Iterator[tuple[Cell, dict[str, Any]]]:
        nonlocal failed
        for cell in cells(study, config):  # in their own order, whatever that of the journal is
            own = parts_of(study, config, cell)
            failure = next((kept(task)[1] for task in own if not journal.holds(task, failures=False)), "")
            failed += bool(failure)
            if failure:
                yield cell, {"status": failure} if "status" in study.variables else {}
            else:
                parts = (kept(task)[0] for task in own)
                yield cell, next(parts) if study.join is None else dict(study.join(config, cell, parts))

    def kept(task: Cell) -> tuple[dict[str, Any], str]:
        found = journal.outcome(task)
        if found is None:
            raise RuntimeError(f"{dict(task)} was lost: run the study again")
        return found

    register()
    made = assemble(study, config, results(), made_by=journal.provenance)
    return made.assign_attrs(failed=failed)


def journal_path(folder: str | Path, study: Study) -> Path:
    """Return where a study's journal is in a folder."""
    return Path(folder) / f"{study.name}.sqlite"


def dataset_path(folder: str | Path, study: Study) -> Path:
    """Return where a study's dataset is in a folder."""
    return Path(folder) / f"{study.name}.nc"


def tasks(folder: str | Path, study: Study, config: Any = None) -> list[Task]:
    """Return what the journal in a folder says of each cell: seconds, worker, attempts, failure; ValueError if there is none.

    With a configuration, of the cells of its run alone.
    """
    found = list(tasks_of(journal_path(folder, study)))
    if config is None:
        return found
    digest = content(study, config)
    wanted = {key(task) for task in work(study, config)}
    return [task for task in found if key(task.cell) in wanted and task.content == digest(task.cell)]


def finished(folder: str | Path, study: Study, config: Any) -> set[str]:
    """Return the keys of a run's cells that a folder holds, without those that failed."""
    if not journal_path(folder, study).exists():
        return set()
    return {key(task.cell) for task in tasks(folder, study, config) if not task.failure}
