"""Which inversion runs: the solver on the reversed grid, its name in every result, and grids that end at sigma = 0."""

import numpy as np
import pytest
from typer.testing import CliRunner

from bdia_numerics import (
    BDIA,
    DDIM,
    SOLVERS,
    NotInvertibleError,
    encode,
    grids,
    inversion,
    invert,
    invertibility,
    models,
    problems,
    round_trip,
    schedules,
    solve,
)
from bdia_numerics.cli import app
from bdia_numerics.formulas import solver_name
from bdia_numerics.runs.encoding import bit_exact_round_trip
from bdia_numerics.runs.inversion import DDIMInversion, DefectCorrection, ImplicitInversion, Reversed
from bdia_numerics.solvers import DEIS, RK4, DPMSolverPP, FireFlow, Heun, McCallumFoster, Rex, RFSolver
from bdia_numerics.studies.roundtrip import ROUNDTRIP, RoundtripConfig, both_sides as trip_of
from bdia_numerics.studies.study import check
from bdia_numerics.studies.sweep import SweepConfig, compute as swept, labels

EPS = np.finfo(np.float64).eps
COSINE = schedules.vp_cosine()
GRID = grids.uniform(COSINE, 20, t_max=0.95, t_min=0.02)
MIXTURE = problems.GaussianMixture([0.3, 0.7], [[-1.0], [0.8]], [0.04, 0.09])
MODEL = MIXTURE.model(COSINE)
DATA = MIXTURE.sample(256, np.random.default_rng(0))
LATENT = MIXTURE.flow(DATA, 0.02, 0.95, COSINE)

FLOW = schedules.flow()
TO_CLEAN_DATA = grids.uniform(FLOW, 8, t_max=0.9, t_min=0.0)
GAUSSIAN = problems.Gaussian([0.3], 0.5)
Z = np.array([[0.4], [-0.9]])


def rms(x):
    return float(np.sqrt(np.mean(np.square(x))))


class Relaxed:
    """The mean of a register, which stands a slot behind the state, and the noise prediction there moves the state."""

    registers = ("z", "mean")
    evaluations = ("mean",)

    def step(self, s):
        z, mean = s.registers
        s.assign(mean, (mean + s.eps(z)) / 2, at=s.i)
        s.assign(z, z + s.delta(s.i, s.i - 1, z, mean), at=s.i - 1)


# The solver itself, and no stand-in


def test_a_solver_that_keeps_no_state_at_the_noise_end_has_no_inverse_to_it():
    """Its step is undone, and not its start: what comes back from all registers is the state one slot before the noise end."""
    there = solve(Relaxed(), MODEL, GRID, LATENT)
    back = invert(Relaxed(), MODEL, GRID, there.state)
    assert back.state.times == {"z": 19, "mean": 20}
    verdict = invertibility(Relaxed())
    assert str(verdict) == "no: the start takes 1 slot, and no register keeps the state at the noise end"
    for end, z in (("noise", LATENT), ("data", DATA)):
        trip = round_trip(Relaxed(), MODEL, GRID, z, end, MIXTURE)
        assert trip.inversion == "solver on the reversed grid" and trip.error > 1e-3
    with pytest.raises(NotInvertibleError, match="no register keeps the state at the noise end"):
        bit_exact_round_trip(Relaxed(), MODEL, GRID, LATENT)


@pytest.mark.parametrize(
    ("solver", "error"),
    [(RFSolver(), 8.7e-4), (FireFlow(), 2.0e-3), (RK4(), 1.0e-4), (DEIS(), 2.0e-2), (DPMSolverPP(), 2.7e-2)],
    ids=lambda x: type(x).__name__,
)
def test_the_latent_is_that_of_the_solver_under_test(solver, error):
    """Against the exact flow; the figures of the literature's own inverse runs, by draws of the law to a tenth."""
    found = encode(solver, MODEL, GRID, DATA)
    assert found.status.ok and found.inversion == "solver on the reversed grid"
    assert rms(found.z - LATENT) == pytest.approx(error, rel=0.1)
    stand_in = encode(solver, MODEL, GRID, DATA, DDIMInversion())
    assert stand_in.inversion == "DDIM inversion (10)" and 6.8e-2 < rms(stand_in.z - LATENT) < 7.1e-2


