"""Every formula of the sources, set in Chromium as on a page; each command in them has to come out as what it means."""

import json
import re
from pathlib import Path

import pytest
from browser_checks import CHROMIUM, browser

pytest.importorskip("jinja2", reason="needs the extra report")
pytest.importorskip("playwright.sync_api", reason="needs the extra test")

from bdia_numerics import BDIA, CBDIA, EDICT, formulas, inverse_latex
from bdia_numerics.claims.ledger import statements
from bdia_numerics.pages.template import rendered
from bdia_numerics.program import step_latex

ROOT = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium (scripts/debian-packages.sh chromium installs it)"
)

ITALICS = "alpha α beta β gamma γ delta δ epsilon ϵ zeta ζ theta θ lambda λ mu μ rho ρ sigma σ tau τ phi ϕ"
UPRIGHTS = "Gamma Γ Delta Δ Phi Φ Omega Ω nabla ∇ infty ∞ top ⊤ partial ∂ ell ℓ"
RELATIONS = "sim ∼ approx ≈ le ≤ ge ≥ gg ≫ in ∈ to → mapsto ↦ leftarrow ← propto ∝ mid ∣"
UPRIGHT, BOLD, ITALIC = "KaTeX_Main 400 normal", "KaTeX_Main 700 normal", "KaTeX_Math 400 italic"


def signs(names, kind, font):
    words = names.split()
    return {f"\\{name}": (sign, kind, font) for name, sign in zip(words[::2], words[1::2], strict=True)}


EXPECTED = {
    **signs(ITALICS, "mord", ITALIC), **signs(UPRIGHTS, "mord", UPRIGHT), **signs(RELATIONS, "mrel", UPRIGHT),
    **{rf"\{name}": (name, "mop", UPRIGHT) for name in ("log", "ln", "exp", "cosh", "sin", "tanh", "det", "lim", "max", "min", "sup")},
    r"\cdot": ("⋅", "mbin", UPRIGHT), r"\times": ("×", "mbin", UPRIGHT), r"\pm": ("±", "mbin", UPRIGHT),
    r"\bmod": ("mod", "mbin", UPRIGHT), r"\operatorname{mod}": ("mod", "mop", UPRIGHT),
    r"\mathcal N": ("N", "mord", "KaTeX_Caligraphic 400 normal"), r"\mathbb E": ("E", "mord", "KaTeX_AMS 400 normal"),
    r"\mathbf z": ("z", "mord", BOLD), r"\boldsymbol\epsilon": ("ϵ", "mord", "KaTeX_Math 700 italic"),
    r"\mathrm{inter}": ("inter", "mord", UPRIGHT), r"{\rm inter}": ("inter", "mord", UPRIGHT), r"\text{as}": ("as", "mord", UPRIGHT),
    r"\mathsf T": ("T", "mord", "KaTeX_SansSerif 400 normal"), r"\dots": ("…", "minner", UPRIGHT), "z": ("z", "mord", ITALIC),
    r"\|": ("∥", "mord", UPRIGHT), r"\lvert": ("∣", "mopen", UPRIGHT), r"\rvert": ("∣", "mclose", UPRIGHT),
    r"\{": ("{", "mopen", UPRIGHT), r"\}": ("}", "mclose", UPRIGHT), r"\lfloor": ("⌊", "mopen", UPRIGHT),
    r"\rfloor": ("⌋", "mclose", UPRIGHT), r"\int": ("∫", "mop", "KaTeX_Size1 400 normal"),
    r"\sum": ("∑", "mop", "KaTeX_Size1 400 normal"), r"\prod": ("∏", "mop", "KaTeX_Size1 400 normal"),
}  # fmt: skip
"""Of one sign: what is shown, its class, which is its spacing, and its font."""
PARTS = {
    r"\frac{1}{2}": "1 over 2", r"\tfrac{1}{2}": "1 over 2", r"\dfrac{1}{2}": "1 over 2", r"\hat x": "^ over x", r"\tilde x": "~ over x",
    r"\dot x": "˙ over x", r"\underbrace{x}_{y}": "x over y", r"\overbrace{x}^{y}": "y over x", "x''": "′′ over x",
    r"\begin{array}{l}a\\[1ex]b\end{array}": "a over b", r"\begin{aligned}a\\b\end{aligned}": "a over b", "x^a": "a over x",
    r"\left(x\right)": "( x )", r"\big[x\big]": "[ x ]", r"\Big[x\Big]": "[ x ]", r"\bigl(x\bigr)": "( x )", r"\Bigl(x\Bigr)": "( x )",
    r"\sqrt{x}": "x", r"a \ne b": "a \ue020 = b", r"a \neq b": "a \ue020 = b", r"a\,b": "a b", r"a\;b": "a b", r"a\ b": "a b",
    r"a\quad b": "a b", r"a\qquad b": "a b",
}  # fmt: skip
"""Of several: what stands over what, or the order in a line."""
CHECK = r"""tex => {
  const e = document.body.appendChild(document.createElement("span"));
  katex.render(tex, e, {strict: "error", displayMode: false});
  const shown = [], walk = document.createTreeWalker(e.querySelector(".katex-html"), NodeFilter.SHOW_TEXT);
  for (let n; (n = walk.nextNode());) if (n.data.replace(/[\u200b\s]/g, "")) {
    const range = document.createRange(), of = n.parentElement, style = getComputedStyle(of); range.selectNodeContents(n);
    let atom = of; while (!atom.parentElement.matches(".katex-base")) atom = atom.parentElement;
    shown.push({text: n.data.trim(), kind: atom.className.split(" ")[0],
      font: `${style.fontFamily.split(",")[0]} ${style.fontWeight} ${style.fontStyle}`, box: range.getBoundingClientRect().toJSON()});
  }
  e.remove(); return shown;
}"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A page of ours with its renderer, opened."""
    place = tmp_path_factory.mktemp("page") / "page.html"
    place.write_text(rendered("page.html.j2"), encoding="utf-8")
    with browser() as chromium:
        tab = chromium.new_page()
        tab.goto(place.as_uri())
        yield tab


