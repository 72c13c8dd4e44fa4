"""The Coq development: printed from the programs that run, complete, and without holes."""

from __future__ import annotations

import operator
import random
import re
import tomllib
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from bdia_numerics import grids, invert, solve
from bdia_numerics.claims.coq import theorems
from bdia_numerics.claims.coq.printer import increments_definition, inverse_definition, step_definition, steps
from bdia_numerics.claims.coq.theorems import (
    GENERATED,
    Development,
    holes,
    sources,
    statements_in,
    without_comments,
)
from bdia_numerics.claims.ledger import CheckFailed, Skipped, checks, decide, mutate, run_mutant
from bdia_numerics.program import structure
from bdia_numerics.runs.state import State, identity
from bdia_numerics.solvers import ALF, BDIA, CBDIA, DEIS, EDICT, Leapfrog, McCallumFoster, Midpoint, ReversibleHeun, Rex

FOLDER = Path(__file__).resolve().parent.parent / "proofs" / "coq"
FILES = sorted(FOLDER.glob("*.v"))


def test_the_committed_steps_are_those_of_the_programs():
    assert (FOLDER / f"{GENERATED}.v").read_text(encoding="utf-8") == steps(), "run python experiments/coq_steps.py"


def test_the_project_file_lists_every_file_after_those_it_requires():
    listed = (FOLDER / "_CoqProject").read_text(encoding="utf-8").split()
    assert listed[:3] == ["-R", ".", "BDIA"]
    names = [name.removesuffix(".v") for name in listed[3:]]
    assert sorted(names) == [path.stem for path in FILES]
    development = Development({**sources(), GENERATED: steps()})
    for k, name in enumerate(names):
        assert set(development.needs(name)) <= set(names[: k + 1])


