"""The chapters keep their form: sections, captions, exercises with solutions, short code; `pytest notebooks` runs them."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CHAPTERS = sorted((ROOT / "notebooks").glob("[0-9]*.py"))
SECTIONS = ["Question", "Derivation", "Experiment", "What we found", "Exercises", "Solutions", "Further reading"]
LINES = 10
"""Of a visible cell: a class with its step."""


def cells(path):
    """Return pairs of tags and text: "markdown" is a tag here, and its text has no marks of comments."""
    found = []
    for part in re.split(r"^# %%", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        head, _, text = part.partition("\n")
        if "[markdown]" in head:
            text = re.sub(r"^# ?", "", text, flags=re.MULTILINE)
        found.append((set(re.findall(r"markdown|hide-\w+", head)), text.strip()))
    return found


def prose(path):
    return "\n\n".join(text for tags, text in cells(path) if "markdown" in tags)


@pytest.fixture(params=CHAPTERS, ids=lambda path: path.stem)
def chapter(request):
    return request.param


def test_a_chapter_has_its_sections(chapter):
    found = re.findall(r"^## (.+)$", prose(chapter), re.MULTILINE)
    assert found == SECTIONS or (
        chapter.stem.startswith("00") and found[0] == SECTIONS[0] and found[-3:] == SECTIONS[-3:]
    )


def test_every_picture_has_its_caption_and_number(chapter):
    n, own = int(chapter.stem[:2]), cells(chapter)
    after = [own[k + 1][1] for k, (tags, text) in enumerate(own) if "markdown" not in tags and "Picture(" in text]
    captions = [re.match(r"\*Figure (\d+\.\d+)\. [^*]+\*", text) for text in after]
    assert [found and found[1] for found in captions] == [f"{n}.{k + 1}" for k in range(len(after))]
    assert captions


def test_every_exercise_has_its_grade_and_its_solution(chapter):
    _, _, text = prose(chapter).partition("## Exercises")
    exercises, _, solutions = text.partition("## Solutions")
    graded = re.findall(r"^(\d+)\. \*\*(Warm-up|Standard|Research)\.\*\*", exercises, re.MULTILINE)
    assert [n for n, _ in graded] == re.findall(r"^(\d+)\. ", exercises, re.MULTILINE)
    named = re.findall(r"<summary>(Solution of|First steps on) exercise (\d+)</summary>", solutions)
    expected = [("First steps on" if grade == "Research" else "Solution of", n) for n, grade in graded]
    assert named == expected and solutions.count("<details>") == solutions.count("</details>") == len(named)


def test_visible_code_is_short_and_checks_are_folded(chapter):
    visible = [text for tags, text in cells(chapter) if not tags]
    long = [text for text in visible if len([line for line in text.splitlines() if line.strip()]) > LINES]
    assert long == [] and not [text for text in visible if re.search(r"^\s*assert\b", text, re.MULTILINE)]


def test_links_hold_in_the_checkout_and_papers_have_addresses(chapter):
    targets = re.findall(r"\]\(([^)\s]+)\)", prose(chapter))
    local = [target.partition("#")[0] for target in targets if not target.startswith("https://")]
    assert [target for target in local if not (chapter.parent / target).is_file()] == []
    assert len(targets) > len(local) > 0
