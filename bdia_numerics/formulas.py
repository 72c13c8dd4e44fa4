"""Formulas, numbers and tables for pages: the LaTeX of the ledger as MathML, powers of ten, rows in Markdown."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from html import escape

_FORMULA = re.compile(r"\$([^$]+)\$")


def html(text: str) -> str:
    r"""Return text as HTML, with each formula between dollar signs as MathML.

    >>> html(r"for $N \to \infty$ & on")
    'for <math ...><mrow><mi>N</mi>...</mrow></math> &amp; on'
    """
    pieces = _FORMULA.split(text)
    return "".join(mathml(piece) if k % 2 else escape(piece, quote=False) for k, piece in enumerate(pieces))


def mathml(formula: str, *, display: bool = False) -> str:
    r"""Return a formula in LaTeX as MathML, in a line or, with `display`, as a block of its own.

    >>> mathml(r"\gamma")
    '<math xmlns="http://www.w3.org/1998/Math/MathML" display="inline"><mrow><mi>&#x003B3;</mi></mrow></math>'
    """
    from latex2mathml.converter import convert

    # The converter sets the lines of `split`, and takes those of `aligned`, which is the same, for one line.
    converted: str = convert(formula.replace("{aligned}", "{split}"), display="block" if display else "inline")
    # Without a mathematical font, Chromium sets a lone subscript on the line, and no browser reads bold as a variant.
    converted = converted.replace("<msub>", "<msubsup>").replace("</msub>", "<mrow></mrow></msubsup>")
    return converted.replace('mathvariant="bold"', 'mathvariant="normal" style="font-weight: bold"')


def number(x: float, digits: int = 2) -> str:
    """Return a number with few significant digits, powers of ten as superscripts in Unicode.

    >>> number(5.234e-16), number(0.0213), number(3.0e12, 1)
    ('5.2·10⁻¹⁶', '0.021', '3·10¹²')
    """
    if x == 0 or x != x or x in (float("inf"), float("-inf")):
        return f"{x:g}"
    mantissa, _, power = f"{x:.{digits - 1}e}".partition("e")
    if -3 <= int(power) < 4:
        return f"{float(f'{mantissa}e{power}'):.{max(digits - 1 - int(power), 0)}f}"
    return f"{mantissa}·10{str(int(power)).translate(_SUPERSCRIPTS)}"


def within(x: float, uncertainty: float, digits: int = 1, most: int | None = None) -> str:
    """Return a number with the decimals that its uncertainty carries.

    Parameters
    ----------
    x, uncertainty
        The number, and by how much it may be off; of a band, half its width.
    digits
        Significant digits of the uncertainty that still count.
    most
        Decimals at most.

    >>> within(1.23456, 0.02), within(-3e-8, 1e-6), within(1234.5, 30.0), within(2.4437, 15.5, digits=2)
    ('1.23', '0.000000', '1230', '2')
    """
    if not (math.isfinite(x) and 0 < uncertainty < math.inf):
        return f"{x:z.2f}" if most is None else f"{x:z.{most}f}"
    places = digits - 1 - int(f"{uncertainty:.{digits - 1}e}".partition("e")[2])
    places = places if most is None else min(places, most)
    return f"{round(x, places):z.{max(places, 0)}f}"


def solver_name(text: str) -> str:
    """Return a solver's text as figures have it.

    >>> solver_name("BDIA(gamma=1/2)"), solver_name("EDICT(p=93/100)"), solver_name("OBELM"), solver_name("DDIM by (23)")
    ('BDIA, γ = 1/2', 'EDICT, p = 0.93', 'O-BELM', 'DDIM by (23)')
    """
    text, by, way = text.partition(" by ")
    if by:
        return f"{solver_name(text)} by {way}"
    name, _, rest = text.rstrip(")").partition("(")
    name = _NAMES.get(name, name)
    words = []
    for word in filter(None, rest.split(",")):
        key, _, value = word.strip().partition("=")
        words.append(f"{key.replace('gamma', 'γ')} = {_HUNDREDTHS.sub(_decimal, value)}" if value else key)
    return ", ".join([name, *words])


def _decimal(found: re.Match[str]) -> str:
    return f"{int(found[1]) / int(found[2]):g}"


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    r"""Return rows as a table in Markdown; bars inside of formulas are set as \mid, which does not end a cell.

    >>> print(table(["solver", "order"], [("BDIA", 2)]))
    | solver | order |
    | --- | --- |
    | BDIA | 2 |
    """
    lines = [heads, ["---"] * len(heads), *([str(x).replace("|", r"\mid ") for x in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


_NAMES = {
    "OBELM": "O-BELM", "DPMSolver": "DPM-Solver", "DPMSolverPP": "DPM-Solver++", "BDIAHeun": "BDIA-EDM",
    "BDIADPMSolverPP": "BDIA-DPM-Solver++", "McCallumFoster": "McCallum-Foster", "ReversibleHeun": "reversible Heun",
}  # fmt: skip
_HUNDREDTHS = re.compile(r"^(\d+)/(10|20|50|100)$")
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
