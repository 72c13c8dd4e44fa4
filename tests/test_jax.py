"""JAX arrays as states: every solver against its NumPy run, under jit, vmap and grad, in their dtype; what cannot be mixed is refused."""

import copy
import pickle

import numpy as np
import pytest

jax = pytest.importorskip("jax", reason="needs the extra jax")

import jax.numpy as jnp  # noqa: E402

from bdia_numerics import (  # noqa: E402
    BDIA,
    DDIM,
    EDICT,
    SOLVERS,
    State,
    encode,
    grids,
    inversion,
    invert,
    problems,
    round_trip,
    schedules,
    solve,
    spaces,
)
from bdia_numerics.program import NotInvertibleError  # noqa: E402
from bdia_numerics.runs.encoding import bit_exact_round_trip  # noqa: E402

jax.config.update("jax_enable_x64", True)
GRID = grids.asinh(schedules.vp_linear(), 4, t_max=1.0, t_min=0.05)
Z = np.random.default_rng(0).standard_normal((3, 4))
STATES = {dtype: jnp.asarray(Z, dtype) for dtype in ("float64", "float32", "bfloat16", "float16")}
UNIT = {dtype: float(jnp.finfo(dtype).eps) for dtype in STATES}
# On these four slots a run of the solvers below is within 20 roundings of NumPy's in float64; the inverse magnifies them.
NEAR = 100


def model(z, t):
    """A noise prediction of slope at most 1/2, so that a run magnifies roundings little."""
    return (np if isinstance(z, np.ndarray) else jnp).tanh(z) / 2


def distance(found, expected):
    """Largest difference in units of the largest element."""
    expected = np.asarray(expected, float)
    return float(np.max(np.abs(np.asarray(found, float) - expected)) / np.max(np.abs(expected)))


@pytest.mark.parametrize("name", SOLVERS)
def test_a_run_is_that_on_numpy(name):
    solver, same = SOLVERS[name](), {}
    for dtype in ("float32", "float64"):
        there = solve(solver, model, GRID, STATES[dtype])
        expected = solve(solver, model, GRID, Z.astype(dtype))
        assert there.z.dtype == dtype and there.status == expected.status and there.nfe == expected.nfe
        assert distance(there.z, expected.z) < NEAR * UNIT[dtype]
        try:
            back = invert(solver, model, GRID, there.state)
        except NotInvertibleError:
            continue
        same[dtype] = distance(back.z, invert(solver, model, GRID, expected.state).z)
        assert back.z.dtype == dtype and same[dtype] < 1000 * NEAR * UNIT[dtype]


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[] if n in ("BDIA", "EDICT") else [pytest.mark.slow]) for n in SOLVERS],
)
def test_a_compiled_run_is_that_on_numpy(name):
    """There and back in two programs, between which the whole Solution is handed over."""
    solver = SOLVERS[name]()
    expected = solve(solver, model, GRID, Z)
    there = jax.jit(lambda z: solve(solver, model, GRID, z))(STATES["float64"])
    assert bool(there.status.ok) and there.nfe == expected.nfe and dict(there.state.times) == dict(expected.state.times)
    assert distance(there.z, expected.z) < NEAR * UNIT["float64"]
    try:
        back = jax.jit(lambda found: invert(solver, model, GRID, found.state))(there)
    except NotInvertibleError:
        return
    assert back.inversion == "derived inverse"
    assert distance(back.z, Z) < 1000 * NEAR * UNIT["float64"]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_low_precision_is_summed_in_float32_and_rounded_once(dtype):
    found = solve(BDIA(), model, GRID, STATES[dtype])
    assert found.z.dtype == dtype and distance(found.z, solve(BDIA(), model, GRID, Z).z) < 20 * UNIT[dtype]
    space, large = spaces.of(STATES[dtype]), 2 / UNIT[dtype]
    one, many = jnp.ones(1, dtype), jnp.full(1, large, dtype)
    assert one + many == many  # in the dtype itself the difference would be 0
    assert float(space.combine([1.0, 1.0, -1.0], [one, many, many])[0]) == 1.0


def test_without_x64_states_are_float32():
    with jax.enable_x64(False):
        found = solve(BDIA(), model, GRID, jnp.asarray(Z, jnp.float32))
        trip = round_trip(BDIA(), model, GRID, jnp.asarray(Z, jnp.float32))
    assert found.z.dtype == "float32" and trip.error < 1000 * UNIT["float32"] and trip.reference_error < trip.latent


