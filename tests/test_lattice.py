"""Bit-exact inversion on the integer lattice."""

import json
import math
import re
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from random_programs import Programmed, programs
from small_solvers import INVERTIBLE
from typer.testing import CliRunner

from bdia_numerics import (
    ALF,
    BDIA,
    CBDIA,
    EDICT,
    OBELM,
    SOLVERS,
    NotInvertibleError,
    State,
    encode,
    grids,
    invert,
    invertibility,
    models,
    round_trip,
    schedules,
    solve,
)
from bdia_numerics.analysis import amplification
from bdia_numerics.cli import app
from bdia_numerics.problems import GaussianMixture
from bdia_numerics.program import NotOnLatticeError
from bdia_numerics.program.lattice import Assign, lifted
from bdia_numerics.runs.encoding import bit_exact_round_trip
from bdia_numerics.spaces import Lattice, kernel
from bdia_numerics.spaces.lattice import Remainder, bits_per_element

F = Fraction
VP, FLOW = schedules.vp_linear(), schedules.flow()
CASES = {
    "BDIA 1": (BDIA(1), 0),
    "BDIA 9/10": (BDIA(F(9, 10)), math.log2(10 / 9)),
    "BDIA 1/2": (BDIA(F(1, 2)), 1),
    "EDICT 93/100": (EDICT(F(93, 100)), 2 * math.log2(100 / 93)),
    "CBDIA 19/20 1/20": (CBDIA(F(19, 20), F(1, 20)), math.log2(10 / 9)),
    "CBDIA 0 1": (CBDIA(0, 1), 0),
    "CBDIA 1/3 1": (CBDIA(F(1, 3), 1), math.log2(3 / 2)),
}
LAW = GaussianMixture([0.4, 0.6], [[-1.0, 0.0], [1.0, 0.5]], [0.05, 0.1])
FIXED = settings(
    derandomize=True, database=None, deadline=None, max_examples=100,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)  # fmt: skip


def model(z: Any, t: Any) -> Any:
    """Nonlinear, coupled between the elements, not autonomous; its dtype is that of z."""
    return np.sin(z + z.dtype.type(t)) + np.cos(np.roll(z, 1, axis=-1)) / 4


def noise(dtype: Any = np.float64, shape: Any = (16, 8), bits: int = 40) -> Lattice:
    return Lattice.from_float(np.random.default_rng(7).standard_normal(shape).astype(dtype), bits=bits)


def same(a: Lattice, b: Lattice) -> bool:
    return a.differing_bits(b) == 0 and a.dtype == b.dtype


def there_and_back(solver: Any, grid: Any, z: Lattice, f: Any = model) -> tuple[Any, Any]:
    there = solve(solver, f, grid, z)
    assert there.status.ok
    return there, invert(solver, f, grid, there.state)


@pytest.mark.parametrize(("n", "dtype"), [(2, np.float64), (10, np.float32), (60, np.float64)])
@pytest.mark.parametrize("name", CASES)
def test_every_bit_returns(name, n, dtype):
    solver, bits = CASES[name]
    z, grid = noise(dtype), grids.uniform(VP, n)
    there, back = there_and_back(solver, grid, z)
    assert same(back.z, z)
    assert not back.state.remainder, "the way back left something in the buffer"
    again = solve(solver, model, grid, back.state)
    assert all(same(again.state.registers[r], there.state.registers[r]) for r in solver.registers)
    if bits == 0:
        assert not there.state.remainder
    # The way there did something: the two ends differ in about half of the bits that a number of order 1 has.
    assert there.z.differing_bits(z) > 5 * z.size


@pytest.mark.parametrize("prediction", ["x0", "v", "velocity", "score"])
def test_other_predictions(prediction):
    grid = grids.uniform(VP, 8, t_min=F(1, 10))
    for solver, _ in CASES.values():
        f = models.as_prediction(model, VP, prediction)
        z = noise()
        assert same(there_and_back(solver, grid, z, f)[1].z, z)


