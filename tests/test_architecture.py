"""The page on the architecture: its picture has the rooms that the source has, and what it names is there."""

import importlib
import re
import runpy
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from test_layers import ROW, ROWS

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGE = (DOCS / "architecture.md").read_text(encoding="utf-8")
SVG = "{http://www.w3.org/2000/svg}"
NAMED = sorted({n for n in re.findall(r"`([\w.]+\.\w+)`", PAGE) if n.split(".")[0] in ROW})


def test_the_picture_has_the_rooms_row_by_row():
    tree = ET.parse(DOCS / "images" / "rooms.svg")
    rows = (row.iter(f"{SVG}text") for row in tree.iter(f"{SVG}g"))
    drawn = tuple(tuple(text.text for text in row if text.get("class") == "room") for row in rows)
    assert drawn == ROWS, "run python docs/images/rooms.py"


def test_the_picture_is_what_its_script_draws_and_no_sentence_is_left_over():
    script = runpy.run_path(str(DOCS / "images" / "rooms.py"))
    assert (DOCS / "images" / "rooms.svg").read_text(encoding="utf-8") == script["drawn"]()
    assert set(script["INSIDE"]) == set(ROW)


def test_the_page_names_the_functions_of_each_way():
    assert len(NAMED) >= 30


@pytest.mark.parametrize("name", NAMED)
def test_what_the_page_names_is_there(name):
    parts = name.split(".")
    if parts[0] == "torch":
        pytest.importorskip("diffusers", reason="the extra torch is missing")
    for k in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(("bdia_numerics", *parts[:k])))
        except ModuleNotFoundError as error:
            if not (error.name or "").startswith("bdia_numerics."):
                raise
            continue
        for part in parts[k:]:
            found = getattr(found, part)
        return
    raise AssertionError(f"{name} is not in bdia_numerics")