@pytest.mark.parametrize("solver", [DDIM(), BDIA()], ids=repr)
def test_encode_and_trajectories_are_those_of_numpy(solver):
    for run in (solve, encode):
        expected = run(solver, model, GRID, Z, return_trajectory=True)
        found = jax.jit(lambda z, run=run: run(solver, model, GRID, z, return_trajectory=True))(STATES["float64"])
        assert found.inversion == expected.inversion and found.trajectory.shape == (5, 3, 4)
        assert distance(found.trajectory, expected.trajectory) < 1000 * NEAR * UNIT["float64"]


def test_a_round_trip_is_that_on_numpy():
    z = STATES["float64"]
    expected, found = round_trip(BDIA(), model, GRID, Z), round_trip(BDIA(), model, GRID, z)
    assert abs(found.latent - expected.latent) < found.reference_error < 1e-5 and found.nfe == expected.nfe
    assert isinstance(found.far, jax.Array) and found.error < 1e-12
    compiled = jax.jit(lambda z: round_trip(BDIA(), model, GRID, z, "data", reference=2 * z))(z)
    known = round_trip(BDIA(), model, GRID, Z, "data", reference=2 * Z)
    assert float(compiled.latent) == pytest.approx(known.latent) and float(compiled.error) < 1e-12
    assert compiled.inversion == known.inversion and bool(compiled.status.ok)


def test_vmap_maps_runs_over_states():
    z = STATES["float64"]
    mapped = jax.vmap(lambda z: solve(BDIA(), model, GRID, z, return_trajectory=True))(z)
    assert distance(mapped.z, solve(BDIA(), model, GRID, Z).z) < NEAR * UNIT["float64"]
    assert mapped.trajectory.shape == (3, 5, 4) and mapped.status.ok.shape == (3,)


def test_a_gradient_is_that_of_differences_and_of_torch():
    direction, h = np.cos(np.arange(Z.size)).reshape(Z.shape), 1e-5

    def loss(z, weight):
        def network(z, t):
            return jnp.tanh(weight * z) / 2

        there = solve(BDIA(), network, GRID, z)
        return (there.z**2).sum() + invert(BDIA(), network, GRID, there.state).z.sum()

    z, one = STATES["float64"], jnp.asarray(1.0)
    slope, by_weight = jax.jit(jax.grad(loss, argnums=(0, 1)))(z, one)
    ahead, behind = loss(z + h * direction, one), loss(z - h * direction, one)
    assert float((slope * direction).sum()) == pytest.approx(float(ahead - behind) / (2 * h), rel=1e-7)
    assert float(by_weight) == pytest.approx(float(loss(z, one + h) - loss(z, one - h)) / (2 * h), rel=1e-7)
    torch = pytest.importorskip("torch", reason="needs the extra torch")
    pytest.importorskip("bdia_numerics.torch")
    leaf = torch.tensor(Z, requires_grad=True)
    (solve(BDIA(), lambda z, t: torch.tanh(z) / 2, GRID, leaf).z ** 2).sum().backward()
    ours = jax.grad(lambda z: (solve(BDIA(), model, GRID, z).z ** 2).sum())(z)
    assert distance(ours, leaf.grad) < 1e-13


def test_a_model_may_be_checkpointed():
    remade = jax.checkpoint(model, static_argnums=1)
    slopes = [jax.grad(lambda z, f=f: solve(DDIM(), f, GRID, z).z.sum())(STATES["float64"]) for f in (model, remade)]
    assert distance(*slopes) < NEAR * UNIT["float64"]


def test_start_states_and_mappings():
    z, first = STATES["float64"], 0.9 * STATES["float64"]
    found = jax.jit(lambda z, first: solve(BDIA(), model, GRID, z, start=[first]).z)(z, first)
    assert distance(found, solve(BDIA(), model, GRID, Z, start=[0.9 * Z]).z) < NEAR * UNIT["float64"]


def test_what_is_not_finite_is_told_afterwards():
    def broken(z, t):
        return jnp.where((t < 0.5) & (z > 0), jnp.inf, model(z, t))

    z, expected = STATES["float64"], solve(DDIM(), lambda z, t: np.asarray(broken(z, t)), GRID, Z).status
    assert not expected.ok and solve(DDIM(), broken, GRID, z).status == expected
    run = jax.jit(lambda z: solve(DDIM(), broken, GRID, z).status)
    assert not run(z).ok and run(-jnp.abs(z)).ok and str(run(z)) == "a state is not finite"
    each = jax.vmap(run)(z.at[1].set(-1.0))
    assert each.ok.tolist() == [False, True, False] and str(each) == "a state is not finite"
    overflow = solve(DDIM(), lambda z, t: 6e4 * z, GRID, STATES["float16"]).status
    assert not overflow.ok and "use bfloat16 or float32" in str(overflow)


