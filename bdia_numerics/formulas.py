r"""Formulas for pages without scripts: the LaTeX of the ledger as HTML, and numbers with powers of ten."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from html import escape

_BLANK = re.compile(r" (?![^<]*>)")  # outside of tags
_TOKEN = re.compile(r"\\[a-zA-Z]+ ?|\\.|[\s\S]")

_GREEK = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ε", "zeta": "ζ", "eta": "η", "theta": "θ",
    "kappa": "κ", "lambda": "λ", "mu": "μ", "nu": "ν", "xi": "ξ", "pi": "π", "rho": "ρ", "sigma": "σ", "tau": "τ",
    "phi": "φ", "chi": "χ", "psi": "ψ", "omega": "ω", "Gamma": "Γ", "Delta": "Δ", "Theta": "Θ", "Lambda": "Λ",
    "Sigma": "Σ", "Phi": "Φ", "Psi": "Ψ", "Omega": "Ω",
}  # fmt: skip
_SIGNS = {
    "to": " → ", "mapsto": " ↦ ", "leftarrow": " ← ", "le": " ≤ ", "leq": " ≤ ", "ge": " ≥ ", "geq": " ≥ ", "gg": " ≫ ",
    "ll": " ≪ ", "neq": " ≠ ", "ne": " ≠ ", "approx": " ≈ ", "sim": " ∼ ", "in": " ∈ ", "cdot": "·", "times": " × ",
    "pm": " ± ", "infty": "∞", "int": "∫", "sum": "∑", "prod": "∏", "nabla": "∇", "partial": "∂", "dots": "…",
    "ldots": "…", "cdots": "⋯", "quad": "  ", "equiv": " ≡ ", "propto": " ∝ ",
}  # fmt: skip
_WORDS = {"log", "exp", "sin", "cos", "min", "max", "det", "asinh", "sinh", "cosh", "mod"}
_SIZES = {"big", "Big", "bigg", "Bigg", "left", "right", "bigl", "bigr", "Bigl", "Bigr", "displaystyle", "limits"}
_ACCENTS = {"hat": "\u0302", "tilde": "\u0303", "bar": "\u0304", "dot": "\u0307", "widehat": "\u0302"}


def _upright(x: str) -> str:
    return x.replace("<i>", "").replace("</i>", "")


_FACES: dict[str, Callable[[str], str]] = {
    "mathbf": lambda x: f"<b>{_upright(x)}</b>",
    "boldsymbol": lambda x: f"<b>{x}</b>",
    "mathbb": lambda x: f"<b>{_upright(x)}</b>",
    "mathcal": lambda x: f'<span class="cal">{x}</span>',
    "mathrm": _upright,
    "mathsf": _upright,
    "operatorname": _upright,
    "text": _upright,
    "sqrt": lambda x: f"√({x})",
    "underbrace": lambda x: f'<span class="under">{x}</span>',
    "overbrace": lambda x: f'<span class="over">{x}</span>',
}
_ESCAPED = {",": "\u2009", ";": " ", ":": " ", " ": " ", "!": "", "{": "{", "}": "}", "|": "‖", "\\": "<br>", "%": "%"}
_SPACED = {"=": " = ", "<": " &lt; ", ">": " &gt; ", "-": "−", "'": "′", "~": " ", "*": "*", "&": ""}


def html(text: str) -> str:
    r"""Return text with formulas between dollar signs as HTML, all else escaped.

    What it does not know is shown as it was written.

    >>> html(r"error $\le\gamma^{2}$ & more")
    'error <span class="math">&nbsp;≤ <i>γ</i><sup>2</sup></span> &amp; more'
    """
    parts = text.split("$")
    if len(parts) % 2 == 0:  # a dollar sign without its partner delimits nothing
        return escape(text)
    return "".join(escape(part) if k % 2 == 0 else _math(part) for k, part in enumerate(parts))


def _math(source: str) -> str:
    source = source.replace(r"\begin{aligned}", "").replace(r"\end{aligned}", "")
    body = _sequence(iter(_TOKEN.findall(source)), stop="").strip(" ")
    if body.startswith(("≤", "≥", "≈")):
        body = f"&nbsp;{body}"
    return f'<span class="math">{body}</span>'


def _sequence(tokens: Iterator[str], stop: str) -> str:
    r"""Read atoms up to `stop`; a \rm in a group sets the rest of it upright."""
    done = ""
    for token in tokens:
        if token == stop:
            break
        if token.strip() == "\\rm":
            return done + _upright(_sequence(tokens, stop))
        done += _atom(token, tokens)
    return done


def _argument(tokens: Iterator[str]) -> str:
    for token in tokens:
        if not token.isspace():
            return _atom(token, tokens)
    return ""


def _atom(token: str, tokens: Iterator[str]) -> str:
    if token == "{":
        return _sequence(tokens, "}")
    if token in "^_":
        tag = "sup" if token == "^" else "sub"
        return f"<{tag}>{_BLANK.sub('', _argument(tokens))}</{tag}>"
    if token.startswith("\\"):
        return _command(token[1:].strip() or " ", tokens)
    if token.isspace():
        return ""
    if token in _SPACED:
        return _SPACED[token]
    return f"<i>{token}</i>" if token.isascii() and token.isalpha() else escape(token)


def _command(name: str, tokens: Iterator[str]) -> str:
    if name in _SIZES:
        return ""
    if name in _GREEK:
        return _GREEK[name] if name[0].isupper() else f"<i>{_GREEK[name]}</i>"
    if name in _WORDS:
        return f" {name} "
    if name in _ACCENTS:
        inner = _argument(tokens)
        letter = re.search(r"[^\W\d_](?=<|$)", inner)
        return inner[: letter.end()] + _ACCENTS[name] + inner[letter.end() :] if letter else inner + _ACCENTS[name]
    if name in ("frac", "dfrac", "tfrac"):
        top, bottom = _argument(tokens), _argument(tokens)
        return f'<span class="frac"><span>{top}</span><span>{bottom}</span></span>'
    if name in _FACES:
        return _FACES[name](_raw(tokens) if name in ("text", "operatorname", "mathrm") else _argument(tokens))
    return _SIGNS.get(name) or (_ESCAPED[name] if name in _ESCAPED else escape(f"\\{name} "))


def _raw(tokens: Iterator[str]) -> str:
    """Read a group of words, in which blanks count."""
    first = next(tokens, "")
    if first != "{":
        return _atom(first, tokens)
    done = ""
    for token in tokens:
        if token == "}":
            break
        done += escape(token)
    return done


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
    return f"{mantissa}·10{int(power)}".replace(f"10{int(power)}", "10" + str(int(power)).translate(_SUPERSCRIPTS))


_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
