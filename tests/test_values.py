"""Every public value: ``==`` is a bool, hashes agree, pickles and copies are equal, read-only and without caches."""

import copy
import importlib
import inspect
import pickle
import subprocess
import sys
from dataclasses import fields, is_dataclass
from fractions import Fraction

import mpmath
import numpy as np
import pytest
import sympy

from bdia_numerics import (
    BDIA,
    EDICT,
    SOLVERS,
    NotInvertibleError,
    State,
    analysis,
    claims,
    configs,
    encode,
    grids,
    inversion,
    invert,
    models,
    problems,
    program,
    round_trip,
    schedules,
    solve,
    spaces,
)
from bdia_numerics.runs import fitting, solving

PACKAGES = (
    "", ".analysis", ".claims", ".configs", ".runs.fitting",
    ".grids", ".runs.inversion", ".models", ".problems", ".program", ".schedules", ".spaces",
    ".studies", ".testing",
)  # fmt: skip
HANDLES = {"Evaluation", "Form", "Recorder", "Register", "Scratch", "Trace"}  # they belong to one recording
NUMBERS = {"MeanValue"}  # compared as numbers are
SCHEDULE = schedules.vp_linear()
GRID = grids.uniform(SCHEDULE, 6)
TABLE = schedules.from_alphas_cumprod(np.linspace(0.9, 0.1, 20))
LAW = problems.GaussianMixture([0.3, 0.7], [[-1.0, 0.5], [1.0, 0.0]], [0.1, 0.2])
Z = np.array([[0.5, -1.0], [1.5, 0.25]])


def model(z, t):
    return z * 0.3 + t


def alpha(t):
    return 1 - t


def sigma(t):
    return t


def gamma(slot):
    return Fraction(slot.i, 100)


SOLUTION = solve(EDICT(), model, GRID, Z, return_trajectory=True)


def public(*packages):
    for package in packages:
        module = importlib.import_module(f"bdia_numerics{package}")
        names = getattr(module, "__all__", None) or [n for n in vars(module) if not n.startswith("_")]
        for name in names:
            kind = getattr(module, name)
            value = inspect.isclass(kind) and (is_dataclass(kind) or hasattr(kind, "_fields"))
            if value and kind.__module__.startswith("bdia_numerics") and name not in HANDLES | NUMBERS:
                yield kind


EXAMPLES = [
    *(kind() for kind in SOLVERS.values()),
    BDIA(gamma), BDIA(sympy.Symbol("g")), BDIA(mpmath.mpf("0.3")), BDIA(Fraction(1, 3)), BDIA(0.3),
    SCHEDULE, schedules.vp_cosine(), schedules.edm(), schedules.ve(), schedules.flow(), TABLE, schedules.ddpm_linear(),
    schedules.from_functions(alpha, sigma),
    GRID, GRID[1:4], GRID.reversed(), GRID.to(np.longdouble), GRID.to(spaces.MPMath(30)), GRID.to(spaces.Balls(64)),
    grids.leading(TABLE, 5),
    grids.karras(schedules.edm(), 4, t_min=0.002, append_zero=True), grids.symbolic(3), grids.random(SCHEDULE, 5, seed=1),
    grids.from_values([0, 1, 2], [1.0, 0.9, 0.5], [0.1, 0.2, 0.9]), GRID.point(2), grids.Between(1, 0, Fraction(1, 2)),
    LAW, problems.Gaussian([0.5]), problems.Gaussian([Fraction(1, 3)], Fraction(2)), problems.Empirical(Z, 0.1), problems.Uniform([0], [1]),
    problems.from_eps(model, dimension=2, schedule=SCHEDULE),
    problems.Product((problems.Gaussian([0.0]), problems.Uniform([0.0], [2.0]))), LAW.model(SCHEDULE), LAW.flow_certificate,
    problems.GuidedGaussians(problems.Gaussian([0.0, 1.0]), problems.Gaussian([1.0, 1.0]), 2),
    problems.Gaussian([0.5, 1.0]).flow_certified(Z, 0.9, 0.1, SCHEDULE),
    models.x0(model), models.counted(model), models.witnessed(model), models.guided(model, model, 2.0),
    models.as_prediction(model, SCHEDULE, "v"),
    SOLUTION, SOLUTION.state, SOLUTION.status, round_trip(EDICT(), model, GRID, Z, reference=Z),
    encode(SOLVERS["DDIM"](), model, GRID, Z), fitting.PerSlot((Fraction(1), Fraction(2))),
    spaces.FLOAT64, spaces.FRACTION, spaces.SYMBOLS, spaces.MPMath(30), spaces.Balls(64), spaces.Lattice.from_float(Z, bits=20),
    solve(BDIA(), model, GRID, spaces.Lattice.from_float(Z, bits=20)).state,
    solve(BDIA(), lambda z, t: z, GRID.to(spaces.MPMath(30)), spaces.MPMath(30).array([1, 2])).state,
    solve(BDIA(), lambda z, t: z, GRID.to(spaces.Balls(64)), spaces.Balls(64).array([1, 2])).state,
    spaces.of(spaces.Lattice.from_float(Z)), spaces.Vector.basis("z"),
    program.structure(BDIA()), program.invertibility(BDIA()), program.Slot(GRID, 2), program.record_steps(EDICT(), GRID),
    program.make_plan(program.record_steps(EDICT(), GRID), spaces.FLOAT64),
    configs.from_mapping({"_class_name": "DDIMScheduler"}), configs.layout(configs.from_mapping({}), 5),
    configs.FAMILIES["DDIMScheduler"], analysis.GridFamily("random", ratio=3), inversion.DDIMInversion(),
    analysis.symbolic_order(BDIA()), analysis.amplification(BDIA(), GRID), analysis.zero_stability(BDIA()), *analysis.lint(GRID),
    analysis.Multistep((-1, 0), (2,)), grids.Index(2), inversion.DefectCorrection(2), inversion.ImplicitInversion(iterations=3),
    claims.Decided(claims.statements()["figure-1"], "needs-weights", "none", 0.5),
]  # fmt: skip


