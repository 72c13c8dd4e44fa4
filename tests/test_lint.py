"""The linter: each defect is found where it was planted, and nowhere else; its cost is what diffusers itself pays."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from bdia_numerics import (
    ALF,
    BDIA,
    CBDIA,
    DDIM,
    EDICT,
    IPNDM,
    OBELM,
    SOLVERS,
    Composed,
    DPMSolver,
    DPMSolverPPSinglestep,
    ReversibleHeun,
    SymmetricMultistep,
    analysis,
    cli,
    configs,
    grids,
    schedules,
)
from bdia_numerics.analysis.lint import measure
from bdia_numerics.analysis.lint.grid_rules import Case, GridRun, gamma_for_grid, no_run
from bdia_numerics.analysis.lint.rules import clip_sample, final_alpha, steps_not_dividing, thresholding
from bdia_numerics.configs.tables import RatioLevels

# NumPy 2 against the tensors of this torch, inside diffusers.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
CONFIGS = Path(__file__).parent / "configs"
CLEAN = {
    "_class_name": "DDIMScheduler",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "clip_sample": False,
    "timestep_spacing": "trailing",
}

PIXELS = {"beta_start": 0.0001, "beta_end": 0.02, "beta_schedule": "linear"}


def rules(target, **options):
    return {finding.rule for finding in analysis.lint(target, **options)}


def finding(name, target, **options):
    return next(f for f in analysis.lint(target, **options) if f.rule == name)


def cost(rule, target, steps):
    """Return the cost of the one finding of a rule."""
    config = configs.from_mapping(target)
    (found,) = rule(Case(config, {"n": steps}, configs.layout(config, steps), None))
    return found.cost


def test_the_law_has_mean_0_and_variance_1():
    w, m, v = (np.asarray(x).ravel() for x in (measure.LAW.weights, measure.LAW.means, measure.LAW.covs))
    assert abs(w @ m) < 1e-15
    assert w @ (m**2 + v) == pytest.approx(1, abs=1e-15)


PLANTED = [
    ("steps-not-dividing", {"timestep_spacing": "linspace"}, {}),
    ("steps-not-dividing", {}, {"steps": 30}),
    ("out-of-table", {}, {"steps": 61}),
    ("zero-length-slot", {"timestep_spacing": "leading", "set_alpha_to_one": False}, {}),
    ("start-below-noise", {"timestep_spacing": "leading", "steps_offset": 1}, {}),
    ("final-alpha", {"set_alpha_to_one": False}, {}),
    ("clip-sample", {"clip_sample": True}, {}),
    ("thresholding", {"thresholding": True}, {}),
    ("stochastic", {"_class_name": "DDPMScheduler"}, {}),
    ("stochastic", {"_class_name": "DPMSolverMultistepScheduler", "algorithm_type": "sde-dpmsolver++"}, {}),
    ("prediction-type", {"prediction_type": "v_prediction"}, {}),
    ("prediction-type", {}, {"prediction": "v"}),
    ("zero-snr", {"rescale_betas_zero_snr": True}, {}),
    ("unknown-class", {"_class_name": "NoSuchScheduler"}, {}),
    ("small-dtype", {}, {"dtype": "float16"}),
    ("small-dtype", {}, {"solver": BDIA(0.5), "dtype": "float64", "steps": 50}),
    ("not-invertible", {}, {"solver": DDIM()}),
    ("growth-to-data", PIXELS, {"solver": ReversibleHeun(), "steps": 20}),
    ("growth-to-data", PIXELS, {"solver": EDICT(), "steps": 10}),
    ("no-run", {}, {"solver": DPMSolver()}),
    ("no-run", {}, {"solver": SymmetricMultistep(variable="angle"), "steps": 3}),
    ("gamma-for-grid", {"timestep_spacing": "leading"}, {"steps": 20}),
    ("rough-grid", {"timestep_spacing": "leading", "set_alpha_to_one": False, "steps_offset": 1}, {}),
]


@pytest.mark.parametrize(("rule", "entries", "options"), PLANTED, ids=lambda x: x if isinstance(x, str) else "")
def test_a_planted_defect_is_found_and_its_remedy_costs_less(rule, entries, options):
    cost = finding(rule, CLEAN | entries, **({"steps": 20} | options)).cost
    if cost is not None and not np.isnan(cost.remedied):
        assert abs(cost.remedied) < abs(cost.configured)


@pytest.mark.parametrize("spacing", ["leading", "trailing"])
def test_solvers_whose_edits_succeed_are_not_blamed_for_growth(spacing):
    """On docs/findings/encoding.md 12 to 15 of 15 edits by these solvers succeed; reversible Heun grows 400,000 times."""
    target = CLEAN | PIXELS | {"timestep_spacing": spacing}
    blamed = {
        s: "growth-to-data" in rules(target, steps=20, solver=s) for s in (ALF("angle"), BDIA(1), ReversibleHeun())
    }
    assert list(blamed.values()) == [False, False, True]
    assert "growth-to-data" not in rules(
        target, steps=20, solver=IPNDM()
    )  # no state but z, and no exact return, to be enlarged


def test_growth_on_a_grid_that_no_better_solver_takes_names_none():
    """One slot of flow matching is all start for BDIA, and has no angle for ALF."""
    (found,) = (f for f in analysis.lint(CONFIGS / "sana.json", steps=1, solver=EDICT()) if f.rule == "growth-to-data")
    assert found.remedy == "decode edits from z alone by DDIM" and np.isnan(found.cost.remedied)
    assert "above 10,000 most edits fail" in found.message  # as docs/findings/encoding.md has it


WALKS = {
    "DDIMScheduler": {},
    "DPMSolverMultistepScheduler": {"use_karras_sigmas": True},
    "EulerDiscreteScheduler": {"rescale_betas_zero_snr": True},
    "EDMEulerScheduler": {},
    "FlowMatchEulerDiscreteScheduler": {"shift": 3.0},
}
LOGARITHMIC = (DPMSolver, DPMSolverPPSinglestep)
"""Solvers that take a stage at a mean of log-SNR, which is infinite at clean data."""


@pytest.mark.parametrize("name", WALKS)
def test_every_solver_runs_on_the_levels_of_every_walk(name):
    walk = configs.layout(configs.from_mapping({"_class_name": name, **WALKS[name]}), 8)
    grid = replace(walk, steps=walk.steps[1:]).grid()  # the first level of a flow is infinite
    preserving = walk.levels.kind == "vp"
    for make in SOLVERS.values():
        found = no_run(GridRun(make(), grid, "float64", 1e-4))
        assert [f.rule for f in found] == ["no-run"] * isinstance(make(), LOGARITHMIC), (make, found)
    for solver in ALF("angle"), Composed(ALF("angle")), SymmetricMultistep(variable="angle"):
        assert bool(no_run(GridRun(solver, grid, "float64", 1e-4))) is not preserving
    middle = grid.point(grids.Between(2, 1, 0.5))
    assert middle.sigma / middle.alpha == pytest.approx((grid.sigma[1:3] / grid.alpha[1:3]).mean(), rel=1e-10)


@pytest.mark.parametrize("kind", ["vp", "one", "flow"])
def test_the_levels_of_a_walk_have_derivatives(kind):
    levels, h = RatioLevels(kind), 1e-5
    for name in ("alpha", "sigma"):
        level, slope = getattr(levels, name), getattr(levels, f"{name}_dot")
        assert slope(2.0) == pytest.approx((level(2 + h) - level(2 - h)) / (2 * h), rel=1e-8, abs=1e-9)


@pytest.mark.parametrize("name", WALKS)
def test_the_command_takes_solvers_with_inner_times(name):
    """A step from pure noise is left out, so that flows are looked at, too."""
    walk = ["--set", f"_class_name={name}", *(f"--set={key}={value}" for key, value in WALKS[name].items())]
    done = CliRunner().invoke(cli.app, ["lint", *walk, "--solver", "EES", "--steps", "4", "--json"])
    assert done.exit_code in (0, 1), done.output
    assert "not-invertible" in {f["rule"] for f in json.loads(done.stdout)["findings"]}


LATENT = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


@pytest.mark.parametrize(
    ("name", "entries", "asked"),
    [
        ("PNDMScheduler", {"skip_prk_steps": True, "steps_offset": 1}, 51),
        ("PNDMScheduler", {"steps_offset": 1}, 59),
        ("HeunDiscreteScheduler", {}, 99),
        ("KDPM2DiscreteScheduler", {}, 99),
        ("FlowMatchHeunDiscreteScheduler", {}, 99),
    ],
)
def test_evaluations_are_counted_where_they_are_not_the_steps(name, entries, asked):
    """As many as the class of diffusers has timesteps in 50 steps."""
    found = finding("evaluations", {"_class_name": name} | entries)
    assert found.cost.configured == asked and f"50 steps evaluate the network {asked} times" in found.message


def test_evaluations_that_are_the_steps_are_no_finding():
    assert "evaluations" not in rules({"_class_name": "EulerDiscreteScheduler"})


def test_a_time_that_is_told_at_several_levels_is_named():
    diffusers = pytest.importorskip("diffusers", reason="the extra torch is missing")
    entries = {"beta_schedule": "squaredcos_cap_v2", "use_karras_sigmas": True}
    scheduler = diffusers.DPMSolverMultistepScheduler(**entries)
    scheduler.set_timesteps(50)
    times = scheduler.timesteps.tolist()
    t = max(times, key=times.count)
    assert times.count(t) > 5
    found = finding("repeated-times", {"_class_name": "DPMSolverMultistepScheduler"} | entries)
    assert found.severity == "error" and f"t={t} is told {times.count(t)} times, at different levels" in found.message
    assert "repeated-times" not in rules({"_class_name": "DPMSolverMultistepScheduler"})


def test_levels_that_are_shifted_twice_are_named():
    """The least level is 1/1000: shifted once 3/1002, and that once more 9/(1002 + 6)."""
    flow = {"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 3.0}
    found = finding("double-shift", flow, steps=20)
    assert found.severity == "note" and "the last level is 0.00893, where one shift gives 0.00299" in found.message
    few = finding("double-shift", flow | {"shift": 3.0, "num_train_timesteps": 10}, steps=5)
    assert "where one shift gives 0.25" in few.message  # 1/10, shifted
    found = finding("double-shift", flow, steps=None, sigmas=[1.0, 0.5])
    assert found.severity == "warning" and "sigmas are shifted by 3 when they are set" in found.message
    assert "double-shift" not in rules(flow | {"shift": 1.0})


def test_levels_of_ones_own_that_rise_are_to_be_sorted():
    """Fewer steps or another spacing, the remedies for a configuration's own steps, would not help."""
    found = finding("negative-slot", {"_class_name": "FlowMatchEulerDiscreteScheduler"}, steps=None, sigmas=[0.5, 1.0])
    assert found.where == "sigmas=[0.5, 1.0]" and found.remedy == "sort sigmas, noise end first"


