"""Names in text: solvers, grids, schedules, distributions and families, of the register or of a module in this folder."""

import re
from fractions import Fraction
from itertools import product
from pathlib import Path

import numpy as np
import pytest

import bdia_numerics
from bdia_numerics import ALF, BDIA, BDIA2, DEIS, EDICT, SOLVERS, Heun, McCallumFoster, grids, names, schedules
from bdia_numerics.analysis.measurement.observed import family_named
from bdia_numerics.formulas import solver_name
from bdia_numerics.program import identity
from bdia_numerics.solvers import RK4

MODULE = """
from dataclasses import dataclass
from bdia_numerics import BDIA


@dataclass(frozen=True)
class Mine(BDIA):
    weight: int = 1


READY = Mine(gamma=0.5)


class Needs(BDIA):
    def __init__(self, grid): ...
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "solver_of_a_user.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("text", "solver"),
    [
        ("bdia", BDIA()),
        ("BDIA:gamma=9/10", BDIA(Fraction(9, 10))),
        ("bdia:gamma=0.9", BDIA(Fraction(9, 10))),
        ("deis:order=3", DEIS(3)),
        ("edict:p=0.93,exchange=true", EDICT(Fraction(93, 100), exchange=True)),
        ("bdia2:variable=log_snr", BDIA2(variable="log_snr")),
        ("BDIA(gamma = 9/10)", BDIA(Fraction(9, 10))),
        ("BDIA2(1, 1/2, variable='log_snr')", BDIA2(1, Fraction(1, 2), variable="log_snr")),
        ("McCallumFoster(1/2, base=RK4())", McCallumFoster(Fraction(1, 2), base=RK4())),
        ("mccallumfoster:base=RK4", McCallumFoster(base=RK4())),
        ("BDIA( gamma = 9 / 10 )", BDIA(Fraction(9, 10))),
        ("Heun('t')", Heun("t")),
    ],
)
def test_a_solver_of_the_table(text, solver):
    assert names.solver(text) == solver


def test_values_override_the_text():
    assert names.solver("bdia:gamma=1/2", gamma="1/3") == BDIA(Fraction(1, 3))


def test_a_solver_of_a_module(module):
    mine = names.solver("solver_of_a_user:Mine:gamma=1/2,weight=3")
    assert (type(mine).__name__, mine.gamma, mine.weight) == ("Mine", Fraction(1, 2), 3)
    assert names.solver("solver_of_a_user:READY").gamma == 0.5


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("bdai", "use BDIA"),
        ("bdia:gama=1", "gama is not a parameter of BDIA, which takes gamma, allow_any"),
        ("BDIA(", "is not a solver"),
        ("bdia:gamma=1/0", "gamma=1/0 is not a number"),
        ("bdia:gamma=a b", "is not a solver"),
        ("no_such_module:Solver", "cannot be imported"),
        ("solver_of_a_user:None_such", "has no None_such"),
        ("solver_of_a_user:READY:gamma=1", "names an instance"),
        ("solver_of_a_user:Needs", "cannot be made so"),
    ],
)
def test_bad_text(module, text, says):
    with pytest.raises(ValueError, match=says):
        names.solver(text)


# The other names


def test_grids_have_options_and_what_they_have_not_is_left_out():
    schedule = schedules.vp_linear()
    made = names.grid("karras:rho=5")(schedule, 6, t_min=0.1, seed=3)
    assert (made.t == grids.karras(schedule, 6, rho=5, t_min=0.1).t).all()
    # diffusers' steps_offset=1: its last time is 1, before clean data
    assert list(names.grid("Leading+1")(schedules.ddpm_linear(), 10).t[1:3]) == [1, 101]


@pytest.mark.parametrize("name", names.SCHEDULES)
def test_every_schedule_can_be_named(name):
    made = names.schedule(name)
    early, late = (10.0, 20.0) if hasattr(made, "length") else (0.25, 0.5)
    assert 0 < made.sigma(early) / made.alpha(early) < made.sigma(late) / made.alpha(late)


@pytest.mark.parametrize("name", [name for name in names.DISTRIBUTIONS if name != "digits"])
def test_every_distribution_can_be_named(name):
    law = names.distribution(name)
    draws = law.sample(2000, np.random.default_rng(0))
    assert draws.shape == (2000, law.dimension)
    assert names.distribution(name.upper()).dimension == law.dimension


def test_each_distribution_stands_once_in_the_package():
    """The mixture of most tables stood four times in it."""
    sources = Path(bdia_numerics.__file__).parent.rglob("*.py")
    found = [
        path.name for path in sources if "[0.4, 0.6], [[-1.0], [1.5]], [0.6, 0.4]" in path.read_text(encoding="utf-8")
    ]
    assert found == ["names.py"]


def test_a_distribution_with_its_parameter():
    assert names.distribution("gaussian:0.5").cov == Fraction(1, 4)
    assert names.distribution("gaussian(deviation=1/3)").cov == Fraction(1, 9)


@pytest.mark.parametrize(
    ("read", "text", "says"),
    [
        (names.grid, "unform", "grid='unform' is unknown: use uniform"),
        (names.grid, "karras:roh=3", "roh=3 is not an option of karras, which takes t_max, t_min, rho"),
        (names.grid, "cut:rho=3", "rho=3 is not an option of cut, which takes none"),
        (names.distribution, "mixtur", "distribution='mixtur' is unknown: use mixture"),
        (names.distribution, "gaussian:-1", "'-1' is not a standard deviation"),
        (names.distribution, "gaussian:much", "'much' is not a standard deviation"),
        (names.distribution, "mixture:3", "cannot be made so"),
        (names.schedule, "vp_lin", "schedule='vp_lin' is unknown: use vp_linear"),
        (names.solver, "(" * 1500, "is not a solver"),
        (names.solver, "x" * 5000, "longer than 2,000 letters"),
        (names.solver, "bdia:gamma=1e99999999", "is too long"),
        (names.grid, "karras:rho=1e99999999", "is too long"),
        (names.distribution, "gaussian:1e99999999", "is too long"),
        (names.solver, "bdia:gamma=1,gamma=1/2", "parameter='gamma' occurs twice: list it once"),
        (names.solver, "EDICT(p=0.9, p=0.8)", "parameter='p' occurs twice"),
        (names.grid, "karras:rho=3,rho=5", "parameter='rho' occurs twice"),
        (names.distribution, "gaussian(deviation=1, deviation=2)", "parameter='deviation' occurs twice"),
    ],
)
def test_bad_names_are_one_short_line(read, text, says):
    with pytest.raises(ValueError, match=re.escape(says)) as caught:
        read(text)
    assert "\n" not in str(caught.value)


OWN = """
from bdia_numerics import analysis, grids, problems, schedules

