"""What each command prints with --json: a schema with a version, written once in schemas.toml, and shown on docs/json.md."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from bdia_numerics.texts import one_of

_TYPES: Mapping[str, Any] = {
    "text": {"type": "string"},
    "whole": {"type": "integer"},
    "number": {"type": ["number", "null"]},
    "bool": {"type": "boolean"},
    "list": {"type": "array"},
    "table": {"type": "object"},
    "any": {},
}


@cache
def known() -> dict[str, dict[str, Any]]:
    """Return the fields of each output by the words of its command, and its version."""
    return tomllib.loads((Path(__file__).parent / "schemas.toml").read_text(encoding="utf-8"))


def marked(output: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a command prints with the name of its schema and the version in front."""
    return {"schema": output, "version": known()[output]["version"], **data} if output in known() else dict(data)


def schema(output: str) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of an output; ValueError, with the nearest ones, for another word.

    >>> schema("sweep --dry-run")["properties"]["workers"]
    {'type': 'integer', 'description': 'processes'}
    """
    fields = dict(known()[one_of("schema", output, known())])
    found: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"bdia {output} --json",
    }
    _put(found, ["schema"], {"const": output})
    _put(found, ["version"], {"const": fields.pop("version")})
    for path, said in fields.items():
        kind, about = said.split(": ", 1)
        own = dict(_TYPES[kind.removesuffix(" or null")])
        if kind.endswith(" or null"):
            own["type"] = [own["type"], "null"]
        _put(found, re.sub(r"\[\]", ".[]", path).split("."), own | {"description": about})
    return found


def _put(place: dict[str, Any], path: list[str], leaf: dict[str, Any]) -> None:
    """Put a field into a schema, with the lists and tables that lead to it."""
    name, *rest = path
    if name == "[]":
        place["type"] = "array"
        inner = place.setdefault("items", {})
    else:
        place["type"] = "object"
        if name == "*":
            inner = place["additionalProperties"] = place.get("additionalProperties") or {}
        else:
            inner = place.setdefault("properties", {}).setdefault(name.rstrip("?"), {})
            place.setdefault("additionalProperties", False)
            if not name.endswith("?") and name not in place.setdefault("required", []):
                place["required"].append(name)
    if rest:
        _put(inner, rest, leaf)
    else:
        inner.update(leaf)
