"""The evidence of a claim is a text in statements.toml, and what it shows is what the check returns: no field more, no value more."""

import ast
import inspect
import sys
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from bdia_numerics.claims import ledger
from bdia_numerics.claims.entries import fields
from bdia_numerics.claims.ledger import Check, checks, decide, fill, statements, unique_checks

STATEMENTS = statements()


def returned(function):
    """Return the names in each mapping that a function returns, itself or by a function of its module."""
    function = getattr(function, "func", function)  # of a partial
    module = sys.modules[function.__module__]
    (tree,) = ast.parse(inspect.getsource(function)).body
    nested = {n for f in ast.walk(tree) if isinstance(f, ast.FunctionDef) and f is not tree for n in ast.walk(f)}
    own = [n.value for n in ast.walk(tree) if isinstance(n, ast.Return) and n not in nested]
    for value in own or [None]:
        if value is None:
            yield set()
        elif isinstance(value, ast.Dict):
            yield {ast.literal_eval(key) for key in value.keys}
        else:
            yield from returned(getattr(module, value.func.id))


@pytest.mark.parametrize("check", [pytest.param(c, id=c.ids[0]) for c in unique_checks()])
def test_the_fields_are_what_the_check_returns(check):
    text = STATEMENTS[check.ids[0]].evidence
    assert text
    for names in returned(check.run):
        assert fields(text) == names


def test_the_evidence_stands_under_the_first_claim_of_its_check():
    assert {s.id for s in STATEMENTS.values() if s.evidence} == {c.ids[0] for c in checks().values()}


@pytest.mark.parametrize(
    ("text", "found", "filled"),
    [
        ("z_{{i-1}} = z_i", None, "z_{i-1} = z_i"),
        ("{a:.1f} and {b[1]} of {c.numerator}", {"a": 0.25, "b": (1, 2), "c": Fraction(3, 4)}, "0.2 and 2 of 3"),
        ("{a:.1e}, then {b:g}", {"a": [0.123, 4], "b": np.array([[1.0], [2.5]])}, "1.2e-01, 4.0e+00, then 1, 2.5"),
        ("{a}", {"a": ["x", "y"]}, "x, y"),
    ],
)
def test_a_text_shows_what_was_found(text, found, filled):
    assert fill(text, found) == filled


@pytest.mark.parametrize(
    ("text", "found", "named"),
    [
        ("order {order:.2f}", None, "order"),
        ("order {order:.2f}", {"order": 1.0, "error": 2.0}, "error"),
        ("order {found.order}", {"order": 1.0}, "found"),
        ("nothing", {"error": 2.0}, "error"),
        ("", None, "no evidence"),
    ],
)
def test_a_text_and_a_check_that_differ_are_a_failed_claim(text, found, named, monkeypatch):
    with pytest.raises(ValueError, match=named):
        fill(text, found)
    known = {"eq-1": replace(STATEMENTS["eq-1"], evidence=text)}
    monkeypatch.setattr(ledger, "checks", lambda: {"eq-1": Check(("eq-1",), "proved", lambda: found, {}, slow=False)})
    monkeypatch.setattr(ledger, "statements", lambda: known)
    (decided,) = decide(["eq-1"])
    assert decided.verdict == "failed" and named in decided.evidence
