"""Sphinx configuration: MyST pages, and an API page written from the modules that exist."""

import re
import runpy
from pathlib import Path

from jinja2 import Template
from sphinx.application import Sphinx

project = "bdia_numerics"
author = "bdia_numerics contributors"
copyright = "2026, bdia_numerics contributors"

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.mathjax"]
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
# A docstring's `t` or `alpha` is a quantity, not any one class's attribute of that name.
suppress_warnings = ["ref.python"]
html_theme = "furo"
exclude_patterns = ["_build"]

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "bdia_numerics"
DATASHEET_LINE = re.compile(r"^(State|Order|NFE|Requires|Source|Options|Start|Same as) {2,}(?=\S)")
FORMULA_MARK = re.compile(r"(?<![\w*`\\])\*(?=(?:batch|data|shape)\b)|(?<![\\`])\|(?=\S)")


def public_modules() -> list[str]:
    """Return the dotted names of all modules but private ones, a package before its contents."""
    relative = [path.relative_to(PACKAGE.parent).with_suffix("").parts for path in PACKAGE.rglob("*.py")]
    names = [[part for part in parts if part != "__init__"] for parts in relative]
    return sorted(".".join(parts) for parts in names if not any(part.startswith("_") for part in parts))


def expand_modules(app: Sphinx, docname: str, source: list[str]) -> None:
    """Fill the list of modules into the API page."""
    if docname == "api":
        source[0] = Template(source[0]).render(modules=public_modules())


def house_style(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Read a solver's `Order     2` lines as fields, its formulas line by line, and (*batch, D), |z|, p(x|y) as themselves."""
    first = next((k for k, line in enumerate(lines) if DATASHEET_LINE.match(line)), 0)
    lines[:] = [FORMULA_MARK.sub(r"\\\g<0>", DATASHEET_LINE.sub(r":\1: ", line)) for line in lines]
    lines[1:first] = [f"| {line.strip()}" if line.strip() else line for line in lines[1:first]]


def execute_chapters(app: Sphinx) -> None:
    """Execute those chapters of notebooks/ that scripts/run_notebooks.py has not executed as they stand."""
    runpy.run_path(str(ROOT / "scripts" / "run_notebooks.py"))["refresh"]()


def setup(app: Sphinx) -> None:
    """Connect all of it to the build."""
    app.connect("builder-inited", execute_chapters)
    app.connect("source-read", expand_modules)
    app.connect("autodoc-process-docstring", house_style, priority=400)