@pytest.mark.parametrize(
    "name", ["LCMScheduler", "TCDScheduler", "CogVideoXDPMScheduler", "CMStochasticIterativeScheduler"]
)
def test_classes_that_add_noise_are_named(name):
    assert finding("stochastic", {"_class_name": name}, steps=10).severity == "error"


def test_an_entry_that_adds_noise_is_named():
    flow = {"_class_name": "FlowMatchEulerDiscreteScheduler"}
    assert "stochastic" in rules(flow | {"stochastic_sampling": True}) and "stochastic" not in rules(flow)


def test_a_time_beyond_the_table_is_a_finding():
    """The scheduler itself ends in an index error there."""
    target = CLEAN | {"timestep_spacing": "leading", "steps_offset": 1}
    (found,) = analysis.lint(target, steps=1000)
    assert (found.rule, found.severity) == ("out-of-table", "error") and "t=1000 is outside the table" in found.message
    assert "lower steps_offset" in found.remedy and "out-of-table" not in rules(target, steps=100)


def test_the_command_prints_the_walk():
    """Of Euler's method on Stable Diffusion's table the times and levels of diffusers itself."""
    diffusers = pytest.importorskip("diffusers", reason="the extra torch is missing")
    scheduler = diffusers.EulerDiscreteScheduler(**LATENT)
    scheduler.set_timesteps(5)
    words = ["lint", "--set", "_class_name=EulerDiscreteScheduler", "--steps", "5", "--walk"]
    words += [word for key, value in LATENT.items() for word in ("--set", f"{key}={value}")]
    walk = json.loads(CliRunner().invoke(cli.app, [*words, "--json"]).stdout)["walk"]
    assert walk["told"] == scheduler.timesteps.tolist()
    np.testing.assert_allclose([*walk["s"], walk["s_end"][-1]], scheduler.sigmas.numpy(), rtol=1e-4)
    shown = CliRunner().invoke(cli.app, words).stdout
    assert "sigma/alpha before" in shown and all(f"{t:g}" in shown for t in walk["told"])


