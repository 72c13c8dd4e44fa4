"""What the ledger is made of: statements, checks, verdicts, and the kinds in which readers are told of them."""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import numpy as np

from bdia_numerics.spaces.showing import Listing, Shown

VERDICTS = ("proved", "measured", "refuted", "misprint", "definition", "needs-weights", "skipped", "open", "failed")
TEXT_WRONG, UNCLEAR, NOT_REPRODUCED = (
    "formula right, text wrong",
    "unclear in our copy",
    "not reproduced under protocol",
)
_KIND_OF = {
    "refuted": "conjecture corrected",
    "needs-weights": "needs weights",
    "open": "undecided",
    "failed": "check failed",
}
KINDS = (
    "proved",
    TEXT_WRONG,
    "misprint",
    UNCLEAR,
    "measured",
    "conjecture corrected",
    "refuted",
    "definition",
    "needs weights",
    "undecided",
    NOT_REPRODUCED,
    "skipped",
    "check failed",
)
"""What readers are told of a claim; the verdict, for programs, does not tell a wrong formula from a wrong word next to it."""
NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?")
"""A number as it is printed in a text."""


class CheckFailed(Exception):
    """A check did not find what the claim says.

    Examples
    --------
    >>> from bdia_numerics.claims.entries import CheckFailed, require
    >>> try:
    ...     require(1 + 1 == 3, "1 + 1 is not 3")
    ... except CheckFailed as error:
    ...     print(error)
    1 + 1 is not 3
    """


class Skipped(Exception):
    """A check needs an extra, or a program, that is not installed."""


class LeftOpen(Exception):
    """A check ran, and what it found decides neither way: the verdict is "open".

    Parameters
    ----------
    reason
        What was found, which is the evidence.
    protocol
        Under which a published number was not met, if that is what happened; it becomes part of the kind.
    """

    def __init__(self, reason: str, protocol: str = "") -> None:
        super().__init__(reason)
        self.kind = f"{NOT_REPRODUCED} {protocol}" if protocol else "undecided"


Found = Mapping[str, Any] | None
"""What a check returns: values of the fields of its evidence by name, None if it has no fields."""


@dataclass(frozen=True)
class Statement:
    """A numbered statement of the paper or of the toolkit's own list of facts.

    Attributes
    ----------
    id, source, title
        Its name, where it stands, and what it is about.
    statement
        What is right, in our own words.
    verdict, note
        What holds where no check decides it, and why.
    evidence
        Of the check that decides it, and other claims after it: a text whose fields are what the check returns (`fill`).
    printed, right, why
        Only where a text needs correction: the paper's, or the conjecture of the list of facts.
    kind
        Of that correction, where the formula is right (`TEXT_WRONG`) or nothing is sure (`UNCLEAR`).
    """

    id: str
    source: str
    title: str
    statement: str
    verdict: str
    note: str
    evidence: str = ""
    printed: str = ""
    right: str = ""
    why: str = ""
    kind: str = ""

    @property
    def of_paper(self) -> bool:
        """Whether the paper says it, and not the toolkit's own list."""
        return self.source.startswith("paper")


@dataclass(frozen=True)
class Check:
    """A check that decides claims.

    Attributes
    ----------
    run
        Called with no arguments for the claim, or with the keywords of a mutant; returns what the fields of the
        evidence hold, by name, None if it has no fields, or raises CheckFailed.
    mutants
        By name, the keyword arguments (made when wanted) with which `run` must fail.
    slow
        Whether it runs only with --full.
    extra
        The extra without which it is skipped, "" for none.
    shows
        By name, what makes the data that pages show of a claim which holds.
    """

    ids: tuple[str, ...]
    verdict: str
    run: Callable[..., Found]
    mutants: Mapping[str, Mapping[str, Callable[[], Any]]]
    slow: bool
    extra: str = ""
    shows: Mapping[str, Callable[[], Any]] = field(default_factory=dict)


@dataclass(frozen=True, repr=False)
class Decided(Shown):
    """A statement with its verdict.

    Attributes
    ----------
    statement
        What was decided.
    verdict
        One of `VERDICTS`.
    evidence
        In words.
    seconds
        Time of its check.
    check
        What decided it; None without one.
    kind
        What happened, for readers: one of `KINDS`, by the verdict and the kind of the correction unless it is given.
    shown
        Data of `Check.shows` by name, as far as they were asked for.
    """

    statement: Statement
    verdict: str
    evidence: str
    seconds: float
    check: Check | None = field(default=None, compare=False)
    kind: str = ""
    shown: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        own = self.statement.kind if self.verdict in ("proved", "measured", "open") else ""
        kind = self.kind or own or _KIND_OF.get(self.verdict, self.verdict)
        object.__setattr__(self, "kind", kind)

    def __str__(self) -> str:
        return f"{self.statement.id}: {self.kind} ({self.statement.title})"


