"""Try hostile input: each must end in a result, or in an error of one line that names what is wrong, within 20 s and 1 GB.

    python scripts/fuzz.py --seed 1                        1,800 inputs in process and 200 command lines
    python scripts/fuzz.py --seed 1 --inputs 200 --commands 10      a short run, as CI makes

In process: damaged configurations (each of tests/configs, five times), states, journals and TOML files, and calls of the facade with
hostile arguments. Command lines: every option of every command with a hostile value. Printed are counts by kind and every fault with its
number: `--only N` runs that one alone and shows its traceback. POSIX only: each input runs in a fork with limits. The exit status is 1 if
there was a fault.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import typer
from typer.testing import CliRunner

import bdia_numerics as bd
from bdia_numerics import analysis, cli, configs
from bdia_numerics.studies import STUDIES, run
from bdia_numerics.studies.convergence import ConvergenceConfig

ROOT = Path(__file__).resolve().parents[1]
SECONDS, BYTES = 20, 2**30
PROMISED = (ValueError, TypeError, ArithmeticError, OSError, ImportError)

NUMBERS = [
    *(0, -1, 1, 2, 3, 10**6, -(10**12), 10**400, 2**63, True),
    *(0.5, -0.0, 1e-320, 1e308, float("nan"), float("inf"), -float("inf")),
]
THINGS = [
    *(None, "", "nan", "x" * 5000, "\x1b[2J", "1e99999999", "9/0", "ä" * 3),
    *([], {}, [[]], [None], {"a": {}}, (), b"\xff", object(), 1j, print),
]
ARRAYS = [
    *(np.zeros(0), np.zeros((0, 2)), np.full(2, np.nan), np.array(["a"]), np.array([1, 2]), np.array(None)),
    *(np.ones((2, 2), complex), np.float16(2), np.ones((2, 3))[:, ::-1], np.ma.masked_array([1.0, 2.0], [True, False])),
]
WORDS = [
    *("", "0", "-1", "nan", "inf", "1e99999999", "999999999999", "9/0", "1,2,", "a:b=c", ":", "../.."),
    *("/", "/dev/full", "x" * 4000, "\x1b[31m", "'", "BDIA:", "os:system"),
]


def hostile(draw: random.Random, *, plain: bool = False) -> Any:
    """Return a value that nobody asked for; a plain one can stand in JSON."""
    return draw.choice(
        NUMBERS + [t for t in THINGS if t is None or isinstance(t, str | list | dict)]
        if plain
        else [*NUMBERS, *THINGS, *ARRAYS]
    )


def nested(draw: random.Random) -> Any:
    value: Any = []
    for _ in range(draw.choice([3, 50, 3000])):
        value = [value] if draw.random() < 0.5 else {"a": value}
    return value


def damaged(content: bytes, draw: random.Random) -> bytes:
    """Return a file's content with bytes flipped, cut out, doubled, or zeroed."""
    for _ in range(draw.choice([1, 1, 2, 20])):
        at, n = draw.randrange(len(content) + 1), draw.choice([1, 4, 64, 1000])
        part = content[at : at + n]
        other = draw.choice([b"", part * 2, bytes(len(part)), bytes(draw.randrange(256) for _ in part)])
        content = content[:at] + other + content[at + n :]
    return content[: draw.randrange(len(content) + 1)] if draw.random() < 0.2 else content


def retyped(text: str, draw: random.Random) -> str:
    """Return lines of text, some with another value behind the equals sign, dropped, or doubled."""
    lines = text.splitlines()
    for _ in range(draw.choice([1, 2, 5])):
        k = draw.randrange(len(lines))
        name = lines[k].partition("=")[0]
        lines[k] = draw.choice(
            [
                "",
                lines[k] * 2,
                f"{name}= {json.dumps(hostile(draw, plain=True))}",
                f"{name}= [{'[' * draw.choice([2, 3000])}",
                f"{name}.{'a.' * 2000}b = 1",
            ]
        )
    return "\n".join(lines)


