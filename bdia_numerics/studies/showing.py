"""Datasets of studies that show themselves: `found.bdia` has a table, a page and the figure of the study."""

from __future__ import annotations

from functools import cache
from pkgutil import resolve_name

from bdia_numerics.spaces.showing import Drawn
from bdia_numerics.studies.study import Dataset, Study
from bdia_numerics.texts import one_of


class StudyResult(Drawn):
    """What `found.bdia` is, for a dataset of one of `STUDIES`.

    Parameters
    ----------
    dataset
        Of `studies.run` or `studies.load`.
    """

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset

    def __str__(self) -> str:
        sizes = ", ".join(f"{n} {name}" for name, n in self.dataset.sizes.items())
        return f"{self.study.title}: {sizes}"

    @property
    def study(self) -> Study:
        """The study; ValueError for a dataset of another."""
        known = resolve_name("bdia_numerics.studies:STUDIES")
        found: Study = known[one_of("study", self.dataset.attrs.get("study", ""), known)]
        return found


@cache
def register() -> None:
    """Give xarray's datasets the accessor `bdia`, and import what the first dataset needs."""
    import xarray

    xarray.Variable((), 0)  # xarray looks for dask.array then, which takes longer to import than xarray itself
    xarray.register_dataset_accessor("bdia")(StudyResult)  # type: ignore[no-untyped-call]