def test_nothing_else_is_found_where_nothing_is_wrong():
    # The table of Stable Diffusion itself ends at alpha = 0.068, which is noted.
    found = analysis.lint(CLEAN, steps=20, dtype="float64", prediction="eps")
    assert [(f.rule, f.severity) for f in found] == [("start-below-noise", "note")]


@pytest.mark.parametrize(
    "entries", [{}, {"clip_sample": True}, {"timestep_spacing": "linspace"}, {"set_alpha_to_one": False}]
)
@pytest.mark.parametrize("steps", [10, 30])
def test_the_walk_is_that_of_diffusers(entries, steps):
    torch = pytest.importorskip("torch", reason="the extra torch is missing")
    from diffusers import DDIMScheduler

    config = configs.from_mapping(CLEAN | entries)
    walk = configs.layout(config, steps)
    values = {k: v for k, v in (CLEAN | entries).items() if k != "_class_name"}
    scheduler = DDIMScheduler(**values)
    scheduler.alphas_cumprod = scheduler.alphas_cumprod.to(
        torch.float64
    )  # the same table, in steps without its rounding
    scheduler.final_alpha_cumprod = scheduler.alphas_cumprod[0] if not config["set_alpha_to_one"] else torch.tensor(1.0)
    scheduler.set_timesteps(steps)
    z = torch.from_numpy(measure.states(walk.steps[0].s, walk.levels))
    for step, t in zip(walk.steps, scheduler.timesteps, strict=True):
        eps = torch.from_numpy(np.asarray(measure.LAW.model(walk.levels)(z.numpy(), step.s)))
        z = scheduler.step(eps, t, z).prev_sample
    theirs = np.sqrt(np.mean((z.numpy() - measure.truth(walk)) ** 2))
    change = measure.clipped(1.0) if config["clip_sample"] else None
    assert measure.error(walk, change=change, keeps_eps=True) == pytest.approx(theirs, rel=1e-10)