def test_the_wheel_takes_every_file_along():
    text = (FOLDER.parent.parent / "pyproject.toml").read_text(encoding="utf-8")
    taken = tomllib.loads(text)["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    inside = "bdia_numerics/claims/coq/development"
    found = {source: target for source, target in taken.items() if source.startswith("proofs/coq")}
    assert found == {f"proofs/coq/{path.name}": f"{inside}/{path.name}" for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_nothing_is_left_unproved(path):
    text = path.read_text(encoding="utf-8")
    assert holes(text) == []
    proofs = re.findall(r"\b(?:Qed|Defined)\.", without_comments(text))
    assert len(proofs) >= len(statements_in(text))


@pytest.mark.parametrize(
    "text",
    [
        "Admitted.",
        "admit.",
        "Axiom x : False.",
        "Parameters a b : nat.",
        "Conjecture c : 1 = 2.",
        "Unset Guard Checking.",
    ],
)
def test_holes_are_seen(text):
    assert holes(text)
    assert not holes(f"(* {text} (* nested *) {text} *)")


# A reader of the printed definitions, written for these tests alone: it runs them on Fractions.

_ADD = {"+": operator.add, "+:": operator.add, "-": operator.sub, "-:": operator.sub}
_MULTIPLY = {"*": operator.mul, "*:": operator.mul, "/": operator.truediv}


class Reader:
    def __init__(self, text: str, scope: dict[str, Any]) -> None:
        self.tokens, self.scope = [*re.findall(r"[-+*]:|[-+*/(),]|[\w']+", text), ""], scope

    def take(self) -> str:
        return self.tokens.pop(0)

    def total(self) -> Any:
        value = self.product()
        while self.tokens[0] in _ADD:
            value = _ADD[self.take()](value, self.product())
        return value

    def product(self) -> Any:
        value = self.signed()
        while self.tokens[0] in _MULTIPLY:
            value = _MULTIPLY[self.take()](value, self.signed())
        return value

    def signed(self) -> Any:
        if self.tokens[0] in ("-", "-:"):
            self.take()
            return -self.signed()
        value = self.atom()
        while self.tokens[0] == "(" or re.match(r"\w", self.tokens[0]):
            value = value(self.atom())
        return value

    def atom(self) -> Any:
        token = self.take()
        if token != "(":
            return Fraction(token) if token.isdigit() else self.scope[token]
        values = [self.total()]
        while self.take() == ",":
            values.append(self.total())
        return values[0] if len(values) == 1 else tuple(values)


def run_printed(text: str, k: int, state: tuple[Any, ...], values: dict[str, Any]) -> Any:
    scope = {**values, "k": k, "S": lambda n: n + 1}
    *lets, last = re.split(r" in\n", text.partition(":=\n")[2])
    for let in lets:
        name, _, value = let.strip().removeprefix("let ").partition(" :=")
        if value.strip() == "s":
            scope.update(zip(re.findall(r"[\w']+", name.removeprefix("'")), state, strict=True))
        else:
            scope[name] = Reader(value, scope).total()
    return Reader(last.removesuffix("."), scope).total()


def rational_model(z: Fraction, t: Fraction) -> Fraction:
    return z * z / 7 + t * z - Fraction(3, 5)


@pytest.mark.parametrize(
    ("solver", "values"),
    [
        (BDIA(Fraction(3, 4)), {"gamma": Fraction(3, 4)}),
        (EDICT(Fraction(9, 10)), {"p": Fraction(9, 10)}),
        (EDICT(Fraction(9, 10), shifted=True), {"p": Fraction(9, 10)}),
        (CBDIA(0, 1), {"gamma1": Fraction(0), "gamma2": Fraction(1)}),
        (CBDIA(1, 0), {"gamma1": Fraction(1), "gamma2": Fraction(0)}),
        (CBDIA(Fraction(2, 3), Fraction(1, 5)), {"gamma1": Fraction(2, 3), "gamma2": Fraction(1, 5)}),
        (McCallumFoster(Fraction(5, 6)), {"coupling": Fraction(5, 6)}),
        (Rex(Fraction(5, 6)), {"coupling": Fraction(5, 6)}),
        (ReversibleHeun(), {}),
        (Leapfrog(), {}),
    ],
    ids=lambda value: repr(value) if not isinstance(value, dict) else "",
)
def test_the_printed_definitions_compute_what_the_solver_computes(solver, values):
    random.seed(3)
    t = [Fraction(k, 10) for k in (1, 2, 4, 7)]
    alpha = [Fraction(random.randint(5, 20), 7) for _ in t]
    sigma = [(k + 1) * a * Fraction(random.randint(8, 10), 9) for k, a in enumerate(alpha)]
    grid, shape = grids.from_values(t, alpha, sigma), structure(solver)
    scope = {"alpha": alpha.__getitem__, "sigma": sigma.__getitem__, "eps": lambda i: lambda z: rational_model(z, t[i])}
    scope |= {name: lambda i, value=value: value for name, value in values.items()}
    state = tuple(Fraction(random.randint(-9, 9), 4) for _ in shape.registers)
    start = dict(zip(shape.registers, state, strict=True))
    there = solve(solver, rational_model, grid, state[0], start=start).state
    step, undo = step_definition("step", solver), inverse_definition("undo", solver)
    printed = state
    for k in range(grid.n - shape.depth - 1, -1, -1):
        printed = run_printed(step, k, printed, scope)
    assert there is not None
    assert printed == tuple(there.registers[name] for name in shape.registers)
    # the inverse, from a state that no run has made
    end = tuple(Fraction(random.randint(-9, 9), 4) for _ in shape.registers)
    times = {name: shape.end_index(name) for name in shape.registers}
    made = State(identity(solver), grid.root, dict(zip(shape.registers, end, strict=True)), times)
    back = invert(solver, rational_model, grid, made).state
    for k in range(grid.n - shape.depth):
        end = run_printed(undo, k, end, scope)
    assert back is not None
    assert end == tuple(back.registers[name] for name in shape.registers)


def test_what_cannot_be_printed_is_refused():
    with pytest.raises(CheckFailed, match="inside a slot"):
        step_definition("step", Midpoint())
    with pytest.raises(CheckFailed, match="inside a slot"):
        inverse_definition("undo", ALF())
    with pytest.raises(CheckFailed, match="index"):
        step_definition("step", EDICT(exchange=True))
    with pytest.raises(CheckFailed, match="not a rational expression"):
        step_definition("step", DEIS())
    with pytest.raises(CheckFailed, match="from elsewhere than the state"):
        increments_definition("step", ReversibleHeun())

    class Scaled:
        registers = ("z",)

        def step(self, s):
            (z,) = s.registers
            s.assign(z, z + s.alpha(s.i) * s.delta(s.i, s.i - 1, z, s.eps(z)), at=s.i - 1)

    with pytest.raises(CheckFailed, match="told nothing"):
        increments_definition("step", Scaled())


def test_names_of_registers_do_not_hide_others():
    class Clashing:
        registers = ("eps", "k")

        def step(self, s):
            eps, k = s.registers
            s.assign(eps, eps + s.delta(s.i, s.i - 1, k, s.eps(k)), at=s.i - 1)
            s.assign(k, k + 2 * eps, at=s.i - 1)

    text = step_definition("step", Clashing())
    assert "let '(e1, k') := s in" in text
    assert "eps (S k) k'" in text


def test_without_coqc_the_ledger_says_skipped(monkeypatch):
    monkeypatch.setattr(theorems.shutil, "which", lambda name: None)
    names = [name for name in checks() if name.startswith("coq-")]
    assert len(names) == 8
    for decided in decide(names):
        assert decided.verdict == "skipped"
        assert "coqc is absent" in decided.evidence
    check = checks()["coq-prop-1"]
    result = run_mutant(check, next(iter(check.mutants)))
    assert result.skipped
    assert not result.killed


def test_without_the_files_the_ledger_says_skipped(monkeypatch, tmp_path):
    monkeypatch.setattr(theorems, "__file__", str(tmp_path / "a" / "b" / "c" / "d.py"))
    with pytest.raises(Skipped, match="not installed"):
        sources()


@pytest.fixture
def coqc():
    try:
        return theorems.coqc()
    except Skipped as error:
        pytest.skip(str(error))


@pytest.mark.slow
def test_an_assumption_is_found(coqc):
    text = "From BDIA Require Import Algebra.\nVariable x : 0 = 1.\nTheorem one : 0 = 1.\nProof. exact x. Qed.\n"
    with pytest.raises(CheckFailed, match="rests on assumptions"):
        Development({**sources(), "Small": text}).prove("Small")


@pytest.mark.slow
def test_a_false_statement_is_refused_and_an_unreadable_one_is_an_error(coqc):
    with pytest.raises(CheckFailed, match=r"refuses Small.v, line 2"):
        Development({"Small": "Theorem one : 0 = 1.\nProof. reflexivity. Qed.\n"}).prove("Small")
    with pytest.raises(RuntimeError, match="cannot read"):
        Development({"Small": "Theorem one : 0 = x.\nProof. reflexivity. Qed.\n"}).prove("Small")


@pytest.mark.slow
def test_the_same_step_written_otherwise_is_proved_as_well(coqc):
    rewritten = mutate(
        BDIA, ("z_prev - (1 - g) * (z_prev - z) - g * backward + forward", "forward + z + g * (z_prev - backward - z)")
    )
    assert "bdia_invertible" in checks()["coq-bdia-inverse"].run(bdia=rewritten)["theorems"]