@pytest.mark.parametrize("name", sorted(SOLVERS))
def test_every_listed_solver_returns_every_bit_or_is_refused(name):
    solver, z, grid = SOLVERS[name](), noise(), grids.uniform(VP, 9, t_min=F(1, 100))
    if not invertibility(solver).invertible:
        with pytest.raises((NotInvertibleError, NotOnLatticeError)):
            there_and_back(solver, grid, z)
        return
    there, back = there_and_back(solver, grid, z)
    assert same(back.z, z)
    truth = there.z.to_float() + 0.5
    trip = round_trip(solver, model, grid, z, reference=truth)
    assert trip.error == 0 and same(trip.returned, z)
    assert trip.latent == pytest.approx(0.5, rel=1e-12, abs=0)
    data = encode(solver, model, grid, z)
    assert same(solve(solver, model, grid, data.state).z, z)


@pytest.mark.parametrize("name", ["ALF", "ReversibleHeun", "Coupled"])
def test_other_peoples_solvers(name):
    z, grid = noise(), grids.uniform(schedules.ve(), 20, t_min=F(1, 10))
    assert same(there_and_back(INVERTIBLE[name], grid, z)[1].z, z)


RUN = {"on the lattice": 0, "refused": 0}


@FIXED
@given(programs())
def test_random_programs(solver: Programmed):
    z, grid = noise(shape=(6,)), grids.uniform(FLOW, 4, t_min=F(1, 10), t_max=F(4, 5))
    values = {r: noise(shape=(6,)) for r in solver.registers}
    try:
        there = solve(solver, lambda z, t: np.sin(z + t), grid, z, start=values)
        back = invert(solver, lambda z, t: np.sin(z + t), grid, there.state)
    except (NotOnLatticeError, NotInvertibleError):
        RUN["refused"] += 1
        return
    RUN["on the lattice"] += 1
    assert there.status.ok
    assert all(
        same(back.state.registers[r], State("", "", {r: values[r]}, {}).registers[r]) or in_y(back, values, r)
        for r in values
    )


def in_y(back: Any, values: Any, r: str) -> bool:
    returned = back.state.registers[r]
    return returned.scale != 1 and same(returned.rescaled(F(1)), values[r])


def test_enough_random_programs_run_on_the_lattice():
    assert RUN["on the lattice"] > 40 and RUN["refused"] > 40


# --- the buffer -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [10, 400])
@pytest.mark.parametrize("name", [name for name, (_, bits) in CASES.items() if bits])
def test_the_buffer_is_as_large_as_the_bound(name, n):
    """Within 1% of log2(1/|det|) bits an element a step, plus 8 bits: the slack of a head that starts at zero."""
    solver, per_step = CASES[name]
    there = solve(
        solver, lambda z, t: 0 * z, grids.uniform(FLOW, n, t_min=F(1, 10), t_max=F(9, 10)), noise(shape=(40,))
    )
    assert bits_per_element({"levels": [], "head": np.zeros(3, np.int64), "fill": 0}) == (0, 0)
    size, bound = bits_per_element(there.state.remainder)
    exact = per_step * (n - (1 if isinstance(solver, BDIA) else 0))
    assert bound == pytest.approx(exact, rel=1e-8, abs=1e-6)
    assert 0.99 * exact - 8 <= size <= 1.01 * exact + 8


@pytest.mark.parametrize(("denominator", "own"), [(2**16 - 1, True), (2**16 + 1, False)])
def test_ratios_of_integers_beyond_sixteen_bits_get_units(denominator, own):
    """With units each contraction is by a power of 2."""
    there = solve(
        BDIA(F(1, denominator)), lambda z, t: 0 * z, grids.uniform(FLOW, 4, t_min=F(1, 10), t_max=F(9, 10)), noise()
    )
    bits = bits_per_element(there.state.remainder)[1]
    assert bits == pytest.approx(3 * (math.log2(denominator) if own else 16), rel=1e-8)


def test_the_contraction_is_the_published_one():
    """Against the same exchange of digits on Python's integers, with no limit to their length."""
    rng, p, q = np.random.default_rng(1), 9, 10
    x = rng.integers(-(2**40), 2**40, 50)
    buffer, numbers, array = [0] * 50, [int(v) for v in x], x.copy()
    ours = Remainder()
    for _ in range(300):
        bound = kernel.largest(array)
        found = kernel.assign(array, array, (p, q), [], [], ours.opened(p, q, (50,)), bound=bound, undo=False)
        assert kernel.largest(array) <= found
        ours.closed(p, q)
        for k, number in enumerate(numbers):
            stack = buffer[k] * q + number % q
            numbers[k], buffer[k] = number // q * p + stack % p, stack // p
        shift = rng.integers(-(2**36), 2**36, 50)
        array += shift
        numbers = [int(a + b) for a, b in zip(numbers, shift, strict=True)]
        # Words are cut off the buffer's high end only when they are full, so the digits popped agree until then.
        if not ours.words:
            assert [int(v) for v in array] == numbers
    assert ours.words