def written(text):
    """Return the formulas of a text in Markdown."""
    text = re.sub(r"```.*?```|`[^`\n]*`", " ", text, flags=re.DOTALL)
    return [a or b for a, b in re.findall(r"\$\$(.+?)\$\$|(?<![\\$])\$([^$\n]+)\$", text, flags=re.DOTALL)]


@pytest.fixture(scope="module")
def sources():
    """The formulas of the ledger with its evidence, of the documentation and the chapters, and of steps and inverses."""
    pages = [path.read_text(encoding="utf-8") for path in (ROOT / "docs").rglob("*.md") if "_build" not in path.parts]
    chapters = [path.read_text(encoding="utf-8") for path in (ROOT / "notebooks").glob("*.py")]
    known = statements().values()
    told = [text for s in known for text in (s.title, s.statement, s.note, s.printed, s.right, s.why)]
    told += [s.evidence.replace("{{", "{").replace("}}", "}") for s in known]
    found = {formula for text in (*pages, *map(formulas.typeset, told)) for formula in written(text)}
    found |= {f for text in chapters for f in written("\n".join(re.findall(r"^# (.*)$", text, re.MULTILINE)))}
    found |= {make(solver()) for solver in (BDIA, EDICT, CBDIA) for make in (step_latex, inverse_latex)}
    return found


def test_every_formula_is_understood(page, sources):
    assert len(sources) > 1000
    failed = page.evaluate(
        """all => all.flatMap(tex => {
          try { katex.renderToString(tex, {strict: "error"}); return []; } catch (error) { return [`${tex}: ${error.message}`]; } })""",
        sorted(sources),
    )
    assert failed == []


def test_every_command_of_the_sources_is_looked_at(sources):
    commands = re.compile(r"\\(?:[A-Za-z]+|[^A-Za-z])")
    used = {command for formula in sources for command in commands.findall(formula)}
    assert (
        used - set(commands.findall(json.dumps([*EXPECTED, *PARTS], ensure_ascii=False).replace("\\\\", "\\"))) == set()
    )


def test_a_sign_is_what_it_means(page):
    shown = {tex: page.evaluate(CHECK, f"{{}}{tex}{{}}") for tex in EXPECTED}
    found = {tex: ("".join(x["text"] for x in of), of[0]["kind"], of[0]["font"]) for tex, of in shown.items()}
    assert found == EXPECTED


def test_parts_stand_where_they_belong(page):
    found = {}
    for tex, expected in PARTS.items():
        along = "top" if " over " in expected else "left"
        shown = sorted(page.evaluate(CHECK, tex), key=lambda x: x["box"][along])
        found[tex] = (" over " if along == "top" else " ").join(x["text"] for x in shown)
    assert found == PARTS
    spaces = {tex: page.evaluate(CHECK, tex) for tex in (r"a\,b", r"a\;b", r"a\quad b", r"a\qquad b")}
    widths = [b["box"]["left"] - a["box"]["right"] for a, b in spaces.values()]
    assert widths == sorted(widths) and 1 < widths[0] < widths[-1] / 5, "each space is wider than the one before it"
    *_, log, x = page.evaluate(CHECK, r"\log x")
    assert x["box"]["left"] - log["box"]["right"] > 2, "an operator has its space"