def configuration(draw: random.Random, path: Path) -> Callable[[], Any]:
    config = json.loads(path.read_text(encoding="utf-8"))
    for _ in range(draw.choice([1, 1, 2, 4])):
        name = draw.choice(
            [*config, "prediction_type", "use_karras_sigmas", "trained_betas", "flow_shift", "final_sigmas_type"]
        )
        config[name] = draw.choice([hostile(draw, plain=True), hostile(draw, plain=True), nested(draw)])
        if draw.random() < 0.2:
            del config[name]
    n = draw.choice([1, 2, 7, 50])
    return lambda: (
        analysis.lint(config, steps=n) if draw.random() < 0.2 else configs.layout(configs.from_mapping(config), n)
    )


def state(draw: random.Random, folder: Path) -> Callable[[], Any]:
    solver = draw.choice([bd.BDIA(), bd.EDICT(), bd.OBELM(), bd.ALF()])
    grid = bd.grids.uniform(bd.schedules.vp_linear(), 4, t_max=1, t_min=0.01)
    path = folder / "state.npz"
    bd.solve(solver, lambda z, t: z / 2, grid, np.ones((2, 3))).state.save(path)
    path.write_bytes(damaged(path.read_bytes(), draw))
    return lambda: bd.invert(solver, lambda z, t: z / 2, grid, bd.State.load(path))


def journal(draw: random.Random, folder: Path) -> Callable[[], Any]:
    config = ConvergenceConfig(solvers=("DDIM",), grids=("smooth",), steps=(4, 8), max_steps=8, states=4)
    study = STUDIES["convergence"]
    run(study, config, folder=folder / "run")
    path = draw.choice(sorted(p for p in (folder / "run").rglob("*") if p.is_file()))
    path.write_bytes(damaged(path.read_bytes(), draw))
    return lambda: run(study, config, folder=folder / "run")


def toml(draw: random.Random, folder: Path) -> Callable[[], Any]:
    path = folder / "sweep.toml"
    path.write_text(retyped((ROOT / "examples" / "sweep.toml").read_text(encoding="utf-8"), draw), encoding="utf-8")
    return lambda: command(["sweep", str(path), "--dry-run", "--out", str(folder / "out")])


def command(words: list[str]) -> None:
    """Run a command line in this process; ValueError with its line if it is refused, RuntimeError if it ends as a defect."""
    done = CliRunner().invoke(cli.app, words)
    said = verdict(done.exit_code, done.stderr)
    if said == "one line":
        raise ValueError(done.stderr)
    if said != "result":
        raise RuntimeError(said)


def verdict(status: int, stderr: str) -> str:
    """Return "result", "one line", or what is wrong, of a command line that ended."""
    said = [line for line in stderr.splitlines() if line.startswith("bdia: ")]
    complaints = [line for line in said if "is a former spelling: write" not in line]  # a hint before, and no complaint
    if "Traceback" in stderr or status not in (0, 1, 2):
        return f"status {status}: {stderr[-300:]!r}"
    if status == 2 and (len(complaints) != 1 or len(complaints[0]) > 700):
        return f"status 2 with {len(complaints)} lines: {stderr[-300:]!r}"
    return "one line" if complaints and status else "result"


