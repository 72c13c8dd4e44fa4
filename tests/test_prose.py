"""Pages, help texts, docstrings and messages use whole phrases: clipped ones and translated idioms do not come back."""

import ast
import functools
import re
from pathlib import Path

import pytest
import typer.main

from bdia_numerics.cli import app

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "bdia_numerics"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs").glob("*/*.md"))]
CHAPTERS = sorted((ROOT / "notebooks").glob("[0-9]*.py"))

_LESS_OR_MORE = "longer|more|less|larger|smaller|wider|nearer|better|worse"
# What is not to be written, and what says the same in whole words. "(?<!there )" leaves "there is no grid" alone.
CLIPPED = {
    r"(?<!power )(?<!growth )laws?(?![=(]|\.\w)": "distribution",
    r"off by|(?:\d[\d,.]*|times|far|%) off": "has an error of",
    r"the print": "the published text",
    r"(?:which|what) order has|has it really": "the actual order",
    r"no longer stands?|stands? no longer": "has been overwritten",
    rf"(?<!there )(?<!which )(?:is|are|was|were) no(?! (?:{_LESS_OR_MORE})\b) \w+": "is not a",
    r"h(?:old|olds|eld) against": "compared with",
    r"err(?:s|ed)? (?:by|from)": "has an error of",
    r"ask(?:s|ed|ing)? (?:the|a|its|an|this) (?:model|network|score|eps)": "evaluates the model",
    r"(?:model|network|score) (?:must )?(?:is|was|are|be|were)(?: first| only| never| not)? asked": "the model is evaluated",
    r"beside (?:them|it|these|this|that|those)": "compared with, or next to, the thing by its name",
    r"(?:said|says?|named|refused)(?: so| it| what is wrong)? in (?:one|a) line": "a message that names the value and the remedy",
    r"has killed|a recorded failure": "it is recorded as failed",
    r"all that is": "the thing by its name",
}
ANY = re.compile(rf"(?<![\w-])(?:{'|'.join(f'({phrase})' for phrase in CLIPPED)})(?![\w-])", re.IGNORECASE)


def blank(text, *patterns):
    """Put \\0 for what is not prose, so that lines and places stay."""
    for pattern in patterns:
        text = re.sub(pattern, lambda m: re.sub(r"[^\n]", "\0", m[0]), text, flags=re.DOTALL | re.MULTILINE)
    return text


def pages():
    """Yield the name and the text of each page and chapter, without code, formulas, links' targets and citations."""
    for path in (*PAGES, *CHAPTERS):
        text = path.read_text(encoding="utf-8")
        if path in CHAPTERS:
            text = "\n".join(re.findall(r"^# ?(?!%)(.*)$", text, re.MULTILINE))
        code = (r"```.*?```", r"\{cite:\w+\}`[^`]*`", r"`[^`\n]+`", r"\$\$.*?\$\$", r"\]\([^)\s]*\)")
        yield path.relative_to(ROOT).as_posix(), blank(text, *code)


def helps():
    """Yield the name and the help of every command and of its options."""

    def walk(command, name):
        options = [getattr(p, "help", None) for p in command.params]
        yield name, "\n".join(filter(None, [command.help, command.epilog, *options]))
        for sub, child in getattr(command, "commands", {}).items():
            yield from walk(child, f"{name} {sub}")

    yield from walk(typer.main.get_command(app), "bdia")


def _joined(node):
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return "".join(p.value if isinstance(p, ast.Constant) else "\0" for p in node.values)
    return None


def literals(source):
    """Yield the line and the text of every string of three words or more: messages, labels, docstrings without code."""
    described, parts = set(), set()
    for node in ast.walk(ast.parse(source)):  # what holds a string comes before it
        if isinstance(node, ast.Expr):
            described.add(id(node.value))
        elif isinstance(node, ast.JoinedStr):
            parts.update(map(id, node.values))
        text = None if id(node) in parts else _joined(node)
        if text and len(text.split()) >= 3:
            # In a docstring: examples, names of parameters, code.
            code = (r"^ *(?:>>>|\.\.\.) .*?$", r"^ *\w+(?:, \w+)*(?: : [^\n]*)?\n(?= )", r"`+[^`]+`+")
            yield node.lineno, blank(text, *code) if id(node) in described else text


@functools.cache
def strings():
    """Return the place and the text of every string of the package."""
    return [
        (f"{path.relative_to(ROOT).as_posix()}:{line}", text)
        for path in sorted(PACKAGE.rglob("*.py"))
        for line, text in literals(path.read_text(encoding="utf-8"))
    ]


def hits(texts):
    """Return a line for each clipped phrase in texts: where it is, its context, and what to write."""
    found = []
    for place, text in texts:
        for match in ANY.finditer(text):
            context = text[max(0, match.start() - 40) : match.end() + 30].replace("\n", " ").replace("\0", "_")
            clear = list(CLIPPED.values())[match.lastindex - 1]
            found.append((place, " ".join(match[0].lower().split()), f"{place}: ...{context}...: write {clear!r}"))
    return found


@pytest.mark.parametrize("texts", [helps, strings])
def test_no_help_docstring_or_message_is_clipped(texts):
    assert [line for *_, line in hits(texts())] == []


def test_no_page_is_clipped():
    assert [line for *_, line in hits(pages())] == []


def test_there_are_texts_to_look_at():
    assert len(list(helps())) >= 14 and len(list(pages())) >= 55 and len(strings()) > 3000


@pytest.mark.parametrize(
    "text",
    [
        "the flow of a law on the line",
        "its latents are 6,100 off",
        "The weight is off by 3",
        "in place of the print",
        "Which order has it really?",
        "z at 1 no longer stands",
        "grid=3 is no Grid: make one",
        "a solver is held against the flow",
        "the step errs by a rounding",
        "the step asks the model twice",
        "The network must be asked at the same state",
        "orders, and beside them those that are proved",
        "a wrong key is said in one line",
        "a cell that has killed two processes",
        "and all that is extrapolated",
    ],
)
def test_a_clipped_phrase_is_found(text):
    assert len(hits([("here", text)])) == 1
    message = f'raise ValueError(f"{{x}}: {text}")'
    assert len(hits([(str(line), said) for line, said in literals(message)])) == 1


@pytest.mark.parametrize(
    "text",
    [
        "there is no grid",
        "steps no longer than h",
        "what is no longer than that",
        "is no more than 3",
        "the printed form",
        "a power law",
    ],
)
def test_whole_phrases_are_left_alone(text):
    assert hits([("here", text)]) == []


def test_code_in_a_docstring_is_not_prose():
    fields = "Parameters\n    ----------\n    law\n        A mixture."
    source = f'def f(law):\n    """Return what it is, of `law`.\n\n    {fields}\n\n    >>> f(law)\n    """\n'
    assert hits([(str(line), text) for line, text in literals(source)]) == []
