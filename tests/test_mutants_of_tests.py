"""Every test of mutants.toml fails on the errors that are listed there for it, and passes without them.

Each entry brings an error back that was in the package. Entries are tried in a copy of it, one process for each run of a test.
"""

import ast
import compileall
import json
import os
import shutil
import subprocess
import sys
import tomllib
from contextlib import closing
from pathlib import Path

import pytest

import bdia_numerics
from bdia_numerics.claims.ledger import replaced

PACKAGE = Path(bdia_numerics.__file__).parent
ROOT = Path(__file__).resolve().parent.parent
ENTRIES = tomllib.loads((Path(__file__).parent / "mutants.toml").read_text(encoding="utf-8"))["mutant"]
PASSED, FAILED = 0, 1  # pytest's exit statuses; it has others for what was not collected, or broke on the way

SERVER = """
import gc, json, os, resource, sys
from contextlib import suppress

import jinja2, mpmath, numpy, pytest, scipy.integrate, scipy.optimize, scipy.special, scipy.stats
import sympy, sympy.polys.matrices, typer.testing, yaml

with suppress(ImportError):
    import torch
    torch.set_num_threads(1)
with suppress(ImportError):
    import diffusers
    diffusers.DDIMPipeline
with suppress(ImportError):
    import cloudpickle, flint, h5netcdf, xarray

gc.collect()
gc.freeze()  # so that a fork shares what stands here
for line in sys.stdin:
    package, log, *arguments = json.loads(line)
    if not (child := os.fork()):
        resource.setrlimit(resource.RLIMIT_CPU, (120, 120))
        sys.path.insert(0, package)
        sys.stdout.flush()
        for stream in (1, 2):
            os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
        status = pytest.main(arguments)
        import bdia_numerics
        inside = bdia_numerics.__file__.startswith(package)
        sys.stdout.flush()
        os._exit(int(status) if inside else 9)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
"""Runs each test in a fork of a process that has loaded the libraries, since to load them takes longer than most of the tests."""


def mutated(entry):
    """Return the source of an entry's file with its error."""
    where = f"{entry['file']} in tests/mutants.toml ({entry['error']})"
    source = (PACKAGE / entry["file"]).read_text(encoding="utf-8")
    return replaced(where, source, (entry["old"], entry["new"]))


class Copy:
    """A copy of the package, and a process that runs tests on it."""

    def __init__(self, folder):
        self.package, self.log = folder / PACKAGE.name, folder / "log"
        shutil.copytree(PACKAGE, self.package)
        shutil.copytree(ROOT / "proofs", folder / "proofs", ignore=shutil.ignore_patterns("coq"))
        compileall.compile_dir(self.package, quiet=2)
        # Plugins of pytest take longer to load than most tests.
        own = {"PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        environment = os.environ | own | {"PYTHONPATH": str(folder)}
        self.server = subprocess.Popen(
            [sys.executable, "-P", "-c", SERVER],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment,
        )  # fmt: skip

    def run(self, *tests):
        """Return pytest's exit status and its output."""
        options = ("-q", "-o", "addopts=", "-p", "no:cacheprovider", "-p", "pytest_benchmark.plugin")
        asked = [str(self.package.parent), str(self.log), *options, *(f"tests/{test}" for test in tests)]
        self.server.stdin.write(json.dumps(asked) + "\n")
        self.server.stdin.flush()
        return int(self.server.stdout.readline()), self.log.read_text(errors="replace", encoding="utf-8").rstrip()

    def notices(self, entry):
        """Say whether an entry's test fails with its error; the output too."""
        place = self.package / entry["file"]
        place.write_text(mutated(entry), encoding="utf-8")
        try:
            status, output = self.run(entry["test"])
        finally:
            shutil.copy2(PACKAGE / entry["file"], place)  # with its time, by which compiled files are known
        # A pytest that breaks on the way may end with that status, too.
        return status == FAILED and output.rpartition("\n")[2].startswith("1 failed"), output

    def close(self):
        self.server.stdin.close()
        self.server.wait()
        self.server.stdout.close()


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["error"])
def test_the_text_of_an_entry_stands_in_the_source(entry):
    assert set(entry) == {"error", "file", "old", "new", "test"}
    if entry["file"].endswith(".py"):
        compile(mutated(entry), entry["file"], "exec")
    assert mutated(entry)


def test_a_text_that_is_gone_is_named():
    entry = ENTRIES[0] | {"old": "no such text"}
    with pytest.raises(
        ValueError, match=r"mutants\.toml \(.*\): 'no such text' occurs 0 times in its source, not once"
    ):
        mutated(entry)


def approximations(path):
    """Yield the line and the keywords of each pytest.approx in a file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
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
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_each_test_fails_on_the_errors_that_are_listed_for_it(tmp_path):
    unnoticed = []
    with closing(Copy(tmp_path)) as copy:
        status, output = copy.run(*dict.fromkeys(entry["test"] for entry in ENTRIES))
        assert status == PASSED, f"tests of mutants.toml do not pass on the package as it is:\n{output}"
        for entry in ENTRIES:
            noticed, output = copy.notices(entry)
            if not noticed:
                unnoticed.append(
                    f"{entry['test']} does not fail with: {entry['error']} ({entry['file']})\n{output[-500:]}"
                )
    assert not unnoticed, "\n".join(unnoticed)