def example(kind):
    """Return a value of a class: one of the above, else one whose arguments are an array with a NaN."""
    found = [x for x in EXAMPLES if type(x) is kind]
    if found:
        return found[0]
    names = [f.name for f in fields(kind) if f.init] if is_dataclass(kind) else kind._fields
    try:
        return kind(**dict.fromkeys(names, np.array([1.0, np.nan])))
    except (TypeError, ValueError) as error:
        pytest.fail(f"no example of {kind.__name__}: {error}")


def described(x):
    return f"{type(x).__name__}-{str(x)[:30]}"


def arrays(value):
    if isinstance(value, np.ndarray):
        yield value
    for part in (
        value.values()
        if hasattr(value, "values") and hasattr(value, "keys")
        else value
        if isinstance(value, tuple)
        else ()
    ):
        yield from arrays(part)
    if is_dataclass(value):
        for f in fields(value):
            yield from arrays(getattr(value, f.name))


def check(value):
    copies = copy.copy(value), copy.deepcopy(value), pickle.loads(pickle.dumps(value))
    for made in copies:
        assert type(made) is type(value)
        assert (made == value) is True
        assert (made != value) is False
        assert (made == object()) is False
        assert [x.flags.writeable for x in arrays(made)] == [x.flags.writeable for x in arrays(value)]
        if is_dataclass(value):
            for f in fields(value):
                assert type(getattr(made, f.name)) is type(getattr(value, f.name))
        if type(value).__hash__ is not None:
            assert hash(made) == hash(value)
    return copies


@pytest.mark.parametrize("value", EXAMPLES, ids=described)
def test_values(value):
    check(value)
    others = [x for x in EXAMPLES if x is not value]
    assert all(isinstance(value == x, bool) for x in others)
    assert not any(value == x for x in others if type(x) is not type(value))


def test_every_public_class():
    kinds = list(dict.fromkeys(public(*PACKAGES)))
    assert len(kinds) > 90
    for kind in kinds:
        check(example(kind))


def test_every_public_class_of_tensors():
    pytest.importorskip("torch", reason="needs the extra torch")
    import torch

    from bdia_numerics.torch import NetworkModel, Tensors

    EXAMPLES.extend([NetworkModel(model), Tensors(torch.float32, torch.device("cpu"))])
    for kind in public(".torch"):
        check(example(kind))


