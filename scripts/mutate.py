"""Plant errors in the source, one at a time, and see whether the tests that run the changed line fail.

    python scripts/mutate.py                      250 errors of seed 0, each against the tests that run its line
    python scripts/mutate.py --count 60 --seed 2  fewer, of another seed; --only 17 repeats one and shows what its tests print

An error is a sign, an index, a boundary or a coefficient, found by the syntax tree in `ROOMS`. Which tests run which line is measured
once and kept in `.mutate/`; it is measured anew after a change of the package. Printed are the errors, counts, and those that no test
notices; the exit status is 1 if there are any. A line of tests/equivalent.toml says of an error why no test can notice it.
"""

from __future__ import annotations

import argparse
import ast
import functools
import gzip
import hashlib
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))
ROOMS = ("solvers", "program", "spaces", "problems", "analysis")
KINDS = ("sign", "index", "boundary", "coefficient")
KEPT = ROOT / ".mutate" / "lines.json.gz"
FIRST, SECONDS = 12, 60.0
"""So many tests are tried first, and then those that together took so many seconds when lines were measured."""
CALLED = "MUTATE_LINES"

# A plugin of pytest (-p mutate), which notes for each test which lines of the rooms it runs.


def pytest_configure(config: Any) -> None:
    if folder := os.environ.get(CALLED):
        import coverage

        worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
        sources = [str(ROOT / "bdia_numerics" / room) for room in ROOMS]
        config.measured = coverage.Coverage(f"{folder}/{worker}", source=sources, config_file=False, messages=False)
        config.passed, config.shared = {}, {}
        config.measured.start()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: Any) -> Iterator[None]:
    if hasattr(item.config, "measured"):
        item.config.measured.switch_context(item.nodeid)
        begun = time.process_time()
        yield
        item.config.measured.switch_context("")
        item.config.passed[item.nodeid] = time.process_time() - begun
        for fixtures in item._fixtureinfo.name2fixturedefs.values():
            for fixture in fixtures:
                item.config.shared.setdefault(_context(fixture), []).append(item.nodeid)
        return None
    return (yield)


def _context(fixture: Any) -> str:
    return f"{fixture.baseid}::{fixture.argname} of a {fixture.scope}"


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: Any, request: Any) -> Iterator[Any]:
    """What a fixture runs for several tests, each of them runs."""
    measured = getattr(request.config, "measured", None)
    if measured is None or fixturedef.scope == "function":
        return (yield)
    measured.switch_context(_context(fixturedef))
    try:
        return (yield)
    finally:
        measured.switch_context(request._pyfuncitem.nodeid)


def pytest_unconfigure(config: Any) -> None:
    if getattr(config, "passed", None):  # a process of pytest-xdist that hands tests out runs none
        config.measured.stop()
        config.measured.save()
        with Path(f"{config.measured.config.data_file}.json").open("w", encoding="utf-8") as file:
            json.dump([config.passed, config.shared], file)


def sources() -> dict[str, str]:
    """Return the source of each file of the rooms, by its name in the package."""
    package = ROOT / "bdia_numerics"
    paths = sorted(path for room in ROOMS for path in (package / room).rglob("*.py"))
    return {path.relative_to(package).as_posix(): path.read_text(encoding="utf-8") for path in paths}


def measured(words: list[str], jobs: int) -> dict[str, Any]:
    """Run the tests, and return their seconds and for each line of each file the tests that run it."""
    import coverage

    with tempfile.TemporaryDirectory() as folder:
        own = {
            CALLED: folder,
            "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'scripts'}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
        }
        command = [sys.executable, "-m", "pytest", "-q", "-n", str(jobs), "-p", "mutate", *words]
        subprocess.run(
            command, cwd=ROOT, env=os.environ | own | {"OMP_NUM_THREADS": "1"}, check=False, stdout=sys.stderr
        )
        seconds: dict[str, float] = {}
        shared: dict[str, set[str]] = {}
        lines: dict[str, dict[int, set[str]]] = {}
        for path in Path(folder).glob("*.json"):
            took, users = json.loads(path.read_text(encoding="utf-8"))
            seconds |= took
            for context, tests in users.items():
                shared.setdefault(context, set()).update(tests)
        for path in (p for p in Path(folder).iterdir() if p.suffix != ".json"):
            data = coverage.CoverageData(str(path))
            data.read()
            for name in data.measured_files():
                inside = Path(name).relative_to(ROOT / "bdia_numerics").as_posix()
                for line, tests in data.contexts_by_lineno(name).items():
                    lines.setdefault(inside, {}).setdefault(line, set()).update(
                        *(shared.get(t, {t}) for t in tests if t)
                    )
    names = sorted(seconds, key=seconds.__getitem__)
    place = {name: k for k, name in enumerate(names)}
    kept = {
        file: {
            str(line): chosen(sorted(place[t] for t in tests if t in place), names, seconds)
            for line, tests in at.items()
        }
        for file, at in lines.items()
    }
    return {"tests": names, "seconds": [seconds[name] for name in names], "lines": kept}


