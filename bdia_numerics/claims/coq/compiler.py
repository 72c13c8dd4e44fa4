"""Compile the Coq development in a folder of its own, and read what its theorems rest on."""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
import tempfile
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

from bdia_numerics.claims.ledger import CheckFailed, Skipped

GENERATED = "Steps"
SECONDS = 120
CLOSED = "Closed under the global context"

# What would let an unproved statement through; Print Assumptions tells most of it as well.
_HOLES = re.compile(
    r"\b(Admitted|admit|give_up|Axioms?|Parameters?|Conjectures?|bypass_check|Unset\s+\w+\s+Checking|Type\s+In\s+Type)\b"
)
_STATEMENT = re.compile(r"^\s*(?:Theorem|Lemma|Corollary|Example|Fact)\s+(\w+)", re.MULTILINE)
_REQUIRED = re.compile(r"^From BDIA Require Import ([\w ]+)\.", re.MULTILINE)
_PLACE = re.compile(r'File "[^"]*?(\w+)\.v", line (\d+)')
_NO_PROOF = ("Syntax error", "was not found in the current environment")


def sources() -> dict[str, str]:
    """Return the files of the development by name, those of proofs/coq in a clone, without the generated one.

    Raises
    ------
    Skipped
        If they are not there.
    """
    package = resources.files("bdia_numerics.claims.coq").joinpath("development")
    clone = Path(__file__).resolve().parents[3] / "proofs" / "coq"
    folder = package if package.is_dir() else clone
    if not folder.is_dir():
        raise Skipped("the Coq files are not installed: install the wheel, or run from a clone")
    names = [entry.name.removesuffix(".v") for entry in folder.iterdir() if entry.name.endswith(".v")]
    return {name: folder.joinpath(f"{name}.v").read_text(encoding="utf-8") for name in names if name != GENERATED}


def coqc() -> str:
    """Return the path of the Coq compiler; Skipped if it is absent."""
    path = shutil.which("coqc")
    if path is None:
        raise Skipped("coqc is absent: install Debian's coq (scripts/debian-packages.sh), or Coq 8.16 or newer")
    return path


@functools.cache
def version() -> str:
    """Return the version of the Coq compiler."""
    text = subprocess.run([coqc(), "--print-version"], capture_output=True, text=True, check=True).stdout
    return text.split()[0]


def statements_in(text: str) -> list[str]:
    """Return the names of the theorems and lemmas in a Coq file."""
    return _STATEMENT.findall(without_comments(text))


def without_comments(text: str) -> str:
    """Return a Coq text without its comments, which nest."""
    kept, depth = [], 0
    for piece in re.split(r"(\(\*|\*\))", text):
        if piece == "(*":
            depth += 1
        elif piece == "*)" and depth:
            depth -= 1
        elif not depth:
            kept.append(piece)
    return "".join(kept)


def holes(text: str) -> list[str]:
    """Return the words in a Coq text, outside of comments, that would leave something unproved."""
    return [found.group(0) for found in _HOLES.finditer(without_comments(text))]


@dataclass(eq=False)
class Development:
    """The files of a development, compiled as far as they have been asked for.

    Attributes
    ----------
    texts
        Coq files by name, the generated one among them.
    """

    texts: Mapping[str, str]
    done: set[str] = field(init=False, default_factory=set)

    @functools.cached_property
    def folder(self) -> Path:
        """A folder with the files, removed with this object."""
        folder = tempfile.mkdtemp(prefix="bdia-coq-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        for name, text in self.texts.items():
            (Path(folder) / f"{name}.v").write_text(text, encoding="utf-8")
        return Path(folder)

    def adopt(self, other: Development) -> None:
        """Take over what another development has compiled from the same texts."""
        for name in other.done:
            if all(self.texts[needed] == other.texts[needed] for needed in self.needs(name)):
                shutil.copy2(other.folder / f"{name}.vo", self.folder)
                self.done.add(name)

    def needs(self, name: str) -> list[str]:
        """Return a file and all that it requires, in an order in which they can be compiled."""
        order: dict[str, None] = {}
        for line in _REQUIRED.findall(self.texts[name]):
            for required in line.split():
                order.update(dict.fromkeys(self.needs(required)))
        return [*order, name]

    def prove(self, name: str) -> list[str]:
        """Have the kernel check a file and all that it requires; return its theorems and lemmas.

        Raises
        ------
        CheckFailed
            If Coq refuses a proof, or a theorem rests on an assumption.
        RuntimeError
            If a file cannot be read at all: no proof has then been tried.
        Skipped
            If coqc is absent.
        """
        for needed in self.needs(name):
            if found := holes(self.texts[needed]):
                raise CheckFailed(f"{needed}.v leaves something unproved: {', '.join(found)}")
            if needed not in self.done:
                self._compile(needed)
                self.done.add(needed)
        theorems = statements_in(self.texts[name])
        self._closed(name, theorems)
        return theorems

    def _closed(self, name: str, theorems: list[str]) -> None:
        printed = "".join(f"Print Assumptions {theorem}.\n" for theorem in theorems)
        path = self.folder / f"{name}Assumptions.v"
        path.write_text(f"From BDIA Require Import {name}.\n{printed}", encoding="utf-8")
        answers = self._compile(path.stem).splitlines()
        if answers != [CLOSED] * len(theorems):
            rest = next((line for line in answers if line != CLOSED), "nothing was printed")
            raise CheckFailed(f"a theorem of {name}.v rests on assumptions: {rest}")

    def _compile(self, name: str) -> str:
        command = [coqc(), "-q", "-R", ".", "BDIA", f"{name}.v"]
        run = subprocess.run(
            command, cwd=self.folder, capture_output=True, text=True, timeout=SECONDS, check=False
        )  # fmt: skip
        if run.returncode == 0:
            return run.stdout
        message = " ".join(run.stderr[run.stderr.rfind("Error:") :].split())
        place = _PLACE.findall(run.stderr)
        where = f"{place[-1][0]}.v, line {place[-1][1]}" if place else f"{name}.v"
        if any(words in message for words in _NO_PROOF) or name == GENERATED:
            raise RuntimeError(f"coqc cannot read {where}: {message}")
        raise CheckFailed(f"coqc refuses {where}: {message}")