def test_a_state_goes_through_files_and_pickles_bit_for_bit(tmp_path):
    for dtype, z in STATES.items():
        found = solve(BDIA(), model, GRID, z)
        found.state.save(tmp_path / f"{dtype}.npz")
        read = State.load(tmp_path / f"{dtype}.npz")
        assert read == found.state and read.registers["z"].dtype == dtype
        assert pickle.loads(pickle.dumps(found)) == found == copy.deepcopy(found)


@pytest.mark.parametrize("mapped", [lambda run: run, jax.jit], ids=["plain", "jit"])
@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_models_of_other_libraries_are_refused(library, mapped):
    other = pytest.importorskip(library)
    run = mapped(lambda z: solve(BDIA(), lambda z, t: other.tanh(z), GRID, z).z)
    words = r"model\(z, t=1.0\) .*z is a jax array: .*jax\.numpy.*jax\.pure_callback"
    for dtype in ("float64", "float32"):
        with pytest.raises(TypeError, match=words) as said:
            run(STATES[dtype])
        assert "\n" not in str(said.value)


GAMMA_1 = BDIA()


def run(model=model, z=STATES["float32"], solver=GAMMA_1):
    return solve(solver, model, GRID, z).z


EXACT = problems.Gaussian(np.zeros(4)).model(GRID.schedule)
REFUSED = {
    "an exact model": (TypeError, "jax.numpy", lambda z: run(EXACT)),
    "a wider output": (TypeError, "in float64 jax arrays, the run in float32", lambda z: run(lambda z, t: z.astype(float))),
    "a shape": (ValueError, r"shape \(4,\), z has \(3, 4\)", lambda z: run(lambda z, t: z[0])),
    "a jax model of NumPy": (TypeError, "no array of NumPy: return numpy.asarray", lambda z: run(lambda z, t: jnp.tanh(z), Z)),
    "floats of eight bits": (TypeError, "float8_e5m2 is not a real float", lambda z: run(z=z.astype("float8_e5m2"))),
    "integers": (TypeError, "int32 is not a real float", lambda z: run(z=jnp.arange(3, dtype="int32"))),
    "complex": (TypeError, "complex64 is not a real float", lambda z: run(z=z + 1j)),
    "NaN": (ValueError, "x_0 holds NaN or infinite", lambda z: encode(BDIA(), model, GRID, z * jnp.nan)),
    "a lattice": (TypeError, r"no array of NumPy: .*numpy.asarray\(z\)", lambda z: bit_exact_round_trip(BDIA(), model, GRID, z)),
    "a traced gamma": (TypeError, "gamma=.* is not a real number", jax.jit(lambda z: run(solver=BDIA(z[0, 0])))),
    "a fine reference": (TypeError, "traced by jax.*reference=", jax.jit(lambda z: round_trip(BDIA(), model, GRID, z).error)),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused_in_one_line(name):
    kind, words, call = REFUSED[name]
    with pytest.raises(kind, match=words) as said:
        call(STATES["float32"])
    assert "\n" not in str(said.value)


def test_exact_models_are_brought_in_by_a_callback():
    def brought(z, t):
        return jax.pure_callback(lambda z: EXACT(np.asarray(z), t), z, z, vmap_method="broadcast_all")

    found = jax.jit(jax.vmap(lambda z: solve(BDIA(), brought, GRID, z).z))(STATES["float64"])
    assert distance(found, solve(BDIA(), EXACT, GRID, Z).z) < NEAR * UNIT["float64"]


def test_methods_of_inversion_run():
    for method in (inversion.Reversed(), inversion.INVERSIONS["(23)"]):
        expected = encode(DDIM(), model, GRID, Z, method)
        assert distance(encode(DDIM(), model, GRID, STATES["float64"], method).z, expected.z) < NEAR * UNIT["float64"]


def test_no_tracer_stays_behind():
    """A run under jit leaves its plan, and nothing traced, with the grid: the next run outside takes the plan."""
    grid = grids.uniform(schedules.vp_linear(), 4, t_min=0.1)
    with jax.checking_leaks():
        jax.jit(lambda z: solve(EDICT(), model, grid, z).z)(STATES["float32"])
    known = dict(grid._plans)
    solve(EDICT(), model, grid, Z)
    assert known and grid._plans == known
