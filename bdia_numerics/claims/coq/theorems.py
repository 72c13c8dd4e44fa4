"""The claims that Coq's kernel decides, on steps printed from the solvers that run.

The development is compiled in a folder of its own, and what its theorems rest on is read from Coq's answers.
"""

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
from typing import Any

from bdia_numerics.claims.coq.printer import steps
from bdia_numerics.claims.equations import CBDIA_MUTANTS, EDICT_MUTANTS
from bdia_numerics.claims.ledger import CheckFailed, Skipped, check, mutant, replaced, require
from bdia_numerics.solvers import BDIA, DDIM

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


Edit = tuple[str, str, str]
"""A file of the development, a text that occurs in it once, and what stands there instead."""


@functools.cache
def _development() -> Development:
    return Development({**sources(), GENERATED: steps()})


def _prove(name: str, theorems: str, edit: Edit | None = None, **solvers: Any) -> dict[str, Any]:
    """Have Coq check a file of the development, for the solvers as they are or with some replaced; return what it accepted."""
    coqc()
    development = _development()
    if solvers or edit:
        texts = {**sources(), GENERATED: steps(**solvers)}
        if edit:
            file, old, new = edit
            texts[file] = replaced(f"{file}.v", texts[file], (old, new))
        changed = Development(texts)
        changed.adopt(development)
        development = changed
    proved = development.prove(name)
    missing = set(theorems.split()) - set(proved)
    require(not missing, f"{name}.v does not state {missing}")
    return {"version": version(), "count": len(proved), "theorems": theorems.split()}


def _edit(file: str, old: str, new: str) -> dict[str, Any]:
    return {"edit": lambda: (file, old, new)}


_FLIPPED = {"bdia": mutant(BDIA, ("- g * backward", "+ g * backward"))}
_SHIFTED = {"bdia": mutant(BDIA, ("s.delta(s.i, s.i + 1, z, e)", "s.delta(s.i, s.i + 2, z, e)"))}
_DROPPED = {"bdia": mutant(BDIA, ("- g * backward", "- backward"))}
_CBDIA = {name: {"cbdia": made["solver"]} for name, made in CBDIA_MUTANTS.items()}
_PROVED: Mapping[tuple[str, ...], tuple[str, str, Mapping[str, Mapping[str, Any]]]] = {
    # Proposition 1 and (32), for every N.
    ("coq-prop-1",): (
        "Proposition1",
        "bdia_states_exist proposition_1 weights_sum_to_1 equation_32 proposition_1_ddim",
        {
            "sign of the backward increment flipped": _FLIPPED,
            "index of the backward increment shifted": _SHIFTED,
            "a gamma dropped": _DROPPED,
            "start with half a step": {"ddim": mutant(DDIM, ("z + s.delta", "z + s.value(s.one / 2) * s.delta"))},
            "induction from z_(N-1) = z_N": _edit(
                "Proposition1", "  two_step_states (ddim_step_by delta)", "  two_step_states (fun _ v => v)"
            ),
            "powers of gamma for powers of -gamma": _edit(
                "Proposition1", "((1 - power (- g) m) / (1 + g))", "((1 - power g m) / (1 + g))"
            ),
            "sum from j = i + 1": _edit("Proposition1", "sum_over (i + 2) N", "sum_over (i + 1) N"),
        },
    ),
    # Proposition 2, and that it holds at gamma^2 = 1 alone.
    ("coq-prop-2",): (
        "Proposition2",
        "proposition_2 proposition_2_vice_versa time_asymmetry time_symmetry_needs_gamma_1",
        {
            "sign of the backward increment flipped": _FLIPPED,
            "a gamma dropped": _DROPPED,
            "gamma = -1, doubled": _edit("Proposition2", "(step_exchanged 1 k", "(step_exchanged (1 + 1) k"),
            "sigma left as it is": _edit(
                "Proposition2",
                "bdia_step (exchanged k alpha) (exchanged k sigma)",
                "bdia_step (exchanged k alpha) sigma",
            ),
        },
    ),
    # Lemmas 1 and 2, for every N; the averages of all other gammas.
    (
        "coq-lemma-1",
        "coq-lemma-2",
    ): (
        "Lemmas",
        "lemma_1 lemma_1_directions cbdia_01_is_bdia lemma_1_ddim lemma_2 lemma_2_ddim cbdia_average average_weights",
        {
            **_CBDIA,
            "weights of z exchanged with those of y": _edit(
                "Lemmas",
                "/\\ z i = y N +: slots forth back odd (fun d => odd (S d))",
                "/\\ z i = y N +: slots forth back (fun d => odd (S d)) odd",
            ),
            "backward increments added in lemma 2": _edit(
                "Lemmas", "  y i = y N -: sum m (fun", "  y i = y N +: sum m (fun"
            ),
        },
    ),
    # (33) undoes BDIA on both sides, over every run, if and only if no gamma vanishes.
    ("coq-bdia-inverse",): (
        "InvertBDIA",
        "equation_33 bdia_condition bdia_invertible",
        {
            "sign of the backward increment flipped": _FLIPPED,
            "index of the backward increment shifted": _SHIFTED,
            "a gamma dropped": _DROPPED,
            "the inverse divides by another slot's gamma": _edit(
                GENERATED, "(1 / gamma (S k)) *: z", "(1 / gamma (S (S k))) *: z"
            ),
            "gamma = 0 allowed": _edit("InvertBDIA", "Hypothesis gamma_nonzero : forall i, gamma i <> 0%F.\n", ""),
        },
    ),
    # (15)-(18), in their right form, undo EDICT on both sides, over every run, if and only if no p vanishes.
    ("coq-edict-inverse",): (
        "InvertEDICT",
        "equations_15_to_18 edict_condition edict_invertible",
        {
            **{name: {"edict": made["solver"]} for name, made in EDICT_MUTANTS.items()},
            "(16) as printed": _edit("InvertEDICT", "(1 - p (S k)) *: y_inter) in", "(1 - p (S k)) *: y) in"),
        },
    ),
    # (47)-(50) undo CBDIA on both sides, over every run, if and only if the gammas differ.
    ("coq-cbdia-inverse",): (
        "InvertCBDIA",
        "equations_47_to_50 cbdia_condition cbdia_invertible",
        {
            **_CBDIA,
            "evaluation at the wrong end": _edit(GENERATED, "let e1 := eps k z' in", "let e1 := eps (S k) z' in"),
        },
    ),
    # The hypotheses can be met: rationals, pairs of them, a model that is neither linear nor componentwise.
    ("coq-witness",): (
        "Witness",
        "model_is_not_additive witness moved_and_back",
        {
            "an axiom that no field has": _edit("Witness", "fmul := Qcmult", "fmul := Qcplus"),
            "alpha that vanishes": _edit("Witness", "Q2Qc (1 # Pos.of_succ_nat i)", "Q2Qc (0 # Pos.of_succ_nat i)"),
            "a linear model": _edit(
                "Witness", "(Qcmult (fst v) (snd v), Qcplus (fst v) (Q2Qc (inject_Z (Z.of_nat i))))", "v"
            ),
        },
    ),
}
"""By claims: the file of the development, the theorems that it must state, and the mutants."""
for _ids, (_file, _theorems, _mutants) in _PROVED.items():
    check(*_ids, verdict="proved", slow=True, mutants=_mutants)(functools.partial(_prove, _file, _theorems))