def call(draw: random.Random, folder: Path) -> Callable[[], Any]:
    """Return a call of the facade, with one or two of its right arguments replaced."""
    grid = bd.grids.uniform(bd.schedules.vp_linear(), 6, t_max=1, t_min=0.01)
    law = bd.problems.GaussianMixture([0.5, 0.5], [[-1.0], [1.0]], [0.1, 0.2])
    model, z = law.model(grid.schedule), np.ones((3, 1))
    end = bd.solve(bd.BDIA(), model, grid, z).state
    right: list[tuple[Callable[..., Any], dict[str, Any]]] = [
        (bd.solve, {"solver": bd.BDIA(), "model": model, "grid": grid, "z": z, "start": None}),
        (bd.invert, {"solver": bd.BDIA(), "model": model, "grid": grid, "state": end}),
        (bd.encode, {"solver": bd.BDIA(), "model": model, "grid": grid, "x_0": z}),
        (bd.round_trip, {"solver": bd.BDIA(), "model": model, "grid": grid, "z": z, "end": "data", "reference": "fine"}),
        (bd.fit, {"solver": bd.BDIA(), "model": model, "grid": grid, "z": z, "reference": z}),
        (bd.grids.uniform, {"schedule": bd.schedules.vp_linear(), "n": 5, "t_max": 1, "t_min": 0.01}),
        (bd.grids.karras, {"schedule": bd.schedules.edm(), "n": 5, "t_max": 80, "t_min": 0.002, "rho": 7}),
        (bd.grids.from_values, {"t": [0.0, 0.5, 1.0], "alpha": [1, 0.8, 0.1], "sigma": [0.1, 0.6, 0.9]}),
        (bd.schedules.vp_linear, {"beta_min": 0.1, "beta_max": 20}),
        (bd.schedules.from_alphas_cumprod, {"alphas_cumprod": [0.9, 0.5, 0.1]}),
        (bd.BDIA, {"gamma": 0.5}),
        (bd.EDICT, {"p": 0.93}),
        (bd.problems.GaussianMixture, {"weights": [0.5, 0.5], "means": [[0.0], [1.0]], "covs": [0.1, 0.1]}),
        (bd.problems.Empirical, {"data": np.eye(3), "bandwidth": 0.1}),
        (law.flow, {"z": z, "t_from": 1.0, "t_to": 0.1, "schedule": grid.schedule}),
        (analysis.global_error, {"solver": bd.BDIA(), "problem": law, "grid": grid}),
        (analysis.amplification, {"solver": bd.BDIA(), "model": model, "grid": grid}),
        (analysis.inverse_growth, {"solver": bd.BDIA(), "grid": grid}),
        (analysis.best_gamma, {"problem": law, "grid": grid}),
        (analysis.required_dtype, {"solver": bd.BDIA(), "grid": grid, "tolerance": 1e-3}),
        (analysis.zero_stability, {"solver": bd.BDIA(0.5)}),
    ]  # fmt: skip
    function, arguments = draw.choice(right)
    arguments = dict(arguments)
    for _ in range(draw.choice([1, 1, 2])):
        arguments[draw.choice(list(arguments))] = hostile(draw)
    return lambda: function(**arguments)


