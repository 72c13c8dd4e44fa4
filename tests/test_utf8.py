"""Every text file is read and written as UTF-8: what a system's own encoding is must not matter."""

import ast
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def unencoded(source: str) -> list[int]:
    """Return the lines of calls that read or write a text without saying its encoding."""
    if "_text" not in source:
        return []
    calls = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    texts = (c for c in calls if isinstance(c.func, ast.Attribute) and c.func.attr in ("read_text", "write_text"))
    return [c.lineno for c in texts if not any(k.arg == "encoding" for k in c.keywords)]


def test_texts_are_read_and_written_as_utf_8():
    listed = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=False)
    names = listed.stdout.split() if listed.returncode == 0 else [str(p) for p in ROOT.glob("tests/*.py")]
    found = {name: unencoded((ROOT / name).read_text(encoding="utf-8")) for name in names}
    assert len(found) > 100
    assert {name: lines for name, lines in found.items() if lines} == {}


def test_a_call_without_an_encoding_is_found():
    assert unencoded("a.read_text()\nb.write_text('x', encoding='utf-8')\nc.write_text('x')") == [1, 3]
