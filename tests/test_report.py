"""The page and its formulas."""

import doctest
import re
from hashlib import sha256

import pytest
from browser_checks import unset

from bdia_numerics import formulas, plots
from bdia_numerics.claims.ledger import Decided, checks, statements
from bdia_numerics.pages import ledger
from bdia_numerics.pages.template import KATEX
from bdia_numerics.studies import digits
from bdia_numerics.studies.digits import Config

SMALL = Config(steps=(5, 10), images=2, dtypes=("float64",), spacings=("trailing",))


def test_examples():
    assert doctest.testmod(formulas, optionflags=doctest.ELLIPSIS).failed == 0


PLAIN = {
    "is -(z - alpha x)/sigma^2 times": r"is $-\frac{z - \alpha x}{\sigma^2}$ times",
    "gives gamma^-(N-1), or -2(1-g)/(1+g)": r"gives $\gamma^{-(N - 1)}$, or $-2 \frac{1 - g}{1 + g}$",
    "at gamma 2 a step, z (27), O-BELM's": r"at $\gamma$ 2 a step, $z$ (27), O-BELM's",
    "y -0.01, N - i, t_i -> t_{i-1}": r"$y$ -0.01, $N - i$, $t_i \to t_{i-1}$",
    "y^(4), c^(1/2), h**2, 1/38 h y''": r"$y^{(4)}$, $c^{1/2}$, $h^2$, $\frac{1}{38} h y''$",
    "d(s^2)/dt, f(s)/2, E[x|z], N(mu, c)": r"$d (s^2)/dt$, $f (s)/2$, $\mathbb{E} [x \mid z]$, $\mathcal{N} (\mu, c)$",
    "`z_{i-1}`, $gamma$, s.delta, DPM++(2M), a*b": "`z_{i-1}`, $gamma$, s.delta, DPM++(2M), $a b$",
    "(a Gaussian) |error of z|, 3e-15 in 9/10": r"(a Gaussian) |error of $z$|, $3 \cdot 10^{-15}$ in 9/10",
    "eps(z_prev), asinh(x0), z_i^inter": r"$\epsilon (z_{\mathrm{prev}})$, $\operatorname{asinh} (x_0)$, $z_i^{\mathrm{inter}}$",
    "(a/b) h, (a/b)^2, i = 1..N, 1 + ...": r"$(a/b) h$, $(a/b)^2$, $i = 1, \dots, N$, 1 + ...",
}
"""What the printer of pages could get wrong and still look right: a sign, an exponent, a factor, an article."""


@pytest.mark.parametrize("plain", PLAIN)
def test_plain_mathematics_keeps_its_meaning(plain):
    assert formulas.typeset(plain) == PLAIN[plain]
    assert formulas.typeset(PLAIN[plain]) == PLAIN[plain], "what is set stays"


def test_the_renderer_is_what_was_published():
    sums = (KATEX / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    assert sums[0].startswith("# KaTeX 0.") and "registry.npmjs.org" in sums[1]
    named = {path: digest for digest, path in map(str.split, sums[2:])}
    found = {p.relative_to(KATEX).as_posix(): p for p in KATEX.rglob("*") if p.is_file() and p.name != "SHA256SUMS"}
    assert {name: sha256(p.read_bytes()).hexdigest() for name, p in found.items()} == named and len(named) > 20
    fonts = set(re.findall(r"fonts/[\w-]+\.woff2", (KATEX / "katex.min.css").read_text(encoding="utf-8")))
    assert fonts == {name for name in named if name.startswith("fonts/")}


def test_a_page_with_formulas_is_one_file():
    page = ledger.render([Decided(next(iter(statements().values())), "proved", "", 0.0)])
    assert not re.search(r"url\((?!data:)|<(?:script|link)[^>]*\b(?:src|href)=", page)
    assert page.count("data:font/woff2;base64,") >= 20


def test_the_report_has_its_mathematics_set():
    known, registered = statements().values(), checks()
    page = ledger.render(
        [
            Decided(
                s, "proved", f"{s.evidence} {s.note}".replace("{{", "{").replace("}}", "}"), 0.1, registered.get(s.id)
            )
            for s in known
        ]
    )
    assert unset(page) == []
    assert page.count("<details class") == len(known) and all(f'href="#{s.id}"' in page for s in known)


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
    assert all(word in page for word in ("Printed:", "Right:", "Why:", "1 misprint", "&lt;algebra&gt;", "0.50 s"))
    assert 'id="runs"' not in page


def test_figures_are_drawn_the_same_each_time():
    from bdia_numerics.plots import digits as drawn

    results, runs = digits.study(SMALL), digits.portraits(SMALL)
    for make in (lambda: drawn.portraits(runs), lambda: drawn.errors(results), lambda: drawn.overview(results)):
        first = plots.image(make(), format="png", dpi=40)
        assert first.startswith(b"\x89PNG")
        assert first == plots.image(make(), format="png", dpi=40)
    assert plots.image(drawn.portraits(runs)).startswith(b"<?xml")
