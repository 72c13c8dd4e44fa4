"""States: copies that cannot be written to, files that keep every digit, and refusals of what does not fit."""

import json
import random
import re
from dataclasses import replace
from fractions import Fraction

import mpmath
import numpy as np
import pytest

from bdia_numerics import BDIA, DDIM, State, encode, grids, invert, models, schedules, solve, spaces
from bdia_numerics.runs.state import identity

N = 4
GRID = grids.uniform(schedules.flow(), N, t_min=Fraction(1, 10), t_max=Fraction(4, 5), space=spaces.FRACTION)


def model(z, t):
    return z * t / 3


def floats(gamma=1, z=(0.25, -1.5)):
    return solve(BDIA(gamma), model, GRID.to(np.float64), np.array(z))


def test_a_state_is_a_read_only_copy():
    z = np.ones(2)
    state = State("x", "y", {"z": z}, {"z": 0})
    z[0] = 5
    assert state.registers["z"][0] == 1
    with pytest.raises(ValueError, match="read-only"):
        state.registers["z"][0] = 2
    with pytest.raises(TypeError):
        state.registers["z"] = z
    with pytest.raises(TypeError):
        state.times["z"] = 3
    with pytest.raises(AttributeError):
        state.solver = "other"


def test_what_a_state_says():
    state = floats().state
    assert dict(state.times) == {"z_prev": 1, "z": 0}
    assert set(state.registers) == {"z_prev", "z"}
    assert state.solver.startswith("BDIA(gamma=1")
    assert dict(state.remainder) == {}
    other = solve(BDIA(0.5), model, GRID.to(np.float64), np.array([0.25, -1.5])).state
    assert other.solver != state.solver and other.grid == state.grid


def test_a_solution_does_not_share_memory_with_its_state():
    solution = floats()
    kept = solution.state.registers["z"].copy()
    solution.z[...] = 7
    assert np.array_equal(solution.state.registers["z"], kept)


@pytest.mark.parametrize("dps", [15, 30, 60])
def test_every_digit_of_an_mpf_is_kept_whatever_the_precision_outside(tmp_path, dps):
    grid = GRID.to(spaces.MPMath(dps))
    with mpmath.workdps(dps):
        z = np.array([mpmath.mpf(1) / 3, -(mpmath.mpf(10) ** 40) / 7, mpmath.mpf(10) ** -40 / 7, mpmath.mpf(0)])
    state = solve(BDIA(), model, grid, z).state
    state.save(tmp_path / "s.npz")
    with mpmath.workdps(5):
        loaded = State.load(tmp_path / "s.npz")
    for name, value in state.registers.items():
        assert [x._mpf_ for x in loaded.registers[name]] == [x._mpf_ for x in value]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble])
def test_every_bit_of_a_float_is_kept(tmp_path, dtype):
    z = (np.arange(1, 7).reshape(2, 3) / dtype(7)).astype(dtype)
    State("a", "b", {"z": z, "s": z[0, 0]}, {"z": 3, "s": 2}).save(tmp_path / "s")
    loaded = State.load(tmp_path / "s")
    assert np.array_equal(loaded.registers["z"], z) and loaded.registers["z"].dtype == dtype
    assert loaded.registers["s"] == z[0, 0] and isinstance(loaded.registers["s"], dtype)
    assert dict(loaded.times) == {"z": 3, "s": 2}


def test_fractions_and_scalars_are_kept(tmp_path):
    value = Fraction(-(3**200), 7**150)
    State("a", "b", {"z": np.array([[value]]), "s": value}, {"z": 0, "s": 0}).save(str(tmp_path / "s.npz"))
    loaded = State.load(str(tmp_path / "s.npz"))
    assert loaded.registers["z"].shape == (1, 1) and loaded.registers["z"][0, 0] == value
    assert loaded.registers["s"] == value and isinstance(loaded.registers["s"], Fraction)


def test_a_file_holds_no_pickles(tmp_path):
    floats().state.save(tmp_path / "s.npz")
    with np.load(tmp_path / "s.npz", allow_pickle=False) as data:
        assert all(data[name].dtype != object for name in data)


@pytest.mark.parametrize("content", ["text", "npy", "npz", "empty"])
def test_a_file_of_something_else(tmp_path, content):
    path = tmp_path / "other.npz"
    match content:
        case "text":
            path.write_text("no state\n", encoding="utf-8")
        case "npy":
            with path.open("wb") as file:
                np.save(file, np.ones(2))
        case "npz":
            np.savez(path, a=np.ones(2))
        case "empty":
            path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"path=.*other.npz' holds no State: pass a file written by State.save"):
        State.load(path)
    with pytest.raises(FileNotFoundError):
        State.load(tmp_path / "none.npz")