def test_its_steps_are_the_solvers_own_upwards():
    """Heun's method in y = z/alpha, s = sigma/alpha, typed here; its NFE; its trajectory from the data end."""
    y, s = DATA / GRID.alpha[0], GRID.sigma / GRID.alpha
    for i in range(GRID.n):
        h = s[i + 1] - s[i]
        first = MODEL(GRID.alpha[i] * y, GRID.t[i])
        last = MODEL(GRID.alpha[i + 1] * (y + h * first), GRID.t[i + 1])
        y = y + h * (first + last) / 2
    found = encode(Heun(), MODEL, GRID, DATA, return_trajectory=True)
    # Twenty steps of a few roundings, amplified by a run that widens modes of 0.2 to noise.
    assert np.allclose(found.z, GRID.alpha[-1] * y, rtol=0, atol=1e4 * EPS)
    assert np.array_equal(found.trajectory[0], DATA) and np.array_equal(found.trajectory[GRID.n], found.z)
    assert found.nfe == solve(Heun(), MODEL, GRID, found.z).nfe == 2 * GRID.n
    back = solve(Heun(), MODEL, GRID, found.state)
    assert np.array_equal(back.z, solve(Heun(), MODEL, GRID, found.z).z)


def test_a_multistep_solver_starts_by_its_own_starter_at_the_data_end():
    mirror = GRID.reversed()
    first = solve(DPMSolverPP(1), MODEL, mirror[GRID.n - 1 : GRID.n], DATA).z
    by_hand = solve(DPMSolverPP(), MODEL, mirror, DATA, start=[first])
    found = encode(DPMSolverPP(), MODEL, GRID, DATA)
    assert np.allclose(found.z, by_hand.z, rtol=0, atol=1e4 * EPS) and found.state is None


def test_for_ddim_it_is_equation_23():
    own = encode(DDIM(), MODEL, GRID, DATA, Reversed())
    assert np.array_equal(own.z, encode(DDIM(), MODEL, GRID, DATA, DDIMInversion(at_target=False)).z)
    assert not np.array_equal(own.z, encode(DDIM(), MODEL, GRID, DATA).z)
    assert encode(DDIM(), MODEL, GRID, DATA).inversion == "DDIM inversion (10)"


def test_a_failure_on_the_way_counts_slots_as_in_sampling():
    late = float(GRID.t[15]) - 1e-9
    found = encode(RK4(), lambda z, t: z * (np.nan if t > late else 0.1), GRID, DATA)
    assert found.status.slot == 15 and found.inversion == "solver on the reversed grid"


# Names


def test_every_result_names_what_ran():
    there = solve(BDIA(), MODEL, GRID, DATA)
    assert there.inversion == ""
    assert invert(BDIA(), MODEL, GRID, there.state).inversion == encode(BDIA(), MODEL, GRID, DATA).inversion
    assert encode(BDIA(), MODEL, GRID, DATA).inversion == "derived inverse"
    for method, name in (
        (DDIMInversion(at_target=False), "DDIM inversion (23)"),
        (DDIMInversion(substeps=4), "DDIM inversion (10), 4 parts a slot"),
        (Reversed(), "solver on the reversed grid"),
        (ImplicitInversion(memory=1), "implicit inversion"),
        (DefectCorrection(memory=1, iterations=1), "defect correction of DDIM inversion (10)"),
    ):
        assert encode(DDIM(), MODEL, GRID, DATA[:4], method).inversion == name
        assert method(DDIM(), MODEL, GRID, DATA[:4]).inversion == name

    def mine(solver, model, grid, x_0):
        return solve(solver, model, grid.reversed(), x_0)

    assert encode(DDIM(), MODEL, GRID, DATA, mine).inversion == "mine"