@pytest.mark.parametrize(
    ("p", "q"), [(1, 2), (2, 1), (9, 10), (-93, 100), (65535, 65536), (-65536, 65535), (1, 65536), (65536, 1)]
)
def test_a_contraction_and_its_inverse(p, q):
    rng = np.random.default_rng(2)
    start = rng.integers(-(2**42), 2**42, 1000)
    array, buffer = start.copy(), Remainder()
    increments = [rng.standard_normal(1000) for _ in range(12)]  # up to 192 bits, of which the head holds 44
    for e in increments:
        before = array.copy()
        head = buffer.opened(abs(p), q, (1000,))
        bound = kernel.largest(array)
        found = kernel.assign(array, array, (p, q), [2.0**20], [e], head, bound=bound, undo=False)
        buffer.closed(abs(p), q)
        assert kernel.largest(array) <= found < kernel.LIMIT or abs(p) > 2**15
        if found == kernel.FAILED:
            return
        error = array - np.rint(2.0**20 * e) - np.array([float(F(int(b)) * p / q) for b in before])
        assert np.max(np.abs(error)) < max(abs(p), q) + 1
    for e in reversed(increments):
        head = buffer.opened(q, abs(p), (1000,))
        bound = kernel.largest(array)
        found = kernel.assign(array, array, (p, q), [2.0**20], [e], head, bound=bound, undo=True)
        assert kernel.largest(array) <= found
        buffer.closed(q, abs(p))
    assert np.array_equal(array, start)
    assert buffer.arrays() == {}


# --- own coefficients that are not ratios of small integers --------------------------------------------------------------

UNITS = {
    "O-BELM": OBELM(),
    "BDIA 0.9": BDIA(F(0.9)),
    "EDICT 0.93": EDICT(F(0.93)),
    "CBDIA 0.95 0.05": CBDIA(F(0.95), F(0.05)),
    "gamma of the slot": BDIA(lambda slot: 1 / (1 + slot.h**2)),
}
STEPS = np.cumsum([0.02, *([0.02, 0.04] * 15)])
ALTERNATING = grids.from_values(STEPS, np.ones_like(STEPS), STEPS)


@pytest.mark.parametrize(
    ("grid", "dtype"),
    [
        (grids.uniform(VP, 30), np.float32),
        (grids.log_snr(VP, 9, t_min=F(1, 100)), np.float64),
        (ALTERNATING, np.float64),
    ],
    ids=["uniform", "log_snr", "alternating"],
)
@pytest.mark.parametrize("name", UNITS)
def test_every_bit_returns_with_units_of_their_own(name, grid, dtype):
    solver, z = UNITS[name], noise(dtype)
    there, back = there_and_back(solver, grid, z)
    assert same(back.z, z) and not back.state.remainder
    assert any(x.scale != 1 for x in there.state.registers.values())
    assert all(F(1, 2) < x.scale <= 1 for x in there.state.registers.values())
    assert same(encode_and_solve(solver, grid, z), z)


def encode_and_solve(solver, grid, x):
    small = grid[0:8]  # from data alone the parasitic part of a small gamma would leave the range
    return solve(solver, model, small, encode(solver, model, small, x).state).z


@pytest.mark.parametrize("name", UNITS)
def test_units_are_those_of_the_whole_grid_on_its_parts(name):
    solver, z, grid = UNITS[name], noise(), grids.uniform(VP, 30)
    whole, depth = solve(solver, model, grid, z), len(solver.registers) - 1 if "z_prev" in solver.registers else 0
    middle = solve(solver, model, grid[12:30], z)
    end = solve(solver, model, grid[0 : 12 + depth], middle.state)
    assert all(same(end.state.registers[r], whole.state.registers[r]) for r in solver.registers)
    assert same(invert(solver, model, grid, end.state).z, z)
    part = grid[3:17]
    assert same(there_and_back(solver, part, z)[1].z, z)


