"""Every command and every piece of Python in the pages runs as it is printed, in the order of its page.

A page runs in an empty folder and in one process: its Python has one namespace, what its shell commands write stays for the next
block, and a block whose first line is a comment with a file name (`# my_solver.py`) is that file, imported. A block of `output` is
what the block before it prints. A block that is not run says so in its first line, `# not run by the tests: why`; the list
below is all of them.
"""

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from bdia_numerics.program import Recorder, Solver

ROOT = Path(__file__).resolve().parent.parent
PAGES = {
    path.relative_to(ROOT).as_posix(): path
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md")))
    if not {"_build", "notebooks"} & set(path.relative_to(ROOT).parts)
}
FENCE = re.compile(r"^(?P<fence>`{3,})(?P<language>[^\n`]*)\n(?P<text>.*?)^(?P=fence)[ ]*$", re.MULTILINE | re.DOTALL)
RUN, SHOWN, OUTPUT = {"sh", "python"}, {"toml", "text", "yaml", "bibtex", "output"}, "output"
MARK = "# not run by the tests: "
# The first two are one line each, so that .ci/run can take them from the page; its first two stages run them.
NOT_RUN = {
    ("README.md", 'pip install -c constraints.txt ".[report]" && bdia verify'): "run by .ci/run",
    ("README.md", 'pip install -c constraints.txt -e ".[all]" && pytest'): "run by .ci/run",
    ("CONTRIBUTING.md", 'pip install -c constraints.txt -e ".[all]" && pre-commit install'): "installs packages",
    (
        "docs/reproduce-tables.md",
        "bdia reproduce table-2 --weights ddim_cifar10.ckpt --reference fid_cifar10_train.npz --features inception:features --device cuda",
    ): "needs the checkpoint",
    (
        "docs/reproduce-tables.md",
        (
            "bdia reproduce table-3 --weights edm-cifar10-32x32-cond-vp.pkl --trust-pickle --reference cifar10-32x32.npz "
            "--features inception:features --device cuda"
        ),
    ): "needs the weights",
    ("docs/start.md", 'pip install -c constraints.txt ".[report]"'): "installs packages",
    ("docs/teach.md", 'pip install "bdia_numerics[report,torch,balls]" jupytext notebook'): "installs packages",
    ("docs/start.md", "bdia --install-completion"): "changes the shell's start-up file",
    ("docs/teach.md", "make site"): "builds all pages, minutes",
}
# Blocks of plain text, which nothing runs, by their first line.
TEXT = {
    ("docs/certify-your-sampler.md", '@pytest.mark.claim("order", "second order on smooth grids")'): "a test of yours",
    ("docs/certify-your-sampler.md", "================ claims ================"): "output",
    ("docs/diffusers.md", "import bdia_numerics.torch.schedulers"): "needs a saved pipeline",
    (
        "docs/diffusers.md",
        'BDIAScheduler.from_config(pipe.scheduler.config, _class_name="LMSDiscreteScheduler")',
    ): "a line of yours",
    (
        "docs/diffusers.md",
        "pipe.scheduler = inverse = BDIAInverseScheduler.from_config(pipe.scheduler.config)",
    ): "a pipeline of yours, as in test_schedulers_family_pipelines.py",
    (
        "docs/kdiffusion.md",
        "from comfy.samplers import KSAMPLER",
    ): "run by test_kdiffusion.py with a stand-in for ComfyUI",
    (
        "docs/edit-an-image.md",
        'inv = invert(pipe, "photo.png", "a cat on a sofa", solver=BDIA(0.96), steps=40, guidance_scale=4.0)',
    ): "needs the weights of Stable Diffusion",
    ("docs/scale-out.md", "# the driver's job: scheduler and bdia sweep on one core each"): "needs SLURM",
    (
        "docs/scale-out.md",
        "# python cluster.py, in a terminal that stays open; then bdia sweep big.toml --scheduler ADDRESS",
    ): "needs SLURM",
    (
        "docs/scale-out.md",
        "helm install --repo https://helm.dask.org --create-namespace -n dask-operator --generate-name dask-kubernetes-operator",
    ): ("needs Kubernetes"),
    ("docs/scale-out.md", "from dask_kubernetes.operator import KubeCluster"): "needs Kubernetes",
}
QUICK = {"README.md", "docs/add-a-problem.md"}

