"""The reference of the command line in docs/commands.md: each command with its arguments and options, and what it prints."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bdia_numerics.cli import schemas
from bdia_numerics.formulas import table
from bdia_numerics.pages.documents import Document
from bdia_numerics.pages.template import between

PLACE, JSON = "docs/commands.md", "docs/json.md"
EXAMPLES: Mapping[str, str] = {
    "verify": "--only eq-27,eq-61",
    "list": "",
    "roundtrip": "--solver bdia:gamma=9/10 --steps 20",
    "lint": "--steps 10",
    "certify": "bdia --claim order=2,order=1@alternating,invertible,nfe=1",
    "converge": "--solver bdia --solver ddim --distribution gaussian --family smooth",
    "work-precision": "--solver bdia --solver ddim --nfe 10,20 --states 16",
    "map": "--distribution gaussian --steps 10 --grid leading,trailing --states 100",
    "encode-table": "--solver alf --solver ddim --distribution mixture --guidance none --grid cut --nfe 10",
    "sweep": "--study digits --dry-run",
    "edit": "--steps 10",
    "reproduce": "table-2:trailing --images 100 --steps 10 --seeds 0,1",
    "datasheet": "bdia:gamma=9/10 --proved-only",
    "design": "--at-most-amplification 10",
    "figures": "--list",
    "explore": "--out explorer.html",
    "pages": "--list",
    "unet sample": "--steps 5 --count 4 --fine 10",
    "unet growth": "--steps 5",
    "unet table": "--solver bdia --solver ddim --grid trailing --nfe 10 --images 32 --paired 2",
}
"""Of each command, the words whose output the page shows."""

LINES = 25
"""Of an output, that the page shows."""


def commands(group: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the commands of a group, and of groups in it, with the words that name them."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{before}{name} ")
        else:
            yield before + name, command


def sections(group: Any, kept: str) -> str:
    """Return the sections of a group's commands in Markdown; `kept` is a page whose outputs are taken again, others are run."""
    return "\n".join(_section(name, command, kept) for name, command in commands(group))


def _section(name: str, command: Any, kept: str) -> str:
    context = command.make_context(f"bdia {name}", [], resilient_parsing=True)
    about = "\n\n".join(_plain(part) for part in re.split(r"\n\s*\n", command.help.strip()))
    rows = []
    for record in filter(None, (p.get_help_record(context) for p in command.params)):
        names, said = re.sub(r"list\[(\w+)\]", r"\1", record[0]).replace("|", " or "), " ".join(record[1].split())
        text, default, required = re.fullmatch(r"(.*?) ?(?:\[default: (.*)\]|\[(required)\])?", said).groups()  # type: ignore[union-attr]
        if "--help" not in names:
            rows.append((f"`{names}`", _plain(text), f"`{default.strip('()')}`" if default else required or ""))
    words = f"bdia {name} {EXAMPLES[name]}".strip()
    found = re.search(rf"^```text\n\$ {re.escape(words)}\n(.*?)^```$", kept, re.MULTILINE | re.DOTALL)
    shown = found[1] if found else _output(words)
    options = table(("argument or option", "what it is", "default"), rows)
    return f"### bdia {name}\n\n{about}\n\n{options}\n\n```text\n$ {words}\n{shown}```\n"


def _plain(text: str) -> str:
    """Return a text of help in Markdown: options are code, and what Markdown would read is itself."""
    pieces = re.split(r"(`[^`]*`)", " ".join(text.split()))
    escaped = (re.sub(r"[*_<\[]", r"\\\g<0>", re.sub(r"(?<![\w-])--[a-z][\w/-]*", r"`\g<0>`", p)) for p in pieces[::2])
    shown = "".join(part for pair in zip(escaped, [*pieces[1::2], ""], strict=True) for part in pair)
    return shown.replace("|", "&#124;")


def _output(words: str) -> str:
    """Return what a command prints in an empty folder, and how much more that is if it is long."""
    code = [sys.executable, "-m", "bdia_numerics", *words.split()[1:]]
    package = str(Path(__file__).parents[2])
    with TemporaryDirectory() as folder:
        run = subprocess.run(
            code,
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"PYTHONPATH": package},
        )
    if run.returncode not in (0, 1):  # 1 is a finding
        raise RuntimeError(f"{words} has ended with status {run.returncode}: {run.stderr.strip()[-300:]}")
    lines = [line.rstrip() for line in run.stdout.splitlines()]
    cut = [*lines[:LINES], f"... ({len(lines) - LINES} more lines)"] if len(lines) > LINES + 5 else lines
    return "".join(f"{line}\n" for line in cut)


def contents(group: Any, root: Path, recompute: bool) -> Mapping[str, str]:
    """Return the page of a group's commands, with its outputs as they stand there or run anew."""
    page = (root / PLACE).read_text(encoding="utf-8")
    return {PLACE: between(page, {"commands": sections(group, "" if recompute else page)})}


def _tables() -> Iterator[str]:
    for output, fields in schemas.known().items():
        rows = [(f"`{path}`", *said.split(": ", 1)) for path, said in fields.items() if path != "version"]
        yield f"### bdia {output}\n\nVersion {fields['version']}.\n\n{table(('field', 'type', 'what it is'), rows)}\n"


def _schemas(root: Path, recompute: bool) -> Mapping[str, str]:
    return {JSON: between((root / JSON).read_text(encoding="utf-8"), {"schemas": "\n".join(_tables())})}


SCHEMAS = Document(JSON, "the schemas of the commands", _schemas)


def page_of(group: Any) -> Document:
    """Return the page of a group's commands among the pages that `bdia pages` writes."""
    about = "the commands' own help, and what each prints"
    return Document(PLACE, about, partial(contents, group), minutes=2, saved=True)