def test_states_and_solutions_by_torch(tmp_path):
    """They are read in another process, which has no tensors before it imports bdia_numerics.torch."""
    pytest.importorskip("torch", reason="needs the extra torch")
    import torch

    import bdia_numerics.torch  # noqa: F401

    found = solve(EDICT(), model, GRID, torch.tensor(Z, dtype=torch.float32), return_trajectory=True)
    check(found)
    other = solve(EDICT(), model, GRID, torch.tensor(Z))
    assert found.state != other.state
    assert found != other
    torch.save(found, tmp_path / "solution.pt")
    code = (
        "import torch\n"
        "from bdia_numerics import EDICT, grids, invert, schedules, solve\n"
        "try: solve(EDICT(), lambda z, t: z, grids.uniform(schedules.vp_linear(), 2), torch.zeros(2))\n"
        "except TypeError as error: print(error)\n"
        "import bdia_numerics.torch\n"
        f"found = torch.load({str(tmp_path / 'solution.pt')!r})\n"
        "grid = grids.uniform(schedules.vp_linear(), 6)\n"
        "back = invert(EDICT(), lambda z, t: z * 0.3 + t, grid, found.state)\n"
        "print(float(abs(back.z - torch.tensor([[0.5, -1.0], [1.5, 0.25]])).max()) < 1e-4, found.state.registers['z'].dtype)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    refused, said = found.stdout.splitlines()
    assert (
        refused == "z: a Tensor is in no number system yet: import bdia_numerics.torch, which registers float tensors"
    )
    assert said.split() == ["True", "torch.float32"]


def test_a_function_that_no_pickle_holds_is_named():
    def local(slot):
        return 1

    held = [
        (BDIA(lambda slot: 1), "gamma of BDIA is .*<lambda>"),
        (BDIA(local), "gamma of BDIA is .*local"),
        (schedules.from_functions(alpha, lambda t: t), "sigma_function of Functions is .*<lambda>"),
        (models.x0(lambda z, t: z), "model of Predicting is .*<lambda>"),
        (models.counted(lambda z, t: z), "model of Counted is .*<lambda>"),
        (models.guided(model, lambda z, t: z, 2), "uncond of _Guided is .*<lambda>"),
        (
            grids.uniform(schedules.from_functions(alpha, lambda t: t), 3, t_max=0.9, t_min=0.1),
            "sigma_function of Functions",
        ),
    ]
    for value, words in held:
        with pytest.raises(pickle.PicklingError, match=f"{words}.*define it at the top level of a module") as raised:
            pickle.dumps(value)
        assert "\n" not in str(raised.value)
        assert copy.deepcopy(value) == value
        written = pytest.importorskip("cloudpickle", reason="needs the extra sweep").dumps(value)
        assert type(pickle.loads(written)) is type(value)


def test_copies_carry_no_plans():
    grid = grids.uniform(SCHEDULE, 6)
    solve(BDIA(), model, grid, Z)
    assert grid._plans
    for other in check(grid):
        assert not other._plans
        with pytest.raises(ValueError, match="read-only"):
            other.whole[0][0] = 1
        with pytest.raises(ValueError, match="read-only"):
            other.sigma[0] = 1
    state = copy.deepcopy(SOLUTION.state)
    with pytest.raises(TypeError):
        state.registers["z"] = 0
    assert (
        invert(EDICT(), model, copy.deepcopy(GRID), state).z == invert(EDICT(), model, GRID, SOLUTION.state).z
    ).all()


def test_plans_are_bounded(monkeypatch):
    monkeypatch.setattr(solving, "PLANNED_SLOTS", 10 * 6)
    grid = grids.uniform(SCHEDULE, 6)
    for k in range(20):
        solve(BDIA(Fraction(k, 20)), model, grid, Z)
    assert len(grid._plans) == 10
    kept = list(grid._plans)
    solve(BDIA(Fraction(10, 20)), model, grid, Z)  # the oldest of the ten
    assert list(grid._plans) == [*kept[1:], kept[0]]


def test_equality_is_by_value_and_dtype():
    assert problems.Gaussian([0.5]) == problems.Gaussian(np.array([0.5]))
    assert problems.Gaussian([0.5]) != problems.Gaussian(np.array([0.5], dtype=np.longdouble))
    assert problems.Gaussian([0.0]) == problems.Gaussian([-0.0])
    assert hash(problems.Gaussian([0.0])) == hash(problems.Gaussian([-0.0]))
    assert grids.uniform(SCHEDULE, 6) == GRID != grids.uniform(SCHEDULE, 7)
    assert len({GRID, grids.uniform(SCHEDULE, 6), GRID.reversed(), GRID.to(np.longdouble)}) == 3
    assert State("s", "g", {"z": np.float32([1])}, {"z": 0}) != State("s", "g", {"z": np.float64([1])}, {"z": 0})


def test_a_refusal_passes_between_processes():
    with pytest.raises(NotInvertibleError) as raised:
        invert(SOLVERS["Heun"](), model, GRID, SOLUTION.state)
    error = pickle.loads(pickle.dumps(raised.value))
    assert (str(error), error.kind, error.slot) == (str(raised.value), raised.value.kind, raised.value.slot)


def test_a_class_that_inherits_and_has_a_constructor_of_its_own():
    check(Mine(2))


class Mine(BDIA):
    def __init__(self, doubled):
        super().__init__(Fraction(doubled, 4))


def test_parts_share_the_fingerprint():
    grid = grids.uniform(SCHEDULE, 50)
    parts = [grid[k : k + 1] for k in range(50)]
    assert {part.root for part in parts} == {grid.root}
    assert all(part.entire is grid for part in parts)
    assert grid[3:9].reversed()[1:2].root == grid.reversed().root == f"{grid.root}-reversed"
