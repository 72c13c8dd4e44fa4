"""The study of encoding: budgets that are paid, errors by seed, ranks that are claimed only where intervals are apart."""

from functools import cache

import numpy as np
import pytest

from bdia_numerics import encode, names, schedules
from bdia_numerics.studies import run
from bdia_numerics.studies.encoding import ENCODING, EncodeConfig, affordable, surely_better
from bdia_numerics.studies.records import table
from bdia_numerics.studies.study import to_clean

LAW = EncodeConfig(
    ("DDIM", "DDIM by fixed point", "ALF", "BDIA", "DPMSolverPP"),
    ("mixture",),
    (),
    ("trailing", "flow"),
    (12,),
    8,
    seeds=3,
)


@cache
def on_law():
    return run(ENCODING, LAW)


def test_a_budget_pays_for_the_start_and_for_iterations():
    found = on_law()
    assert affordable("ALF", "trailing", 12) == (11, "") and affordable("BDIA", "cut", 12) == (
        13,
        "",
    )  # "cut" has a slot less
    nfe = found["nfe"].sel(solver=["DDIM", "ALF", "BDIA"])
    assert (nfe == 12).all() and 8 <= found["nfe"].sel(solver="DDIM by fixed point").max() <= 12
    assert str(found["status"].sel(solver="DPMSolverPP", grid="flow", target="mixture").item()).startswith(
        "no run from"
    )


def test_a_cell_without_a_run_says_whether_evaluations_or_clean_data_are_the_reason():
    long = "SymmetricMultistep(k=5,variable=angle)"  # a start of 16 evaluations, and four slopes of the first step
    assert affordable(long, "trailing", 21) == (6, "")
    assert affordable(long, "trailing", 20) == (0, "20 evaluations do not pay the start and two steps: 6 slots take 21")
    assert affordable("DPMSolverPP", "flow", 12) == (0, "no run from clean data: sigma = 0 at t=-1.0")


def test_errors_are_those_of_each_seed():
    law, schedule = names.distribution("mixture"), names.schedule("ddpm_linear")
    grid, rng = to_clean("trailing", schedule, 12), np.random.default_rng(1)
    x = law.sample(8, rng)
    errors = encode(names.solver("DDIM"), law.model(schedule), grid, x).z - law.flow(x, grid.t[0], grid.t[12], schedule)
    own = on_law().sel(target="mixture", grid="trailing", solver="DDIM", evaluations=12)
    assert own["latents"].sel(seed=1).item() == pytest.approx(np.sqrt(np.mean(errors**2)))
    assert own["medians"].sel(seed=1).item() == pytest.approx(np.median(np.abs(errors)))
    assert own["low"] < own["latent"] < own["high"]
    assert own["missed"].sel(dtype="float64").min() > 0.01  # it does not return
    alf = on_law().sel(target="mixture", grid="trailing", solver="ALF", evaluations=12)
    assert alf["missed"].sel(dtype="float64").max() < 1e-13 < alf["missed"].sel(dtype="float32").min()


def test_a_rank_is_claimed_only_where_intervals_are_apart():
    part = on_law().sel(target="mixture", grid="trailing", evaluations=12)
    for k, solver in enumerate(part["solver"].values):
        below = int((part["high"].values < part["low"].values[k]).sum())
        assert part["better"].sel(solver=solver).item() == below or not np.isfinite(part["low"].values[k])
    assert surely_better(np.array([1.0, 1.5, 4.0]), np.array([2.0, 3.0, 5.0])).tolist() == [0, 0, 2]
    assert part["better"].sel(solver="ALF") == 0 < part["better"].sel(solver="DDIM")
    rows = table(ENCODING, on_law())[2]
    assert next(row[2] for row in rows if row[1] == "trailing") == "ALF"


def test_the_network_is_encoded_returned_and_edited():
    pytest.importorskip("torch", reason="needs the extra torch")
    pytest.importorskip("diffusers", reason="needs the extra torch")
    config = EncodeConfig(("ALF", "DDIM"), (), (1.0,), ("cut",), (8,), images=1, seeds=2, fine=4)
    found = run(ENCODING, config).sel(target="network, guidance 1", grid="cut", evaluations=8)
    alf, ddim = found.sel(solver="ALF"), found.sel(solver="DDIM")
    assert alf["latent"] < ddim["latent"] and alf["nfe"] == ddim["nfe"] == 8
    assert alf["return_float32"] < 1e-4 < ddim["return_float32"]
    assert set(alf["edits"].values.tolist()) <= {0.0, 0.5, 1.0} and float(alf["edits_alone"].mean()) == 1
    assert alf["growth"].sel(direction="sample") > 100 > alf["growth"].sel(direction="invert")


def test_the_grid_of_flow_matching_has_equal_steps_of_its_time():
    grid = to_clean("flow", names.schedule("ddpm_linear"), 8)
    steps = np.diff(grid.sigma / (grid.alpha + grid.sigma))
    assert grid.sigma[0] == 0 and steps == pytest.approx(np.full(8, steps[0]), abs=1e-9)
    assert names.grid("flow")(schedules.flow(), 4).t.tolist() == [0, 0.25, 0.5, 0.75, 1]  # from alpha = 0


def test_what_cannot_be_run_is_refused():
    for given, said in (
        ({"problems": (), "guidances": ()}, "give a problem or a guidance"),
        ({"seeds": 1}, "seeds=1: give 2 or more"),
        ({"solvers": ("DDIM by magic",)}, "inversion='magic' is unknown"),
    ):
        with pytest.raises(ValueError, match=said):
            EncodeConfig(**given)
