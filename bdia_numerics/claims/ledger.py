"""The ledger: every statement with its verdict. Checks register themselves here, each with the mutants that it kills.

A mutant is a class or function with one piece of its source replaced: a planted error. A check that does not notice is not a check.
"""

from __future__ import annotations

import inspect
import pkgutil
import sys
import textwrap
import time
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from importlib import import_module, resources
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from bdia_numerics.claims.entries import (
    KINDS,
    NOT_REPRODUCED,
    NUMBER,
    TEXT_WRONG,
    UNCLEAR,
    VERDICTS,
    Check,
    CheckFailed,
    Decided,
    Found,
    LeftOpen,
    MutantResult,
    Skipped,
    Statement,
    counted,
    counts,
    fill,
    printed,
    require,
)
from bdia_numerics.program import NotInvertibleError
from bdia_numerics.studies.engine.local import shared
from bdia_numerics.texts import nearest, shown


def replaced(where: str, source: str, *replacements: tuple[str, str]) -> str:
    """Return a source with each piece of text replaced; `where` says in an error whose source it is.

    Raises
    ------
    ValueError
        If a text does not occur exactly once.
    """
    for old, new in replacements:
        if source.count(old) != 1:
            raise ValueError(f"mutant of {where}: {old!r} occurs {source.count(old)} times in its source, not once")
        source = source.replace(old, new)
    return source


def mutate(subject: Any, *replacements: tuple[str, str]) -> Any:
    """Return a class or function whose source has each piece of text replaced.

    Parameters
    ----------
    subject
        The class or function.
    replacements
        Pairs of old and new text; the old text must occur exactly once, so that a mutant dies with the line it mutates.

    Raises
    ------
    ValueError
        If a text does not occur exactly once.
    """
    source = replaced(subject.__name__, textwrap.dedent(inspect.getsource(subject)), *replacements)
    namespace = dict(vars(sys.modules[subject.__module__]))
    exec(compile(source, f"<mutant of {subject.__name__}>", "exec"), namespace)
    return namespace[subject.__name__]


def mutant(subject: Any, *replacements: tuple[str, str]) -> Callable[[], Any]:
    """Return `mutate` put off until the mutant is wanted.

    Parameters
    ----------
    subject
        A class or a function of the package.
    replacements
        Pairs of a piece of its source and what stands for it.

    Returns
    -------
    callable
        Makes the class or function with the pieces replaced.

    Raises
    ------
    ValueError
        When it is called, for a piece that its source does not hold once.

    Examples
    --------
    >>> from bdia_numerics import BDIA
    >>> from bdia_numerics.claims.ledger import mutant
    >>> made = mutant(BDIA, ("z_prev - (1 - g)", "z_prev - 1"))
    >>> made().__name__
    'BDIA'
    """
    return lambda: mutate(subject, *replacements)


__all__ = [
    "KINDS",
    "NOT_REPRODUCED",
    "NUMBER",
    "TEXT_WRONG",
    "UNCLEAR",
    "VERDICTS",
    "Check",
    "CheckFailed",
    "Decided",
    "Found",
    "LeftOpen",
    "MutantResult",
    "Skipped",
    "Statement",
    "check",
    "checks",
    "counted",
    "counts",
    "decide",
    "fill",
    "printed",
    "require",
    "run_mutant",
    "select",
    "statements",
    "unique_checks",
]

FEW = 8
"""So many checks are run in this process: others would take longer to start."""
PROOFS = ("test_proposition_1", "test_time_symmetry", "test_lemmas", "test_inverses", "test_volume", "test_barrier")
"""Checks that are written to be read, in proofs/; the wheel carries these files."""

_CHECKS: dict[str, Check] = {}


def check(
    *ids: str,
    verdict: str,
    mutants: Mapping[str, Mapping[str, Callable[[], Any]]],
    slow: bool = False,
    extra: str = "",
    shows: Mapping[str, Callable[[], Any]] | None = None,
) -> Callable[[Callable[..., Found]], Callable[..., Found]]:
    """Register a function as the check of claims: it returns what the evidence of the first one shows, by name.

    Parameters
    ----------
    ids
        The claims that it decides.
    verdict
        What holds if it passes.
    mutants
        Planted errors that it must notice, at least one.
    slow
        Whether it runs only with --full.
    extra
        The extra without which it is skipped.
    shows
        By name, what makes the data that pages show of a claim which holds.

    Returns
    -------
    callable
        A decorator, which leaves the function as it is.

    Raises
    ------
    ValueError
        For no mutants, and a verdict that there is not.

    Examples
    --------
    >>> from bdia_numerics.claims.ledger import check
    >>> try:
    ...     check("fact-99", verdict="proved", mutants={})
    ... except ValueError as error:
    ...     print(str(error).rpartition(", and ")[2])
    a mutant must be declared
    """
    if verdict not in VERDICTS or not mutants:
        raise ValueError(
            f"check of {ids}: verdict={verdict!r} must be one of {VERDICTS}, and a mutant must be declared"
        )

    def register(function: Callable[..., Found]) -> Callable[..., Found]:
        for name in ids:
            if name in _CHECKS:
                if len({Path(f.__code__.co_filename).resolve() for f in (_CHECKS[name].run, function)}) == 1:
                    return function  # a file of proofs/ that pytest imports as well
                raise ValueError(f"claim {name!r} has two checks")
            _CHECKS[name] = Check(ids, verdict, function, mutants, slow, extra, shows or {})
        return function

    return register


