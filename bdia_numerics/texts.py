"""Texts from outside, read with bounds: numbers, lists, and words among known ones, of a command line, a file or a saved state.

A few characters can ask for more than a machine has, as 1e99999999 or 999999999999 steps do; their message names value and remedy.
"""

from __future__ import annotations

import math
import re
import reprlib
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from fractions import Fraction
from typing import Any

MOST = 10**6
"""The largest whole number of anything: steps, states, images."""
_SEED = 2**63 - 1
_LENGTH, _EXPONENT = 4000, 4000
_POWER = re.compile(r"[eE]([-+]?\d+)")


def ratio(name: str, text: Any) -> Fraction:
    """Return a number like 9/10, 0.9 or 1e-3, a decimal as the fraction that it prints as.

    Parameters
    ----------
    name
        Of the argument or option, for the message.
    text
        A text, or a number, which is read as it prints.

    Raises
    ------
    ValueError
        If it is not a number, and for more than 4,000 digits or powers of ten.
    """
    written = str(text).strip().replace(" ", "")
    power = _POWER.search(written)
    if len(written) > _LENGTH or (power is not None and (len(power[1]) > 6 or abs(int(power[1])) > _EXPONENT)):
        raise ValueError(f"{name}={_short(written)} is too long: give a number of at most {_EXPONENT} digits")
    try:
        return Fraction(written)
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"{name}={_short(str(text))} is not a number: write 9/10 or 0.9") from None


def real(name: str, text: Any) -> float:
    """Return a number as the nearest float; ValueError if it is none, or is not finite."""
    try:
        value = float(ratio(name, text))
    except OverflowError:
        value = math.inf
    if not math.isfinite(value):
        raise ValueError(f"{name}={_short(str(text))} lies outside the range of floats: give a smaller number")
    return value


def whole(name: str, text: Any, least: int = 0) -> int:
    """Return a whole number from `least` to a million, or to 2^63-1 for a seed; ValueError if it is none."""
    most = _SEED if "seed" in name else MOST
    written = str(text).strip()
    try:
        value = None if len(written) >= 30 and written.lstrip("+-").isdecimal() else int(written)
    except ValueError:
        raise ValueError(f"{name}={_short(str(text))} is not a whole number: write one like 40") from None
    if value is None or value > most:
        raise ValueError(f"{name}={_short(str(text))} is too large: give at most {most}")
    if value < least:
        raise ValueError(f"{name}={value}: give {least} or more")
    return value


def listed(text: str) -> tuple[str, ...]:
    """Return the parts of a list with commas; commas in brackets, and before options key=value, do not part.

    >>> listed("uniform, karras:rho=5,t_min=0.1,BDIA(1, order=2)")
    ('uniform', 'karras:rho=5,t_min=0.1', 'BDIA(1, order=2)')
    """
    parts, depth = [""], 0
    for k, letter in enumerate(text):
        depth += (letter in "([") - (letter in ")]")
        if letter == "," and depth <= 0 and not (":" in parts[-1] and _OPTION.match(text, k + 1)):
            parts.append("")
        else:
            parts[-1] += letter
    return tuple(part.strip() for part in parts if part.strip())


_OPTION = re.compile(r"\s*\w+\s*=")


def wholes(name: str, text: str, least: int = 0) -> tuple[int, ...]:
    """Return the whole numbers of a list like 10,20,40; ValueError for another, and for an empty one."""
    return tuple(whole(name, part, least) for part in _filled(name, text, "10,20,40"))


def reals(name: str, text: str) -> tuple[float, ...]:
    """Return the floats of a list like 0,1/2,0.9; ValueError for another, and for an empty one."""
    return tuple(real(name, part) for part in _filled(name, text, "0,0.5,1"))


def _filled(name: str, text: str, example: str) -> tuple[str, ...]:
    if not (parts := listed(text)):
        raise ValueError(f"{name}={text} is empty: write numbers with commas, like {example}")
    return parts


def one_of(name: str, value: Any, known: Iterable[Any]) -> Any:
    """Return a value that is among those known; ValueError, with the nearest ones, for another."""
    choices = list(known)
    # An array answers with an array, and True and 2.0 are equal to 1 and 2.
    if not getattr(value, "ndim", 0) and any(value == choice and str(value) == str(choice) for choice in choices):
        return value
    raise ValueError(f"{name}={shown(value)} is unknown: use {instead(value, choices)}")


def distinct(name: str, values: Sequence[Any]) -> None:
    """Raise ValueError for a value that is listed twice: where the last one wins, the reader may have meant the first."""
    if len(set(values)) < len(values):
        twice = next(v for k, v in enumerate(values) if v in values[:k])
        raise ValueError(f"{name}={shown(twice)} occurs twice: list it once")


def instead(value: Any, known: Iterable[Any]) -> str:
    """Return what a message says in place of a word that is unknown: the nearest ones, or all of them."""
    words = [str(word) for word in known]
    return " or ".join(nearest(value, words)) or f"one of {', '.join(words)}"


def nearest(value: Any, words: Iterable[str]) -> list[str]:
    """Return the words that are spelt most like a value, two at most.

    >>> nearest("smoth", ("smooth", "random"))
    ['smooth']
    """
    lowered = {word.lower(): word for word in words}
    return [lowered[word] for word in get_close_matches(shown(value).strip("'\"").lower(), lowered, n=2)]


def refuse(*faults: tuple[object, str]) -> None:
    """Raise ValueError with the words of the first of some faults that is there.

    >>> refuse((2 < 1, "2 is less than 1"), (False, "never said"))
    """
    for there, said in faults:
        if there:
            raise ValueError(said)


_BRIEF = reprlib.Repr()
_BRIEF.maxstring = _BRIEF.maxother = _BRIEF.maxlong = 80
_BRIEF.maxdict = 10


def shown(value: object) -> str:
    """Return a value of any kind as messages show it: on one line, of at most some 80 characters, whatever its own repr does.

    >>> shown([[1, 2], "a"])
    "[[1, 2], 'a']"
    >>> len(shown("x" * 5000)) <= 80
    True
    """
    try:
        line = " ".join(_BRIEF.repr(value).split())
    except Exception:  # noqa: BLE001 - a repr of someone else's fails in its own way
        line = f"<{type(value).__name__}>"
    return line if len(line) <= 80 else f"{line[:77]}..."


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:37]}..."


DEEPEST = 50
"""Levels of what is read from a file."""


def bounded(name: str, value: Any, parts: int = 100_000, depth: int = DEEPEST) -> Any:
    """Return what was read from a file of JSON, YAML or TOML; ValueError if it is nested too deep, or has too many parts."""
    level, seen = [value], 0
    for _ in range(depth):
        level = [
            x for v in level if isinstance(v, dict | list | tuple) for x in (v.values() if isinstance(v, dict) else v)
        ]
        seen += len(level)
        if seen > parts:
            raise ValueError(f"{name} has more than {parts} entries: is it the right file?")
        if not level:
            return value
    raise ValueError(f"{name} is nested more than {depth} deep: is it the right file?")
