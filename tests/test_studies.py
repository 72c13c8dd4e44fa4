"""Every study at a tiny size: its dataset, and its values against direct computations by the public interface."""

import json
import math
import sys
from dataclasses import asdict

import numpy as np
import pytest

pytest.importorskip("xarray", reason="needs the extra sweep")

from bdia_numerics import BDIA, EDICT, OBELM, encode, grids, invert, problems, schedules, solve
from bdia_numerics.analysis import GridFamily, global_error
from bdia_numerics.names import distribution as law
from bdia_numerics.studies import STUDIES, run
from bdia_numerics.studies.convergence import ConvergenceConfig
from bdia_numerics.studies.digits import Config as DigitsConfig
from bdia_numerics.studies.encoding import EncodeConfig
from bdia_numerics.studies.gamma_map import MapConfig
from bdia_numerics.studies.given import ReproductionConfig
from bdia_numerics.studies.network_studies import EditConfig, GrowthConfig, ImagesConfig, ReturnsConfig
from bdia_numerics.studies.network_table import TableConfig
from bdia_numerics.studies.roundtrip import PrecisionConfig, RoundtripConfig
from bdia_numerics.studies.stability import StabilityConfig
from bdia_numerics.studies.study import assemble, cells, parts_of, takes_gamma, to_clean
from bdia_numerics.studies.work_precision import TIMES, WorkConfig

TINY = {
    "convergence": ConvergenceConfig(("BDIA",), steps=(8, 12, 16, 24, 32), states=4),
    "roundtrip": RoundtripConfig(("DDIM", "BDIA"), gammas=(0.9, 1.0), steps=(10,), states=8),
    "stability": StabilityConfig(("BDIA",), gammas=(0.0, 0.5), resolution=5),
    "map": MapConfig(grids=("leading", "quad"), gammas=(0.0, 0.5), steps=(10,), states=32, quality=True),
    "work_precision": WorkConfig(("BDIA", "EDICT"), evaluations=(1, 20), states=8, repeats=1),
    "precision": PrecisionConfig(
        ("BDIA", "CBDIA"), gammas=(0.9, 1.0), grids=("uniform",), steps=(20,), dtypes=("float32",)
    ),
    "growth": GrowthConfig(("BDIA(gamma=1)",), steps=(5,), dtypes=("float16", "float32"), iterations=2),
    "encode_table": EncodeConfig(("DDIM", "ALF"), ("tight",), (), ("cut",), (6,), states=2, seeds=2),
    "editing": EditConfig(("BDIA", "EDICT(p=1)"), (1.0,), steps=4, images=2),
    "network_table": TableConfig(("DDIM", "BDIA"), ("cut",), (6,), images=4, batch=4, paired=2, fine=4, resamples=10),
    "samples": ImagesConfig(("DDIM",), ("trailing",), (4,), images=2, fine=4),
    "returns": ReturnsConfig(("DDIM", "BDIA(gamma=1)"), steps=(5,), images=2),
    "reproduction": ReproductionConfig(images=66, seeds=(0,), steps=(10,), piece=40),
    "digits": DigitsConfig(("DDIM", "EDICT, p 0.93"), ("trailing",), (4,), ("float64",), images=1),
}
ON_NETWORKS = ("growth", "editing", "network_table", "samples", "returns", "reproduction")
CASES = [pytest.param(name, marks=[pytest.mark.slow] * (name in ON_NETWORKS)) for name in TINY]
_FOUND = {}


def found(name):
    """Return the dataset of a study, made once."""
    if name in ON_NETWORKS:
        pytest.importorskip("torch", reason="needs the extra torch")
        pytest.importorskip("diffusers", reason="needs the extra torch")
    if name not in _FOUND:
        _FOUND[name] = run(STUDIES[name], TINY[name])
    return _FOUND[name]


def rms(x):
    return math.sqrt(np.mean(np.square(np.asarray(x, dtype=float))))


def test_every_study_is_tried():
    assert set(STUDIES) == set(TINY) | {"sweep"}, "and tests/test_sweep.py tries that one"
    assert all(
        name == study.name and type(TINY[name]) is study.config for name, study in STUDIES.items() if name in TINY
    )


