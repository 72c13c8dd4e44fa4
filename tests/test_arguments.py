"""One order of arguments, and one meaning of each name, in all public functions; other orders and former names are refused in words."""

import ast
import importlib
import inspect
from dataclasses import fields, is_dataclass
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest

from bdia_numerics import BDIA, analysis, problems, round_trip, schedules, testing
from bdia_numerics.analysis import GridFamily

ROOMS = (
    "", "analysis", "configs", "grids", "models", "problems", "program", "schedules", "spaces", "studies", "testing", "torch",
    "torch.gradients", "runs.encoding", "runs.fitting", "runs.inversion",
)  # fmt: skip
INSIDE = "bdia_numerics.program"  # what runs are made of, not what users call: in order, and not checked at each call
ROWS = (
    {"solver", "solvers", "a", "b", "starter"},
    {"model", "cond", "uncond", "score", "D", "problem", "problems"},
    {"grid", "grids", "family", "schedule"},
    {"z", "x_0", "state", "states"},
)
ROW = {name: row for row, names in enumerate(ROWS) for name in names}
FORMER = {"within", "wanted_error", "margin", "trip"}
"""Names that mean what tolerance and end mean."""

VP = schedules.vp_linear()
LAW = problems.Gaussian([0.0], 1.0)
GRID = GridFamily()(12)
Z = np.zeros((2, 1))


def model(z, t):
    return z


VALUES = {
    "solver": BDIA(), "solvers": [BDIA()], "a": BDIA(), "b": BDIA(), "model": model, "cond": model, "uncond": model, "score": model,
    "D": model, "problem": LAW, "problems": {"p": LAW}, "grid": GRID, "grids": {"g": GridFamily()}, "family": GridFamily(),
    "schedule": VP, "z": Z, "x_0": Z, "state": Z,
}  # fmt: skip


def exported():
    found = {}
    for room in ROOMS:
        module = importlib.import_module(f"bdia_numerics.{room}".rstrip("."))
        own = [n for n, v in vars(module).items() if getattr(v, "__module__", "") == module.__name__ and n[0] != "_"]
        for name in getattr(module, "__all__", own):
            value = getattr(module, name)
            if inspect.isfunction(value) or is_dataclass(value):
                found.setdefault(value, f"{room}.{name}".lstrip("."))
    return found


EXPORTED = exported()
FUNCTIONS = {name: value for value, name in EXPORTED.items() if inspect.isfunction(value)}


def positional(function):
    return [p for p in inspect.signature(function).parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]


def ranked(function):
    return [p.name for p in positional(function) if p.name in ROW]


SEVERAL = [
    name
    for name, f in FUNCTIONS.items()
    if len({ROW[p] for p in ranked(f)}) > 1 and not f.__module__.startswith(INSIDE)
]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_arguments_stand_in_one_order(name):
    """A solver, a model or a problem, a grid or a schedule, and states; after them what is none of these."""
    rows = [ROW[p] for p in ranked(FUNCTIONS[name])]
    assert rows == sorted(rows)
    others = [p.name not in ROW for p in positional(FUNCTIONS[name])]
    if len(rows) > 1:
        assert all(a <= b for a, b in pairwise(others))


def test_names_have_one_meaning():
    ends, budgets = set(), 0
    for value, name in EXPORTED.items():
        if is_dataclass(value):
            assert not FORMER & {field.name for field in fields(value)}, name
            continue
        parameters = inspect.signature(value).parameters
        assert not (FORMER | {"law", "distribution"}) & parameters.keys(), name
        # First states of a run, never one of its ends.
        assert "start" not in parameters or parameters["start"].default in (None, "exact", "own"), name
        assert "tolerance" not in parameters or "float" in str(parameters["tolerance"].annotation), name
        # Numbers of steps or slots; relative lengths of them are a pattern.
        assert "steps" not in parameters or "Fraction" not in str(parameters["steps"].annotation), name
        # Of guidance; a distance is a length.
        assert "scale" not in parameters or name in ("models.guided", "runs.inversion.null_text", "torch.controlled"), (
            name
        )
        # What timesteps are called in diffusers' configurations, and nothing else.
        assert "spacing" not in parameters or name == "torch.make_grid", name
        if "end" in parameters:
            ends.add((name, parameters["end"].default))
        budgets += "nfe" in parameters
    assert {name for name, _ in ends} >= {
        "round_trip", "analysis.best_gamma", "analysis.required_dtype", "analysis.round_trip_error", "testing.assert_round_trip",
        "testing.returned",
    }  # fmt: skip
    assert {default for _, default in ends} == {"noise"}
    assert budgets == 1