def test_mean_that_pure_noise_lacks():
    # For N(1, 1) the flow is y -> 1 + (y - 1)/sqrt(1 + s^2), so a start of mean 0 ends 1/sqrt(1 + s^2) = alpha short.
    walk = configs.layout(configs.from_mapping(CLEAN), 50)
    alpha = np.sqrt(np.float64(walk.table[-1]))
    assert measure.shift(walk.steps[0].s, 0.0, walk.levels) == pytest.approx(-alpha, rel=1e-9)


@pytest.mark.parametrize("prediction", ["eps", "x0", "v", "velocity"])
def test_what_is_read_as_what_it_is_gives_the_noise(prediction):
    alpha, sigma, x, eps = 0.8, 0.6, np.array([0.3, -1.0]), np.array([1.0, 0.5])
    z = alpha * x + sigma * eps
    np.testing.assert_allclose(measure.read_as(prediction, prediction)(z, eps, alpha, sigma), eps, rtol=1e-14)
    output = {"eps": eps, "x0": x, "v": alpha * eps - sigma * x, "velocity": eps - x}[prediction]
    np.testing.assert_allclose(measure.read_as(prediction, "eps")(z, eps, alpha, sigma), output, rtol=1e-14)


def test_two_runs_of_ddpm_are_as_far_apart_as_their_noise_makes_them():
    """From pure noise they end as independent samples, of variance 1; with the same noise in one place."""
    walk = configs.layout(configs.from_mapping(CLEAN), 20)
    assert measure.spread(walk, (0, 0)) == 0
    assert measure.spread(walk) == pytest.approx(np.sqrt(2), rel=0.1)
    still = replace(walk.steps[0], s_end=walk.steps[0].s)  # adds no noise
    assert measure.spread(replace(walk, steps=(still, *walk.steps))) == measure.spread(walk)