@pytest.mark.parametrize("name", CASES)
def test_names_units_and_provenance(name):
    study, dataset = STUDIES[name], found(name)
    dims = {**study.dims(TINY[name]), **study.inner(TINY[name])}
    assert dict(dataset.sizes) == {dim: len(values) for dim, values in dims.items()}
    assert all(dataset[dim].values.tolist() == list(values) for dim, values in dims.items())
    assert all(v.attrs["long_name"] and v.attrs["units"] for v in dataset.data_vars.values())
    assert set(dataset["status"].values.ravel()) - {"ok", ""} == set() or name in ("stability", "work_precision")
    assert json.loads(dataset.attrs["config"]) == json.loads(json.dumps(asdict(TINY[name])))
    assert dataset.attrs["study"] == name and dataset.attrs["title"] == study.title
    assert dataset.attrs["seed"] == getattr(TINY[name], "seed", "none")
    assert dataset.attrs["commit"] and "numpy" in json.loads(dataset.attrs["versions"])


@pytest.mark.parametrize("name", CASES)
def test_cells_do_not_depend_on_one_another(name):
    """Computed in the reverse order, each without what the ones before it left in memory, they make the same dataset."""
    study, config, results = STUDIES[name], TINY[name], []
    expected = found(name)
    for cell in reversed(list(cells(study, config))):
        for value in list(vars(sys.modules[getattr(study.compute, "func", study.compute).__module__]).values()):
            getattr(value, "cache_clear", lambda: None)()
        own = [study.compute(config, task) for task in parts_of(study, config, cell)]
        results.append((cell, study.join(config, cell, iter(own)) if study.join else own[0]))
    again = assemble(study, config, results)
    timed = [k for k in TIMES if k in again]
    assert again.drop_vars(timed).drop_attrs(deep=False).identical(expected.drop_vars(timed).drop_attrs(deep=False))


def test_convergence_is_the_global_error():
    dataset = found("convergence").sel(solver="BDIA")
    for kind in ("smooth", "alternating"):
        direct = global_error(BDIA(1), law("mixture"), GridFamily(kind)(16), states=4).error
        assert float(dataset["error"].sel(grid=kind, steps=16)) == pytest.approx(direct, rel=1e-12, abs=0)
    # Two on smooth grids and one on alternating ones; 32 steps are few.
    assert dataset["order"].values == pytest.approx([2, 1], abs=0.2)
    assert (dataset["low"] <= dataset["order"]).all() and (dataset["order"] <= dataset["high"]).all()


def test_roundtrip_is_a_run_there_and_back():
    dataset = found("roundtrip").sel(end="noise", steps=10, dtype="float64")
    grid = grids.uniform(schedules.vp_linear(), 10, t_max=1, t_min=0.01)
    mixture, rng = law("mixture"), np.random.default_rng(0)
    x = mixture.sample(8, rng)
    z = grid.alpha[10] * x + grid.sigma[10] * rng.standard_normal(x.shape)
    there = solve(BDIA(0.9), mixture.model(grid.schedule), grid, z)
    back = invert(BDIA(0.9), mixture.model(grid.schedule), grid, there.state)
    one = dataset.sel(solver="BDIA", gamma=0.9)
    away = there.z - mixture.flow(z, grid.t[10], grid.t[0], grid.schedule)
    assert float(one["distance"]) == pytest.approx(rms(away), rel=1e-9)
    # Both are rounding, of a coefficient 0.9 = 9/10 or 0.9: the same size, not the same number.
    assert 0.1 < float(one["error"]) / rms(back.z - z) < 10
    assert float(one["nfe"]) == there.nfe + back.nfe
    ddim = dataset["error"].sel(solver="DDIM")
    assert ddim.values[0] == ddim.values[1] > 1e-3, "a solver without gamma has one result"


def test_stability_is_bdias_polynomial():
    """In alpha = 1 a step is y_{i-1} = y_i + x y_i + gamma (y_{i+1} - y_i + x y_i)."""
    one = found("stability").sel(solver="BDIA", gamma=0.5, direction="sample")
    assert one["root_real"].values == pytest.approx([1, -0.5]) and one["zero_stable"] == 1
    assert float(one["real_interval"]) == pytest.approx(2 / 3)
    for k, x in enumerate(one["real"].values):
        roots = np.sort(np.abs(np.roots([1, -(1 + x - 0.5 + 0.5 * x), -0.5])))[::-1]
        assert one["modulus"].values[:, k] == pytest.approx(roots, abs=1e-12)
    x = complex(one["real"].values[1], one["imaginary"].values[3])
    assert float(one["radius"][3, 1]) == pytest.approx(np.abs(np.roots([1, -(0.5 + 1.5 * x), -0.5])).max())
    back = found("stability").sel(solver="BDIA", direction="invert")
    assert (
        float(back["root_real"].sel(gamma=0.5, root=0)) == pytest.approx(-2) and back["zero_stable"].sel(gamma=0.5) == 0
    )
    assert "no derived inverse" in str(back["status"].sel(gamma=0.0).item())
    assert np.isnan(back["radius"].sel(gamma=0.0)).all()


