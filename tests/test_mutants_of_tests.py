"""Every test of mutants.toml fails on the errors that are listed there for it, and passes without them.

Each entry brings an error back that was in the package. Entries are tried in a copy of it, one process for each run of a test.
"""

import ast
import re
import runpy
import tomllib
from contextlib import closing
from pathlib import Path

import pytest
from mutated_copy import FAILED, PACKAGE, PASSED, ROOT, Copy

from bdia_numerics.claims.ledger import replaced

ENTRIES = tomllib.loads((Path(__file__).parent / "mutants.toml").read_text(encoding="utf-8"))["mutant"]


def mutated(entry):
    """Return the source of an entry's file with its error."""
    where = f"{entry['file']} in tests/mutants.toml ({entry['error']})"
    source = (PACKAGE / entry["file"]).read_text(encoding="utf-8")
    return replaced(where, source, (entry["old"], entry["new"]))


def notices(copy, entry):
    """Say whether an entry's test fails with its error; the output too."""
    with copy.planted(entry["file"], mutated(entry)):
        status, output = copy.run(f"tests/{entry['test']}")
    # A pytest that breaks on the way may end with that status, too; of a test's cases more than one may fail.
    return status == FAILED and re.match(r"\d+ failed", output.rpartition("\n")[2]) is not None, output


def test_the_texts_of_all_entries_stand_in_the_sources():
    """And what is put there is Python: of a file that is once read with as many errors in it as leave one another's texts alone."""
    failed, together = {}, {}
    for entry in ENTRIES:
        assert set(entry) == {"error", "file", "old", "new", "test"}, entry
        try:
            source, file = mutated(entry), entry["file"]
            assert source
            whole = together.get(file) or (PACKAGE / file).read_text(encoding="utf-8")
            if whole.count(entry["old"]) == 1:
                together[file] = whole.replace(entry["old"], entry["new"])
            elif file.endswith(".py"):
                ast.parse(source, file)
        except (ValueError, SyntaxError) as error:
            failed[entry["error"]] = str(error)
    for file, whole in together.items():
        if file.endswith(".py"):
            ast.parse(whole, file)
    assert len(ENTRIES) > 400 and failed == {}


def test_an_error_that_no_test_can_notice_says_why():
    """Each line before it occurs in its file; scripts/mutate.py matches it with the error that it plants."""
    lines = tomllib.loads((ROOT / "tests" / "equivalent.toml").read_text(encoding="utf-8"))["equivalent"]
    for entry in lines:
        assert set(entry) == {"file", "old", "new", "why"} and entry["old"] != entry["new"] and len(entry["why"]) > 20
        source = (PACKAGE / entry["file"]).read_text(encoding="utf-8")
        assert entry["old"] in map(str.strip, source.splitlines()), entry["old"]


def test_planted_errors_are_of_four_kinds_and_can_be_run():
    script = runpy.run_path(str(ROOT / "scripts" / "mutate.py"))
    text = "def f(x: list[int], n):\n    return [x[0] * 2 - n for _ in range(n) if n < len(x)]\n"
    found = {(m.kind, m.shown(text)[1][8:-1]) for m in script["mutants"]("f.py", text)}
    rest = " for _ in range(n) if n < len(x)"
    assert found == {
        ("index", f"x[1] * 2 - n{rest}"), ("coefficient", f"x[0] / 2 - n{rest}"), ("coefficient", f"x[0] * 3 - n{rest}"),
        ("sign", f"x[0] * 2 + n{rest}"), ("boundary", "x[0] * 2 - n for _ in range(n + 1) if n < len(x)"),
        ("boundary", "x[0] * 2 - n for _ in range(n) if n <= len(x)"),
    }  # fmt: skip
    assert script["drawn"](1, 8) == script["drawn"](1, 8) != script["drawn"](2, 8)


def test_a_text_that_is_gone_is_named():
    entry = ENTRIES[0] | {"old": "no such text"}
    with pytest.raises(
        ValueError, match=r"mutants\.toml \(.*\): 'no such text' occurs 0 times in its source, not once"
    ):
        mutated(entry)


def approximations(path):
    """Yield the line and the keywords of each pytest.approx in a file that gives a relative tolerance."""
    text = path.read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(text if "rel=" in text else "")):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "approx":
            yield node.lineno, {keyword.arg: keyword.value for keyword in node.keywords}


@pytest.mark.parametrize("folder", ["tests", "benchmarks", "proofs"])
def test_a_narrow_relative_tolerance_says_what_the_absolute_one_is(folder):
    """pytest.approx(1e-20, rel=1e-9) equals every number up to 1e-12, which is its default absolute tolerance."""
    assert pytest.approx(1e-20, rel=1e-9) == 1e-13
    vacuous = [
        f"{path.name}:{line}: add abs=0"
        for path in sorted((ROOT / folder).glob("*.py"))
        for line, given in approximations(path)
        if "rel" in given and "abs" not in given and not getattr(given["rel"], "value", 0) > 1e-11
        if path != Path(__file__)
    ]
    assert not vacuous


@pytest.mark.slow
@pytest.mark.posix
def test_each_test_fails_on_the_errors_that_are_listed_for_it(tmp_path):
    unnoticed = []
    with closing(Copy(tmp_path)) as copy:
        status, output = copy.run(*dict.fromkeys(f"tests/{entry['test']}" for entry in ENTRIES))
        assert status == PASSED, f"tests of mutants.toml do not pass on the package as it is:\n{output}"
        for entry in ENTRIES:
            noticed, output = notices(copy, entry)
            if not noticed:
                unnoticed.append(
                    f"{entry['test']} does not fail with: {entry['error']} ({entry['file']})\n{output[-500:]}"
                )
    assert not unnoticed, "\n".join(unnoticed)