EXPECTED = {
    "stable-diffusion-v1-5.json": {"start-below-noise", "final-alpha", "rough-grid"},
    "stable-diffusion-2-1.json": {"prediction-type", "start-below-noise", "final-alpha"},
    "stable-diffusion-xl-base-1.0.json": {"start-below-noise"},
    "ddpm-cifar10-32.json": {"stochastic", "clip-sample"},
    "stable-diffusion-3-medium.json": {"prediction-type"},
    "playground-v2.5.json": {"small-dtype", "gamma-for-grid"},
    "if-i-xl.json": {"stochastic", "clip-sample", "thresholding"},
    "v2-inference-v.yaml": {"prediction-type", "final-alpha"},
}


@pytest.mark.parametrize("name", EXPECTED)
def test_real_configurations(name):
    assert EXPECTED[name] <= rules(CONFIGS / name)


ROUGH = grids.from_timesteps(schedules.vp_linear(), [1.0, 0.8, 0.6, 0.4, 0.2, 0.199, 0.05, 0.01])


def test_a_grid():
    assert "gamma-for-grid" in rules(ROUGH, dtype="float64")
    assert "rough-grid" in rules(grids.from_timesteps(schedules.vp_linear(), [1.0, 0.3, 0.25, 0.01]), dtype="float64")
    exact = grids.uniform(schedules.vp_linear(), 10, t_min=0.01)
    assert analysis.required_dtype(BDIA(1), exact, 1e-4, end="data").dtype == "float32"
    assert "small-dtype" not in rules(exact, solver=BDIA(1), dtype="float32")
    # Three slots that are as rough, on which nothing does much better.
    assert "rough-grid" not in rules(
        grids.from_timesteps(schedules.vp_linear(), [1.0, 0.9, 0.1, 0.01]), dtype="float64"
    )
    assert not rules(grids.asinh(schedules.vp_linear(), 20, t_min=0.001), dtype="float64")
    with pytest.raises(ValueError, match="has no schedule"):
        analysis.lint(grids.from_values([0.0, 1.0], [1.0, 0.5], [0.1, 0.9]))


@pytest.mark.parametrize(
    ("grid", "gamma", "better"),
    [
        (grids.log_snr(ROUGH.schedule, 10, t_min=0.01), 0.3, False),
        (grids.uniform(ROUGH.schedule, 6, t_min=0.01), 0, False),  # it is DDIM
        (ROUGH, 1, True),
    ],
)
def test_ddim_is_named_where_it_does_better(grid, gamma, better):
    (found,) = gamma_for_grid(GridRun(BDIA(gamma), grid, "float64", 1e-4))
    errors = [measure.solver_error(s, grid, grid.schedule) for s in (DDIM(), BDIA(gamma))]
    assert ("DDIM itself" in found.message) == (errors[0] < errors[1]) == better


