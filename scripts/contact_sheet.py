"""Photographs every built page at the width of a desktop and of a phone, and every figure, for one look at all of them.

Usage: python scripts/contact_sheet.py [docs/_build/html]

`make docs` runs it. It writes docs/_build/contact/: a picture of each page at each width, and index.html, which shows all of them and
the figures. Without Chromium (scripts/debian-packages.sh chromium installs it) or playwright it says so, and writes nothing.
"""

import sys
from concurrent.futures import ProcessPoolExecutor
from html import escape
from itertools import product
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from browser_checks import CHROMIUM, HEIGHT, WIDTHS, browser  # noqa: E402  one way to find and to start a browser

SKIPPED = {"genindex.html", "py-modindex.html", "search.html"}
TALLEST = (
    6 * HEIGHT
)  # what a picture shows of a page; defects below it are found by tests/test_browser.py, which reads whole pages
SCALE = 0.5
HEAD = """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Contact sheet</title><style>
body { font: 14px sans-serif; margin: 1rem } section { display: flex; flex-wrap: wrap; gap: 12px; align-items: start }
figure { margin: 0 } figcaption { max-width: 20rem; overflow-wrap: anywhere } img { border: 1px solid #bbb; background: #fff }
.w1280 img { width: 320px } .w390 img { width: 130px } .figures img { width: 300px }
</style></head><body>
"""


def photographed(job: tuple[list[Path], Path, int, Path]) -> list[str]:
    """Photograph pages at one width into a folder; return the names of the pictures."""
    pages, html, width, out = job
    names = []
    with browser() as chromium:
        tab = chromium.new_page(viewport={"width": width, "height": HEIGHT}, device_scale_factor=SCALE)
        for page in pages:
            tab.goto(page.as_uri(), wait_until="load")
            tall = min(tab.evaluate("document.documentElement.scrollHeight"), TALLEST)
            name = f"{width}-{'-'.join(page.relative_to(html).with_suffix('').parts)}.jpg"
            clip = {"x": 0, "y": 0, "width": width, "height": tall}
            tab.screenshot(path=out / name, full_page=True, clip=clip, type="jpeg", quality=60)
            names.append(name)
    return names


def main(html: Path) -> int:
    """Write the sheet of a folder of built pages; return the exit status."""
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        print("no contact sheet: playwright is missing (pip install 'bdia_numerics[test]')")
        return 0
    if CHROMIUM is None:
        print("no contact sheet: Chromium is missing (bash scripts/debian-packages.sh chromium)")
        return 0
    pages = sorted(p for p in html.rglob("*.html") if p.name not in SKIPPED and "_static" not in p.parts)
    if not pages:
        print(f"no contact sheet: {html} has no pages; run `make docs` first", file=sys.stderr)
        return 1
    out = html.parent / "contact"
    out.mkdir(exist_ok=True)
    for old in out.iterdir():
        old.unlink()
    halves = [pages[k::2] for k in range(2)]
    jobs = [(half, html, width, out) for width, half in product(WIDTHS, halves)]
    with ProcessPoolExecutor(2) as pool:
        names = sorted(name for found in pool.map(photographed, jobs) for name in found)
    sheet = [HEAD]
    for width in WIDTHS:
        own = [name for name in names if name.startswith(f"{width}-")]
        sheet += [f'<h2>{len(own)} pages at {width} px</h2><section class="w{width}">', *map(_shown, own), "</section>"]
    figures = sorted(p for folder in ("_images",) for p in (html / folder).iterdir() if p.suffix in {".png", ".svg"})
    sheet += [f'<h2>{len(figures)} figures</h2><section class="figures">']
    sheet += [_shown(f"../{html.name}/{p.relative_to(html).as_posix()}") for p in figures]
    (out / "index.html").write_text("\n".join([*sheet, "</section></body></html>\n"]), encoding="utf-8")
    print(f"{len(pages)} pages at {' and '.join(map(str, WIDTHS))} px, {len(figures)} figures: {out / 'index.html'}")
    return 0


def _shown(source: str) -> str:
    address, name = escape(source), escape(Path(source).stem)
    picture = f'<a href="{address}"><img src="{address}" alt="{name}" loading="lazy"></a>'
    return f"<figure>{picture}<figcaption>{name}</figcaption></figure>"


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "docs" / "_build" / "html").resolve()))