def inputs(seed: int, count: int) -> Iterator[tuple[str, Callable[[Path], Callable[[], Any]]]]:
    """Yield kind and maker of each input: configurations first, five of each, then the others in turn."""
    files = sorted((ROOT / "tests" / "configs").glob("*.json"))
    makers = {"state": state, "journal": journal, "TOML": toml, "call": call}
    for k in range(count):
        draw = random.Random(f"{seed} {k}")
        if k % 8 == 0:
            path = files[(k // 8) % len(files)]
            yield "configuration", lambda folder, draw=draw, path=path: configuration(draw, path)
        else:
            kind = ("call", "state", "call", "TOML", "call", "journal", "call")[k % 8 - 1]
            yield kind, lambda folder, draw=draw, make=makers[kind]: make(draw, folder)


def limited() -> None:
    """Allow this process so much more memory, and so much processor time."""
    import resource  # which only POSIX has

    with Path("/proc/self/status").open(encoding="ascii") as file:
        held = next(1024 * int(line.split()[1]) for line in file if line.startswith("VmData"))
    resource.setrlimit(resource.RLIMIT_DATA, (held + BYTES, held + BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 5))


def outcome(make: Callable[[Path], Callable[[], Any]], *, shown: bool) -> str:
    """Return "result", "one line", or what is wrong, of an input that is made and used in a fork."""
    reading, writing = os.pipe()
    if not (child := os.fork()):
        os.close(reading)
        said = "the input itself was not made: mend scripts/fuzz.py"
        try:
            with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    use = make(Path(folder))
                except BaseException:
                    traceback.print_exc()
                    raise
                limited()
                if not shown:
                    for descriptor in (1, 2):
                        os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
                said = judged(use, shown=shown)
        finally:
            os.write(writing, said.encode(errors="replace")[:2000])
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read().decode(errors="replace")
    _, status = os.waitpid(child, 0)
    return (
        said or f"killed by {signal.Signals(os.WTERMSIG(status)).name}" if os.WIFSIGNALED(status) or not said else said
    )


def judged(use: Callable[[], Any], *, shown: bool) -> str:
    try:
        use()
    except PROMISED as error:
        line = str(error)
        if shown:
            traceback.print_exc()
        if not line.strip() or "\n" in line.strip() or len(line) > 2000:
            return (
                f"{type(error).__name__} in {line.count(chr(10)) + 1} lines of {len(line)} characters: {line[:200]!r}"
            )
        return "one line"
    except BaseException as error:  # noqa: BLE001 - whatever else is raised is a fault, and reported
        if shown:
            traceback.print_exc()
        frame = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}: {str(error)[:200]!r}"
    return "result"


QUICK = {  # what makes a command's own work short, so that a limit is met by hostile values alone
    "verify": ["--only", "eq-33"],
    "converge": ["--solver", "ddim", "--max-steps", "32"],
    "map": ["--steps", "10", "--grid", "uniform"],
    "datasheet": ["ddim", "--proved-only"],
    "work-precision": ["--solver", "ddim", "--nfe", "10"],
    "roundtrip": ["--solver", "bdia", "--steps", "10"],
    "precision": ["--steps", "10"],
    "stability": ["--solver", "bdia"],
    "figures": ["--list"],
    "pages": ["--list"],
    "lint": [str(ROOT / "tests/configs/sdxl.json")],
    "sweep": [str(ROOT / "examples/sweep.toml"), "--dry-run"],
    "edit": ["--steps", "2"],
    "unet": ["--help"],
}


def lines(seed: int) -> list[list[str]]:
    """Return command lines: each option of each command with a hostile value, in an order of the seed's own."""
    draw, found = random.Random(f"{seed} commands"), []
    root: Any = typer.main.get_command(cli.app)
    for name, one in root.commands.items():
        for parameter in one.params:
            for _ in range(2):
                word = draw.choice(WORDS)
                options = [o for o in parameter.opts if o.startswith("-")]
                flag = bool(getattr(parameter, "is_flag", False))
                found.append(
                    [
                        name,
                        *copy.copy(QUICK.get(name, [])),
                        *([options[0]] if options else []),
                        *([] if flag else [word]),
                    ]
                )
    draw.shuffle(found)
    return found


def command_outcome(words: list[str]) -> str:
    """Return "result", "one line", or what is wrong, of a command line in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = subprocess.run(
                [sys.executable, "-m", "bdia_numerics", *words], cwd=folder, capture_output=True, text=True, errors="replace",
                timeout=6 * SECONDS, check=False, env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}, preexec_fn=limited,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return f"ran for {6 * SECONDS} s"
        except ValueError:  # a null byte is no word of a command line
            return "one line"
    return verdict(done.returncode, done.stderr)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--inputs", type=int, default=1800)
    parser.add_argument("--commands", type=int, default=200)
    parser.add_argument("--only", type=int, help="the input of this number, with its traceback")
    given = parser.parse_args()
    if shutil.which("true") is None or not hasattr(os, "fork"):
        parser.error("needs POSIX: each input runs in a fork")
    counts: Counter[tuple[str, str]] = Counter()
    faults = []
    for k, (kind, make) in enumerate(inputs(given.seed, given.inputs)):
        if given.only in (None, k):
            said = outcome(make, shown=given.only is not None)
            counts[kind, said if said in ("result", "one line") else "fault"] += 1
            if said not in ("result", "one line"):
                faults.append(f"{k} ({kind}): {said}")
    for words in lines(given.seed)[: given.commands if given.only is None else 0]:
        said = command_outcome(words)
        counts["command line", said if said in ("result", "one line") else "fault"] += 1
        if said not in ("result", "one line"):
            faults.append(f"bdia {' '.join(words)[:200]!r}: {said}")
    for kind in sorted({kind for kind, _ in counts}):
        print(
            f"{kind:14}"
            + ", ".join(
                f"{counts[kind, said]} {said}" for said in ("result", "one line", "fault") if counts[kind, said]
            )
        )
    print(*faults, sep="\n")
    print(f"seed {given.seed}: {sum(counts.values())} tried, {len(faults)} faults")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
