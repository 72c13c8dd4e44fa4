"""The page and its formulas."""

import doctest
from xml.etree import ElementTree as ET

import pytest

from bdia_numerics import formulas, plots
from bdia_numerics.claims.ledger import Decided, statements
from bdia_numerics.pages import ledger
from bdia_numerics.studies import digits
from bdia_numerics.studies.digits import Config

SMALL = Config(steps=(5, 10), images=2, dtypes=("float64",), spacings=("trailing",))


def test_examples():
    assert doctest.testmod(formulas, optionflags=doctest.ELLIPSIS).failed == 0


@pytest.mark.parametrize("field", ["title", "statement", "note", "printed", "right", "why"])
def test_every_formula_of_the_ledger_is_understood(field):
    for statement in statements().values():
        page = formulas.html(getattr(statement, field))
        assert "\\" not in page, statement.id
        assert "$" not in page, statement.id
        assert page.count("<math") == page.count("</math>") == getattr(statement, field).count("$") // 2


def test_a_formula_is_read_as_it_is_meant():
    fraction = ET.fromstring(formulas.html(r"$\frac{a}{b_{i-1}}$"))
    names = [element.tag.rpartition("}")[2] for element in fraction.iter()]
    assert names.count("mfrac") == 1
    assert names.count("msubsup") == 1
    assert "".join(fraction.itertext()) == "abi\u22121"


@pytest.mark.parametrize("text", ["a < b & c", "costs 3$ only"])
def test_text_is_escaped(text):
    assert formulas.html(text) == text.replace("&", "&amp;").replace("<", "&lt;")


def test_numbers():
    assert formulas.number(0) == "0"
    assert formulas.number(float("nan")) == "nan"
    assert formulas.number(0.0999) == "0.10"
    assert formulas.number(9.99e-5) == "1.0·10⁻⁴"
    assert formulas.number(1234.5) == "1200"


def test_a_bar_in_a_formula_ends_no_cell_of_a_table():
    lines = formulas.table(["a", "b"], [("$x|y$", 2)]).splitlines()
    assert lines[:2] == ["| a | b |", "| --- | --- |"]
    assert [cell.strip() for cell in lines[2].split("|")] == ["", r"$x\mid y$", "2", ""]


def test_corrections_are_shown():
    statement = next(s for s in statements().values() if s.printed)
    page = ledger.render([Decided(statement, "misprint", "by <algebra>", 0.5)])
    assert all(word in page for word in ("Printed:", "Right:", "Why:", "1 misprint", "&lt;algebra&gt;", "0.50"))
    assert "Stable Diffusion schedule</h2>" not in page


def test_figures_are_drawn_the_same_each_time():
    from bdia_numerics.plots import digits as drawn

    results, runs = digits.study(SMALL), digits.portraits(SMALL)
    for make in (lambda: drawn.portraits(runs), lambda: drawn.errors(results), lambda: drawn.overview(results)):
        first = plots.image(make(), format="png")
        assert first.startswith(b"\x89PNG")
        assert first == plots.image(make(), format="png")
    assert plots.image(drawn.portraits(runs)).startswith(b"<?xml")


def test_aligned_formulas_are_set_in_lines():
    from bdia_numerics import EDICT, formulas, inverse_latex

    html = formulas.html(f"${inverse_latex(EDICT())}$")
    assert html.count("<mtr>") == 4  # four assignments
    assert ">&<" not in html