@pytest.mark.parametrize(("text", "solver", "gamma"), [("BDIA", BDIA(0.5), 0.5), ("OBELM", OBELM(), 0.0)])
def test_map_is_a_run_and_the_exact_flow(text, solver, gamma):
    schedule, mixture, z = schedules.ddpm_linear(), law("modes"), problems.normal_quantiles(32)
    grid = to_clean("quad", schedule, 10)
    away = solve(solver, mixture.model(schedule), grid, z).z - mixture.flow(z, grid.t[10], grid.t[0], schedule)
    dataset = found("map")
    assert float(dataset["error"].sel(grid="quad", steps=10, solver=text, gamma=gamma)) == pytest.approx(rms(away))
    assert dataset["frechet_floor"].dims == ()
    fixed = dataset["error"].sel(solver="OBELM")
    assert (fixed == fixed.isel(gamma=0)).all()


def test_work_and_precision_is_the_global_error_at_equal_evaluations():
    dataset = found("work_precision").isel(problem=0, grid=0)
    family = GridFamily("smooth", schedules.vp_linear(), 1, 0.01, "t")
    for text, solver, steps in (("BDIA", BDIA(1), 20), ("EDICT", EDICT(), 10)):
        one = dataset.sel(solver=text, evaluations=20)
        direct = global_error(solver, law("mixture"), family(steps), states=8, start="own")
        assert float(one["error"]) == pytest.approx(direct.error, rel=1e-12, abs=0)
        assert (one["steps"], one["nfe"]) == (steps, direct.nfe) and one["seconds"] > 0
    assert dataset["status"].sel(evaluations=1).values.tolist() == ["the evaluations pay for no step"] * 2
    assert np.isnan(dataset["error"].sel(evaluations=1)).all()


def test_precision_is_measured_and_predicted():
    dataset = found("precision").isel(grid=0, steps=0, dtype=0)
    grid, gaussian = grids.uniform(schedules.vp_linear(), 20, t_min=0.01), problems.Gaussian([0], 1)
    model, z = gaussian.model(grid.schedule), np.random.default_rng(0).standard_normal((1200, 1)).astype(np.float32)
    # The linear VP schedule has alpha^2 + sigma^2 = 1, so data of variance 1 keep it.
    there = solve(BDIA(1), model, grid, z)
    one = dataset.sel(solver="BDIA", gamma=1.0, end="noise")
    error = rms(invert(BDIA(1), model, grid, there.state).z - z)
    # The study's scale may differ from 1 by a rounding, hence its float32 states too.
    assert float(one["error"]) == pytest.approx(error, rel=0.2)
    assert float(one["amplification"]) == pytest.approx(float(one["error"]) * 2**24)
    ratios = dataset["amplification"] / dataset["predicted_amplification"]
    assert (ratios > 0.5).all() and (ratios < 2).all()
    # The inverse has the root -1/gamma; at gamma = 1 it does not grow.
    companion = dataset["companion"].sel(solver="BDIA", end="noise")
    assert companion.sel(gamma=0.9) > 2 > companion.sel(gamma=1.0)


@pytest.mark.slow
def test_growth_is_that_of_a_run():
    dataset = found("growth").isel(solver=0, steps=0)
    import torch

    from bdia_numerics.torch.networks.growth import growth
    from bdia_numerics.torch.networks.loading import load
    from bdia_numerics.torch.networks.sampling import noise

    network, labels = load(), [0, 1]
    grid = to_clean("cut", network.schedule, 5)
    z = noise((2, 1, 28, 28), grid, 0, dtype=torch.float32)
    for direction in ("sample", "invert"):
        direct = growth(BDIA(1), network.model(labels), grid, z, direction=direction, iterations=2)
        one = dataset.sel(direction=direction, dtype="float32")
        assert one["amplification"].values == pytest.approx(direct.total, rel=1e-4)
        assert one["slot_amplification"].sel(slot=direct.slots).values == pytest.approx(direct.steps, rel=1e-4)
    assert np.isnan(dataset["amplification"].sel(dtype="float16")).all()
    errors = dataset["error"]
    assert 0 < errors.sel(dtype="float32") < 1e-4 < errors.sel(dtype="float16") < 1e-1
    assert (dataset["gamma"], np.isnan(dataset["p"])) == (1, True)


