"""What a first run imports is quick and light, measured in fresh interpreters."""

import ast
import contextlib
import importlib
import json
import os
import re
import subprocess
import sys
import tomllib
import types
from importlib import metadata
from pathlib import Path

import pytest

import bdia_numerics
from bdia_numerics.spaces.later import Later

ROOT = Path(__file__).resolve().parent.parent
FIRST_RUN = "from bdia_numerics import BDIA, SOLVERS, grids, invert, models, problems, schedules, solve, spaces"
HEAVY = ("torch", "jax", "matplotlib", "sympy")
LIMIT_S = 0.5
REPEATS = 3  # the quickest of some runs is the one that other processes disturbed least


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


def best_seconds(code: str) -> float:
    """Return the processor time of an interpreter that runs code: on an idle machine it is the time one waits."""

    def spent() -> float:
        times = os.times()
        return times.children_user + times.children_system

    def once() -> float:
        started = spent()
        run(code)
        return spent() - started

    return min(once() for _ in range(REPEATS))


def heavy_modules_after(*stages: str) -> list[list[str]]:
    """Return what is loaded after each stage of an interpreter's code."""
    shown = f"print(json.dumps([m for m in {HEAVY!r} if m in sys.modules]))"
    return [
        json.loads(line)
        for line in run("\n".join(["import json, sys", *(f"{s}\n{shown}" for s in stages)])).splitlines()
    ]


def test_import_takes_under_half_a_second():
    assert best_seconds(FIRST_RUN) - best_seconds("pass") < LIMIT_S


def test_what_is_heavy_is_loaded_when_it_is_first_used_and_not_before():
    """A first run needs none; assertions load torch when a scheduler runs, analysis loads sympy for its formulas."""
    first, assertions, analysis, formulas = heavy_modules_after(
        FIRST_RUN,
        "import bdia_numerics.testing.plugin, bdia_numerics.testing.latents",
        "from bdia_numerics.analysis.stability.zero_stability import zero_stability",
        "from bdia_numerics import DDIM\nzero_stability(DDIM())",
    )
    assert first == assertions == analysis == [] and formulas == ["sympy"]


def test_assertions_load_torch_when_a_scheduler_runs():
    pytest.importorskip("torch", reason="needs the extra torch")
    code = "import sys; sys.modules['torch'] = None\ntry: import bdia_numerics.testing.driving\nexcept ImportError as e: print(e.name)"
    assert run(code) == "torch\n"


def test_analysis_is_loaded_when_it_is_first_asked_for():
    names = (
        "import json, sys, bdia_numerics\nbefore = 'bdia_numerics.analysis' in sys.modules\n"
        "print(json.dumps([before, 'analysis' in dir(bdia_numerics), bdia_numerics.analysis.__name__, "
        "bdia_numerics.datasheet is bdia_numerics.analysis.datasheet, hasattr(bdia_numerics, 'nothing')]))"
    )
    assert json.loads(run(names)) == [False, True, "bdia_numerics.analysis", True, False]


def test_the_plugin_of_pytest_loads_nothing_until_a_claim_is_met():
    code = (
        "import json, sys, bdia_numerics.testing.plugin\n"
        "loaded = sorted(m for m in sys.modules if m.split('.')[0] in ('numpy', 'scipy', 'bdia_numerics'))\n"
        "print(json.dumps(loaded))"
    )
    assert json.loads(run(code)) == ["bdia_numerics", "bdia_numerics.testing", "bdia_numerics.testing.plugin"]


def test_what_is_imported_late_is_read_and_never_set():
    import mpmath

    from bdia_numerics.spaces import later

    assert later.mp.prec == mpmath.mp.prec and later.sympy.Integer(2) == 2
    before = mpmath.mp.dps
    with pytest.raises(AttributeError, match="import it where it is set"):
        later.mp.dps = 50
    assert mpmath.mp.dps == before


def named(texts):
    """Return the names of requirements, without those that an extra of theirs asks for."""
    return {re.split(r"[^\w.-]", text)[0].lower() for text in texts if "extra ==" not in text}


def needed(names):
    """Return distributions with all that they require, as far as it is installed."""
    found, left = set(), set(names)
    while left:
        name = left.pop()
        found.add(name)
        with contextlib.suppress(metadata.PackageNotFoundError):
            left |= named(metadata.requires(name) or ()) - found
    return found


def hidden() -> list[str]:
    """Return the modules that an extra alone brings."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = set().union(*map(named, project["optional-dependencies"].values()))
    extras -= {*needed(named(project["dependencies"])), project["name"]}
    return sorted({"python-flint": "flint"}.get(name, name.replace("-", "_")) for name in extras)


COMMANDS = [
    ["verify", "--only", "eq-33,prop-1", "--json"],
    ["converge", "--solver", "ddim", "--max-steps", "32"],
    ["list"],
    ["map", "--grid", "quad", "--solver", "bdia:gamma=1", "--steps", "10", "--states", "8"],
]


def test_commands_need_none_of_the_extras(tmp_path):
    """All of them in one interpreter, which finds no module that an extra brings."""
    names = hidden()
    assert {"torch", "matplotlib", "jinja2", "flint", "dask"} <= set(names)
    code = (
        f"import sys; sys.modules |= dict.fromkeys({names!r})\n"
        "from bdia_numerics.cli import main\n"
        f"for words in {COMMANDS!r}:\n"
        "    sys.argv = ['bdia', *words]\n"
        "    try:\n        main()\n"
        "    except SystemExit as end:\n        assert not end.code, words\n"
    )
    own = os.environ | {"XDG_CACHE_HOME": str(tmp_path), "BDIA_WORKERS": "all", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False, env=own
    )
    assert done.returncode == 0, done.stderr
    assert "order" in done.stdout and "best gamma" in done.stdout


def late_uses():
    """Yield module, line, late name and the attributes that follow it, for all that a module asks of a name that loads late."""
    package = Path(bdia_numerics.__file__).parent
    for path in sorted(package.rglob("*.py")):
        if path.name == "__main__.py":
            continue
        where = ".".join(path.relative_to(package.parent).with_suffix("").parts).removesuffix(".__init__")
        late = {name for name, value in vars(importlib.import_module(where)).items() if type(value) is Later}
        tree = ast.parse(path.read_text(encoding="utf-8")) if late else ast.Module([], [])
        for node in ast.walk(tree):
            names, inner = [], node
            while isinstance(inner, ast.Attribute):
                names.append(inner.attr)
                inner = inner.value
            if names and isinstance(inner, ast.Name) and inner.id in late:
                yield where, node.lineno, inner.id, names[::-1]


def test_what_loads_late_is_there():
    """A type checker does not see such names, and a module that was moved would be missed where a user comes first."""
    missing, seen = [], 0
    for where, line, name, attributes in late_uses():
        value = getattr(importlib.import_module(where), name)
        for k, attribute in enumerate(attributes):
            if k and not isinstance(value, types.ModuleType):  # attributes of modules alone are known without a run
                break
            seen += 1
            try:
                value = getattr(value, attribute)
            except (AttributeError, ImportError):
                missing.append(f"{where}:{line}: {'.'.join([name, *attributes[: k + 1]])}")
                break
    assert seen > 500 and missing == []
