"""Datasets in files: netCDF, written whole or not at all, and the hash of what is in one."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bdia_numerics.runs.files import writing
from bdia_numerics.texts import shown

if TYPE_CHECKING:
    from xarray import Dataset

FORMAT = 2
"""Of saved datasets, in their attributes: 1 named none, and is read as it was."""
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
        dataset.assign_attrs(format=FORMAT).to_netcdf(file, engine="h5netcdf")
    return path


def load(path: str | Path) -> Dataset:
    """Read a dataset that `save` wrote, all of it.

    Raises
    ------
    ValueError
        If there is no such file, it is not a netCDF, or is of a later format.
    ImportError
        Without h5netcdf; the message names the extra.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path} does not exist: run the study first, or give the path of its .nc file")
    try:
        import h5netcdf as _  # noqa: F401
        from xarray import load_dataset
    except ImportError:
        raise ImportError(MISSING) from None
    try:
        found = load_dataset(path, engine="h5netcdf")
    except OSError as error:
        raise ValueError(f"{path} is not a netCDF file ({str(error).splitlines()[0]}): run the study again") from None
    if (made := found.attrs.pop("format", 1)) not in range(1, FORMAT + 1):
        raise ValueError(
            f"{path} is a dataset of format {shown(str(made))}, and this version reads up to {FORMAT}: update bdia_numerics"
        )
    return found


def data_hash(dataset: Dataset) -> str:
    """Return the SHA-256 of a dataset's values and coordinates, with names and dimensions; attributes do not count.

    The same before it was saved and after it was loaded.
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
