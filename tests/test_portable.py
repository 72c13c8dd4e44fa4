"""Tests that need POSIX say so, so that the others run on every system."""

import ast
import re
from pathlib import Path

TESTS = Path(__file__).resolve().parent
NEEDS = re.compile(
    r"""\b(resource\.|os\.fork|pid = os|forkserver|SIGKILL|full_disk|preexec_fn)|["']bash["']|/dev/full"""
)


def unmarked(source: str) -> list[str]:
    """Return the tests that need POSIX, by themselves or by a function of their file, without its marker; and imports of `resource`."""
    if not NEEDS.search(source) and "import resource" not in source:
        return []
    tree = ast.parse(source)
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    needing = {name for name, node in functions.items() if NEEDS.search(ast.unparse(node))}
    while True:
        called = {
            name
            for name, node in functions.items()
            if any(isinstance(n, ast.Name) and n.id in needing for n in ast.walk(node))
        }
        if called <= needing:
            break
        needing |= called
    whole = [
        ast.unparse(n.value)
        for n in tree.body
        if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "pytestmark"
    ]
    tests = [name for name in needing if name.startswith("test_") and "mark.posix" not in " ".join(whole)]
    marked = {name for name in tests if "mark.posix" in " ".join(map(ast.unparse, functions[name].decorator_list))}
    imports = [
        node for node in tree.body if isinstance(node, ast.Import) and any(a.name == "resource" for a in node.names)
    ]
    return sorted({*tests} - marked) + ["import resource"] * len(imports)


def test_what_needs_posix_is_marked():
    found = {p.name: unmarked(p.read_text(encoding="utf-8")) for p in TESTS.glob("*.py") if p != Path(__file__)}
    assert len(found) > 100 and {name: tests for name, tests in found.items() if tests} == {}


def test_what_is_not_marked_is_found():
    fork = "import os\ndef child():\n    return os.fork()\ndef test_a():\n    assert child()\n"
    assert unmarked(fork) == ["test_a"]
    assert unmarked(fork.replace("def test_a", "@pytest.mark.posix\ndef test_a")) == []
    assert unmarked("import resource\ndef test_b():\n    run(['bash', '-c', 'true'])") == ["test_b", "import resource"]