@pytest.mark.parametrize("name", SEVERAL)
def test_another_order_is_refused_with_the_right_one(name):
    function = FUNCTIONS[name]
    names = [p.name for p in positional(function)]
    right = [VALUES.get(n, 0.5) for n in names]
    places = [i for i, n in enumerate(names) if n in VALUES]
    for i, j in combinations(places, 2):
        if type(right[i]) is type(right[j]):
            continue
        wrong = list(right)
        wrong[i], wrong[j] = right[j], right[i]
        with pytest.raises(TypeError) as caught:
            function(*wrong)
        short, message = name.rpartition(".")[2], str(caught.value)
        assert message.startswith(f"{short}: the ") and " comes before the " in message
        called = [p.name for p in positional(function) if p.default is p.empty]
        assert message.endswith(f": {short}({', '.join(called)})")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: analysis.best_gamma(GRID, LAW), "best_gamma: the problem comes before the grid: best_gamma(problem, grid)"),
        (lambda: analysis.best_gamma(GRID, 1.0), "best_gamma: the problem comes before the grid: best_gamma(problem, grid)"),
        (lambda: problems.certified_flow(LAW, [0.5], 1.0, 0.5, VP), "certified_flow(problem, schedule, z, t_from, t_to)"),
        (lambda: schedules.probability_flow(VP, model), "probability_flow(score, schedule)"),
        (lambda: round_trip(BDIA(), model, GRID, Z, start="data"), "round_trip: start= is gone: use end="),
        (lambda: analysis.round_trip_error(BDIA(), GRID, start="data"), "start= is gone: use end="),
        (lambda: analysis.required_dtype(BDIA(), GRID, 1e-3, start="data"), "start= is gone: use end="),
        (lambda: analysis.required_dtype(BDIA(), GRID, wanted_error=1e-3), "wanted_error= is gone: use tolerance="),
        (lambda: analysis.required_dtype(BDIA(), GRID, 1e-3, margin=2), "margin= is gone: use tolerance="),
        (lambda: analysis.best_gamma(LAW, GRID, trip="data"), "trip= is gone: use end="),
        (lambda: analysis.lint({}, wanted_error=1e-3), "lint: wanted_error= is gone: use tolerance="),
        (lambda: analysis.leading_error(BDIA(), LAW, VP, 1, t_max=1, t_min=0.5, spacing="t"), "spacing= is gone: use variable="),
        (lambda: analysis.work_precision([BDIA()], {}, {}, steps=(10,)), "work_precision: steps= is gone: use nfe="),
        (lambda: analysis.work_precision([BDIA()], {}, {}, (10,), by="steps"), "work_precision: by= is gone: use slots="),
        (lambda: analysis.zero_stability(BDIA(), steps=(1, 2)), "zero_stability: steps= is gone: use pattern="),
        (lambda: analysis.model_jacobian(model, Z, 0.5, scale=2.0), "model_jacobian: scale= is gone: use length="),
        (lambda: problems.certified_flow(law=LAW), "certified_flow: law= is gone: use problem="),
        (lambda: testing.returned(BDIA(), start="data"), "returned: start= is gone: use end="),
        (lambda: testing.assert_round_trip(BDIA(), start="data"), "assert_round_trip: start= is gone: use end="),
        (lambda: testing.assert_round_trip(BDIA(), within=1e-3), "assert_round_trip: within= is gone: use tolerance="),
        (lambda: testing.assert_latent_valid(BDIA(), within=1), "assert_latent_valid: within= is gone: use tolerance="),
        (lambda: testing.assert_order(BDIA(), 2, within=1), "assert_order: within= is gone: use tolerance="),
    ],
)  # fmt: skip
def test_calls_of_the_past_are_refused_with_todays(call, message):
    with pytest.raises(TypeError) as caught:
        call()
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_round_trip_and_its_assertion_begin_at_one_end():
    found = testing.assert_round_trip(BDIA(), grid=GRID, states=Z + 1)
    assert found.end == "noise"
    assert found.nfe == round_trip(BDIA(), LAW.model(GRID.schedule), GRID, Z + 1).nfe


def test_classes_of_the_measuring_rooms_have_names_of_their_own():
    package = Path(analysis.__file__).parent.parent
    found = {}
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                found.setdefault(node.name, []).append(path.relative_to(package).as_posix())
    rooms = tuple(f"analysis/{room}" for room in ("measurement", "perturbation", "certified"))
    twice = {name: paths for name, paths in found.items() if len(paths) > 1 and any(p.startswith(rooms) for p in paths)}
    assert twice == {}
