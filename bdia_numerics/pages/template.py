"""What all pages share: one environment of templates, one style sheet, versions, and figures as text."""

from __future__ import annotations

import base64
import re
import sys
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bdia_numerics import formulas
from bdia_numerics.spaces.later import Later
from bdia_numerics.studies.study import installed

jinja2, markupsafe = Later("jinja2"), Later("markupsafe")
plots = Later("bdia_numerics.plots")
KATEX = Path(__file__).with_name("vendor") / "katex"
"""The renderer of formulas, as it was published; SHA256SUMS says where."""
PACKAGES = ("numpy", "scipy", "sympy", "mpmath", "matplotlib", "xarray")
MISSING = "no page is written, since jinja2 is not installed: pip install 'bdia_numerics[report]'"


def available() -> bool:
    """Say whether what pages are made with is installed."""
    return find_spec("jinja2") is not None


def require_pages(asked: object) -> None:
    """Raise ImportError if a page is asked for and can't be made: a command says so before it works for minutes."""
    if asked and not available():
        raise ImportError(MISSING)


@cache
def _environment() -> Any:
    require_pages(asked=True)
    text = markupsafe.Markup
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("bdia_numerics.pages"),
        autoescape=lambda name: ".html" in (name or ""),
        undefined=jinja2.StrictUndefined,  # a name that nobody gives is an error, not a gap in a page
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.globals |= {
        "math": lambda x: text(formulas.html(formulas.typeset(x))),
        "number": formulas.number,
        "version": version,
    }
    made.globals["katex"] = {
        "css": text(_style()),
        "js": text((KATEX / "katex.min.js").read_text(encoding="utf-8")),
    }
    return made


def _style() -> str:
    """Return the style sheet of the renderer with its fonts in it, so that a page is one file."""

    def inside(font: re.Match[str]) -> str:
        data = base64.b64encode((KATEX / font[1]).read_bytes()).decode("ascii")
        return f'src:url(data:font/woff2;base64,{data}) format("woff2")'

    return re.sub(r"src:url\(([^)]+\.woff2)\)[^}]*", inside, (KATEX / "katex.min.css").read_text(encoding="utf-8"))


def rendered(template: str | Path, **values: Any) -> str:
    """Return a page.

    Parameters
    ----------
    template
        The name of one in pages/templates/, of which those of HTML escape what they are given; or the path of a file, whose text is
        Markdown.
    values
        Its names. math(text), which sets plain mathematics as well, number(x) and version(package) are known to all templates.

    Raises
    ------
    jinja2.UndefinedError
        If the template has a name without a value.
    """
    environment = _environment()
    if isinstance(template, Path):
        return str(environment.from_string(template.read_text(encoding="utf-8")).render(**values))
    return str(environment.get_template(template).render(**values))


def embedded(figure: Any) -> str:
    """Return a figure as SVG in base64, as it stands inside of a page."""
    return base64.b64encode(plots.image(figure)).decode("ascii")


def between(page: str, texts: Mapping[str, str]) -> str:
    r"""Return a page with texts put between the comments that begin and end each of their names.

    Raises
    ------
    ValueError
        If the page has not each comment once.

    Examples
    --------
    >>> between("<!-- sum begin -->?<!-- sum end -->", {"sum": "4"})
    '<!-- sum begin -->\n4\n<!-- sum end -->'
    """
    for name, text in texts.items():
        marks = [re.findall(f"<!-- {re.escape(name)}[: ]{end} -->", page) for end in ("begin", "end")]
        if [len(found) for found in marks] != [1, 1]:
            raise ValueError(f"the page has no single <!-- {name} begin --> ... end: put both where the text goes")
        (begin,), (end,) = marks
        page = f"{page.partition(begin)[0]}{begin}\n{text}\n{end}{page.partition(end)[2]}"
    return page


def versions() -> dict[str, str]:
    """Return the versions of what takes part in pages, "absent" where a package is not installed."""
    found = installed(PACKAGES)
    own = {"bdia_numerics": sys.modules["bdia_numerics"].__version__, "Python": found["python"]}
    return own | {name: found.get(name, "absent") for name in PACKAGES}