def chosen(tests: list[int], names: list[str], seconds: dict[str, float]) -> list[int]:
    """Return the tests of a line in the order in which to try them, up to a limit: the quickest of each function, then the next of each."""
    turn: Counter[str] = Counter()
    order = []
    for k in tests:
        function = names[k].partition("[")[0]
        order.append((turn[function], k))
        turn[function] += 1
    total, found = 0.0, []
    for _, k in sorted(order):
        total += seconds[names[k]]
        if found and total > SECONDS:
            break
        found.append(k)
    return found


def lines_of_tests(words: list[str], jobs: int, keep: bool) -> dict[str, Any]:
    """Return what `measured` does, from the file where it is kept if the package is the same."""
    digest = hashlib.sha256(json.dumps([sources(), words]).encode()).hexdigest()
    if KEPT.exists():
        with gzip.open(KEPT, "rt", encoding="utf-8") as file:
            kept: dict[str, Any] = json.load(file)
        if kept["of"] == digest or keep:
            return kept
    print("measuring which tests run which lines", file=sys.stderr)
    found = measured(words, jobs) | {"of": digest}
    KEPT.parent.mkdir(exist_ok=True)
    with gzip.open(KEPT, "wt", encoding="utf-8") as file:
        json.dump(found, file)
    return found


@dataclass(frozen=True)
class Mutant:
    """One error: the bytes [begin, end) of a file replaced, on lines of which the first is `line`."""

    kind: str
    file: str
    begin: int
    end: int
    line: int
    last: int
    new: str
    around: tuple[int, int]

    def source(self, text: str) -> str:
        raw = text.encode()
        return (raw[: self.begin] + self.new.encode() + raw[self.end :]).decode()

    def shown(self, text: str) -> tuple[str, str]:
        """Return the first line that differs, before and after."""
        pairs = itertools.zip_longest(text.splitlines(), self.source(text).splitlines(), fillvalue="")
        before, after = next(pair for pair in pairs if pair[0] != pair[1])
        return before.strip(), after.strip()


SWAPS: dict[type, tuple[type, str]] = {
    ast.Add: (ast.Sub, "sign"), ast.Sub: (ast.Add, "sign"), ast.Mult: (ast.Div, "coefficient"), ast.Div: (ast.Mult, "coefficient"),
    ast.Lt: (ast.LtE, "boundary"), ast.LtE: (ast.Lt, "boundary"), ast.Gt: (ast.GtE, "boundary"), ast.GtE: (ast.Gt, "boundary"),
}  # fmt: skip


def changed(node: ast.AST, index: bool) -> Iterator[tuple[str, str]]:
    """Yield kind and new text of the errors at a node; `index` says whether it stands between brackets."""
    if isinstance(node, ast.BinOp | ast.AugAssign) and type(node.op) in SWAPS:
        new, kind = SWAPS[type(node.op)]
        text = isinstance(node.op, ast.Add) and any(
            isinstance(n, ast.JoinedStr | ast.List | ast.Tuple) or isinstance(getattr(n, "value", None), str)
            for n in ast.walk(node)
        )
        if not text:  # a sum of texts or lists
            yield kind, ast.unparse(type(node)(**{**dict(ast.iter_fields(node)), "op": new()}))
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield "sign", ast.unparse(node.operand)
    elif isinstance(node, ast.Compare):
        for k, op in enumerate(node.ops):
            if type(op) in SWAPS:
                ops = [*node.ops[:k], SWAPS[type(op)][0](), *node.ops[k + 1 :]]
                yield "boundary", ast.unparse(ast.Compare(node.left, ops, node.comparators))
    elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "range":
        stop = min(1, len(node.args) - 1)
        longer = ast.BinOp(node.args[stop], ast.Add(), ast.Constant(1))
        yield "boundary", ast.unparse(ast.Call(node.func, [*node.args[:stop], longer, *node.args[stop + 1 :]], []))
    elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
        value = node.value + 1 if isinstance(node.value, int) or not node.value else 2 * node.value
        yield "index" if index else "coefficient", repr(value)


SKIPPED = (ast.JoinedStr, ast.Raise, ast.Assert, ast.arg)
"""Texts, and what is no arithmetic: annotations are fields of others."""


