"""The architecture, read from the source: who imports whom, what a solver file may hold, how long a module may be."""

import ast
import functools
import graphlib
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse.csgraph import connected_components

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "bdia_numerics"

# Imports go downwards only. Rooms of one row may import one another, as long as no circle arises.
ROWS = (
    ("cli", "__main__"),
    ("pages",),
    ("claims",),
    ("studies", "plots"),
    ("testing",),
    ("torch",),
    ("analysis",),
    ("runs",),
    ("names",),
    ("problems", "configs"),
    ("solvers",),
    ("program",),
    ("schedules", "grids", "models"),
    ("spaces",),
    ("formulas", "texts"),
)
ROW = {room: row for row, rooms in enumerate(ROWS) for room in rooms}
FACADE = "__init__"  # `import bdia_numerics` re-exports names from everywhere; no module of the package may use them

HOMES = {
    "matplotlib": {"plots", "studies"},
    "torch": {"torch", "testing"},
    "diffusers": {"torch", "testing"},
    "safetensors": {"torch"},
}
SCRIPTS = ("paper_figs", "notebooks")  # thin: drawing and tensors are in the package

SOLVER_LINES, MODULE_LINES = 100, 500
LOOPS = (ast.For, ast.AsyncFor, ast.While, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
INEXACT_MODULES = {"math", "cmath", "random", "decimal", "array"}
ARRAY_WORDS = {"dtype", "astype", "device"}

NUMBERS_AT_HOME = ("spaces", "torch")
NUMBERS_ALLOWED = {
    "studies": "variables of a Dataset, and columns that are called dtype",
    "pages/figures.py": "variables of a Dataset",
    "testing": "arrays of other libraries, whose numbers are in no system here",
    "analysis/lint": "names of dtypes, such as 'float16', in other libraries' configurations",
}

MODULES = sorted(PACKAGE.rglob("*.py"))
SOURCES = {path: path.read_text(encoding="utf-8") for path in MODULES}
parsed = functools.cache(ast.parse)
SPACE_CLASSES = {
    node.name
    for path in (PACKAGE / "spaces").glob("*.py")
    for node in ast.walk(parsed(SOURCES[path]))
    if isinstance(node, ast.ClassDef)
}
SOLVER_FILES = sorted(p for p in (PACKAGE / "solvers").glob("*.py") if p.name != "__init__.py")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def faults(found: Callable[[Path], list[str]], paths: Iterable[Path]) -> dict[str, list[str]]:
    """Return what is found in files, by file, without those in which there is nothing."""
    each = {name_of(path): found(path) for path in paths}
    assert each, "no files"
    return {name: said for name, said in each.items() if said}


def imported_names(tree: ast.AST, package: str = "bdia_numerics") -> Iterator[str]:
    """Yield each import as a dotted name, `from a import b` as a.b, those inside functions and by `Later` included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package.split(".")[: len(package.split(".")) + 1 - node.level]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            yield from (f"{module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Later":
            yield from (name.value.replace(":", ".") for name in node.args if isinstance(name, ast.Constant))


def rooms_imported(source: str, package: str = "bdia_numerics") -> set[str]:
    """Return the rooms that a module's source imports from; a name that is no room comes from the facade."""
    names = (name.split(".") for name in imported_names(parsed(source), package))
    inside = [parts for parts in names if parts[0] == "bdia_numerics"]
    return {parts[1] if len(parts) > 1 and parts[1] in ROW else FACADE for parts in inside}


def upward_imports(room: str, source: str, package: str = "bdia_numerics") -> list[str]:
    """Return what is imported from above `room`'s row, or from the facade."""
    return sorted(r for r in rooms_imported(source, package) - {room} if r == FACADE or ROW[r] < ROW[room])


def strangers(room: str, source: str) -> list[str]:
    """Return the libraries that `room` imports although they have another home."""
    tops = {name.split(".")[0] for name in imported_names(parsed(source))}
    return sorted(top for top in tops if room not in HOMES.get(top, {room}))


def solver_faults(source: str) -> list[str]:
    """Return what a solver file may not hold: it is mathematics only."""
    tree = ast.parse(source)
    sums = {
        id(node.args[0])
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "sum" and node.args
    }
    faults = []
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        if isinstance(node, LOOPS) and not (isinstance(node, ast.GeneratorExp) and id(node) in sums):
            faults.append(f"line {line}: a loop")
        if isinstance(node, ast.Constant) and isinstance(node.value, float | complex):
            faults.append(f"line {line}: the float {node.value}")
        if {getattr(node, "id", None), getattr(node, "attr", None), getattr(node, "arg", None)} & ARRAY_WORDS:
            faults.append(f"line {line}: a dtype or a device")
    tops = sorted({name.split(".")[0] for name in imported_names(tree)} - {"bdia_numerics"})
    faults += [f"imports {top}" for top in tops if top not in sys.stdlib_module_names or top in INEXACT_MODULES]
    if (lines := len(without(source, "Parameters", "Examples").splitlines())) > SOLVER_LINES:
        faults.append(f"{lines} lines, more than {SOLVER_LINES}")
    return faults


def without(source: str, *sections: str) -> str:
    """Return source without the ends of docstrings that begin with one of some sections, which no limit of lines should shorten."""
    return re.sub(rf"\n\n +(?:{'|'.join(sections)})\n +-+\n.*?(?=\n +\"\"\")", "", source, flags=re.DOTALL)


def number_tests(source: str) -> list[str]:
    """Return where a module asks which number system or dtype it has, which only spaces and torch may; elsewhere a capability says so.

    To hand a dtype on, as in ``np.empty(shape, x.dtype)``, asks nothing.
    """
    found = []
    for node in ast.walk(parsed(source)):
        asks = isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("isinstance", "issubclass")
        compares = isinstance(node, ast.Compare) or asks
        inside = list(ast.walk(node)) if compares else []
        names = {getattr(part, "id", getattr(part, "attr", "")) for part in inside}
        parent = getattr(node, "value", None) if isinstance(node, ast.Attribute) else None
        if asks and names & SPACE_CLASSES:
            found.append(f"line {node.lineno}: isinstance of {', '.join(sorted(names & SPACE_CLASSES))}")
        if compares and any(getattr(part, "attr", "") == "dtype" for part in inside):
            found.append(f"line {node.lineno}: a dtype is compared")
        if getattr(parent, "attr", "") == "dtype" and node.attr in ("kind", "char", "itemsize"):
            found.append(f"line {node.lineno}: dtype.{node.attr}")
        if isinstance(node, ast.Attribute) and node.attr in ("floating", "issubdtype"):
            found.append(f"line {node.lineno}: np.{node.attr}")
    return sorted(set(found))


MODULES_BESIDE_ROOMS = 4


def test_few_modules_stand_beside_the_rooms():
    beside = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__", "__main__"}
    assert len(beside) <= MODULES_BESIDE_ROOMS


READERS = (
    "tests",
    "notebooks",
    "experiments",
    "paper_figs",
    "proofs",
    "benchmarks",
    "scripts",
    "examples",
    "docs/images",
)


PRIVATE = re.compile(r"\b(?:from|import)\b(?:[^\n(]|\\\n)*(?:\([^)]*)?(?<!\w)_[^\W_]")


def private_imports(source: str, package: str) -> list[str]:
    """Return the private names of the package that a source imports; few texts look like it, and those alone are parsed."""
    names = imported_names(ast.parse(source), package) if PRIVATE.search(source) else ()
    return [
        name
        for name in names
        if name.startswith("bdia_numerics.") and any(p[0] == "_" and p[1] != "_" for p in name.split(".") if p[1:])
    ]


def test_private_names_are_imported_by_nobody():
    """What another module, a test, a chapter or a script needs has a name without an underscore."""
    paths = [*MODULES, *(path for folder in READERS for path in (ROOT / folder).rglob("*.py"))]
    found = faults(lambda path: private_imports(path.read_text(encoding="utf-8"), package_of(path)), paths)
    assert len(paths) > len(MODULES) + 150 and found == {}


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("from bdia_numerics.runs import _a", ["bdia_numerics.runs._a"]),
        ("def f():\n    from .runs import (\n        a,  # a word\n        _b as c,\n    )", ["bdia_numerics.runs._b"]),
        ("import numpy, bdia_numerics._runs.a", ["bdia_numerics._runs.a"]),
        ("from bdia_numerics._runs import a", ["bdia_numerics._runs.a"]),
        ("from bdia_numerics import a, \\\n    _b", ["bdia_numerics._b"]),
        ("from bdia_numerics import __version__\nfrom os import _exit", []),
    ],
)
def test_imports_of_private_names_are_seen(source, found):
    assert [name for name in private_imports(source, "bdia_numerics") if "__" not in name] == found


