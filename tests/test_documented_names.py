"""The facade, and the names that the pages for users call, say what they take, return and refuse, with an example that runs."""

import ast
import contextlib
import dataclasses
import doctest
import inspect
import re
import warnings
from importlib import import_module
from pathlib import Path

import pytest

import bdia_numerics

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    *(
        path
        for path in sorted((ROOT / "docs").glob("*.md"))
        if path.stem not in ("architecture", "decisions", "ledger")
    ),
]
REFUSE_NOTHING = {"stable_diffusion", "vectors", "table", "records"}


def objects(block):
    """Yield the functions and classes of the package that a block of code names."""
    tree, known = ast.parse(block), {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("bdia_numerics"):
            home = import_module(node.module)
            for a in node.names:
                found = getattr(home, a.name, None)
                known[a.asname or a.name] = import_module(f"{node.module}.{a.name}") if found is None else found
        elif isinstance(node, ast.Import):
            known |= {
                a.name.split(".")[0]: import_module(a.name.split(".")[0])
                for a in node.names
                if "bdia_numerics" in a.name
            }
    for node in ast.walk(tree):
        words = ast.unparse(node).split(".") if isinstance(node, ast.Name | ast.Attribute) else [""]
        found = known.get(words[0])
        for word in words[1:]:
            found = getattr(found, word, None) if inspect.ismodule(found) else None
        if inspect.isfunction(found) or inspect.isclass(found):
            yield found


def named():
    """Return the public functions and classes by name: of the facade, and of the pages' Python."""
    facade = (getattr(bdia_numerics, name) for name in bdia_numerics.__all__)
    found = dict.fromkeys(value for value in facade if callable(value))
    for page in PAGES:
        for block in re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
            found |= dict.fromkeys(objects(re.sub(r"^(>>> |\.\.\. )", "", block, flags=re.MULTILINE)))
    return {f"{v.__module__}.{v.__qualname__}": v for v in found if v.__module__.startswith("bdia_numerics")}


NAMED = named()


def lacking(value):
    """Return what the docstring of a function or class does not say."""
    text = inspect.getdoc(value) or ""
    said = set(re.findall(r"^(\w+)\n-{3,}$", text, re.MULTILINE))
    function = inspect.isfunction(value)
    solver = value.__module__.startswith("bdia_numerics.solvers")
    signature = inspect.signature(value) if function or "__init__" in vars(value) else None
    takes = signature is not None and bool(signature.parameters)
    wanted = {"Examples"} | ({"Returns"} if function else set())
    if takes and not said & {"Parameters", "Attributes"}:
        wanted.add("Parameters")
    if (function or (solver and "__post_init__" in vars(value))) and value.__name__ not in REFUSE_NOTHING:
        wanted.add("Raises")
    lines = ("State", "Order", "NFE", "Requires", "Source") if solver else ()
    return sorted(wanted - said) + [line for line in lines if not re.search(rf"^{line}  ", text, re.MULTILINE)]


def test_many_names_are_looked_at():
    assert len(NAMED) >= 80 and {bdia_numerics.solve, bdia_numerics.BDIA} <= {*NAMED.values()}


@pytest.mark.parametrize("name", NAMED)
def test_a_name_says_what_it_takes_returns_and_refuses(name):
    assert lacking(NAMED[name]) == []


HEAVY = (
    "analysis.sheet",
    "analysis.measurement.budget",
    "analysis.perturbation",
    "studies",
    "testing",
    "torch",
    "fitting",
)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) if any(h in n for h in HEAVY) else n for n in NAMED]
)
def test_its_example_runs(name):
    """Copied into an empty session; the others, which take a second, are run with `-m slow`."""
    (test,) = doctest.DocTestFinder(recurse=False).find(NAMED[name], name, globs={})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # some examples show what warns
        found = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test)
    assert found.attempted and not found.failed


CHOICES = [
    (solver, field.name)
    for solver in bdia_numerics.SOLVERS.values()
    for field in dataclasses.fields(solver)
    if field.init
]


@pytest.mark.parametrize(("solver", "name"), CHOICES, ids=lambda value: getattr(value, "__name__", value))
def test_a_solver_says_what_each_parameter_may_be(solver, name):
    text = inspect.getdoc(solver).partition("Parameters\n----------\n")[2].partition("\n\n")[0]
    said = re.search(rf"^(?:\w+, )*{name}(?:, \w+)*\n((?: +.*\n?)+)", text, re.MULTILINE)[1]
    refusal = ""
    with contextlib.suppress(TypeError):  # a weight, which has no choices
        try:
            solver(**{name: "?"})
        except ValueError as error:
            refusal = str(error)
    choices = refusal.partition("use one of ")[2].split(", ")
    yes_or_no = choices == ["False", "True"]
    assert not refusal or yes_or_no or f"1 to {choices[-1]}" in said or all(word and word in said for word in choices)


def test_what_a_docstring_lacks_is_found():
    def bare(x):
        """Return it."""

    assert lacking(bare) == ["Examples", "Parameters", "Raises", "Returns"]