@pytest.mark.parametrize("start", ["noise", "data"])
def test_round_trips_name_it_too(start):
    for solver, method, name in (
        (BDIA(), None, "derived inverse"),
        (DDIM(), None, "DDIM inversion (10)"),
        (DDIM(), inversion.named("23"), "DDIM inversion (23)"),
        (RK4(), None, "solver on the reversed grid"),
    ):
        assert round_trip(solver, MODEL, GRID, DATA, start, MIXTURE, method=method).inversion == name


def test_inversions_by_name():
    assert inversion.split("BDIA(gamma=1/2)") == ("BDIA(gamma=1/2)", None)
    assert inversion.split("RK4 by reversed") == ("RK4", Reversed())
    assert inversion.named("default") is None and inversion.named("(10)") == DDIMInversion()
    with pytest.raises(
        ValueError, match=r"inversion='9' is unknown: use one of default, ddim, \(10\), \(23\), reversed, fixed point$"
    ):
        inversion.named("9")
    assert solver_name("BDIA(gamma=1/2) by (23)") == "BDIA, γ = 1/2 by (23)"


# Studies and commands


def test_studies_have_both_of_ddims_inversions_and_name_them():
    config = RoundtripConfig(states=8, steps=(20,))
    assert {"DDIM", "DDIM by (23)"} <= set(config.solvers)
    cell = {"end": "data", "gamma": 0.5, "steps": 20, "dtype": "float64"}
    ten, own = (trip_of(config, cell | {"solver": text}) for text in ("DDIM", "DDIM by (23)"))
    assert (ten["inversion"], own["inversion"]) == ("DDIM inversion (10)", "DDIM inversion (23)")
    assert ten["distance"] != own["distance"] and "inversion" in ROUNDTRIP.variables
    sweep = SweepConfig(("BDIA by reversed", "RK4"), (("gamma", ("1", "1/2")),), states=4)
    assert labels(sweep) == ("BDIA(gamma=1) by reversed", "BDIA(gamma=1/2) by reversed", "RK4")
    place = {
        "problem": "mixture",
        "schedule": "vp_linear",
        "grid": "uniform",
        "steps": 10,
        "dtype": "float64",
        "seed": 0,
    }
    for text in labels(sweep):
        found = swept(sweep, place | {"solver": text})
        assert found["inversion"] == "solver on the reversed grid" and found["round_trip"] > 1e-8


def test_studies_that_do_not_encode_refuse_an_inversion():
    with pytest.raises(ValueError, match=r"'DDIM by \(23\)' is not a solver"):
        check(type("Config", (), {"solvers": ("DDIM by (23)",)}), "solvers")


def test_the_command_prints_both():
    run = CliRunner().invoke(app, ["roundtrip", "--solver", "DDIM", "--steps", "10"])
    lines = [line for line in run.stdout.splitlines() if line.startswith("returns to")]
    assert [line.partition("inversion: ")[2] for line in lines] == ["DDIM inversion (10)", "DDIM inversion (23)"]
    run = CliRunner().invoke(app, ["roundtrip", "--solver", "rk4", "--inversion", "23", "--steps", "10", "--json"])
    assert '"inversion": "DDIM inversion (23)"' in run.stdout and "beside" not in run.stdout
    run = CliRunner().invoke(app, ["roundtrip", "--exact", "--inversion", "reversed"])
    assert run.exit_code == 2 and "--exact runs the derived inverse" in run.stderr


# Grids that end at sigma = 0


def test_a_time_is_named_by_its_index_as_in_sampling():
    model = models.x0(lambda z, t: 0 * z)
    for solver in (BDIA(), RK4()):
        with pytest.raises(ValueError, match=r"^at i=0, t=0.0: sigma = 0: x0 leaves the state open there"):
            encode(solver, model, TO_CLEAN_DATA, Z)


NO_STEP_TO_CLEAN_DATA = {"DPMSolver", "DPMSolverPPSinglestep"}
"""Asks the model at the middle of a slot in log-SNR, which is infinite at its end."""
NO_STEP_FROM_CLEAN_DATA = {
    "DPMSolver", "DEIS", "BDIADEIS", "DPMSolverPP", "BDIADPMSolverPP", "DPMSolverMultistep", "DPMSolverPPSinglestep", "UniPC", "SASolver",
}  # fmt: skip


