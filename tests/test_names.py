"""Solvers named in text."""

from fractions import Fraction

import pytest

from bdia_numerics import BDIA, BDIA2, DEIS, EDICT, Heun, McCallumFoster, spec
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
    (tmp_path / "solver_of_a_user.py").write_text(MODULE)
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
    assert spec.solver(text) == solver


def test_values_override_the_text():
    assert spec.solver("bdia:gamma=1/2", gamma="1/3") == BDIA(Fraction(1, 3))


def test_a_solver_of_a_module(module):
    mine = spec.solver("solver_of_a_user:Mine:gamma=1/2,weight=3")
    assert (type(mine).__name__, mine.gamma, mine.weight) == ("Mine", Fraction(1, 2), 3)
    assert spec.solver("solver_of_a_user:READY").gamma == 0.5


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("bdai", "use BDIA"),
        ("bdia:gama=1", "gama is no parameter of BDIA, which takes gamma, allow_any"),
        ("BDIA(", "is no solver"),
        ("bdia:gamma=1/0", "gamma=1/0 is no ratio"),
        ("bdia:gamma=a b", "is no solver"),
        ("no_such_module:Solver", "cannot be imported"),
        ("solver_of_a_user:None_such", "has no None_such"),
        ("solver_of_a_user:READY:gamma=1", "names an instance"),
        ("solver_of_a_user:Needs", "cannot be made so"),
    ],
)
def test_bad_text(module, text, says):
    with pytest.raises(ValueError, match=says):
        spec.solver(text)