LEVELS = schedules.flow()


def levels():
    return schedules.vp_cosine()


def normal(width=1):
    return problems.Gaussian([0], width**2)


def halves(schedule, n, t_min=None, rate=2):
    return grids.uniform(schedule, n, t_min=t_min, t_max=1 / rate)


def nothing(schedule, n):
    return n


class Shapeless:
    model = sample = normal


FAMILY = analysis.GridFamily()


def rough(schedule, t_max, t_min, variable, ratio=3):
    return analysis.GridFamily("alternating", schedule, t_max, t_min, variable, ratio=ratio)
"""


def test_everything_can_be_of_a_module(tmp_path, monkeypatch):
    (tmp_path / "own_names.py").write_text(OWN, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert names.schedule("own_names:LEVELS") == schedules.flow()
    assert names.schedule("own_names:levels") == schedules.vp_cosine()
    assert names.distribution("own_names:normal:width=1/2").cov == Fraction(1, 4)
    made = names.grid("own_names:halves:rate=4")(schedules.flow(), 3, t_min=0.1, seed=1)
    assert [float(t) for t in made.t[[0, -1]]] == [0.1, 0.25]
    with pytest.raises(ValueError, match="returned int: return what a function of `grids` makes"):
        names.grid("own_names:nothing")(schedules.flow(), 3)
    with pytest.raises(ValueError, match=r"own_names has no normol, use normal"):
        names.distribution("own_names:normol")
    with pytest.raises(ValueError, match="has no alpha and sigma"):
        names.schedule("own_names:normal")
    with pytest.raises(ValueError, match="has no dimension: name a distribution"):
        names.distribution("own_names:Shapeless")
    family = family_named("own_names:rough", schedules.flow(), 0.6, 0.1, "t")
    assert (family.kind, family.ratio) == ("alternating", 3)
    assert family_named("alternating:ratio=4", schedules.flow(), 0.6, 0.1, "t").ratio == 4
    assert family_named("own_names:rough:ratio=5", schedules.flow(), 0.6, 0.1, "t").ratio == 5
    for other, says in (
        ("halves", r"cannot be made so \(missing a required argument: 'n'"),
        ("LEVELS", "cannot be made so .*is not a callable object"),
        ("FAMILY:ratio=5", "names an instance, which has its parameters"),
    ):
        with pytest.raises(ValueError, match=f"family='own_names:{other}' {says}"):
            family_named(f"own_names:{other}", schedules.flow(), 0.6, 0.1, "t")


def test_a_module_is_loaded_by_its_file(tmp_path, monkeypatch):
    for folder, value in (("one", 1), ("two", 2)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "same_name.py").write_text(
            f"from bdia_numerics import DEIS\nMine = DEIS({value})\n", encoding="utf-8"
        )
    monkeypatch.chdir(tmp_path / "one")
    assert names.solver("same_name:Mine") == DEIS(1)
    monkeypatch.chdir(tmp_path / "two")
    assert names.solver("same_name:Mine") == DEIS(2), "the module of the folder before"
    monkeypatch.chdir(tmp_path)
    assert names.solver("one/same_name.py:Mine") == DEIS(1)
    assert names.solver(f"{tmp_path}/two/same_name.py:Mine") == DEIS(2)
    for text in ("three/same_name.py:Mine", "three:Mine"):
        with pytest.raises(ValueError, match="cannot be imported"):
            names.solver(text)


@pytest.mark.parametrize("package", ["numpy", "json", "yaml", "sys"])
def test_an_installed_package_does_not_stand_in(tmp_path, monkeypatch, package):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=f"{package} is an installed package, and there is no {package}.py in"):
        names.solver(f"{package}:Mine")
    (tmp_path / f"{package}.py").write_text("from bdia_numerics import BDIA as Mine\n", encoding="utf-8")
    with pytest.raises(ValueError, match=f"{package}.py has the name of an installed package"):
        names.solver(f"{package}:Mine")


@pytest.mark.parametrize("text", ["1 +", "1 / 0", "import no_such_thing_at_all", "raise SystemError('no')"])
def test_a_module_that_fails_is_one_line(tmp_path, monkeypatch, text):
    (tmp_path / "broken_names.py").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="solver=broken_names: the module broken_names cannot be imported"):
        names.solver("broken_names:Mine")


CHANGES = (Fraction(1, 3), 2, 3, True, False, "t", "angle", "log_snr", "suzuki", "z_hat", ALF("angle"), RK4())


def test_solvers_that_differ_print_differently_and_are_read_back():
    """Each with each of `CHANGES` in each of its parameters that takes it."""
    for make in SOLVERS.values():
        texts = {}
        for name, value in [("", ""), *product(make.__dataclass_fields__, CHANGES)]:
            try:
                solver = make(**{name: value} if name else {})
            except (ValueError, TypeError):
                continue
            assert texts.setdefault(names.written(solver), solver) == solver == _read(names.written(solver))
        for printed in (texts, map(identity, texts.values())):
            assert len(set(map(solver_name, printed))) == len(texts), texts


def _read(text):
    make, positional, options = names.read("solver", text, SOLVERS)
    return names.object_made("solver", text, make, positional, options, False)