EMPTY_WORDS = {"spec", "shaping", "named", "straying", "planted", "carried", "starting", "feed", "wording", "over_ddim", "law"}  # fmt: skip
"""Words that do not say what is in a module."""


def test_modules_are_named_by_what_is_in_them():
    assert [name_of(path) for path in MODULES if EMPTY_WORDS & {path.stem, path.stem.removesuffix("s")}] == []


def circles(sources: dict[str, tuple[str, str]]) -> list[set[str]]:
    """Return the sets of modules that import one another in a circle, also inside functions and for the type checker alone.

    `sources` gives for each module its package and its text. A name that is no module is an attribute of the one before it.
    """
    names = list(sources)
    graph = np.zeros((len(names), len(names)), dtype=bool)
    for module, (package, source) in sources.items():
        for name in imported_names(parsed(source), package):
            found = name if name in sources else name.rpartition(".")[0]
            if found in sources:
                graph[names.index(module), names.index(found)] = True
    count, part_of = connected_components(graph, connection="strong")
    parts = [[k for k in range(len(names)) if part_of[k] == part] for part in range(count)]
    return [{names[k] for k in part} for part in parts if len(part) > 1 or graph[part[0], part[0]]]


def package_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).parent.parts)


def test_imports_go_down_only():
    below = {path: source for path, source in SOURCES.items() if room_of(path) != FACADE}
    assert {room_of(path) for path in below} <= set(ROW), (
        "a room is in no row: place it in ROWS of tests/test_layers.py"
    )
    assert faults(lambda path: upward_imports(room_of(path), SOURCES[path], package_of(path)), below) == {}