def test_every_gamma_of_the_list_may_be_the_best():
    grid = grids.from_timesteps(schedules.vp_linear(), [0.98, 0.42, 0.36, 0.08, 0.05])
    (found,) = gamma_for_grid(GridRun(BDIA(1), grid, "float64", 1e-4))
    errors = {g: measure.solver_error(BDIA(g), grid, grid.schedule) for g in (0.0, 0.3, 0.5, 0.7, 0.8, 0.9, 1.0)}
    assert min(errors, key=errors.get) == 0.3 and found.remedy.startswith("take gamma=0.3,")


def test_samples_that_are_scaled_by_a_bound_of_1_are_clipped_there():
    """A quantile below 1 counts as 1."""
    scaled = cost(thresholding, CLEAN | {"thresholding": True, "dynamic_thresholding_ratio": 1e-9}, 5)
    assert scaled == cost(clip_sample, CLEAN | {"clip_sample": True}, 5)


def test_bad_arguments():
    with pytest.raises(ValueError, match="dtype='half'"):
        analysis.lint(CLEAN, dtype="half")
    with pytest.raises(ValueError, match="prediction='epsilon'"):
        analysis.lint(CLEAN, prediction="epsilon")


def test_an_entry_that_nothing_reads_is_refused():
    done = CliRunner().invoke(cli.app, ["lint", "--set", "timestep_spcing=trailing"])
    assert done.exit_code == 2 and "timestep_spcing='trailing'" in done.output
    own = configs.from_mapping({"_class_name": "UniPCMultistepScheduler", "solver_order": 2})
    assert own.changed(solver_order=3)["solver_order"] == 3


def test_the_command():
    runner, path = CliRunner(), str(CONFIGS / "ddpm-cifar10-32.json")
    done = runner.invoke(cli.app, ["lint", path, "--json", "--steps", "10"])
    assert done.exit_code == 1
    assert {"clip-sample", "stochastic"} <= {f["rule"] for f in json.loads(done.stdout)["findings"]}
    fixed = [
        *("lint", path, "--set", "_class_name=DDIMScheduler", "--set", "clip_sample=false"),
        *("--set", "timestep_spacing=trailing", "--steps", "10", "--dtype", "float64"),
    ]
    done = runner.invoke(cli.app, fixed)
    assert done.exit_code == 0, done.stdout
    assert "clip-sample" not in done.stdout
    done = runner.invoke(cli.app, ["lint", "none.json"])
    assert done.exit_code == 2
    assert len(done.stderr.splitlines()) == 1
    done = runner.invoke(cli.app, ["lint", "--set", "steps_offset"])
    assert done.exit_code == 2


def test_the_noise_that_is_left_is_no_more_than_what_was_added():
    """Of all maps from the noisy states to clean ones the flow in one dimension moves them least."""
    left = cost(final_alpha, CLEAN | {"set_alpha_to_one": False}, 5).configured
    alpha = np.sqrt(1 - CLEAN["beta_start"])
    assert 0 < left < 1.001 * np.hypot(1 - alpha, np.sqrt(1 - alpha**2))


def test_a_step_at_a_time_below_the_table_is_no_step_of_a_mended_walk():
    """61 steps are 62, of which the last stands at t = -1: without it the run is one of DDIM on the others' levels."""
    walk = configs.layout(configs.from_mapping(CLEAN), 61)
    assert len(walk.steps) == 62 and walk.steps[-1].t == -1
    grid = grids.from_timesteps(walk.levels, [*(step.s for step in walk.steps[:-1]), 0.0])
    assert cost(steps_not_dividing, CLEAN, 61).remedied == pytest.approx(
        measure.solver_error(DDIM(), grid, walk.levels), rel=1e-9
    )