@pytest.mark.parametrize("name", UNITS)
def test_the_bound_with_units_is_that_in_z_but_for_a_bit_a_register(name):
    """The units make log2(1/|det|) telescope, and each lies in (1/2, 1]; amplification has the determinants in z."""
    solver, grid = UNITS[name], grids.uniform(VP, 40)
    size, bound = bits_per_element(solve(solver, model, grid, noise()).state.remainder)
    matrices = amplification(solver, grid, "sample", J=0).matrices
    assert abs(bound + np.log2(np.abs(np.linalg.det(matrices))).sum()) < len(solver.registers)
    # What a buffer that starts empty gives and takes back is the constant: EDICT first expands by (alpha_0/alpha_N)^2.
    assert bound <= size < bound + 24


@pytest.mark.parametrize("name", UNITS)
def test_the_distance_to_the_float_run_with_units(name):
    """As without them: at most twice 20 steps of 100 units, and as much again for units down to 1/2 on the way."""
    grid, f, solver, found = grids.uniform(VP, 20), LAW.model(VP), UNITS[name], []
    for bits in (16, 24, 32, 40):
        z = noise(shape=(64, 2), bits=bits)
        plain = solve(solver, f, grid, z.to_float())
        found.append(float(np.max(np.abs(solve(solver, f, grid, z).z - plain.z))) * 2.0**bits)
    assert min(found) > 0.4 and max(found) < 4000


def test_the_buffer_is_saved_with_the_state(tmp_path):
    solver, z, grid = BDIA(F(1, 2)), noise(np.float32), grids.uniform(VP, 60)
    state = solve(solver, model, grid, z).state
    state.save(tmp_path / "state.npz")
    loaded = State.load(tmp_path / "state.npz")
    assert set(loaded.remainder) == {"head", "fill", "levels", "words"}
    assert all(np.array_equal(loaded.remainder[k], state.remainder[k]) for k in state.remainder)
    assert same(invert(solver, model, grid, loaded).z, z)
    lost = invert(solver, model, grid, replace(loaded, remainder={}))
    assert lost.z.differing_bits(z) > z.size


def test_states_on_parts_of_the_grid():
    solver, z, grid = BDIA(F(9, 10)), noise(), grids.uniform(VP, 30)
    middle = solve(solver, model, grid[12:30], z)
    end = solve(solver, model, grid[0:13], middle.state)
    assert same(end.z, solve(solver, model, grid, z).z)
    assert same(invert(solver, model, grid, end.state).z, z)


@pytest.mark.parametrize("name", CASES)
def test_data_to_noise_and_back(name):
    solver, _ = CASES[name]
    # The inverse of gamma = 1/2 doubles the parasitic part every step: 25 steps from data alone would leave the range.
    x, grid = noise(), grids.uniform(VP, 10)
    latent = encode(solver, model, grid, x)
    assert latent.status.ok
    assert same(solve(solver, model, grid, latent.state).z, x)
    trip = round_trip(solver, model, grid, x, "data", latent.z.to_float())
    assert trip.error == 0.0 and trip.latent < 1e-9


# --- accuracy and range -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_the_distance_to_the_float_run_is_a_multiple_of_the_unit(name):
    """The contractions' errors, each below max(p, q) units, amplified as the float run amplifies its rounding.

    20 steps of at most 100 units each would make 2000 without any amplification or cancellation; twice that is allowed.
    """
    solver, _ = CASES[name]
    grid, f = grids.uniform(VP, 20), LAW.model(VP)
    found = []
    for bits in (16, 24, 32, 40):
        z = noise(shape=(64, 2), bits=bits)
        plain = solve(solver, f, grid, z.to_float())
        found.append(float(np.max(np.abs(solve(solver, f, grid, z).z - plain.z))) * 2.0**bits)
    assert min(found) > 0.4 and max(found) < 4000
    assert max(found) < 30 * min(found)


def test_a_register_that_begins_with_an_evaluation_begins_with_that_of_the_float_run():
    z, grid = noise(bits=40), grids.uniform(VP, 5)
    there, plain = (solve(ALF(), lambda z, t: 0.5 * z, grid, start).z for start in (z, z.to_float()))
    assert np.abs(there.to_float() - plain).max() < 1e-6


