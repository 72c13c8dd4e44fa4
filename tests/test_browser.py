"""The report, a datasheet and every page of the documentation, opened in headless Chromium as a reader would."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from browser_checks import CHROMIUM, HEIGHT, WIDTHS, browser, defects

from bdia_numerics.claims.ledger import Decided, checks, statements
from bdia_numerics.pages import ledger

ROOT = Path(__file__).resolve().parent.parent
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium (scripts/debian-packages.sh chromium installs it)"),
]

PAGE = """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>page</title><style>body {{ font: 16px sans-serif; margin: 1rem }}</style></head><body>
<h1 id="top">A page</h1><p>With a <a href="#top">link</a> and <a href="other.html#there">another</a>.</p>
<img src="dot.svg" alt="a dot"><div style="overflow-x: auto"><p style="width: 60rem">Wide, but it scrolls by itself.</p></div>
{0}</body></html>"""
DOT = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><circle cx="4" cy="4" r="4"/></svg>'
PLANTED = {
    "dead link gone.html": '<a href="gone.html">gone</a>',
    "dead link other.html#nowhere": '<a href="other.html#nowhere">nowhere</a>',
    "image without content: missing.png": '<img src="missing.png" alt="missing">',
    "console: broken": '<script>console.error("broken")</script>',
    "uncaught: ": "<script>undefinedFunction()</script>",
    "not loaded: https://example.org/lib.js": '<script src="https://example.org/lib.js"></script>',
    "at 390 px: scrolls sideways": "<table><tr>" + "<td>a_long_cell_of_code</td>" * 6 + "</tr></table>",
    "at 390 px: cut off at the right: Beyond": '<div style="overflow: hidden"><p style="width: 60rem">Beyond'
    " the edge of a narrow window this line goes on, and nobody who reads it there sees how it ends.</p></div>",
    "left over: <Option object at 0x7f3d4b>": "<code>&lt;Option object at 0x7f3d4b&gt;</code>",
    "left over: as \\gamma grows": r"<p>as \gamma grows</p>",
    "left over: see {ref}`there`": "<p>see {ref}`there`</p>",
    "left over: Type: Whether there is one order": '<dl class="field-list"><dt>Type:</dt><dd>Whether there is one order for all</dd></dl>',
    "left over: signature: f(x=<factory>)": '<dl><dt class="sig">f(x=&lt;factory&gt;)</dt></dl>',
    "text over text: one line | another line": '<p>one line</p><p style="margin-top: -2.3rem">another line</p>',
}


CLIPPED = """() => { document.querySelectorAll("details").forEach(e => { e.open = true; });
  return [...document.querySelectorAll(".statement .katex-base")]
    .filter(e => innerWidth > 1000 && e.getBoundingClientRect().right > innerWidth).map(e => e.textContent.slice(0, 40)); }"""


def screens(tab, page):
    """Return how many windows high a page is before anything on it is opened."""
    tab.goto(page.as_uri())
    return tab.evaluate("document.documentElement.scrollHeight") / HEIGHT


@pytest.fixture(scope="module")
def chromium():
    pytest.importorskip("playwright.sync_api", reason="needs bdia_numerics[test]")
    with browser() as opened:
        yield opened


@pytest.fixture
def write(tmp_path):
    """Return a function that writes a page with something in it, beside an image and another page."""
    (tmp_path / "dot.svg").write_text(DOT, encoding="utf-8")
    (tmp_path / "other.html").write_text(
        '<!DOCTYPE html><title>other</title><p id="there">There.</p>', encoding="utf-8"
    )

    def written(inside):
        (tmp_path / "page.html").write_text(PAGE.format(inside), encoding="utf-8")
        return [tmp_path / "page.html", tmp_path / "other.html"]

    return written


def test_a_sound_page_has_no_defect(chromium, write):
    assert defects(chromium, write("")) == []


@pytest.mark.parametrize("words", PLANTED)
def test_a_planted_defect_is_found(chromium, write, words):
    found = defects(chromium, write(PLANTED[words]))
    assert any(words in line for line in found), found


def test_the_report_and_a_datasheet(chromium, tmp_path):
    # The real thing for a few claims, among them the digits, which have the figures; and all statements as they would be set.
    command = [sys.executable, "-m", "bdia_numerics"]
    only = ["verify", "--only", "digits,eq-27,eq-61,prop-1", "--html", "report.html"]
    for arguments in (only, ["datasheet", "bdia:gamma=9/10", "--html", "sheet.html"]):
        subprocess.run([*command, *arguments], cwd=tmp_path, check=True, capture_output=True)
    assert "data:image/svg+xml" in (tmp_path / "report.html").read_text(encoding="utf-8")
    known = checks()
    decided = [
        Decided(s, known[s.id].verdict if s.id in known else s.verdict, s.note or s.statement, 0.0)
        for s in statements().values()
    ]
    (tmp_path / "all.html").write_text(ledger.render(decided), encoding="utf-8")
    assert defects(chromium, sorted(tmp_path.glob("*.html"))) == []
    for width in WIDTHS:
        tab = chromium.new_page(viewport={"width": width, "height": HEIGHT})
        tab.goto((tmp_path / "all.html").as_uri())
        assert tab.evaluate("document.documentElement.scrollHeight") <= 10 * HEIGHT, (
            "ten screens before anything is opened"
        )
        tab.check("#only-1")
        shown = tab.evaluate(
            "[...document.querySelectorAll('.claim')].filter(e => e.checkVisibility()).map(e => e.dataset.kind)"
        )
        assert len(set(shown)) == 1 and 0 < len(shown) < len(decided), "the filter shows one kind"
        tab.goto((tmp_path / "all.html").as_uri() + "#eq-27")
        assert tab.evaluate("document.querySelector('#eq-27').open") and tab.evaluate(CLIPPED) == []
        tab.close()


def test_every_page_of_the_documentation(chromium):
    pytest.importorskip("sphinx", reason="needs bdia_numerics[docs]")
    if shutil.which("make") is None:
        pytest.skip("no make")
    command = ["make", "docs", f"SPHINXBUILD={sys.executable} -m sphinx"]
    built = subprocess.run(
        command, check=False, cwd=ROOT, capture_output=True, text=True, env={**os.environ, "NO_COLOR": "1"}
    )
    assert built.returncode == 0, built.stdout + built.stderr
    pages = sorted((ROOT / "docs" / "_build" / "html").rglob("*.html"))
    assert len(pages) > 40
    found = defects(chromium, pages)
    assert not found, "\n".join(found)
    for width in WIDTHS:
        tab = chromium.new_page(viewport={"width": width, "height": HEIGHT})
        assert screens(tab, ROOT / "docs" / "_build" / "html" / "ledger.html") <= 10
        tab.close()