def test_a_misspelt_entry_of_a_mapping_is_refused():
    for entries, words in (
        ({"beta_schedul": "linear"}, "beta_schedul='linear' .*did you mean beta_schedule"),
        (CLEAN | {"timestep_spcing": "trailing"}, "timestep_spcing='trailing' .*did you mean timestep_spacing"),
        (
            CLEAN | {"entry_of_a_later_release": 1, "_diffusers_version": "9.9"},
            "entry_of_a_later_release=1 is an entry that nothing reads",
        ),
    ):
        with pytest.raises(ValueError, match=words) as raised:
            analysis.lint(entries)
        assert "\n" not in str(raised.value)
    assert "ignored-entries" in rules(CLEAN | {"skip_prk_steps": True, "solver_order": 2})
    assert any(f.rule == "unknown-class" for f in analysis.lint({"_class_name": "Mine", "own": 1}))


def test_rescaled_tables_of_classes_that_keep_sigma_finite():
    """Their table ends at sigma/alpha = 4096, and a run that begins there begins at its last time."""
    zero = {"_class_name": "EulerDiscreteScheduler", "rescale_betas_zero_snr": True, "prediction_type": "v_prediction"}
    assert not {"zero-snr", "start-below-noise"} & rules(zero, steps=6)
    assert "zero-snr" in rules(zero | {"timestep_spacing": "leading"}, steps=6)
    found = finding("zero-snr", zero | {"prediction_type": "epsilon"}, steps=6)
    assert found.severity == "error" and "alpha = 0.00024" in found.message and "4096 times" in found.message


def test_words_on_walks_of_other_kinds():
    consistency = {"_class_name": "CMStochasticIterativeScheduler"}
    assert "prediction-type" not in rules(consistency, steps=6)  # it has no such parameter
    # The solver that runs is no remedy for itself.
    assert "come no nearer" in finding("inverse-amplification", consistency, steps=6).remedy
    rough = finding("rough-grid", CLEAN | {"timestep_spacing": "leading", "steps_offset": 1}, steps=20)
    assert rough.where.startswith("sigma/alpha=")
    with pytest.raises(ValueError, match=r"pass mu, which is linear from 0\.5 for 256 tokens to 1\.15 for 4096"):
        analysis.lint({"_class_name": "FlowMatchEulerDiscreteScheduler", "use_dynamic_shifting": True})


@pytest.mark.parametrize("solver", [BDIA(0.5), BDIA(0.9), OBELM(), EDICT(0.5), CBDIA(0.6, 0.3)])
def test_what_users_of_torch_are_told_is_there_for_them(solver):
    """A configuration of a scheduler is for tensors, which have no longdouble, and few solvers have a gamma."""
    for wanted in (1e-12, 1e-7) if isinstance(solver, BDIA | EDICT) else (1e-12,):
        found = analysis.lint(CLEAN, steps=20, solver=solver, dtype="float32", prediction="eps", tolerance=wanted)
        said = [f"{f.message} {f.remedy}" for f in found if f.rule == "small-dtype"]
        assert len(said) == 1
        assert "longdouble" not in said[0] and "mpmath" not in said[0]
        assert ("gamma nearer to 1" in said[0]) == isinstance(solver, BDIA)
        assert ("p nearer to 1" in said[0]) == isinstance(solver, EDICT)


@pytest.mark.parametrize("entries", [{"beta_end": 0.5}, {"beta_start": 0.5, "beta_end": 0.9}])
def test_levels_beyond_floats_are_infinite_without_a_warning(entries):
    """All warnings are errors here; the table of alpha^2 goes below float32's least number."""
    for name in ("EulerDiscreteScheduler", "DDIMScheduler"):
        assert analysis.lint({"_class_name": name, **entries}, steps=10)
    zero = {"rescale_betas_zero_snr": True}
    with pytest.raises(ValueError, match=r"alphas_cumprod is 0 in float32 from t=\d+ on.*give smaller betas"):
        analysis.lint({"_class_name": "DDIMScheduler", **entries, **zero}, steps=10)