@pytest.mark.slow
def test_editing_is_a_round_trip_under_two_labels():
    dataset = found("editing").isel(guidance=0).sel(solver="BDIA")
    import torch

    from bdia_numerics.torch.networks.loading import load

    network = load()
    grid, x = to_clean("cut", network.schedule, 4), torch.tensor(dataset["sources"].values)[:, None]
    latent = encode(BDIA(1), network.model([0, 1]), grid, x).state
    back, edited = (solve(BDIA(1), network.model(labels), grid, latent).z for labels in ([0, 1], [6, 7]))
    assert dataset["targets"].values.tolist() == [6, 7]
    assert dataset["images"].dims == ("image", "y", "x")
    assert dataset["images"].values == pytest.approx(edited[:, 0].numpy(), abs=1e-4)
    assert float(dataset["distance"]) == pytest.approx(rms(edited - x), rel=1e-4)
    assert 0 < float(dataset["returned"]) < 1e-3 and rms(back - x) < 1e-3


@pytest.mark.slow
def test_a_network_table_is_distances_of_samples():
    dataset = found("network_table").isel(grid=0, evaluations=0)
    import torch

    from bdia_numerics.analysis.frechet import frechet_of_moments, moments
    from bdia_numerics.torch.networks import features
    from bdia_numerics.torch.networks.loading import load
    from bdia_numerics.torch.networks.sampling import noise

    network, (real, _) = load(), features.real()
    grid = to_clean("cut", network.schedule, 6)
    z = noise((4, 1, 28, 28), grid, 0, dtype=torch.float32)
    own = features.features(solve(BDIA(1), network.model([0, 1, 2, 3]), grid, z).z)
    bdia, ddim = dataset.sel(solver="BDIA"), dataset.sel(solver="DDIM")
    assert float(bdia["frechet"]) == pytest.approx(frechet_of_moments(moments(own), real), rel=1e-4)
    rows = np.random.default_rng([0, 1]).integers(4, size=(10, 4))
    resampled = [frechet_of_moments(moments(own[row]), real) for row in rows]
    assert bdia["resampled"].values == pytest.approx(resampled, rel=1e-3)
    gains = ddim["resampled"] - bdia["resampled"]
    assert float(bdia["gain_high"] - bdia["gain_low"]) == pytest.approx(2 * 1.96 * float(gains.std(ddof=1)))
    assert float(bdia["gain"]) == pytest.approx(float(ddim["frechet"] - bdia["frechet"])) and ddim["gain"] == 0
    assert dataset["floor"].dims == ()


@pytest.mark.parametrize(
    ("config", "values", "says"),
    [
        (ConvergenceConfig, {"grids": ("rough",)}, "family='rough'"),
        (ConvergenceConfig, {"distribution": "cat"}, "distribution='cat'"),
        (ConvergenceConfig, {"t_max": "far"}, "t_max=far is not a number"),
        (RoundtripConfig, {"solvers": ("BDA",)}, "'BDA' is unknown"),
        (RoundtripConfig, {"gammas": (0.0,)}, "above 0"),
        (RoundtripConfig, {"dtypes": ("int8",)}, "dtypes='int8' is unknown: use one of float16"),
        (StabilityConfig, {"real": (1.0, -1.0)}, "two rising numbers"),
        (StabilityConfig, {"directions": ()}, "directions is empty"),
        (WorkConfig, {"evaluations": (0,)}, "evaluations=.*give 1 or more"),
        (PrecisionConfig, {"grids": ("odd",)}, "grid='odd' is unknown"),
        (PrecisionConfig, {"data_rms": 0.0}, "data_rms=0.0"),
        (GrowthConfig, {"images": 1}, "images=1: give 2 or more"),
        (EditConfig, {"solvers": ()}, "solvers is empty"),
        (TableConfig, {"evaluations": (2,)}, "give 6 or more"),
    ],
)
def test_bad_configurations(config, values, says):
    with pytest.raises(ValueError, match=says):
        config(**values)


def test_which_solvers_have_a_gamma_to_choose():
    assert [takes_gamma(text) for text in ("BDIA", "BDIAHeun", "BDIA(gamma=1/2)", "bdia:gamma=1", "DDIM")] == [
        True, True, False, False, False,
    ]  # fmt: skip