RUNNER = """
import importlib, json, pathlib, re, subprocess, sys
names = {"__name__": "__main__"}
for language, text, where in json.load(sys.stdin):
    print(f"--- {where}", flush=True)
    if language == "sh":
        subprocess.run(["bash", "-euo", "pipefail", "-c", text], check=True)
    elif file := re.match(r"# (\\w+)\\.py\\n", text):
        pathlib.Path(file[0][2:].strip()).write_text(text)
        names.update(vars(importlib.import_module(file[1])))
    else:
        exec(compile(text, where, "exec"), names)
"""


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: str
    line: int
    language: str
    text: str

    @property
    def place(self) -> str:
        """Its page and line."""
        return f"{self.page}:{self.line}"

    @property
    def command(self) -> str:
        """Its first line that is not a mark."""
        return next((line for line in self.text.splitlines() if not line.startswith(MARK)), "")

    @property
    def mark(self) -> str | None:
        """Why it says that it is not run."""
        first = self.text.partition("\n")[0]
        return first.removeprefix(MARK) if first.startswith(MARK) else None


def blocks(page: str) -> list[Block]:
    text = PAGES[page].read_text(encoding="utf-8")
    return [
        Block(page, text.count("\n", 0, m.start()) + 1, m["language"].strip(), m["text"]) for m in FENCE.finditer(text)
    ]


def lines(text: str) -> list[str]:
    """Return lines as they look, without blanks at their ends."""
    return [line.rstrip() for line in text.strip("\n").split("\n")]


ALL = [block for page in PAGES for block in blocks(page)]
TO_RUN = {
    page: own
    for page in PAGES
    if (own := [b for b in ALL if b.page == page and b.language in RUN and (page, b.command) not in NOT_RUN])
}


def test_every_fence_is_closed_and_names_its_language():
    for page, path in PAGES.items():
        assert not re.search(r"^`{3}", FENCE.sub("", path.read_text(encoding="utf-8")), re.MULTILINE), page
    unknown = [b for b in ALL if b.language not in RUN | SHOWN and not b.language.startswith("{")]
    assert not unknown, "commands stand in blocks of sh, Python in blocks of python; what is only shown is text"


def test_what_is_not_run_is_exactly_what_says_so():
    shown = {(b.page, b.command) for b in ALL if b.language in RUN and (b.page, b.command) in NOT_RUN}
    assert shown == set(NOT_RUN), "in the list and in no page"
    marked = {(b.page, b.command): b.mark for b in ALL if b.mark}
    assert marked == {key: why for key, why in NOT_RUN.items() if why != "run by .ci/run"}
    # What stands on the page of the commands is what they print: `bdia pages commands` writes it, and a test of its own runs them.
    assert {(b.page, b.command) for b in ALL if b.language == "text" and b.page != "docs/commands.md"} == set(TEXT)
    assert set(TO_RUN) >= QUICK


@pytest.mark.parametrize("page", [pytest.param(p, marks=[] if p in QUICK else [pytest.mark.slow]) for p in TO_RUN])
def test_the_blocks_of_a_page_run(page, tmp_path):
    paths = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    environment = os.environ | {
        "PYTHONPATH": paths,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    }
    told = [(b.language, b.text, b.place) for b in TO_RUN[page]]
    run = subprocess.run(
        [sys.executable, "-c", RUNNER],
        input=json.dumps(told),
        cwd=tmp_path,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-4000:]
    heads_and_texts = re.split(r"^--- (\S+)$", run.stdout, flags=re.MULTILINE)[1:]
    printed = dict(zip(heads_and_texts[::2], map(lines, heads_and_texts[1::2]), strict=True))
    for block, shown in pairwise(blocks(page)):
        if shown.language == OUTPUT:
            assert printed[block.place] == lines(shown.text), f"{shown.place} is not what {block.place} prints"


def test_an_output_stands_after_a_block_that_prints_it():
    for page in PAGES:
        first, *_ = [*blocks(page), None]
        assert first is None or first.language != OUTPUT, page
        for block, shown in pairwise(blocks(page)):
            assert shown.language != OUTPUT or block in TO_RUN[page], shown.place


def test_a_block_that_fails_is_noticed(tmp_path):
    for language, text in (("python", "assert 1 == 2"), ("sh", "false\ntrue"), ("sh", "false | cat")):
        run = subprocess.run(
            [sys.executable, "-c", RUNNER],
            input=json.dumps([(language, text, "here")]),
            cwd=tmp_path,
            check=False,
            capture_output=True,
            text=True,
        )
        assert run.returncode != 0


def test_the_page_on_solvers_names_all_that_a_step_can_use():
    tables = "".join(re.findall(r"^\|.*\n", PAGES["docs/add-a-solver.md"].read_text(encoding="utf-8"), re.MULTILINE))
    inner = {"eps_number", "scalar"}  # of the recorder and of forms themselves
    usable = {name for name, value in vars(Recorder).items() if isinstance(value, property) or callable(value)}
    for name in {"i", *usable} - inner:
        assert name.startswith("_") or re.search(rf"`s\.{name}\b", tables), f"s.{name} is in no table"
    for name in re.findall(r"``(\w+)``", Solver.__doc__ or ""):
        assert f"| `{name}` |" in tables, f"{name} is in no table"