def line(caught):
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_a_state_of_another_solver_parameter_grid_or_end_is_refused():
    grid, state = GRID.to(np.float64), floats().state
    other = grids.uniform(schedules.flow(), N, t_min=0.1, t_max=0.7)
    for solver, where, message in (
        (BDIA(0.5), grid, "state is of solver BDIA"),
        (DDIM(), grid, None),
        (BDIA(), other, "another grid: pass the grid of the run that made it"),
        (BDIA(), grid[1:N], "pass the state of that end"),
    ):
        with pytest.raises(ValueError, match=message) as caught:
            invert(solver, model, where, state)
        line(caught)
    with pytest.raises(
        ValueError, match=r"stands at indices .* and this run begins at .*: pass the state of that end"
    ) as caught:
        solve(BDIA(), model, grid, state)
    line(caught)
    noise_end = invert(BDIA(), model, grid, state).state
    assert np.allclose(solve(BDIA(), model, grid, noise_end).z, floats().z, rtol=1e-12)
    with pytest.raises(
        TypeError,
        match=r"^state=.* is not a State: pass the \.state of a Solution, .*; to start from data alone, use encode",
    ):
        invert(BDIA(), model, grid, state.registers["z"])


def test_a_state_of_a_model_that_predicts_something_else_is_refused(tmp_path):
    """Of eps and of v the registers are alike, and a run of one from a State of the other is silently another run."""
    grid, z = GRID.to(np.float64), np.array([0.25, -1.5])
    found = solve(BDIA(), models.v(model), grid, z)
    assert found.state.prediction == "v" and floats().state.prediction == "eps"
    line = re.escape("state is of a run whose model predicts v, and this one's predicts eps: pass the same model")
    with pytest.raises(ValueError, match=line):
        invert(BDIA(), model, grid, found.state)
    back = invert(BDIA(), models.v(model), grid, found.state)
    with pytest.raises(ValueError, match=line):
        solve(BDIA(), model, grid, back.state)
    for solver in (BDIA(), DDIM()):  # by the derived inverse, and by another
        with pytest.raises(ValueError, match=line):
            solve(solver, model, grid, encode(solver, models.v(model), grid, z).state)
    found.state.save(tmp_path / "v.npz")
    assert State.load(tmp_path / "v.npz") == found.state
    unknown = replace(found.state, prediction="")  # as in files of before
    unknown.save(tmp_path / "unknown.npz")
    assert State.load(tmp_path / "unknown.npz").prediction == ""
    assert invert(BDIA(), models.v(model), grid, unknown).state == back.state


def test_functions_of_the_slot_are_named_by_their_name():
    def ramp(slot):
        return 1 / slot.i

    def flat(slot):
        return 1

    grid = GRID.to(np.float64)
    state = solve(BDIA(ramp), model, grid, np.ones(2)).state
    assert "ramp" in state.solver and " at 0x" not in state.solver
    with pytest.raises(ValueError, match="state is of solver"):
        invert(BDIA(flat), model, grid, state)


def test_a_state_knows_a_function_by_its_values_on_the_whole_grid():
    grid = GRID.to(np.float64)

    def constant(c):
        return lambda slot: c

    def rising(slot):
        if slot.i == N:
            raise ArithmeticError("asked at the end")
        return slot.t

    state = solve(BDIA(constant(0.5)), model, grid, np.ones(2)).state
    # Another function of the same name, and the same function made again.
    with pytest.raises(ValueError, match="state is of solver") as caught:
        invert(BDIA(constant(0.25)), model, grid, state)
    line(caught)
    assert np.allclose(invert(BDIA(constant(0.5)), model, grid, state).z, 1, rtol=1e-12)
    # Parts of one grid agree, also where the function fails on a slot that the steps do not ask for.
    for gamma in (constant(0.5), rising):
        middle = solve(BDIA(gamma), model, grid[2:N], np.ones(2)).state
        end = solve(BDIA(gamma), model, grid[0:3], middle).state
        assert end.solver == middle.solver
        assert np.allclose(invert(BDIA(gamma), model, grid[0:3], end).z, middle.registers["z_prev"], rtol=1e-12)
    encoded = encode(BDIA(rising), model, grid, np.ones(2))
    assert np.allclose(solve(BDIA(rising), model, grid, encoded.state).z, 1, rtol=1e-12)


def test_what_an_identity_reads():
    class Sloped:
        __slots__ = ("__hidden", "c", "unset")

        def __init__(self, c):
            self.c, self.__hidden = c, c

    class Kept(BDIA):
        """A dataclass with an attribute that is not a field."""

    kept, other = Kept(), Kept()
    object.__setattr__(kept, "table", np.zeros(2000))
    object.__setattr__(other, "table", np.eye(2000)[1000])
    sloped = "test_what_an_identity_reads.<locals>.Sloped"
    assert identity(Sloped(3)).endswith(f"{sloped}(_Sloped__hidden=3, c=3)")
    assert identity(kept) != identity(other) and identity(kept) == identity(kept)
    nested = Kept()
    object.__setattr__(nested, "itself", nested)
    object.__setattr__(nested, "parts", ((lambda slot: 1), {"a": Sloped(1)}))
    assert "itself=..." in identity(nested) and " at 0x" not in identity(nested)