def test_rooms_import_in_no_circle():
    graph: dict[str, set[str]] = {}
    for path in MODULES:
        if (room := room_of(path)) != FACADE:
            graph.setdefault(room, set()).update(rooms_imported(SOURCES[path], package_of(path)) - {room, FACADE})
    assert graph, "no modules found"
    graphlib.TopologicalSorter(graph).prepare()


def test_modules_import_in_no_circle():
    sources = {}
    for path in MODULES:
        package = package_of(path)
        sources[package if path.stem == "__init__" else f"{package}.{path.stem}"] = (
            package,
            SOURCES[path],
        )
    assert circles(sources) == []


def test_matplotlib_and_torch_stay_at_home():
    assert faults(lambda path: strangers(room_of(path), SOURCES[path]), MODULES) == {}


def test_scripts_leave_drawing_and_tensors_to_the_package():
    paths = [path for folder in SCRIPTS for path in (ROOT / folder).rglob("*.py")]
    found = {
        name_of(path): strangers(path.relative_to(ROOT).parts[0], path.read_text(encoding="utf-8")) for path in paths
    }
    assert {name: tops for name, tops in found.items() if tops} == {}


def test_module_length():
    lengths = {name_of(path): len(without(source, "Examples").splitlines()) for path, source in SOURCES.items()}
    assert {name: lines for name, lines in lengths.items() if lines > MODULE_LINES} == {}


def test_nobody_asks_which_number_system_it_is():
    places = [PACKAGE / place for place in (*NUMBERS_AT_HOME, *NUMBERS_ALLOWED)]
    others = [path for path in MODULES if not {path, *path.parents} & set(places)]
    assert faults(lambda path: number_tests(SOURCES[path]), others) == {}


def test_the_places_that_may_ask_are_those_that_do():
    for place, reason in NUMBERS_ALLOWED.items():
        paths = [p for p in MODULES if (PACKAGE / place) in (p, *p.parents)]
        assert any(number_tests(SOURCES[p]) for p in paths), f"{place} ({reason}) asks no more: take it off the list"


def test_no_class_name_stands_in_two_modules():
    """A reader who finds a name in a message, a signature or a page finds one class. Classes inside functions have no such name."""
    homes: dict[str, set[str]] = {}
    for path in MODULES:
        for node in parsed(SOURCES[path]).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes.setdefault(node.name, set()).add(name_of(path))
    twice = {name: sorted(places) for name, places in homes.items() if len(places) > 1}
    assert twice == {}


def test_solver_files_hold_mathematics_only():
    assert faults(lambda path: solver_faults(SOURCES[path]), SOLVER_FILES) == {}


def test_only_the_program_room_reads_operations():
    """Others read them through `program.ops`, which says once what a combination and a mix are."""
    read = {f"bdia_numerics.program.ops.{name}" for name in ("Combine", "Mix")}
    others = [path for path in MODULES if room_of(path) != "program"]
    assert (
        faults(lambda path: sorted(read & set(imported_names(parsed(SOURCES[path]), package_of(path)))), others) == {}
    )


