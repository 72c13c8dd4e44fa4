"""A study's dataset: every value in its place, missing cells marked, and what made it."""

import json
from dataclasses import dataclass, replace

import numpy as np

from bdia_numerics.studies import Study, Variable, run
from bdia_numerics.studies.records import table
from bdia_numerics.studies.study import assemble, cells


@dataclass(frozen=True)
class Config:
    steps: tuple[int, ...] = (10, 20, 40)
    seed: int = 3


def compute(config, cell):
    return {"error": 1 / cell["steps"], "status": "ok", "image": np.full((2, 2), cell["steps"])}


STUDY = Study(
    "toy",
    "A toy",
    Config,
    dims=lambda config: {"solver": ("DDIM", "BDIA"), "steps": config.steps},
    compute=compute,
    variables={
        "error": Variable("error", "1"),
        "status": Variable("status"),
        "image": Variable("image", dims=("y", "x")),
    },
    inner=lambda config: {"y": (0, 1)},
    wanted=lambda config, cell: cell != {"solver": "DDIM", "steps": 40},
)


def test_values_stand_at_their_coordinates():
    found = run(STUDY)
    assert found["image"].dims == ("solver", "steps", "y", "x")
    assert found["error"].sel(solver="BDIA", steps=20) == 1 / 20
    assert (found["image"].sel(solver="BDIA", steps=40) == 40).all()
    assert found["error"].attrs == {"long_name": "error", "units": "1"}


def test_a_cell_that_is_not_wanted_is_missing():
    assert len(list(cells(STUDY, Config()))) == 5
    found = run(STUDY)
    assert np.isnan(found["error"].sel(solver="DDIM", steps=40))
    assert np.isnan(found["image"].sel(solver="DDIM", steps=40)).all()
    assert found["status"].sel(solver="DDIM", steps=40) == ""


def test_the_order_of_the_cells_does_not_matter():
    results = [(cell, compute(Config(), cell)) for cell in cells(STUDY, Config())]
    assert assemble(STUDY, Config(), results[::-1]).identical(assemble(STUDY, Config(), results))


def test_provenance():
    attrs = run(STUDY, Config(steps=(5,))).attrs
    assert json.loads(attrs["config"]) == {"steps": [5], "seed": 3}
    assert attrs["seed"] == 3
    assert set(json.loads(attrs["versions"])) >= {"numpy", "bdia_numerics", "python"}


def test_a_median_over_seeds_counts_the_runs_that_failed():
    errors = {"two of three": (1.0, 2.0, np.nan), "one of three": (1.0, np.nan, np.nan), "none": (np.nan,) * 3}
    study = replace(
        STUDY,
        dims=lambda config: {"solver": (*errors, "not run"), "seed": (0, 1, 2)},
        compute=lambda config, cell: {"error": errors[cell["solver"]][cell["seed"]]},
        wanted=lambda config, cell: cell["solver"] in errors,
        variables={"error": Variable("error")},
        inner=lambda config: {},
    )
    title, heads, rows = table(study, run(study))
    assert title == "error, median over 3 seeds" and heads == ["solver", "error"]
    assert rows == [["two of three", "2.0"], ["one of three", "inf"], ["none", "nan"]]
