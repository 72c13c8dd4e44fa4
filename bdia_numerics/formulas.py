"""Formulas, numbers and tables for pages: TeX in HTML, powers of ten, rows in Markdown."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Any

from bdia_numerics.texts import listed

_MARKED = re.compile(r"\$([^$]+)\$|`([^`]+)`")


def html(text: str) -> str:
    r"""Return text as HTML, with each formula between dollar signs as TeX, which the script of a page sets, and code in backticks.

    >>> html(r"for $N \to \infty$ & on")
    'for <span class="math">N \\to \\infty</span> &amp; on'
    """

    def marked(found: re.Match[str]) -> str:
        return f'<span class="math">{found[1]}</span>' if found[1] else f"<code>{found[2]}</code>"

    return _MARKED.sub(marked, escape(text, quote=False))


def typeset(text: str) -> str:
    r"""Return text with its plain mathematics as TeX between dollar signs; formulas in TeX, code in backticks and words stay.

    Plain mathematics is what terminals show: gamma for a letter, z_{i-1}, y'', h^2 or h**2, a product with `*` or a space, and
    (...)/(...) for a fraction. A formula has at least one symbol, so (27) and [0, 1] are text. An "a" alone is the article.

    >>> print(typeset("The roots are 1 and -gamma, so (27) needs gamma != 0."))
    The roots are 1 and $-\gamma$, so (27) needs $\gamma \neq 0$.
    >>> print(typeset("DDIM's error is h^2/2 y'', that of a step here (1 - gamma)/(2*gamma + 2) h**2 y''."))
    DDIM's error is $\frac{h^2}{2} y''$, that of a step here $\frac{1 - \gamma}{2 \gamma + 2} h^2 y''$.
    """
    found, at = [], 0
    while at < len(text):
        kept = _KEPT.match(text, at)
        read = None if kept else _expression(text, at)
        if read is not None and read.sure:
            found.append(f"${read.tex}$")
            at = read.end
        else:
            kept = kept or _NUMBER.match(text, at)
            found.append(kept[0] if kept else text[at])
            at += len(found[-1])
    return "".join(found)


@dataclass(frozen=True)
class _Read:
    """A piece of plain mathematics: its TeX, where it ends, whether it has a symbol or is a number, and what is in its brackets."""

    tex: str
    end: int
    sure: bool = False
    number: bool = False
    inner: str = ""


def _expression(text: str, at: int, inside: str = "") -> _Read | None:
    """Return the longest formula that begins here; `inside` has the operators that count within brackets alone."""
    pieces: list[str] = []
    left: _Read | None = None
    operator, end, sure, called = "", at, False, False
    while True:
        sign = _SIGN.match(text, end) if left is None or operator else None
        begin = end + bool(sign)
        right = _atom(text, begin, deep=bool(inside))
        if right is None or (left is not None and not operator and not _multiplied(left, right, text[left.end : end])):
            return None if left is None else _Read("".join(pieces), left.end, sure, inner=_lone(pieces))
        sure = sure or right.sure
        before_factor = right.number and _SYMBOL.match(text, right.end + 1)  # what follows "h/2 " is not below the line
        if operator == "/" and left is not None and not called and (left.inner or before_factor):
            pieces[-1] = f"\\frac{{{left.inner or left.tex}}}{{{right.inner or right.tex}}}"
            left = replace(right, inner="", number=False)
        else:
            between = (
                "" if left is None else r" \cdot " if operator == "*" and right.number else _OPERATORS.get(operator)
            )
            pieces += [f" {operator} " if between is None else between, sign[0] if sign else "", right.tex]
            called = left is not None and not (operator or left.number) and begin == left.end
            left = right
        follows = _OPERATOR.match(text, left.end)
        operator = follows[1] if follows and (follows[1] not in ",;|" or follows[1] in inside) else ""
        end = follows.end() if follows and operator else left.end + (text[left.end : left.end + 1] == " ")


def _lone(pieces: Sequence[str]) -> str:
    """Return a fraction that is all there is, which needs no brackets as a factor."""
    return pieces[2] if len(pieces) == 3 and not pieces[1] and pieces[2].startswith("\\frac") else ""


def _multiplied(left: _Read, right: _Read, gap: str) -> bool:
    """Say whether a factor or an argument follows without an operator: not the 2 of "gamma 2", nor the (27) of "z (27)"."""
    return not right.number and (right.sure or (not gap and not left.number and left.sure))


def _atom(text: str, at: int, *, deep: bool) -> _Read | None:
    """Return a number, a symbol, a function with its argument, or what is in brackets, each with its indices and powers."""
    if text.startswith("...", at):
        return _Read(r"\dots", at + 3, number=True)
    read: _Read | None
    if found := _FUNCTION.match(text, at):
        argument = _atom(text, found.end(), deep=True)
        if argument is None or argument.number:
            return None
        name = f"\\{found[1]}" if found[1] in _NAMED else f"\\operatorname{{{found[1]}}}"
        tex = f"{name}^{found[2]} {argument.tex}" if found[2] else f"{name} {argument.tex}"
        read = _Read(
            f"\\sqrt{{{argument.inner or argument.tex}}}" if found[1] == "sqrt" else tex, argument.end, sure=True
        )
    elif found := _NUMBER.match(text, at):
        digits, power = ("" if found[1] == "1" else f"{found[1]} \\cdot "), found[2] and int(found[2])
        tex = found[1] if power is None else f"{digits}10^{{{power}}}"
        read = _Read(tex, found.end(), sure=power is not None, number=True)
    elif found := _SYMBOL.match(text, at):
        if not deep and found[0] in ("a", "A", "I") and not _JOINED.match(text, found.end()):
            return None
        name = {"eps": "epsilon"}.get(found[1], found[1])
        tex = _SETS.get(found[0], found[0]) if _OF.match(text, found.end()) else found[0]
        tex = f"\\{name}" if name in _WORDS.split() else "x" if found[1] == "x" else tex
        read = _Read(tex + (f"_{found[2]}" if found[2] else ""), found.end(), sure=True)
    else:
        read = _bracketed(text, at)
        if read is None:
            return None
    return _with_scripts(text, read)


def _bracketed(text: str, at: int) -> _Read | None:
    bar = text.startswith("|", at)
    if not bar and not text.startswith(("(", "["), at):
        return None
    read = _expression(text, at + 1, "," if bar else ",;|")
    if read is None or not text.startswith("|" if bar else (")", "]"), read.end):
        return None
    if read.inner and not bar and not _SCRIPT.match(text, read.end + 1):
        return _Read(read.inner, read.end + 1, read.sure)
    big = ("\\left", "\\right") if "\\frac" in read.tex else ("", "")
    tex = f"{big[0]}{text[at]}{read.tex}{big[1]}{text[read.end]}"
    return _Read(tex, read.end + 1, read.sure, inner="" if bar else read.tex)


def _with_scripts(text: str, read: _Read) -> _Read:
    while script := _SCRIPT.match(text, read.end):
        end, tex, sure = script.end(), script[1] or "", read.sure
        if script[2]:
            tex = _script("_", _upright(script[2]))
        elif not tex:
            power, word = _atom(text, end, deep=True), _WORD.match(text, end)
            if power is not None:
                bare = power.inner and not script[3] and not power.inner.isdigit()  # y^(4) is a derivative
                tex, end, sure = power.inner if bare else power.tex, power.end, sure or power.sure
            elif word is not None:
                tex, end = _upright(word[0]), word.end()
            else:
                return read
            tex = _script("^", script[3] + tex)
        read = _Read(read.tex + tex, end, sure, read.number and not sure)
    return read


def _script(mark: str, tex: str) -> str:
    return f"{mark}{tex}" if len(tex) == 1 else f"{mark}{{{tex}}}"


def _upright(index: str) -> str:
    bare = index.strip("{}")
    return f"\\mathrm{{{bare}}}" if bare.isalpha() and len(bare) > 1 else bare


def expression(x: Any, *, tex: bool = False) -> str:
    r"""Return an expression of sympy, or a condition, as it stands in texts: for terminals, and for `typeset`, or in TeX.

    A quotient has one line, factors stand side by side, constants come first unless they are negative, and a root of a polynomial that
    has no closed form is a decimal. What is factored stays so, and nothing else is.

    >>> import sympy
    >>> gamma, h = sympy.symbols("gamma h_{i-1}")
    >>> expression((gamma - 1) / (-1 - gamma)), expression(5 * h**2 * (gamma + 2 * h) / 12), expression(gamma > 0)
    ('(1 - gamma)/(1 + gamma)', '5 h_{i-1}^2 (gamma + 2 h_{i-1})/12', 'gamma > 0')
    >>> print(expression((gamma - 1) / (-1 - gamma), tex=True))
    \frac{1 - \gamma}{1 + \gamma}
    """
    return _Writer(tex).of(x)


@dataclass(frozen=True)
class _Writer:
    """Expressions as text, in TeX or not."""

    tex: bool

    def of(self, x: Any) -> str:
        import sympy

        if isinstance(x, sympy.And | sympy.Or):
            joint = " and " if isinstance(x, sympy.And) else " or "
            parts = sorted(x.args, key=_Writer(tex=False).of)
            return (f"\\text{{{joint}}}" if self.tex else joint).join(map(self.of, parts))
        if isinstance(x, sympy.core.relational.Relational):
            sign = {"==": "="}.get(x.rel_op, x.rel_op)
            return f"{self.of(x.lhs)} {_OPERATORS.get(sign, sign).strip() if self.tex else sign} {self.of(x.rhs)}"
        x = sympy.sympify(x)
        return self._sum(x.xreplace({root: sympy.Float(root.evalf(6), 6) for root in x.atoms(sympy.CRootOf)}))

    def _sum(self, x: Any) -> str:
        if not x.is_Add:
            return self._product(x)
        terms = x.as_ordered_terms()
        # Polynomials in zeta fall in powers; elsewhere a constant is first, as in 1 - gamma. No sum begins with a minus that need not.
        zeta = next((symbol for symbol in x.free_symbols if str(symbol) == "zeta"), None)
        terms.sort(key=lambda t: 0 if zeta is None else -t.as_coeff_exponent(zeta)[1])
        first = next((t for t in terms if t.is_number and t > 0 and zeta is None), None)
        if first is None and _negative(terms[0]):
            first = next((t for t in terms if not _negative(t)), None)
        if first is not None:
            terms = [first, *(t for t in terms if t is not first)]
        text = " ".join(f"- {p[1:]}" if (p := self._product(t)).startswith("-") else f"+ {p}" for t in terms)
        return text[2:] if text[0] == "+" else f"-{text[2:]}"

    def _product(self, x: Any) -> str:
        import sympy

        number, sides = sympy.Integer(1), []
        for part, power in zip(map(sympy.factor_terms, sympy.fraction(x)), (1, -1), strict=True):
            own, rest = part.as_coeff_Mul()
            number *= own**power
            sides.append([] if rest == 1 else sorted(rest.as_ordered_factors(), key=_rank))
        above, below = sides
        if _negative(number) and (sums := [k for k, f in enumerate(above) if f.is_Add]):
            k = max(sums, key=lambda k: sum(map(_negative, above[k].args)))
            above[k], number = -above[k], -number
        sign, number = "-" if _negative(number) else "", abs(number)
        upper, lower = (number.p, number.q) if number.is_Rational else (number, 1)
        over, under = (
            self._side(upper, above, self.tex or not (below or lower != 1)),
            self._side(lower, below, self.tex),
        )
        if under == "1":
            return sign + over
        if self.tex:
            return f"{sign}\\frac{{{over}}}{{{under}}}"
        return f"{sign}{over}/({under})" if len(below) + (lower != 1) > 1 else f"{sign}{over}/{under}"

    def _side(self, number: Any, factors: list[Any], bare: bool) -> str:
        """Return one side of a quotient; `bare` if a sum that is all of it needs no brackets."""
        if bare and number == 1 and len(factors) == 1 and factors[0].is_Add:
            return self._sum(factors[0])
        return " ".join([*([] if number == 1 and factors else [self._number(number)]), *map(self._factor, factors)])

    def _number(self, x: Any) -> str:
        return f"{float(x):.6g}" if getattr(x, "is_Float", False) else str(x)

    def _factor(self, x: Any) -> str:
        import sympy

        if x.is_Symbol:
            return self._name(x.name)
        if x.is_Pow:
            base, power = x.as_base_exp()
            if power == sympy.Rational(1, 2):
                return f"\\sqrt{{{self._sum(base)}}}" if self.tex else f"sqrt({self._sum(base)})"
            above = self._sum(power)
            above = f"{{{above}}}" if self.tex else above if power.is_Integer and power > 0 else f"({above})"
            return f"{self._factor(base)}^{above}"
        if x.is_Function:
            name = f"\\{x.func.__name__}" if self.tex and x.func.__name__ in _NAMED else x.func.__name__
            return f"{name}({', '.join(map(self._sum, x.args))})"
        if x.is_number and (x.is_Float or x.is_Integer or x.is_NumberSymbol):
            return self._number(x) if not x.is_NumberSymbol else self._name(str(x))
        inner = self._sum(x)
        return f"\\left({inner}\\right)" if self.tex else f"({inner})"

    def _name(self, name: str) -> str:
        if not self.tex or "\\" in name:
            return f"({name})" if "/" in name else name
        set_ = typeset(name)
        return set_[1:-1] if set_.startswith("$") and set_.count("$") == 2 else f"\\mathrm{{{name}}}"


def _rank(factor: Any) -> int:
    """Return 0 for parameters, 1 for what has an index, 2 for sums, 3 for derivatives such as J y'': their order in a product."""
    base = factor.as_base_exp()[0]
    name = base.name if base.is_Symbol else ""
    return 2 if base.is_Add else 3 if " " in name or name.endswith(("'", ")")) else int("_" in name)


def _negative(x: Any) -> bool:
    return bool(x.as_coeff_Mul()[0].is_negative)


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
    >>> solver_name("Composed(base=ALF(variable=angle),scheme=suzuki)")
    'Composed, base = ALF(variable=angle), scheme = suzuki'
    """
    text, by, way = text.partition(" by ")
    if by:
        return f"{solver_name(text)} by {way}"
    found = _CALL.fullmatch(text)
    name, rest = (found[1], found[2] or found[3] or "") if found else (text, "")
    name, words = _NAMES.get(name, name), []
    for word in listed(rest):
        key, _, value = _FRACTION.sub(r"\1/\2", word).partition("=")
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
_CALL = re.compile(r"(\w+)(?:\((.*)\)|:([^:]*=[^:]*))?")
_FRACTION = re.compile(r"Fraction\((-?\d+), (\d+)\)")
_HUNDREDTHS = re.compile(r"^(\d+)/(10|20|50|100)$")
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