def visited(node: ast.AST, index: bool, around: tuple[int, int]) -> Iterator[tuple[ast.AST, bool, tuple[int, int]]]:
    yield node, index, around
    for name, field in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "type_params"):
            continue
        for child in field if isinstance(field, list) else [field]:
            typing = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
            level = isinstance(child, ast.keyword) and child.arg == "stacklevel"
            if not isinstance(child, ast.AST) or isinstance(child, SKIPPED) or typing or level:
                continue
            inside = (child.lineno, child.end_lineno or child.lineno) if isinstance(child, ast.stmt) else around
            if isinstance(child, ast.stmt) and hasattr(child, "body"):
                inside = (child.lineno, child.body[0].lineno - 1)
            yield from visited(child, index or (isinstance(node, ast.Subscript) and name == "slice"), inside)


def mutants(file: str, text: str) -> Iterator[Mutant]:
    """Yield every error of a file."""
    starts = [0, *itertools.accumulate(len(line) for line in text.encode().splitlines(keepends=True))]
    for node, index, around in visited(ast.parse(text), False, (0, 0)):
        for kind, new in changed(node, index):
            begin, end = starts[node.lineno - 1] + node.col_offset, starts[node.end_lineno - 1] + node.end_col_offset
            yield Mutant(kind, file, begin, end, node.lineno, node.end_lineno, new, around)


@functools.cache
def every() -> list[Mutant]:
    return [mutant for file, text in sources().items() for mutant in mutants(file, text)]


def drawn(seed: int, count: int) -> list[Mutant]:
    """Return errors of a seed, of each kind in turn. A hash of its line places an error, so that a change elsewhere leaves the others."""
    lines = {file: text.splitlines() for file, text in sources().items()}
    seen: Counter[str] = Counter()

    def place(mutant: Mutant) -> str:
        words = f"{seed} {mutant.file} {lines[mutant.file][mutant.line - 1].strip()} -> {mutant.new}"
        seen[words] += 1
        return hashlib.sha256(f"{words} {seen[words]}".encode()).hexdigest()

    piles = [sorted((m for m in every() if m.kind == kind), key=place) for kind in KINDS]
    return [m for turn in itertools.zip_longest(*piles) for m in turn if m][:count]


def against(mutant: Mutant, kept: dict[str, Any], limit: float) -> list[str]:
    """Return the tests that run an error's lines, then those of its statement and of its file, for so many seconds.

    What a test finds in a cache, or a fixture hands to several tests, only the first one was seen to run.
    """
    at = {int(line): tests for line, tests in kept["lines"].get(mutant.file, {}).items()}
    ranks: dict[int, tuple[int, int]] = {}
    for level, lines in enumerate(
        (range(mutant.line, mutant.last + 1), range(mutant.around[0], mutant.around[1] + 1), at)
    ):
        for line in lines:
            for rank, k in enumerate(at.get(line, [])):
                ranks[k] = min((level, rank), ranks.get(k, (level, rank)))
    found: list[str] = []
    for k in sorted(ranks, key=ranks.__getitem__):
        limit -= kept["seconds"][k]
        if found and limit < 0:
            break
        found.append(kept["tests"][k])
    return found


def equivalents() -> dict[tuple[str, str, str], str]:
    """Return the reasons of tests/equivalent.toml by file, line before and line after."""
    table = tomllib.loads((ROOT / "tests/equivalent.toml").read_text(encoding="utf-8"))
    return {(e["file"], e["old"], e["new"]): e["why"] for e in table.get("equivalent", [])}


