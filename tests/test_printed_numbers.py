"""Every number in a text of the ledger comes out of the run that decides the claim, or stands in its check."""

import ast
import functools
import inspect
import re
import string
import sys

import pytest

from bdia_numerics.claims.ledger import NUMBER, CheckFailed, checks, printed, statements

REGISTERED, STATEMENTS = checks(), statements()
FORMULA = re.compile(r"\$[^$]*\$")
_NAMED = "facts?|enclosure|remark|lemma|proposition|figure|table|appendix|lines?"
REFERENCE = re.compile(rf"\([0-9]+\)|\b({_NAMED}) \d+( to \d+)?", re.IGNORECASE)
"""What names a statement, or a line of an algorithm, by its number."""
INDEX = re.compile(r"[\w}^_{]*[_^{][\d{}+-]*|\b[A-Za-z]+\d+")
"""What is part of a symbol: z_0, h^2, float64."""


RANGE = re.compile(r"(\d+)\.\.(\d+)")
"""a..b is range(a, b + 1) in a program."""


def numbers(text):
    """Return the numbers of a text: all in words, in formulas those with a decimal point."""
    inside = [n for formula in FORMULA.findall(text) for n in re.findall(r"\d+\.\d+", formula)]
    text = RANGE.sub(lambda m: f"{m[1]} {int(m[2]) + 1}", text)
    words = INDEX.sub(" ", REFERENCE.sub(" ", FORMULA.sub(" ", text)))
    return {abs(float(n)) for n in [*inside, *NUMBER.findall(words)]}


@functools.cache
def in_code(module):
    """Return the numbers that a module computes or compares with, and those that it requires to the printed digits."""
    tree = ast.parse(inspect.getsource(module))
    constants = [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant)]
    values = {abs(float(c)) for c in constants if isinstance(c, int | float)}
    texts = [re.match(rf"({NUMBER.pattern})(?= ?[a-z]*$)", c) for c in constants if isinstance(c, str)]
    return values | {abs(float(m.group())) for m in texts if m}


def written(text):
    """Return the pieces of a text of evidence that stand in it as they are, without its fields."""
    return [piece for piece, *_ in string.Formatter().parse(text)]


def uncovered(claim, **changes):
    """Return the numbers in a claim's texts, or in changed ones, that stand in no line of its check."""
    function = REGISTERED[claim].run
    fields = {name: getattr(STATEMENTS[claim], name) for name in ("title", "statement", "right", "why")} | changes
    evidence = written(STATEMENTS[REGISTERED[claim].ids[0]].evidence)
    said = {n for text in [*fields.values(), *evidence] for n in numbers(text)}
    return said - in_code(sys.modules[function.__module__])


@pytest.mark.parametrize("claim", [s for s in STATEMENTS if s in REGISTERED])
def test_no_text_of_a_claim_has_a_number_of_its_own(claim):
    assert uncovered(claim) == set()


@pytest.mark.parametrize(
    ("claim", "text", "number"),
    [
        ("fact-5", "the response is 17.3 times the formula", 17.3),
        ("fact-11", "sampled 90 times better", 90),
        ("fact-12", "the mean has 1.38 times the error", 1.38),
        ("fact-14", "2.0 times (3.1 times) the error of Heun", 3.1),
        ("fact-4", "the last being $1.23/\\sqrt c$", 1.23),
    ],
)
def test_a_number_that_no_check_knows_is_found(claim, text, number):
    assert number in uncovered(claim, why=text)


@pytest.mark.parametrize(
    ("value", "text"), [(17.13, "17.1 times"), (90.6, "91 times"), (2.029, "2.03"), (-0.11, "-.1"), (4e-12, "0e-11")]
)
def test_what_rounds_to_the_printed_digits_may_be_printed(value, text):
    assert printed(value, text) == text


@pytest.mark.parametrize(
    ("value", "text"), [(17.13, "17.2"), (90.6, "90 times"), (2.029, "2.02"), (1.9, "1.35"), (5, "2")]
)
def test_what_rounds_otherwise_may_not(value, text):
    with pytest.raises(CheckFailed, match=re.escape(repr(text))):
        printed(value, text)


def test_a_text_without_a_number_is_refused():
    with pytest.raises(ValueError, match="has no number"):
        printed(1.0, "many times")
