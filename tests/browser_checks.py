"""What a reader would stumble over, found by opening pages in headless Chromium."""

import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlparse

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
WIDTHS = (1280, 390)  # a desktop and a phone
HEIGHT = 900

# Images that wait to be scrolled to are loaded at once; then an image that has no width was not found.
IMAGES = """async () => {
  const images = [...document.images];
  await Promise.all(images.map(i => { i.loading = "eager"; return i.decode().catch(() => null); }));
  return images.filter(i => !(i.naturalWidth > 0)).map(i => i.getAttribute("src").slice(0, 80));
}"""

# Text of the main part that reaches beyond the window, unless something around it scrolls or hides it by itself.
CUT_OFF = """() => {
  const main = document.querySelector("[role=main]") || document.body, found = [];
  const held = e => { for (; e && e !== document.body; e = e.parentElement)
    if (["auto", "scroll"].includes(getComputedStyle(e).overflowX) && e.getBoundingClientRect().right <= innerWidth + 1) return true;
    return false; };
  const walk = document.createTreeWalker(main, NodeFilter.SHOW_TEXT);
  for (let node; (node = walk.nextNode());) {
    if (!node.data.trim() || node.parentElement.closest(".katex-mathml")) continue;  // what is read out is not shown
    const range = document.createRange(); range.selectNodeContents(node);
    const right = Math.max(...[...range.getClientRects()].map(r => r.right));
    if (right > innerWidth + 1 && !held(node.parentElement)) found.push(node.data.trim().slice(0, 60));
  }
  return found;
}"""

# Two pieces of text of which one covers a good part of the other. Formulas set their own scripts and are left out.
OVERLAPS = """() => {
  const main = document.querySelector("[role=main]") || document.body, boxes = [], found = [], cell = 40, grid = new Map();
  const walk = document.createTreeWalker(main, NodeFilter.SHOW_TEXT);
  for (let node; (node = walk.nextNode());) {
    const style = getComputedStyle(node.parentElement);
    if (!node.data.trim() || node.parentElement.closest(".katex, svg, details:not([open])") || style.visibility === "hidden"
        || style.opacity === "0") continue;
    const range = document.createRange(); range.selectNodeContents(node);
    for (const r of range.getClientRects()) if (r.width > 1 && r.height > 1) boxes.push({r, text: node.data.trim(), node});
  }
  boxes.forEach((box, k) => {
    for (let y = Math.floor(box.r.top / cell); y <= Math.floor(box.r.bottom / cell); y++) {
      const row = grid.get(y) || []; grid.set(y, row);
      for (const other of row) {
        const wide = Math.min(box.r.right, other.r.right) - Math.max(box.r.left, other.r.left);
        const high = Math.min(box.r.bottom, other.r.bottom) - Math.max(box.r.top, other.r.top);
        if (box.node !== other.node && wide > 2 && high > 0.5 * Math.min(box.r.height, other.r.height)
            && wide > 0.2 * Math.min(box.r.width, other.r.width)) found.push(`${other.text.slice(0, 30)} | ${box.text.slice(0, 30)}`);
      }
      row.push(box);
    }
  });
  return [...new Set(found)];
}"""
# Markup that was not read: addresses of objects anywhere; roles, commands of TeX, and text taken for a type, outside of code; in
# signatures what is no Python, and tables written out.
LEFT_OVER = r"""() => {
  const main = document.querySelector("[role=main]") || document.body, found = [];
  const walk = document.createTreeWalker(main, NodeFilter.SHOW_TEXT);
  for (let node; (node = walk.nextNode());) {
    const quoted = node.parentElement.closest("code, pre, .katex, script, style, .sig");
    const marks = quoted ? /object at 0x/ : /object at 0x|\\[A-Za-z]{2,}|\$[^$\s]+\$|\[1ex\]|:[a-z]{3,}:`|\{[a-z:]+\}`/;
    if (marks.test(node.data) && !node.parentElement.closest("script, style, .katex-mathml")) found.push(node.data.trim().slice(0, 60));
  }
  for (const {textContent: sig} of main.querySelectorAll("dt.sig"))
    if (/~[a-z]|<\w/.test(sig) || sig.length > 1000) found.push(`signature: ${sig.trim().slice(0, 50)}`);
  for (const term of main.querySelectorAll("dl.field-list > dt")) {
    const said = term.nextElementSibling.textContent.trim();
    if (/^Type\s*:?$/.test(term.textContent.trim()) && said.split(/\s+/).length > 6) found.push(`Type: ${said.slice(0, 50)}`);
  }
  return found;
}"""
ANCHORS = (
    '() => [...document.querySelectorAll("[id], a[name]")].flatMap(e => [e.id, e.getAttribute("name")]).filter(x => x)'
)
LINKS = '() => [...document.querySelectorAll("a[href]")].map(a => a.href)'