@dataclass
class Judge:
    """Runs tests on copies of the package with errors, as many at a time as there are copies."""

    kept: dict[str, Any]
    copies: Queue[Any]
    sound: dict[str, bool]
    limit: float

    def __post_init__(self) -> None:
        self.taken = dict(zip(self.kept["tests"], self.kept["seconds"], strict=True))

    def __call__(self, mutant: Mutant) -> tuple[str, str]:
        """Return how an error ended, and the test that noticed it or what was printed."""
        tests = against(mutant, self.kept, self.limit)
        if not tests:
            return "not run", ""
        text = (ROOT / "bdia_numerics" / mutant.file).read_text(encoding="utf-8")
        copy, output = self.copies.get(), ""
        try:
            left = [tests[:FIRST], tests[FIRST:]]
            while left:
                batch = [test for test in left.pop(0) if self.sound.get(test, True)]
                if not batch:
                    continue
                with copy.planted(mutant.file, mutant.source(text)):
                    status, output = copy.run("-x", "--tb=short", *batch, seconds=self.patience(batch))
                if status == 0:
                    continue
                if status < 0:
                    return "too long", output[-300:]
                said = re.search(r"^(?:FAILED|ERROR) (\S.*?)(?: - .*)?$", output, re.MULTILINE)
                if said is None:
                    # A name may hold what the error changed, as a default: that test is not found, and says nothing.
                    lost = re.findall(r"^ERROR: not found: (.*)$", output, re.MULTILINE)
                    found = [test for test in batch if not any(name.endswith(test) for name in lost)]
                    sound = [self.passes(test, copy) for test in found]
                    if len(found) == len(batch) and all(sound):
                        return "killed", output[-300:]
                    batch = found
                else:
                    name = said[1] if said[1] in batch else next((t for t in batch if said[1].startswith(t)), batch[0])
                    if self.passes(name, copy):
                        return "killed", name
                left.insert(0, batch)
        finally:
            self.copies.put(copy)
        return "survived", output[-300:]

    def patience(self, tests: list[str]) -> int:
        """Return the seconds after which an error is one that makes tests run on."""
        return 30 + int(4 * sum(self.taken[test] for test in tests))

    def passes(self, test: str, copy: Any) -> bool:
        """Say whether a test passes on the package as it is: one that does not tells nothing."""
        if test not in self.sound:
            self.sound[test] = copy.run(test)[0] == 0
        return self.sound[test]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=250)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of tests for one error, as they were measured")
    parser.add_argument("--only", type=int, help="the error of this number, with what its tests print")
    parser.add_argument(
        "--keep", action="store_true", help="take the kept lines, although the package was changed since"
    )
    parser.add_argument("--list", action="store_true", help="the errors, and no runs")
    parser.add_argument("tests", nargs="*", help="what pytest is to collect; the whole suite by default")
    given = parser.parse_args()
    if not hasattr(os, "fork"):
        parser.error("needs POSIX: tests run in forks")
    from mutated_copy import Copy

    texts, why = sources(), equivalents()
    chosen_ones = list(enumerate(drawn(given.seed, given.count)))
    if given.only is not None:
        chosen_ones = chosen_ones[given.only : given.only + 1]
    if given.list:
        for k, mutant in chosen_ones:
            print(k, mutant.kind, f"{mutant.file}:{mutant.line}", *mutant.shown(texts[mutant.file]), sep=" | ")
        return 0
    kept = lines_of_tests(given.tests, given.jobs, given.keep)
    ended: Counter[str] = Counter()
    kinds: Counter[tuple[str, bool]] = Counter()
    survivors = []
    with tempfile.TemporaryDirectory() as folder:
        copies: Queue[Any] = Queue()
        for k in range(given.jobs):
            (Path(folder) / str(k)).mkdir()
            copies.put(Copy(Path(folder) / str(k)))
        judge = Judge(kept, copies, {}, given.seconds)
        with ThreadPoolExecutor(given.jobs) as pool:
            found = pool.map(lambda pair: judge(pair[1]), chosen_ones)
            for (k, mutant), (how, what) in zip(chosen_ones, found, strict=True):
                lines = mutant.shown(texts[mutant.file])
                noticed = how in ("killed", "too long")
                reason = why.get((mutant.file, *lines))
                # A line of equivalent.toml is wrong if a test notices its error.
                verdict = how if not reason else "wrong line" if noticed else "equivalent"
                ended[verdict] += 1
                if verdict != "equivalent":
                    kinds[mutant.kind, noticed] += 1
                place = f"{k:4} {mutant.kind:11} {verdict:10} {mutant.file}:{mutant.line}"
                print(place, what.splitlines()[-1][:120] if noticed and what else reason or "", flush=True)
                if verdict in ("survived", "not run", "wrong line"):
                    survivors.append("\n     ".join([place, f"- {lines[0]}", f"+ {lines[1]}"]))
                if given.only is not None:
                    print(what)
        for _ in range(given.jobs):
            with closing(copies.get()):
                pass
    print(
        "\nNo test notices these, or a line of tests/equivalent.toml is wrong:", *survivors, sep="\n"
    ) if survivors else None
    for kind in KINDS:
        print(f"{kind:11} {kinds[kind, True]} of {kinds[kind, True] + kinds[kind, False]} die")
    total, died = sum(ended.values()), ended["killed"] + ended["too long"] + ended["wrong line"]
    rest = max(1, total - ended["equivalent"])
    print(
        f"seed {given.seed}: {total} errors: {dict(ended)}; {died} of {rest} that are not equivalent die: {100 * died / rest:.0f}%"
    )
    return int(bool(survivors))


if __name__ == "__main__":
    sys.exit(main())
