"""Hostile input ends in a result, or in one short line that names what is wrong."""

import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bdia_numerics import BDIA, analysis, configs, grids, problems, schedules
from bdia_numerics.texts import shown

ROOT = Path(__file__).resolve().parents[1]
VP = schedules.vp_linear()
GRID = grids.uniform(VP, 6, t_max=1, t_min=0.01)
LAW = problems.Gaussian([0.0], 1.0)
Z = np.zeros((2, 1))
MASKED = np.ma.masked_array([1.0, 2.0], [True, False])


def fuzz(*words):
    script = [sys.executable, str(ROOT / "scripts" / "fuzz.py"), *words]
    return subprocess.run(script, check=False, capture_output=True, text=True, encoding="utf-8")


@pytest.mark.parametrize("value", [0.5, None, [], "x" * 5000, object(), MASKED, np.ones((9, 9))])
@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda x: analysis.best_gamma(LAW, x), "grid"),
        (lambda x: analysis.amplification(BDIA(), x), "grid"),
        (lambda x: analysis.global_error(BDIA(), LAW, x), "grid"),
        (lambda x: analysis.global_error(BDIA(), x, GRID), "problem"),
        (lambda x: grids.uniform(x, 5), "schedule"),
        (lambda x: LAW.flow(Z, 1.0, 0.5, x), "schedule"),
        (analysis.zero_stability, "solver"),
    ],
    ids=("best_gamma", "amplification", "global_error", "global_error of", "uniform", "flow", "zero_stability"),
)  # fmt: skip
def test_an_argument_of_another_kind_is_named(call, name, value):
    with pytest.raises(TypeError) as caught:
        call(value)
    message = str(caught.value)
    assert message.startswith(f"{name}=") and ": " in message
    assert "\n" not in message and len(message) < 300


def test_a_problem_of_ones_own_needs_what_is_used_and_no_more():
    class Own:
        def model(self, schedule):
            return LAW.model(schedule)

        def flow(self, z, t_from, t_to, schedule):
            return LAW.flow(z, t_from, t_to, schedule)

    given = np.ones((3, 1))
    found = analysis.global_error(BDIA(), Own(), GRID, states=given)
    assert np.array_equal(found.rms, analysis.global_error(BDIA(), LAW, GRID, states=given).rms)
    with pytest.raises(TypeError, match=r"^problem=.* is not a distribution: .* sample"):
        analysis.global_error(BDIA(), Own(), GRID, states=3)


def test_values_in_messages_are_short_and_on_one_line():
    class Broken:
        def __repr__(self):
            raise RuntimeError

    deep = []
    for _ in range(5000):
        deep = [deep]
    for value in (Broken(), deep, MASKED, np.zeros((50, 50)), "x" * 5000, 10**5000, {"a": deep}):
        assert 0 < len(shown(value)) <= 80 and "\n" not in shown(value)
    with pytest.raises(ValueError, match=r"^beta_max=.* is not a finite number") as caught:
        schedules.vp_linear(0.1, MASKED)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["_class_name", "beta_start", "timestep_spacing", "trained_betas"])
def test_a_deep_or_long_entry_of_a_configuration_is_named(key):
    deep = []
    for _ in range(3000):
        deep = [deep]
    for value in (deep, "x" * 5000):
        with pytest.raises(ValueError, match=rf"{key}=|the walk of x{{80}} is not read") as caught:
            configs.layout(configs.from_mapping({"_class_name": "DDIMScheduler", key: value}), 5)
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 1000


def test_a_power_of_ten_without_end_is_refused_at_once():
    with pytest.raises(ValueError, match="number=1e99999999 is too long"):
        LAW.flow(Z, 1.0, "1e99999999", VP)


@pytest.mark.parametrize("n", [10**12, 2**63, 10**400, 10**5000], ids=int.bit_length)
def test_slots_that_no_machine_has_memory_for_are_refused_at_once(n):
    with pytest.raises(ValueError, match=r"^n=.* is too large: a grid has at most 1000000 slots$"):
        grids.uniform(VP, n)


@pytest.mark.filterwarnings("ignore")
def test_a_few_inputs_of_the_script_end_in_a_result_or_one_line(tmp_path):
    """In this process, without journals, whose runs take long; `scripts/fuzz.py` says what an input that fails here is."""
    script = runpy.run_path(str(ROOT / "scripts" / "fuzz.py"))
    ended = {}
    for k, (kind, make) in enumerate(script["inputs"](17, 120)):
        if kind != "journal":
            (tmp_path / str(k)).mkdir()
            ended[k, kind] = script["judged"](make(tmp_path / str(k)), shown=False)
    assert {kind for _, kind in ended} == {"configuration", "state", "TOML", "call"}
    assert {k: said for k, said in ended.items() if said not in ("result", "one line")} == {}
    assert {"result", "one line"} == set(ended.values())


@pytest.mark.slow
@pytest.mark.posix
def test_a_short_run_of_the_script_finds_no_fault():
    done = fuzz("--seed", "0", "--inputs", "240", "--commands", "10")
    assert done.returncode == 0, done.stdout
    assert "250 tried, 0 faults" in done.stdout