def test_overflow_is_a_status_and_no_wrap():
    z, grid = noise(bits=48), grids.uniform(VP, 5)
    for f, solver in (
        (lambda z, t: 0 * z + 1e4, BDIA(1)),
        (lambda z, t: z * np.nan, EDICT()),
        (lambda z, t: 1e300 + z, CBDIA()),
    ):
        there = solve(solver, f, grid, z)
        assert not there.status.ok
        assert there.status.register in solver.registers
        assert np.all(np.isnan(there.z.to_float()))
    first = iter([1e30])  # what overflows is not mixed back into the range in the same slot
    there = solve(EDICT(F(1, 16)), lambda z, t: 0 * z + next(first, 0.0), grid, z)
    assert not there.status.ok and np.all(np.isnan(there.z.to_float()))
    grown = solve(BDIA(F(1, 2)), lambda z, t: 0 * z, grid, z)
    assert grown.status.ok
    with pytest.raises(ValueError, match="bits=59 reaches"):
        Lattice.from_float(np.full(3, 2.0), bits=59)
    with pytest.raises(ValueError, match="finite"):
        Lattice.from_float(np.array([np.nan]))
    with pytest.raises(TypeError, match="float16"):
        Lattice.from_float(np.ones(2, np.float16))
    with pytest.raises(ValueError, match="bits=60: pass an int from 0 to 59"):
        Lattice.from_float(np.zeros(2), bits=60)
    for value in (kernel.LIMIT, -kernel.LIMIT, np.nan):
        assert kernel.rounded(np.array([float(value)]), np.empty(1, np.int64)) == kernel.FAILED
    assert kernel.rounded(np.array([2.5, -(2.0**59)]), np.empty(2, np.int64)) == 2**59


def test_the_inverse_detects_overflow_too():
    z = Lattice.from_float(np.full(4, 3.0), bits=57)
    head = np.zeros(4, dtype=np.int64)
    out = np.empty(4, dtype=np.int64)
    bound = kernel.largest(z.integers)
    for own in ((1, 2), (1, 65536), (3, 65536)):
        found = kernel.assign(z.integers, out, own, [], [], head.copy(), bound=bound, undo=True)
        exact = 3 * 2**57 * own[1] // own[0]
        assert (found == kernel.FAILED) == (exact >= 2**60)


def test_what_an_increment_brings_back_into_the_range_is_no_overflow():
    """2 x is 2^61 - 2^17, one multiple of p below what the kernel cannot hold, and the increment is negative."""
    old, out, head = np.array([2**60 - 2**16]), np.empty(1, dtype=np.int64), np.zeros(1, dtype=np.int64)
    increment = [np.array([2.0**8 - 2.0**60])]
    found = kernel.assign(old, out, (2**16, 2**15), [1.0], increment, head, bound=int(old[0]), undo=False)
    assert out[0] == 2 * (2**60 - 2**16) + 2**8 - 2**60 <= found < kernel.LIMIT


def test_coefficients_that_lose_bits_are_refused():
    z, grid = noise(), grids.uniform(VP, 5)
    with pytest.raises(NotOnLatticeError, match=r"slot from i=4 to 3\) is 0, so that its bits are lost"):
        solve(BDIA(0), model, grid, z)
    with pytest.raises(NotOnLatticeError, match="beyond 2\\^16"):
        solve(BDIA(1e-6), model, grid, z)
    with pytest.raises(NotInvertibleError):
        bit_exact_round_trip(SOLVERS["DDIM"](), model, grid, z)


def test_large_arrays_take_the_same_steps_as_small_ones():
    size = 4 * kernel.BLOCK + 5
    z = Lattice.from_float(np.random.default_rng(3).standard_normal(size).astype(np.float32))
    part = Lattice(z.integers[-100:].copy(), z.bits, z.dtype)
    grid = grids.uniform(VP, 6)
    for solver in (BDIA(F(9, 10)), EDICT()):
        there, back = there_and_back(solver, grid, z, lambda z, t: z * np.float32(t))
        few = solve(solver, lambda z, t: z * np.float32(t), grid, part)
        assert np.array_equal(there.z.integers[-100:], few.z.integers)
        assert same(back.z, z)