FLOW = {"_class_name": "FlowMatchEulerDiscreteScheduler"}


def test_an_inverted_flow_goes_to_less_noise():
    """Mochi's: every step was called one to more noise."""
    inverted = FLOW | {"invert_sigmas": True}
    assert [f.rule for f in analysis.lint(inverted, steps=20, solver=ALF(), dtype="float64")] == ["prediction-type"]
    found = finding("prediction-type", inverted, steps=20, prediction="velocity")
    assert found.severity == "error" and "predicts data less noise and is told 1 - sigma" in found.message


TOLD = [  # entries, what is passed, the time that is told and that of its level
    (FLOW | {"shift": 3.0}, {"timesteps": [1000, 750, 500, 250]}, "t=500 at the level of t=750"),  # 3/2 / (1 + 2/2)
    (
        FLOW | {"use_dynamic_shifting": True},
        {"timesteps": [1000, 500], "mu": math.log(4)},
        "t=500 at the level of t=800",
    ),
    (
        {"_class_name": "EulerDiscreteScheduler", "interpolation_type": "log_linear"},
        {"steps": 20},
        "t=368.053 at the level of t=138",
    ),
]


@pytest.mark.parametrize(("entries", "passed", "says"), TOLD, ids=["shift", "mu", "log"])
def test_times_that_are_told_at_other_levels_are_named(entries, passed, says):
    found = finding("told-elsewhere", entries, **passed)
    assert found.severity == "error" and f"the network is told {says}" in found.message
    assert "double-shift" not in rules(entries, **passed)  # whose remedy, times before the shift, would not help
    same = {"shift": 1.0, "use_dynamic_shifting": False, "interpolation_type": "linear"}
    right = {key: value for key, value in passed.items() if key != "mu"}
    assert "told-elsewhere" not in rules(entries | same, **right)
    assert "told-elsewhere" not in rules(entries | {"invert_sigmas": True, "interpolation_type": "linear"}, **passed)


def test_where_trailing_spacing_changes_nothing_another_remedy_is_named():
    euler = CLEAN | {"_class_name": "EulerDiscreteScheduler"}
    for entries, passed, where, remedy in (
        ({}, {"timesteps": [800, 100]}, "timesteps=[800, 100]", "begin timesteps with the table's last, 999"),
        ({}, {"sigmas": [7.0, 3.0, 0.0]}, "sigmas=[7.0, 3.0, 0.0]", "begin sigmas with the table's last, 14.61"),
        ({"use_karras_sigmas": True, "sigma_max": 7.0}, {"steps": 20}, "sigma_max=7.0", "leave out sigma_max"),
    ):
        found = finding("start-below-noise", euler | entries, **passed)
        assert (found.where, found.remedy) == (where, remedy)
        assert abs(found.cost.remedied) < abs(found.cost.configured)


@pytest.mark.parametrize("entries", [{"_class_name": "EulerDiscreteScheduler"}, FLOW])
def test_levels_of_ones_own_that_repeat_are_to_be_left_out(entries):
    for rule in ("repeated-times", "zero-length-slot"):
        found = finding(rule, entries, sigmas=[0.9, 0.5, 0.5, 0.0])
        assert found.remedy == "leave out what repeats in sigmas, and an end that the class adds itself"
        assert "the lowest one" not in found.message


def test_a_walk_that_begins_beyond_its_table_does_not_begin_at_its_last_time():
    """Stable Video Diffusion begins at sigma = 700, where its table ends at 14.6."""
    found = finding("start-below-noise", CONFIGS / "svd.json", steps=5)
    assert found.where == "sigma_max=700.0" and found.remedy == "begin at a larger sigma"
    assert "the first time is t=1.63777, where alpha=0.00143" in found.message
