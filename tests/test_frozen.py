"""While the rooms are rebuilt, what users see stays: tests/frozen holds it, and CHANGELOG.md lists each difference with its reason."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "frozen"))

import snapshots


@pytest.mark.parametrize("what", ["signatures", "data"])
def test_names_and_data_stand(what):
    assert snapshots.differences(snapshots.kept(what), getattr(snapshots, what)()) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", snapshots.COMMANDS)
def test_commands_say_what_they_said(name):
    assert snapshots.differences(snapshots.kept(f"commands/{name}"), snapshots.command(name)) == []


def test_a_changed_number_is_a_difference():
    was = {"a": [1.0, {"b": "x"}], "c": 1}
    assert snapshots.differences(was, {"a": [1.0 + 1e-9, {"b": "x"}], "c": 1}) == []
    assert snapshots.differences(was, {"a": [1.001, {"b": "x"}], "c": 1}) == ["/a/0: 1.0 -> 1.001"]
    assert snapshots.differences(was, {"a": [1.0, {"b": "y"}]}) == ["/c: gone", "/a/1/b: x -> y"]
