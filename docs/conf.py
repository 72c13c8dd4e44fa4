"""Sphinx configuration: MyST pages, formulas that KaTeX sets, and API pages written from the modules that exist."""

import re
import runpy
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from jinja2 import Template
from sphinx import addnodes
from sphinx.application import Sphinx

import bdia_numerics
from bdia_numerics import formulas, solvers
from bdia_numerics.pages import explorer
from bdia_numerics.pages.results import step_formulas

project = "bdia_numerics"
author = "bdia_numerics contributors"
copyright = "2026, bdia_numerics contributors"

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinxcontrib.bibtex"]
bibtex_bibfiles = ["references.bib"]
bibtex_reference_style = "author_year"
bibtex_default_style = "plain"
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # chapters come executed, see `execute_chapters`
nb_render_markdown_format = "myst"  # tables and formulas in what cells show
nb_merge_streams = True
nb_code_prompt_show = "Show the code"
nb_code_prompt_hide = "Hide the code"
napoleon_google_docstring = False
napoleon_use_ivar = True
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True  # as they are written: what an object prints of itself is no Python
add_module_names = False
# A docstring's `t` or `alpha` is a quantity, not any one class's attribute of that name.
suppress_warnings = ["ref.python"]
html_theme = "furo"
html_title = "bdia_numerics"
html_static_path = [
    "_static",
    "../bdia_numerics/pages/vendor",
    "../bdia_numerics/pages/templates/page.js",
    "../bdia_numerics/pages/templates/claims.css",
]
html_css_files = ["katex/katex.min.css", "claims.css", "pages.css"]
html_js_files = [(f"{name}.js", {"defer": "defer"}) for name in ("katex/katex.min", "page")]
html_math_renderer = "katex"
exclude_patterns = ["_build"]

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "bdia_numerics"
# The modules of an API page: those of the room that it is named after, and these.
BESIDES = {
    "api/grids": ("schedules", "models", "configs"),
    "api/claims": ("pages", "formulas"),
    "api/studies": ("plots",),
}
INVERSIONS = "bdia_numerics.runs.inversion"  # a room in a room, with a page of its own
COLON = "\ue000"  # in the place of one, while napoleon reads a line
DATASHEET_LINE = re.compile(r"^(State|Order|NFE|Requires|Source|Options|Start|Same as) {2,}(?=\S)")
JOINT = re.compile(r"^:ivar (?:\w+, )+\w+:")
FORMULA_MARK = re.compile(r"(?<![\w*`\\])\*(?=(?:batch|data|shape)\b)|(?<![\\`])\|(?=\S)")


def public_modules() -> list[str]:
    """Return the dotted names of all modules but private ones and the commands', which commands.md has; a package before its contents."""
    relative = [path.relative_to(PACKAGE.parent).with_suffix("").parts for path in PACKAGE.rglob("*.py")]
    names = [[part for part in parts if part != "__init__"] for parts in relative]
    names = [parts for parts in names if parts[1:2] != ["cli"] and not any(part.startswith("_") for part in parts)]
    return sorted(map(".".join, names))


def modules_by_page(pages: set[str]) -> dict[str, list[str]]:
    """Return the modules of each API page; what has no page of its own is on the first one."""
    home = {room: page for page, rooms in BESIDES.items() for room in rooms}
    found: dict[str, list[str]] = {page: [] for page in pages}
    for name in public_modules():
        room = "inversion" if name.startswith(INVERSIONS) else name.partition(".")[2].partition(".")[0]
        page = home.get(room, f"api/{room}")
        found[page if page in pages else "api/index"].append(name)
    found["api/index"].remove("bdia_numerics")
    return found


def exported() -> list[dict[str, str]]:
    """Return the names of the package with where they are documented, and the first line of what is said there."""
    rows = []
    for name in sorted(bdia_numerics.__all__, key=str.lower):
        thing: Any = getattr(bdia_numerics, name)
        is_module = hasattr(thing, "__path__") or hasattr(thing, "__file__")
        target = (
            thing.__name__
            if is_module
            else f"{getattr(thing, '__module__', '')}.{getattr(thing, '__qualname__', name)}"
        )
        if isinstance(thing, dict):
            target, about = "bdia_numerics.solvers", "The solvers by name."
        else:
            about = (thing.__doc__ or "").strip().splitlines()[0]
        rows.append(
            {
                "name": name,
                "target": target,
                "role": "mod" if is_module or isinstance(thing, dict) else "obj",
                "about": about,
            }
        )
    return rows