UNSET = re.compile(
    r"\b(?:alpha|beta|gamma|sigma|epsilon|eps|zeta|Delta)\b|\\[a-z]+|\$|\*\*|[_^]\{|\w\^\w|Fraction\(|\[1ex\]"
)
"""Mathematics that stands on a page as in a program or in TeX."""


def unset(page: str) -> list[str]:
    """Return what is left of plain mathematics and TeX in a page's HTML outside of its formulas, code and scripts."""
    set_so = r'<(script|style|code)\b.*?</\1>|<(span|div) class="math">.*?</\2>'
    text = re.sub("<[^>]+>", " ", re.sub(set_so, " ", page, flags=re.DOTALL))
    assert len(text) > 300
    return [text[max(found.start() - 30, 0) : found.end() + 30] for found in UNSET.finditer(text)]


@contextmanager
def browser():
    """Yield headless Chromium, as Debian packages it; nothing is downloaded."""
    from playwright.sync_api import sync_playwright

    sandbox = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=sandbox)
        try:
            yield chromium
        finally:
            chromium.close()


def defects(chromium, pages: Iterable[Path], widths: Iterable[int] = WIDTHS) -> list[str]:
    """Open each page at each width, and return what is wrong with them, one line each."""
    found: list[str] = []
    anchors: dict[Path, set[str]] = {}
    links: dict[Path, set[str]] = {}
    for width in widths:
        tab = chromium.new_page(viewport={"width": width, "height": HEIGHT})
        said: list[str] = []
        tab.on("console", lambda m, said=said: said.append(f"console: {m.text[:120]}") if m.type == "error" else None)
        tab.on("pageerror", lambda e, said=said: said.append(f"uncaught: {str(e)[:120]}"))
        tab.on("requestfailed", lambda r, said=said: said.append(f"not loaded: {r.url[:120]}"))
        tab.route(lambda url: urlparse(url).scheme in {"http", "https", "ws", "wss"}, lambda route: route.abort())
        for page in pages:
            said.clear()
            tab.goto(page.as_uri(), wait_until="load")
            said += (f"image without content: {source}" for source in tab.evaluate(IMAGES))
            if (scrolls := tab.evaluate("document.scrollingElement.scrollWidth")) > width:
                said.append(f"scrolls sideways: {scrolls} px wide")
            said += (f"cut off at the right: {text}" for text in tab.evaluate(CUT_OFF))
            said += (f"left over: {text}" for text in tab.evaluate(LEFT_OVER))
            said += (f"text over text: {texts}" for texts in tab.evaluate(OVERLAPS))
            found += (f"{page.name} at {width} px: {line}" for line in dict.fromkeys(said))
            anchors[page] = set(tab.evaluate(ANCHORS))
            links[page] = set(tab.evaluate(LINKS))
        tab.close()
    return found + list(dead_links(links, anchors))


def dead_links(links: dict[Path, set[str]], anchors: dict[Path, set[str]]) -> Iterator[str]:
    """Yield links to local files that do not exist, and to anchors that an opened page does not have."""
    for page, targets in links.items():
        for target in sorted(targets):
            address, anchor = urldefrag(target)
            if urlparse(address).scheme != "file":
                continue
            path = Path(unquote(urlparse(address).path))
            if not path.is_file():
                yield f"{page.name}: dead link {path.name}"
            elif anchor and path in anchors and unquote(anchor) not in anchors[path]:
                yield f"{page.name}: dead link {path.name}#{anchor}"