def test_a_failing_model_leaves_a_state_to_go_on_from():
    for name, (solver, _) in CASES.items():
        z, grid, calls = noise(), grids.uniform(VP, 10), []

        def failing(z: Any, t: Any, calls: list[Any] = calls) -> Any:
            calls.append(t)
            if len(calls) == 8:
                raise RuntimeError("no")
            return model(z, t)

        with pytest.raises(RuntimeError) as caught:
            solve(solver, failing, grid, z)
        partial = caught.value.partial
        rest = solve(solver, model, grid[0 : max(partial.times.values())], partial)
        assert same(rest.z, solve(solver, model, grid, z).z), name


def test_models_that_return_their_input_or_one_buffer():
    buffer, z, grid = np.empty((16, 8)), noise(), grids.uniform(VP, 10)
    for f in (lambda z, t: z, lambda z, t: np.sin(z + t, out=buffer), lambda z, t: z.T.copy().T):
        for solver, _ in CASES.values():
            assert same(there_and_back(solver, grid, z, f)[1].z, z)


# --- lifting ----------------------------------------------------------------------------------------------------------


def test_lifting_computes_the_matrix():
    rng = np.random.default_rng(5)
    for _ in range(300):
        n = int(rng.integers(2, 5))
        matrix = [
            [F(int(a), int(b)) for a, b in zip(rng.integers(-4, 5, n), rng.integers(1, 4, n), strict=True)]
            for _ in range(n)
        ]
        olds, targets = list(range(n)), list(range(10, 10 + n))
        if rng.random() < 0.5:  # one row hands a value on
            matrix[0] = [F(int(k == n - 1)) for k in range(n)]
            targets[0] = n - 1
        counter = iter(range(100, 200))
        values = {k: [F(int(j == k)) for j in range(n)] for k in olds}
        made = list(lifted(targets, olds, matrix, lambda old, counter=counter: next(counter)))
        for target, old, own, others in made:
            row = [own * v for v in values.pop(old)]  # the old value is gone from here on
            for c, other in others:
                row = [a + c * b for a, b in zip(row, values[other], strict=True)]
            values[target] = row
        assert [values[t] for t in targets] == matrix


# --- models that are not deterministic, and mutants -------------------------------------------------------------------


def test_a_model_that_is_not_deterministic_is_found_out():
    rng, grid = np.random.default_rng(9), grids.uniform(VP, 30)
    z = noise()
    found = bit_exact_round_trip(BDIA(F(9, 10)), model, grid, z)
    assert (found.differing_bits, found.unsteady, found.nfe) == (0, "", 59)
    assert 0 < found.distance < 1e-7
    found = bit_exact_round_trip(BDIA(F(9, 10)), lambda z, t: model(z, t) * (1 + 1e-12 * rng.random()), grid, z)
    assert found.differing_bits > 0
    assert "two outputs" in found.unsteady
    for f, steady in ((model, True), (lambda z, t: model(z, t) * (1 + 1e-12 * rng.random()), False)):
        trip = round_trip(BDIA(F(9, 10)), f, grid, z, reference=z.to_float())
        assert (trip.error == 0) == steady and ("two outputs" in trip.unsteady) != steady


def test_a_run_that_leaves_the_range_compares_no_bits():
    """Kills: 0 differing bits and an empty buffer, the outcome of a perfect run."""
    found = bit_exact_round_trip(BDIA(F(9, 10)), lambda z, t: 1e12 * model(z, t), grids.uniform(VP, 30), noise())
    assert not found.status.ok and found.differing_bits is None
    assert np.isnan([found.buffer_bits, found.bound_bits, found.distance]).all()


