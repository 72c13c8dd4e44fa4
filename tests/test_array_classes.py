"""Arrays of a class of their own, such as masked arrays and matrices, are refused wherever a caller's array enters, in one line."""

import numpy as np
import pytest

from bdia_numerics import (
    BDIA,
    DDIM,
    State,
    analysis,
    encode,
    grids,
    inversion,
    invert,
    models,
    problems,
    round_trip,
    schedules,
    solve,
    spaces,
)

SCHEDULE = schedules.vp_linear()
GRID = grids.uniform(SCHEDULE, 6, t_min=0.1, t_max=0.9)
LAW = problems.Gaussian([0.0, 1.0], 0.5)
MODEL = LAW.model(SCHEDULE)
PLAIN = np.array([[0.5, 1.0], [0.25, -1.0]])
STATE = solve(BDIA(), MODEL, GRID, PLAIN).state
TABLE = np.linspace(0.9, 0.1, 8)
TIMES = np.array([0.9, 0.5, 0.1])


class Shouting(np.ndarray):
    def sum(self, *args, **kwargs):
        return 42


MADE = {
    "masked": lambda x: np.ma.MaskedArray(x, mask=np.arange(np.size(x)).reshape(np.shape(x)) == 1),
    "unmasked": np.ma.MaskedArray,
    "matrix": lambda x: np.asmatrix(x) if np.ndim(x) == 2 else np.ma.MaskedArray(x),
    "own class": lambda x: np.asarray(x).view(Shouting),
}


def predicting(made):
    return lambda z, t: made(np.asarray(z) * 0.5)


def of_state(made):
    return State(STATE.solver, STATE.grid, {name: made(x) for name, x in STATE.registers.items()}, STATE.times)


ENTRIES = {
    "solve": lambda made: solve(DDIM(), MODEL, GRID, made(PLAIN)),
    "start states": lambda made: solve(BDIA(), MODEL, GRID, PLAIN, start=[made(PLAIN)]),
    "start registers": lambda made: solve(BDIA(), MODEL, GRID[:5], PLAIN, start={"z_prev": PLAIN, "z": made(PLAIN)}),
    "encode": lambda made: encode(DDIM(), MODEL, GRID, made(PLAIN)),
    "encode exactly": lambda made: encode(BDIA(), MODEL, GRID, made(PLAIN)),
    "round trip": lambda made: round_trip(BDIA(), MODEL, GRID, made(PLAIN), reference=LAW),
    "reference": lambda made: round_trip(BDIA(), MODEL, GRID, PLAIN, reference=made(PLAIN)),
    "State": of_state,
    "model": lambda made: solve(DDIM(), predicting(made), GRID, PLAIN),
    "model of an inverse": lambda made: invert(BDIA(), predicting(made), GRID, STATE),
    "model of x0": lambda made: solve(DDIM(), models.x0(predicting(made)), GRID, PLAIN),
    "guided model": lambda made: solve(DDIM(), models.guided(predicting(made), MODEL, 2), GRID, PLAIN),
    "null text": lambda made: inversion.null_text(DDIM(), predicting(made), MODEL, GRID, PLAIN, scale=2.0),
    "edit friendly": lambda made: inversion.edit_friendly(MODEL, GRID, made(PLAIN), np.random.default_rng(0)),
    "score": lambda made: LAW.score(made(PLAIN), 0.5, SCHEDULE),
    "noise prediction": lambda made: MODEL(made(PLAIN), 0.5),
    "flow": lambda made: LAW.flow(made(PLAIN), 0.9, 0.1, SCHEDULE),
    "flow of rows": lambda made: LAW.flow([made(PLAIN)[0], PLAIN[1]], 0.9, 0.1, SCHEDULE),
    "flow Jacobian": lambda made: LAW.flow_jacobian(made(PLAIN), 0.9, 0.1, SCHEDULE),
    "reference flow": lambda made: problems.reference_flow(MODEL, SCHEDULE, made(PLAIN), 0.9, 0.1),
    "reference of a model": lambda made: problems.reference_flow(predicting(made), SCHEDULE, PLAIN, 0.9, 0.1),
    "certified flow": lambda made: problems.certified_flow(LAW, SCHEDULE, made(PLAIN), 0.9, 0.88),
    "Gaussian mean": lambda made: problems.Gaussian(made([0.0, 1.0])),
    "Gaussian cov": lambda made: problems.Gaussian([0.0, 1.0], made(np.eye(2))),
    "mixture weights": lambda made: problems.GaussianMixture(made([0.5, 0.5]), PLAIN, [0.1, 0.2]),
    "mixture means": lambda made: problems.GaussianMixture([0.5, 0.5], made(PLAIN), [0.1, 0.2]),
    "mixture rows": lambda made: problems.GaussianMixture([0.5, 0.5], [made(PLAIN)[0], PLAIN[1]], [0.1, 0.2]),
    "Empirical": lambda made: problems.Empirical(made(PLAIN)),
    "Uniform": lambda made: problems.Uniform(made([0.0, 0.0]), [1.0, 1.0]),
    "Product": lambda made: problems.Product([problems.Gaussian([0.0])] * 2, made(np.eye(2))),
    "grid values": lambda made: grids.from_values(made([0.0, 0.5, 1.0]), [1.0, 0.9, 0.5], [0.1, 0.2, 0.9]),
    "grid alpha": lambda made: grids.from_values([0.0, 0.5, 1.0], made([1.0, 0.9, 0.5]), [0.1, 0.2, 0.9]),
    "grid times": lambda made: grids.from_timesteps(SCHEDULE, made(TIMES)),
    "table": lambda made: schedules.from_alphas_cumprod(made(TABLE)),
    "schedule": lambda made: SCHEDULE.alpha(made(TIMES)),
    "schedule time": lambda made: SCHEDULE.time("sigma_bar", made(TIMES)),
    "lattice": lambda made: spaces.Lattice.from_float(made(PLAIN)),
    "global error": lambda made: analysis.global_error(BDIA(), LAW, GRID, states=made(PLAIN)),
    "amplification": lambda made: analysis.amplification(BDIA(), GRID, J=made(np.ones(7))),
}  # fmt: skip


@pytest.mark.parametrize("entry", ENTRIES)
def test_plain_arrays_pass(entry):
    ENTRIES[entry](np.asarray)


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
@pytest.mark.parametrize("kind", MADE)
@pytest.mark.parametrize("entry", ENTRIES)
def test_refused(entry, kind):
    made = MADE[kind]
    with pytest.raises(TypeError) as raised:
        ENTRIES[entry](made)
    message = str(raised.value)
    assert "numpy.asarray" in message
    assert "\n" not in message
    assert any(name in message for name in ("MaskedArray", "MaskedConstant", "matrix", "Shouting"))


def test_files_in_memory_are_plain(tmp_path):
    np.save(tmp_path / "z.npy", PLAIN)
    mapped = np.load(tmp_path / "z.npy", mmap_mode="r")
    assert type(mapped) is np.memmap
    assert (solve(DDIM(), MODEL, GRID, mapped).z == solve(DDIM(), MODEL, GRID, PLAIN).z).all()
    assert problems.Empirical(mapped) == problems.Empirical(PLAIN)
