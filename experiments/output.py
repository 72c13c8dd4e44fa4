"""What every script of this folder does at its end: `--out FOLDER` says where its dataset and its picture go."""

import argparse
from pathlib import Path

import xarray

from bdia_numerics.plots import image


def folder(doc):
    """Return the folder of `--out`, results/ by default, made where it is missing; `doc` is what `--help` prints."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("results"))
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    return out


def dataset(coordinates, **values):
    """Return a dataset of values over all coordinates, in their order."""
    return xarray.Dataset({name: (tuple(coordinates), value) for name, value in values.items()}, coordinates)


def keep(out, name, figure, found=None):
    """Write FOLDER/name.png, and FOLDER/name.nc where there is a dataset."""
    (out / f"{name}.png").write_bytes(image(figure, format="png"))
    if found is not None:
        found.to_netcdf(out / f"{name}.nc", engine="h5netcdf")