class Ledger(Listing[Decided]):
    """Decided statements, as `Ledger(decide())`: their table in notebooks, in pandas and as a page."""

    __slots__ = ()


@dataclass(frozen=True)
class MutantResult:
    """What became of a planted error; `skipped` where what the check needs is not installed."""

    ids: tuple[str, ...]
    mutant: str
    killed: bool
    how: str
    skipped: bool = False


def require(condition: object, message: str) -> None:
    """Raise CheckFailed with the message unless the condition holds.

    Parameters
    ----------
    condition
        What must hold.
    message
        What is said if it does not.

    Returns
    -------
    None

    Raises
    ------
    CheckFailed
        Unless it holds.

    Examples
    --------
    >>> from bdia_numerics.claims.entries import require
    >>> require(1 + 1 == 2, "arithmetic has failed")
    """
    if not condition:
        raise CheckFailed(message)


def printed(value: Any, text: str) -> str:
    """Return a number as it stands in a text, having required that the value rounds to all of its digits.

    Parameters
    ----------
    value
        What a run has found.
    text
        As it is printed, like "17.1" or "1e-3"; what stands before and after the number is kept.

    Raises
    ------
    CheckFailed
        If the value, rounded to those digits, is another number.

    Examples
    --------
    >>> printed(17.13, "17.1 times")
    '17.1 times'
    """
    found = NUMBER.search(text)
    if found is None:
        raise ValueError(f"text={text!r} has no number: give the digits that are printed")
    shown = Decimal(found.group())
    half = Decimal(1).scaleb(int(shown.as_tuple().exponent)) / 2
    require(abs(Decimal(float(value)) - shown) <= half, f"the text has {text!r}, the run {float(value):.6g}")
    return text


class _Evidence(string.Formatter):
    """The texts of evidence: a field that holds a list shows its entries, each in the field's format, with commas between."""

    def format_field(self, value: Any, format_spec: str) -> str:
        entries = np.ravel(value).tolist() if isinstance(value, list | tuple | np.ndarray) else [value]
        return ", ".join(format(entry, format_spec) for entry in entries)


def fields(text: str) -> set[str]:
    """Return the names that the fields of a text of evidence begin with: `found` of `{found.error:.1e}` and `{found[0]}`."""
    return {re.split(r"[.\[]", field)[0] for _, field, _, _ in string.Formatter().parse(text) if field is not None}


def fill(text: str, found: Found) -> str:
    """Return a text of evidence with what a check has found in its fields.

    Parameters
    ----------
    text
        As `str.format` reads it; a list is written entry by entry.
    found
        Values by name.

    Returns
    -------
    str
        The text with the values.

    Raises
    ------
    ValueError
        If there is no text, if a field has no value, or a value no field.

    Examples
    --------
    >>> from bdia_numerics.claims.ledger import fill
    >>> fill("the errors {errors:.2g} fall with order {order:.1f}", {"errors": [0.123, 0.0312], "order": 1.98})
    'the errors 0.12, 0.031 fall with order 2.0'
    """
    if not text:
        raise ValueError("the check's first claim has no evidence in statements.toml: write what the check has shown")
    values = found or {}
    if odd := fields(text) ^ values.keys():
        raise ValueError(
            f"{sorted(odd)}: the fields of the evidence and the names that the check returns must be the same"
        )
    return _Evidence().vformat(text, (), values)


def counts(decided: Iterable[Decided]) -> dict[str, dict[str, int]]:
    """Return how many claims there are of each kind, of the paper's statements and of our own facts apart."""
    found: dict[str, list[str]] = {"The paper": [], "Our own": []}
    for d in decided:
        found["The paper" if d.statement.of_paper else "Our own"].append(d.kind)
    order = {kind: at for at, kind in enumerate(KINDS)}
    return {
        whose: {kind: kinds.count(kind) for kind in sorted(set(kinds), key=lambda k: (order.get(k, len(order)), k))}
        for whose, kinds in found.items()
    }


def counted(kinds: Mapping[str, int]) -> str:
    """Return numbers by kind in words."""
    return "; ".join(f"{number} {kind}" for kind, number in kinds.items())