def refusal(call):
    """Return the one line in which a call is refused."""
    with pytest.raises(ValueError, match=r".") as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("name", SOLVERS)
def test_clean_data_are_reached_or_refused_by_the_condition(name):
    solver, model = SOLVERS[name](), GAUSSIAN.model(FLOW)
    if name in NO_STEP_TO_CLEAN_DATA:
        assert "sigma = 0 at t=0.0: log_snr is infinite there: end the grid before it" in refusal(
            lambda: solve(solver, model, TO_CLEAN_DATA, Z)
        )
        return
    start = dict.fromkeys(solver.registers, Z) if getattr(solver, "given", ()) else None
    there = solve(solver, model, TO_CLEAN_DATA, Z, start)
    assert there.status.ok and np.all(np.isfinite(there.z))
    assert there.state is not None
    if invertibility(solver).invertible:
        assert invert(solver, model, TO_CLEAN_DATA, there.state).status.ok
    else:
        assert "is not exactly invertible here" in refusal(lambda: invert(solver, model, TO_CLEAN_DATA, there.state))


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("prediction", ["eps", "velocity"])
def test_clean_data_are_encoded_or_refused_by_the_condition(name, prediction):
    solver = SOLVERS[name]()
    model = models.as_prediction(GAUSSIAN.model(FLOW), FLOW, prediction)
    if getattr(solver, "given", ()):
        assert "cannot make" in refusal(lambda: encode(solver, model, TO_CLEAN_DATA, Z))
        return
    if name in NO_STEP_FROM_CLEAN_DATA:
        assert refusal(lambda: encode(solver, model, TO_CLEAN_DATA, Z)).startswith("sigma = 0 at t=0.0: ")
        assert encode(solver, model, TO_CLEAN_DATA, Z, DDIMInversion()).status.ok
        return
    found = encode(solver, model, TO_CLEAN_DATA, Z)
    assert found.status.ok and np.all(np.isfinite(found.z))


@pytest.mark.parametrize("base", [{}, {"coupling": 1}])
def test_a_coupling_is_not_blamed_for_sigma_zero(base):
    solver, model = Rex(prediction="x0", **base), GAUSSIAN.model(FLOW)
    state = solve(solver, model, TO_CLEAN_DATA, Z).state
    message = refusal(lambda: invert(solver, model, TO_CLEAN_DATA, state))
    assert "invert needs sigma_0 != 0: end the grid above it (t_min > 0)" in message and "coupling" not in message
    assert refusal(lambda: encode(solver, model, TO_CLEAN_DATA, Z)) == message
    assert "sigma = 0 at t=0.0: Rex divides by it" in refusal(
        lambda: encode(solver, model, TO_CLEAN_DATA, Z, Reversed())
    )
    zero = McCallumFoster(0)
    state = solve(zero, model, TO_CLEAN_DATA, Z).state
    assert "invert needs coupling != 0" in refusal(lambda: invert(zero, model, TO_CLEAN_DATA, state))


def test_a_zero_that_is_no_end_of_the_grid_stays_what_it_is():
    class Careless:
        registers = ("z",)

        def step(self, s):
            (z,) = s.registers
            s.assign(z, z / (s.one - 1), at=s.i - 1)

    with pytest.raises(ZeroDivisionError):
        solve(Careless(), MODEL, GRID, DATA)


def test_a_score_at_sigma_zero_is_no_noise():
    """eps = -sigma score = 0 there for a law with a density; the sum of no terms was not a state."""

    def score(z, t):
        a, s = 1 - t, t
        return -(z - 0.3 * a) / (0.5 * a * a + s * s)

    for solver in (SOLVERS["ReversibleHeun"](), RK4(), BDIA()):
        found = encode(solver, models.score(score), TO_CLEAN_DATA, Z)
        expected = encode(solver, GAUSSIAN.model(FLOW), TO_CLEAN_DATA, Z)
        # Conversions round each evaluation a few times.
        assert np.allclose(found.z, expected.z, rtol=0, atol=1e4 * EPS)