def fill_api(app: Sphinx, docname: str, source: list[str]) -> None:
    """Fill the names, and the modules of a room, into its API page."""
    if docname.startswith("api/"):
        pages = {name for name in app.env.found_docs if name.startswith("api/")}
        source[0] = Template(source[0]).render(modules=modules_by_page(pages)[docname], exported=exported)


def house_style(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Read a solver's `Order     2` lines as fields, its formulas line by line, and (*batch, D), |z|, p(x|y) as themselves."""
    if what in {"data", "attribute", "property", "type"} and lines:
        lines[0] = lines[0].replace(":", COLON)  # else napoleon takes what stands before it for a type
    first = next((k for k, line in enumerate(lines) if DATASHEET_LINE.match(line)), 0)
    lines[:] = [FORMULA_MARK.sub(r"\\\g<0>", DATASHEET_LINE.sub(r":\1: ", line)) for line in lines]
    lines[1:first] = [f"| {line.strip()}" if line.strip() else line for line in lines[1:first]]


def recurrences(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Write below a solver's docstring its step and its derived inverse, printed from its program."""
    if what == "class" and obj in solvers.SOLVERS.values():
        for title, formula in printed(obj):
            lines += ["", f"{title}:", "", ".. math::", "", f"   {formula}", ""]


@cache  # autodoc asks for a class several times, and factoring its coefficients is a third of the build
def printed(solver: Any) -> list[tuple[str, str]]:
    """Return the step and the derived inverse of a solver's class with its defaults, each with its title."""
    return list(step_formulas(solver()))


def inline_formula(translator: Any, node: nodes.Element) -> None:
    """Write a formula in a line, as TeX, which the script of the page sets."""
    translator.body.append(formulas.html(f"${node.astext()}$"))
    raise nodes.SkipNode


def block_formula(translator: Any, node: nodes.Element) -> None:
    """Write a formula of its own, with its number if it has one."""
    anchor = f' id="{node["ids"][0]}"' if node["ids"] else ""
    number = f"\\tag{{{node['number']}}}" if node.get("number") else ""
    translator.body.append(f'<div class="math"{anchor}>{escape(node.astext() + number, quote=False)}</div>\n')
    raise nodes.SkipNode


def joint_attributes(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Read what napoleon made of the attributes `x, y` as two names, not as a name with a type, and put colons back."""
    lines[:] = [JOINT.sub(lambda m: m[0].replace(", ", ","), line).replace(COLON, ":") for line in lines]


def readable_defaults(
    app: Sphinx, what: str, name: str, obj: object, options: object, signature: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    """Write `...` for a default that is no Python, such as a factory's: else none of the types beside it would be read."""
    return signature and re.sub(r"<[^<>]*(?:<[^<>]*>[^<>]*)*>", "...", signature), returns


def mark_sentences(app: Sphinx, doctree: nodes.document) -> None:
    """Mark cells of tables: sentences, which code in the same row, as it does not break, would squeeze; dates and times in one piece."""
    for cell in doctree.findall(nodes.entry):
        if len(cell.astext()) > 60:
            cell["classes"].append("sentence")
        elif re.fullmatch(r"\d{4}-\d\d-\d\d|[\d.]+ (s|ms|µs)", cell.astext()):
            cell["classes"].append("whole")


def short_values(app: Sphinx, doctree: nodes.document) -> None:
    """Leave out the value of a constant that takes more than a line, as a table of a hundred classes does, or is no Python."""
    for value in list(doctree.findall(addnodes.desc_annotation)):
        if value.astext().lstrip().startswith("=") and (len(value.astext()) > 70 or "<" in value.astext()):
            value.parent.remove(value)


def execute_chapters(app: Sphinx) -> None:
    """Execute those chapters of notebooks/ that scripts/run_notebooks.py has not executed as they stand."""
    runpy.run_path(str(ROOT / "scripts" / "run_notebooks.py"))["refresh"]()


def write_explorer(app: Sphinx, exception: Exception | None) -> None:
    """Write the explorer beside the pages that link to it."""
    if exception is None and app.builder.name == "html":
        (Path(app.outdir) / "explorer.html").write_text(explorer.render(), encoding="utf-8")


def setup(app: Sphinx) -> None:
    """Connect all of it to the build."""
    app.connect("builder-inited", execute_chapters)
    app.connect("source-read", fill_api)
    app.connect("autodoc-process-signature", readable_defaults)
    app.connect("doctree-read", mark_sentences)
    app.connect("doctree-read", short_values)
    app.connect("build-finished", write_explorer)
    app.connect("autodoc-process-docstring", house_style, priority=400)
    app.connect("autodoc-process-docstring", joint_attributes, priority=600)
    app.connect("autodoc-process-docstring", recurrences, priority=700)
    app.add_html_math_renderer("katex", (inline_formula, None), (block_formula, None))