_WORDS = "alpha beta gamma delta epsilon eps zeta eta theta kappa lambda mu nu xi rho sigma tau phi psi omega pi Gamma Delta Omega Phi"
_NAMED = ("log", "exp", "cosh", "sinh", "tanh", "cos", "sin", "det", "min", "max")
_LETTERS, _CALLED = "|".join(_WORDS.split()), "|".join((*_NAMED, "asinh", "mod", "sqrt"))
_SYMBOL = re.compile(
    rf"({_LETTERS}|x(?=0(?!\w)))(\d*)(?![A-Za-z]|_bar)|d[tsyzrgqxF](?![A-Za-z0-9])|[A-Za-z](?![A-Za-z0-9])"
)
_FUNCTION = re.compile(rf"({_CALLED})(?:\^(\d))?(?=[( ]) ?")
_NUMBER = re.compile(r"(\d+(?:\.\d+)?|\.\d+)(?:e([-+]?\d+))?(?!\d|[A-Za-z]{2}|[MDS](?!\w))")
_SIGN = re.compile(r"[-+](?=[^\s>])")
_OPERATOR = re.compile(r"\s*(->|<-|<=|>=|!=|\.\.(?!\.)|\*(?!\*)|[/=<>,|;]|(?<! )[-+](?! )|(?<= )[-+](?= ))\s*")
_OPERATORS = {
    "": " ", "*": " ", "/": "/", ",": ", ", "->": r" \to ", "<-": r" \leftarrow ", "<=": r" \le ", ">=": r" \ge ", "!=": r" \neq ",
    "|": r" \mid ", "..": r", \dots, ",
}  # fmt: skip
_SCRIPT = re.compile(r"('+)(?![A-Za-z])|_(\{[^{}]*\}|[A-Za-z]+|\d+)|(?:\^|\*\*)(-?)(?=[\w({])")
_WORD = re.compile(r"[A-Za-z]+|\{[^{}]*\}")
_OF = re.compile(r"\[|\((?=[^()]*,)")
_SETS = {"N": r"\mathcal{N}", "E": r"\mathbb{E}"}
"""The normal distribution of a mean and a variance, and expectations."""
_JOINED = re.compile(r"_|\^|'(?!s)|\(|\[| ?(?:=|<|>|!=|/|\*|\+) ?[^ ]| - ")
_KEPT = re.compile(
    rf"\$[^$]+\$|`[^`]*`|[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+|'s(?!\w)|[Aa]ppendix [A-Z]|O-(?=[A-Z])|\d+(?:[A-Za-z]{{2,}}|[MDS](?!\w))"
    rf"|(?!(?:{_LETTERS})\d*(?![A-Za-z]|_bar)|(?:{_CALLED})[(^ ]|x0(?!\w)|d[tsyzrgqxF](?!\w))[A-Za-z]{{2}}\w*(?:[-'][A-Za-z]\w*)*\+*"
)
"""Formulas in TeX, code, names in code, and words."""
