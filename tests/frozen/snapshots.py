"""What the package said before its rooms are rebuilt: signatures, commands' JSON, the ledger, and the saved data behind the figures.

    python tests/frozen/snapshots.py [NAME ...]

writes all of it anew, or what is named. Every difference that a commit makes is listed in CHANGELOG.md with its reason.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import json
import math
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PUBLIC = ("", "analysis", "grids", "models", "problems", "schedules", "spaces", "program", "runs.inversion", "configs", "solvers",
          "studies",
          "claims", "plots", "testing", "torch", "torch.schedulers")  # fmt: skip
# What the clock, the machine or a version says, and no run decides.
UNSTABLE = re.compile(
    r"seconds|_at$|version|commit|python|platform|path|folder|file|overhead|microseconds|time_per|hash|source|worker|dataset|setup"
)
SWEEP = """solvers = ["DDIM", "BDIA"]
nfe = [10, 20]
schedules = ["ddpm_linear"]
grids = ["trailing", "alternating:ratio=3"]
states = 8
[parameters]
gamma = [0.5, 1]
"""

COMMANDS = {
    "list": "list",
    "verify": "verify",
    "roundtrip": "roundtrip",
    "roundtrip-ddim": "roundtrip --solver DDIM --steps 20",
    "roundtrip-gamma": "roundtrip --solver bdia:gamma=9/10 --steps 30",
    "roundtrip-edict": "roundtrip --solver EDICT --dtype float32 --steps 20",
    "roundtrip-exact": "roundtrip --exact --steps 20 --bits 30",
    "roundtrip-reversed": "roundtrip --solver RK4 --steps 12 --inversion reversed",
    "lint": "lint",
    "lint-leading": "lint --set steps_offset=1 --set beta_schedule=scaled_linear --steps 20 --walk",
    "lint-karras": "lint tests/configs/playground-v2.5.json --steps 25 --walk",
    "lint-flow": "lint tests/configs/stable-diffusion-3-medium.json --walk --steps 12",
    "converge": "converge --solver BDIA --solver DDIM --max-steps 64 --states 8",
    "converge-steps": "converge --solver EDICT --grid alternating --steps 16,24,32,48,64 --states 8 --proved",
    "converge-plane": "converge --solver Heun --problem plane --max-steps 32 --states 4 --start own",
    "converge-gaussian": "converge --solver OBELM --problem gaussian:0.5 --schedule edm --max-steps 64 --states 4",
    "work-precision": "work-precision --solver DDIM --solver BDIA --nfe 10,20 --states 16 --repeats 1",
    "work-precision-steps": "work-precision --solver RK4 --problem tight --steps 8,16 --states 16 --repeats 1 --start exact",
    "map": "map --gammas 0,0.5,1 --steps 10,20 --states 100 --grids leading,trailing",
    "map-tight": "map --law tight --schedule sd --gammas 0.5,1 --steps 10 --states 100 --quality",
    "map-digits": "map --law digits --gammas 1 --steps 10 --states 50 --grids quad",
    "sweep": "sweep SWEEP --workers 1 --out OUT",
    "datasheet-ddim": "datasheet DDIM --proved-only",
    "datasheet-bdia": "datasheet BDIA",
    "datasheet-gamma": "datasheet bdia:gamma=9/10 --proved-only",
    "datasheet-edict": "datasheet EDICT --p 93/100 --proved-only",
    "datasheet-obelm": "datasheet OBELM",
    "datasheet-deis": "datasheet DEIS --set order=3 --proved-only",
    "figures-list": "figures --list",
    "unet-growth": "unet growth --steps 3 --iterations 2",
    "unet-table": "unet table --solvers DDIM;BDIA(gamma=1) --grids trailing --evaluations 8 --images 64 --paired 4",
}  # fmt: skip


def signatures() -> dict[str, str]:
    """Return the signature, or the kind, of every exported name."""
    found = {}
    for room in PUBLIC:
        module = importlib.import_module("bdia_numerics" + (f".{room}" if room else ""))
        for name in sorted(getattr(module, "__all__", ())):
            value = getattr(module, name)
            said = type(value).__name__
            if callable(value):
                try:
                    said = re.sub(r" at 0x[0-9a-f]+", "", str(inspect.signature(value)))
                except (TypeError, ValueError):
                    said = "callable"
            found[f"{module.__name__}.{name}"] = said
    return found


def data() -> dict[str, str]:
    """Return the digest of every file behind the figures."""
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted((ROOT / "paper_figs/data").glob("*.nc"))}


def command(name: str) -> Any:
    """Return what a command prints as JSON, without what the clock and the machine decide."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "sweep.toml"
        config.write_text(SWEEP, encoding="utf-8")
        words = {"SWEEP": str(config), "OUT": str(Path(folder) / "out")}
        arguments = [words.get(word, word) for word in COMMANDS[name].split()]
        run = subprocess.run(
            [sys.executable, "-m", "bdia_numerics", *arguments, "--json"],
            capture_output=True,
            check=False,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        )
    if run.returncode not in (0, 1) or not run.stdout.strip():
        raise RuntimeError(f"{name}: exit status {run.returncode}: {run.stderr[-500:]}")
    return {"exit": run.returncode, "json": stable(json.loads(run.stdout))}


def stable(value: Any) -> Any:
    """Return JSON without the entries that no run decides; of long lists, which are curves and images, sixteen places are kept."""
    if isinstance(value, dict):
        return {k: stable(v) for k, v in value.items() if not UNSTABLE.search(k)}
    if isinstance(value, list):
        return [
            stable(v)
            for v in (value[:: len(value) // 16] if len(value) > 64 and not isinstance(value[0], dict) else value)
        ]
    return value


def differences(was: Any, now: Any, where: str = "") -> list[str]:
    """Return where two snapshots differ; numbers may differ by what another order of summation does, seven digits down."""
    if isinstance(was, dict) and isinstance(now, dict):
        lost = [f"{where}/{k}: gone" for k in was if k not in now] + [f"{where}/{k}: new" for k in now if k not in was]
        return lost + [d for k in was if k in now for d in differences(was[k], now[k], f"{where}/{k}")]
    if isinstance(was, list) and isinstance(now, list) and len(was) == len(now):
        return [d for k, (a, b) in enumerate(zip(was, now, strict=True)) for d in differences(a, b, f"{where}/{k}")]
    # Below 1e-12 stands what is left where numbers cancel.
    if {type(was), type(now)} <= {int, float} and math.isclose(was, now, rel_tol=1e-7, abs_tol=1e-12):
        return []
    if was != was and now != now:
        return []
    return [] if was == now else [f"{where}: {str(was)[:80]} -> {str(now)[:80]}"]


def kept(name: str) -> Any:
    """Return a snapshot."""
    return json.loads((HERE / f"{name}.json").read_text(encoding="utf-8"))


def write(name: str, value: Any) -> None:
    (HERE / f"{name}.json").write_text(json.dumps(value, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def main() -> None:
    wanted = sys.argv[1:] or ["signatures", "data", *COMMANDS]
    for name in wanted:
        print(name, flush=True)
        if name in ("signatures", "data"):
            write(name, signatures() if name == "signatures" else data())
        else:
            write(f"commands/{name}", command(name))


if __name__ == "__main__":
    main()