def test_a_solver_is_a_line_with_its_name_and_its_file():
    (table,) = (
        node
        for node in ast.walk(ast.parse((PACKAGE / "solvers" / "__init__.py").read_text(encoding="utf-8")))
        if isinstance(node, ast.Dict) and len(node.keys) > 1
    )
    assert table.keys
    for key, value in zip(table.keys, table.values, strict=True):
        assert isinstance(key, ast.Constant)
        assert isinstance(value, ast.Constant)
        assert (PACKAGE / "solvers" / f"{value.value}.py").is_file()


# The checks themselves: each must see the defect it is there for.


@pytest.mark.parametrize(
    ("a", "b", "found"),
    [
        ("from p.b import x", "from p.a import y", True),
        ("from p import b", "def f():\n    from p.a import y", True),
        ("import p.b", "if TYPE_CHECKING:\n    from p import a", True),
        ("from p.b import x", "from .a import y", True),
        ("from p.b import x", "import numpy", False),
        ("from p import b", "from p import x", False),
        ("from p import a", "", True),
    ],
)
def test_circles_are_seen(a, b, found):
    assert bool(circles({"p": ("p", ""), "p.a": ("p", a), "p.b": ("p", b)})) == found


@pytest.mark.parametrize(
    ("room", "source", "found"),
    [
        ("spaces", "from bdia_numerics import schedules", ["schedules"]),
        ("program", "def f():\n    import bdia_numerics.solvers.ddim", ["solvers"]),
        ("solvers", "from bdia_numerics.runs.encoding import solve", ["runs"]),
        ("analysis", "from bdia_numerics import solve", [FACADE]),
        ("analysis", "import bdia_numerics", [FACADE]),
        ("program", "from .runs import solve", ["runs"]),
        ("program", "from . import runs, spaces", ["runs"]),
        ("runs", 'sheet = Later("bdia_numerics.analysis.sheet:datasheet")', ["analysis"]),
        ("runs", "import numpy\nfrom bdia_numerics import program\nfrom bdia_numerics.runs.encoding import x", []),
    ],
)
def test_upward_imports_are_seen(room, source, found):
    assert upward_imports(room, source) == found


@pytest.mark.parametrize(
    ("package", "source", "found"),
    [
        ("bdia_numerics.spaces", "from ..schedules import vp_linear", ["schedules"]),
        ("bdia_numerics.spaces", "from . import base", []),
    ],
)
def test_relative_imports_are_resolved(package, source, found):
    assert upward_imports("spaces", source, package) == found


@pytest.mark.parametrize(
    ("room", "source", "found"),
    [
        ("claims", "from matplotlib import pyplot", ["matplotlib"]),
        ("runs", "def f():\n    import torch.nn as nn", ["torch"]),
        ("claims", "import diffusers, safetensors.torch", ["diffusers", "safetensors"]),
        ("plots", "import matplotlib.pyplot as plt", []),
        ("torch", "import torch", []),
        ("plots", "import torch", ["torch"]),
    ],
)
def test_strangers_are_seen(room, source, found):
    assert strangers(room, source) == found


@pytest.mark.parametrize(
    "source",
    [
        "isinstance(space, Numpy)",
        "isinstance(space, spaces.Balls | MPMath)",
        "issubclass(type(z), (int, Lattice))",
        "x = 1 if z.dtype == object else 2",
        "isinstance(z.dtype, float)",
        "if z.dtype.kind in 'iu': pass",
        "isinstance(x, float | np.floating)",
        "np.issubdtype(kind, float)",
    ],
)
def test_questions_for_the_number_system_are_seen(source):
    assert number_tests(source) != []


@pytest.mark.parametrize(
    "source", ["np.empty(3, z.dtype)", "space.floats", "isinstance(z, State)", "z.astype(x.dtype)"]
)
def test_what_hands_a_dtype_on_asks_nothing(source):
    assert number_tests(source) == []


@pytest.mark.parametrize(
    "source",
    [
        "x = 0.5 * y",
        "x = 1j",
        "for i in y: pass",
        "while y: pass",
        "x = [c for c in y]",
        "x = tuple(c for c in y)",
        "import numpy as np",
        "from scipy import linalg",
        "import math",
        "x = y.astype(z)",
        "f(dtype=z)",
        "x = z.device",
        "x = 1\n" * (SOLVER_LINES + 1),
    ],
)
def test_solver_faults_are_seen(source):
    assert solver_faults(source) != []


def test_a_plain_step_has_no_faults():
    source = (
        "from fractions import Fraction\nfrom bdia_numerics.program import Step\nx = sum(c * e for c, e in p) + y / 2"
    )
    assert solver_faults(source) == []