@pytest.mark.parametrize(
    "meta", ["{}", "[1]", "7", "no json", '{"solver": "BDIA()", "grid": "", "times": {}, "systems": {"z": "numpy"}}']
)
def test_a_foreign_file_that_has_a_meta(tmp_path, meta):
    path = tmp_path / "other.npz"
    for value in (np.asarray(meta), np.arange(3), np.array([None])):
        np.savez(path, meta=value, a=np.ones(2))
        with pytest.raises(ValueError, match=r"other.npz' holds no State: pass a file written by State.save") as caught:
            State.load(path)
        line(caught)


# Files that are damaged, of another time, or that a full disk cuts off


def damaged(content, rng):
    """Return bytes with one damage: a bit, an end that is missing, another byte, or a run of other bytes of another length."""
    new, place = bytearray(content), rng.randrange(len(content))
    match rng.randrange(4):
        case 0:
            new[place] ^= 1 << rng.randrange(8)
        case 1:
            del new[place:]
        case 2:
            new[place] = rng.randrange(256)
        case 3:
            new[place : place + rng.randrange(1, 40)] = rng.randbytes(rng.randrange(1, 40))
    return bytes(new)


@pytest.mark.parametrize("kind", ["floats", "lattice", "fractions", "mpmath"])
def test_a_damaged_file_is_a_value_error_or_the_same_state(tmp_path, kind):
    path, rng = tmp_path / "s.npz", random.Random(f"damage {kind}")
    thirds = {
        "floats": np.arange(6.0).reshape(2, 3) / 7,
        "lattice": spaces.Lattice(np.arange(6), 40, np.dtype(float), Fraction(1, 3)),
        "fractions": np.array([Fraction(1, 3), Fraction(-(7**40), 11)]),
        "mpmath": np.array([mpmath.mpf(1) / 3, mpmath.mpf(10) ** 40]),
    }
    state = State(
        "BDIA(gamma=1)", "grid", {"z": thirds[kind]}, {"z": 3}, {"z": np.array([3, 4], dtype=np.uint64)}, "eps"
    )
    state.save(path)
    content, refused = path.read_bytes(), 0
    assert State.load(path) == state
    for _ in range(300):
        path.write_bytes(damaged(content, rng))
        try:
            assert State.load(path) == state
        except ValueError:
            refused += 1
    assert 150 < refused < 300, (
        "most damage is noticed, and that of unused bytes, such as a time stamp, changes nothing"
    )


def rewritten(path, change):
    """Save a file anew with other arrays, each with its right checksum."""
    with np.load(path) as data:
        arrays = dict(data)
    meta = json.loads(str(arrays["meta"]))
    change(meta, arrays)
    np.savez(path, **(arrays | {"meta": np.asarray(json.dumps(meta))}))


def test_a_file_of_before_is_read_and_one_of_later_is_named(tmp_path):
    path, state = tmp_path / "s.npz", floats().state
    state.save(path)
    rewritten(path, lambda meta, arrays: [meta.pop(name) for name in ("format", "arrays", "prediction")])
    assert State.load(path) == replace(state, prediction="")
    rewritten(path, lambda meta, arrays: meta.update(format=3))
    with pytest.raises(
        ValueError, match="is a State of format 3, and this version reads up to 2: update bdia_numerics"
    ):
        State.load(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda meta, arrays: arrays.pop("register:z"),
        lambda meta, arrays: arrays.update({"remainder:z": np.ones(1)}),
        lambda meta, arrays: meta["times"].update(z="0"),
        lambda meta, arrays: meta["times"].pop("z"),
        lambda meta, arrays: meta.update(solver=3),
        lambda meta, arrays: meta["systems"].update(z="fraction"),
        lambda meta, arrays: (
            meta["systems"].update(z="fraction"),
            arrays.update({"register:z": np.array(["1e99999999"])}),
        ),
        lambda meta, arrays: (
            meta["systems"].update(z="mpmath:99999999999"),
            arrays.update({"register:z": np.array(["1"])}),
        ),
        lambda meta, arrays: meta["systems"].update(z="lattice:40:<f8:1e99999999"),
    ],
)
def test_a_file_that_says_what_cannot_be_is_refused_at_once(tmp_path, change):
    path = tmp_path / "s.npz"
    floats().state.save(path)
    rewritten(path, change)
    with pytest.raises(ValueError, match="holds no State"):
        State.load(path)


def test_a_few_bytes_that_unpack_to_many_are_refused(tmp_path):
    path = tmp_path / "s.npz"
    np.savez_compressed(path, meta=np.asarray("{}"), a=np.zeros(10**6))
    with pytest.raises(ValueError, match="holds no State"):
        State.load(path)


@pytest.mark.posix
def test_a_full_disk_leaves_the_state_that_was_there(tmp_path, full_disk):
    path, kept = tmp_path / "s.npz", floats().state
    kept.save(path)
    large = State("a", "b", {"z": np.ones(10_000)}, {"z": 0})
    with full_disk(8192), pytest.raises(OSError, match="File too large"):
        large.save(path)
    assert State.load(path) == kept and list(tmp_path.iterdir()) == [path]
    large.save(path)
    assert State.load(path) == large
