"""A configuration in a TOML file: checked against the fields of the study's own, which say what can stand there."""

from __future__ import annotations

import tomllib
import types
import typing
from collections.abc import Collection, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from bdia_numerics.studies.study import Study
from bdia_numerics.texts import bounded, instead, one_of, real, shown, whole


def read(path: str | Path) -> dict[str, Any]:
    """Return the table of a TOML file.

    Raises
    ------
    ValueError
        If there is no such file, or it is not TOML, with the line.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST + 1).decode()
        if len(text) > LARGEST or any(line.count(".") > DOTS for line in text.splitlines()):
            raise ValueError(f"{path} is larger than a configuration: is it the right file?")
        return dict(bounded(str(path), tomllib.loads(text)))
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}): give the path of a TOML file") from None
    except RecursionError:
        raise ValueError(f"{path} is nested too deep: is it the right file?") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not TOML: {str(error).splitlines()[0]}") from None


LARGEST, DOTS = 1_000_000, 1000
"""Bytes of a file, and dots in a line of it: a key of many parts takes the parser time that grows with their square."""


def chosen(studies: Mapping[str, Study], name: Any) -> Study:
    """Return a study by name; ValueError, with the nearest names, for another."""
    return studies[one_of("study", name, studies)]


def configured(study: Study, table: Mapping[str, Any]) -> Any:
    """Return a study's configuration with the values of a table; its defaults where the table is silent.

    Parameters
    ----------
    study
        Its `config` has fields of texts, numbers, booleans, tuples of them, and pairs of a name and a tuple, which are a table.
    table
        Values by name. Texts may be numbers, a tuple a list, or one value that stands for a list of one.

    Raises
    ------
    ValueError
        For a name that is not a field, with the nearest; a value of another kind, with what it should be; and what the study refuses.
    """
    hints = typing.get_type_hints(study.config)
    known = {field.name for field in fields(study.config) if field.init}
    table = {_field(name, known): value for name, value in table.items()}
    for name in table:
        if name not in known:
            raise ValueError(
                f"{name}={shown(table[name])} is not a key of study {study.name}: use {instead(name, sorted(known))}"
            )
    return study.config(**{name: _typed(name, hints[name], value) for name, value in table.items()})


VOCABULARY = {"distributions": "problems", "families": "grids", "nfe": "evaluations"}
"""Keys that mean the same in every study, and the fields of the studies that have other names for it."""


def _field(name: str, known: Collection[str]) -> str:
    own = VOCABULARY.get(name, name)
    return own if own in known and name not in known else name


_EXAMPLES = {
    str: 'a text, like "BDIA"',
    int: "a whole number, like 40",
    float: "a number, like 0.5",
    bool: "true or false",
}


def _typed(name: str, hint: Any, value: Any) -> Any:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple and isinstance(value, dict) and typing.get_origin(inner[0]) is tuple:
        kind = typing.get_args(inner[0])[1]
        return tuple((key, _typed(f"{name}.{key}", kind, each)) for key, each in value.items())
    if origin is tuple and len(inner) == 2 and inner[1] is Ellipsis:
        if typing.get_origin(inner[0]) is tuple:
            raise ValueError(f"{name}={shown(value)}: give a table, [{name}] with lines like gamma = [0.5, 1]")
        return tuple(_typed(name, inner[0], each) for each in (value if isinstance(value, list) else [value]))
    if origin in (types.UnionType, typing.Union):
        for kind in inner:
            if kind is not type(None):
                try:
                    return _typed(name, kind, value)
                except ValueError:
                    continue
        raise ValueError(f"{name}={shown(value)}: give {' or '.join(_EXAMPLES.get(kind, str(kind)) for kind in inner)}")
    if origin is typing.Literal:
        return one_of(name, value, inner)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if hint is str and (number or isinstance(value, str)):
        return str(value)
    if hint is float and number:
        return real(name, value)
    if hint is int and type(value) is int:
        return whole(name, value, least=-(10**6))
    if hint is bool and type(value) is bool:
        return value
    raise ValueError(f"{name}={shown(value)}: give {_EXAMPLES.get(hint, 'nothing, since no file can say it')}")