def statements() -> dict[str, Statement]:
    """Return all statements by id, in the order of the ledger."""
    text = resources.files("bdia_numerics.claims").joinpath("statements.toml").read_text(encoding="utf-8")
    return {entry["id"]: Statement(**entry) for entry in tomllib.loads(text)["claim"]}


def checks() -> dict[str, Check]:
    """Return all checks by claim, those of every module in the folder of claims."""
    package = import_module("bdia_numerics.claims")
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        import_module(module.name)
    for name in PROOFS:
        _load_proof(name)
    return _CHECKS


def _load_proof(name: str) -> None:
    """Import a file of proofs/: from the wheel, or from the clone."""
    module = f"bdia_numerics.claims.proofs.{name}"
    if module in sys.modules:
        return
    inside, clone = Path(__file__).with_name("proofs"), Path(__file__).resolve().parents[2] / "proofs"
    spec = spec_from_file_location(module, (inside if inside.is_dir() else clone) / f"{name}.py")
    if spec is None or spec.loader is None:
        raise ImportError(f"proofs/{name}.py cannot be read: install the wheel, or run from a clone")
    sys.modules[module] = loaded = module_from_spec(spec)
    spec.loader.exec_module(loaded)


def select(only: Sequence[str] | None) -> list[Statement]:
    """Return the statements with the given ids, all if None.

    Raises
    ------
    ValueError
        For an unknown id, with the nearest ones.
    """
    known = statements()
    for name in only or ():
        if name not in known:
            near = " or ".join(nearest(name, known)) or "a name that `bdia verify --all` lists"
            raise ValueError(f"claim {shown(name)} is not in the ledger: use {near}")
    return [known[name] for name in dict.fromkeys(only)] if only else list(known.values())


def decide(
    only: Sequence[str] | None = None,
    *,
    full: bool = False,
    show: Sequence[str] = (),
    results: Mapping[str, tuple[str, str, str]] | None = None,
) -> Iterator[Decided]:
    """Decide claims, in the order of the ledger; a command shares a long ledger among processes.

    Parameters
    ----------
    only
        Ids; all by default.
    full
        Whether to run the slow checks; without it their claims say so.
    show
        What of `Check.shows` to make as well, by name.
    results
        Verdict, evidence and kind of claims that somebody's results decide (`claims.measured`), by id.
    """
    registered, chosen, known = checks(), select(only), statements()
    first: dict[int, str] = {}
    for check in (registered[s.id] for s in chosen if s.id in registered):
        if full or only is not None or not check.slow:
            first.setdefault(id(check.run), check.ids[0])
    names = sorted(first.values(), key=lambda name: not registered[name].shows)  # what a page shows takes longest
    run, texts = partial(_run, tuple(show)), [(name, known[name].evidence) for name in names]
    found = shared(run, texts) if len(names) > FEW else enumerate(map(run, texts))
    done: dict[str, Ran] = {}
    told: set[str] = set()
    for statement in chosen:
        if statement.id in (results or {}):
            verdict, evidence, kind = (results or {})[statement.id]
            yield Decided(statement, verdict, evidence, 0.0, kind=kind)
        elif statement.id not in registered:
            yield Decided(statement, statement.verdict, statement.note, 0.0)
        elif (name := first.get(id((check := registered[statement.id]).run))) is None:
            yield Decided(statement, "skipped", "slow: run with --full or --only", 0.0, check)
        else:
            while name not in done:
                k, ran = next(found)
                done[names[k]] = ran
            verdict, evidence, seconds, kind, shown = done[name]
            yield Decided(statement, verdict, evidence, 0.0 if name in told else seconds, check, kind, shown)
            told.add(name)


Ran = tuple[str, str, float, str, Mapping[str, Any]]
"""Verdict, evidence, seconds, kind, and what pages show."""


def _run(show: Sequence[str], claim: tuple[str, str]) -> Ran:
    """Run the check of a claim, given its id and the text of its evidence."""
    check, begin, kind, shown = checks()[claim[0]], time.perf_counter(), "", {}
    try:
        verdict, evidence = check.verdict, fill(claim[1], check.run())
        shown = {name: make() for name, make in check.shows.items() if name in show}
    except Skipped as error:
        verdict, evidence = "skipped", str(error)
    except LeftOpen as error:
        verdict, evidence, kind = "open", str(error), error.kind
    except Exception as error:  # noqa: BLE001  a broken check is a line of the ledger, not the end of the others
        verdict, evidence = "failed", f"{type(error).__name__}: {error}"
    return verdict, evidence, time.perf_counter() - begin, kind, shown


def unique_checks(only: Iterable[str] | None = None) -> list[Check]:
    """Return each check once."""
    registered = checks()
    chosen = registered if only is None else {s.id: registered[s.id] for s in select(list(only)) if s.id in registered}
    return list({id(c.run): c for c in chosen.values()}.values())


def run_mutant(check: Check, name: str) -> MutantResult:
    """Run a check on a planted error. Only CheckFailed, no decision, or a refusal to invert, counts as noticing it."""
    try:
        check.run(**{key: make() for key, make in check.mutants[name].items()})
    except (CheckFailed, LeftOpen, NotInvertibleError) as error:
        return MutantResult(check.ids, name, True, str(error))
    except Skipped as error:
        return MutantResult(check.ids, name, False, f"skipped: {error}", skipped=True)
    except Exception as error:  # noqa: BLE001  a mutant that breaks the check is not noticed by it
        return MutantResult(check.ids, name, False, f"broke: {type(error).__name__}: {error}")
    return MutantResult(check.ids, name, False, "not noticed")
