"""Every planted defect is exposed by the assertion that the page names, and the plain round trip says what the page says."""

from pathlib import Path

import pytest

pytest.importorskip("matplotlib", reason="needs the extra report")

from defects import defects

DEFECTS = defects()
# The same assertion of the same right method passes for several defects: once is enough.
RIGHT = [d for k, d in enumerate(DEFECTS) if not any(d.check == e.check and d.right == e.right for e in DEFECTS[:k])]


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
def test_a_defect_is_exposed(defect):
    if defect.returns is not None:
        assert defect.round_trip() == defect.returns
    assert defect.exposed().startswith(defect.shown.split("(")[0])


@pytest.mark.parametrize("defect", RIGHT, ids=lambda defect: defect.name)
def test_the_right_method_passes(defect):
    sample, invert = defect.right
    defect.check(sample, invert=invert)


def test_rules_of_the_linter_are_its_own():
    page = (Path(__file__).resolve().parent.parent / "docs/lint.md").read_text(encoding="utf-8")
    rules = {defect.lint for defect in defects()} - {""}
    assert rules == {"steps-not-dividing", "zero-length-slot", "final-alpha", "clip-sample"}
    assert all(rule in page for rule in rules)