def broken_contraction(x, out, p, q, head, quotient, number, bound):
    np.copyto(out, x if head is None else x * p // q)
    return bound * 2


def fifo(self, p, q):
    before, self.fill = self.fill, self.fill + round(math.log2(q) * 2**32) - round(math.log2(p) * 2**32)
    for _ in range(self.fill >> 36, before >> 36):
        self.head <<= 16
        if self.words:
            self.head |= self.words.pop(min(self.words))


UNDONE = Assign.undone
MUTANTS = {
    "floor instead of the exact split": (kernel, "_contract", broken_contraction),
    "words popped in the wrong order": (Remainder, "closed", fifo),
    "increment at the version that it made": (
        Assign, "undone", lambda self: replace(UNDONE(self), others=(self.target,) * len(self.others)),
    ),
    "increment added on the way back": (
        Assign, "undone", lambda self: replace(UNDONE(self), coefficients=tuple(-c for c in self.coefficients)),
    ),
    "contraction not undone": (
        Assign, "undone", lambda self: replace(UNDONE(self), own=1 / self.own),
    ),
    "rounded towards zero": (kernel, "_combine", None),
}  # fmt: skip


@pytest.mark.parametrize("name", MUTANTS)
def test_mutants_lose_bits(name, monkeypatch):
    where, what, mutant = MUTANTS[name]
    if mutant is None:
        # An increment that depends on more than its arguments, such as the way in which a sum was cut into blocks.
        real, count = kernel._combine, []

        def mutant(coefficients, values, k, total, product):
            real(coefficients, values, k, total, product)
            count.append(1)
            total += len(count) % 2

    monkeypatch.setattr(where, what, mutant)
    solver, z, grid = BDIA(F(1, 2)), noise(), grids.uniform(VP, 100)
    there = solve(solver, model, grid, z)
    back = invert(solver, model, grid, there.state)
    assert not back.status.ok or back.z.differing_bits(z) > 0


@pytest.mark.parametrize(
    "options",
    [
        ("BDIA:gamma=9/10", "--steps", "200"),
        ("edict", "--dtype", "float32"),
        ("cbdia:gamma1=0,gamma2=1", "--steps", "50"),
        ("bdia3:gamma1=9/10,gamma3=3/4", "--steps", "20"),
        ("mccallumfoster:coupling=19/20", "--steps", "20"),
    ],
)
def test_the_command(options):
    run = CliRunner().invoke(app, ["roundtrip", "--exact", "--json", "--solver", *options])
    assert run.exit_code == 0, run.output
    found = json.loads(run.stdout)
    assert found["differing_bits"] == 0
    assert found["status"] == "ok"
    assert found["buffer_bits"] <= 1.01 * found["bound_bits"] + 8
    text = CliRunner().invoke(app, ["roundtrip", "--exact", "--solver", *options]).stdout
    assert "0 differing bits" in text and f"bound {found['bound_bits']:.2f}" in text


def test_the_command_in_floats_is_two_sided():
    run = CliRunner().invoke(app, ["roundtrip", "--solver", "bdia:gamma=1", "--steps", "20", "--json"])
    found = json.loads(run.stdout)
    assert 0 < found["error"] < 1e-12 < found["latent"] < 1
    assert found["reference_error"] < 1e-6


def test_the_command_says_that_a_return_is_useless():
    run = CliRunner().invoke(app, ["roundtrip", "--solver", "bdia:gamma=0.0001", "--steps", "20"])
    assert run.exit_code == 1
    assert re.search(
        r"float64: what comes back is useless, its error is \d\.\de\+\d\d times the size of what was sent", run.stdout
    )
    assert "predicted: the inverse amplifies a disturbance" in run.stdout
    assert "a gamma or p nearer to 1" in run.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--solver", "none"), "is unknown: use one of DDIM"),
        (("--solver", "bdia:p=1/2"), "p is not a parameter of BDIA, which takes gamma"),
        (("--solver", "bdia:gamma=x"), "gamma='x' is not a real number"),
        (("--solver", "bdia:gamma=1/x"), "gamma=1/x is not a number"),
        (("--solver", "bdia:gamma=3/2"), r"lies outside \[0, 1\]"),
        (("--exact", "--solver", "bdia:gamma=0"), "lost.*pass parameters for which it is not 0"),
        (("--exact", "--solver", "ddim"), "not exactly invertible"),
        (("--dtype", "float16"), "dtype=.float16. is unknown"),
        (("--exact", "--bits", "70"), "bits=70"),
        (("--steps", "0"), "n=0"),
    ],
)
def test_the_command_refuses_in_one_line(options, message):
    run = CliRunner().invoke(app, ["roundtrip", *options])
    assert run.exit_code == 2
    assert len(run.stderr.strip().splitlines()) == 1
    assert re.search(message, run.stderr), run.stderr
