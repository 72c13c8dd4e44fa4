"""Hold the reader of configurations against the schedulers of several releases of diffusers, on configurations drawn at random.

Each release is installed into a temporary folder, without its dependencies: torch and the others are those of this environment. Printed are
counts for each class, the reasons of all refusals, and every difference; the exit status is 1 if there is one, or if fewer than 85% of
the walks that diffusers itself makes are read, or fewer than 60% in a class.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
OLDEST = "0.36.0"
TOTAL, EACH = 0.85, 0.60
OUTCOMES = {  # of a case, with the heading of its column
    "same": "read",
    "refused": "refused",
    "both refuse": "diffusers refuses, too",
    "different": "different",
    "not refused": "only diffusers refuses",
    "undecided": "roundings decide whether diffusers' levels are numbers",
}


def here(seeds: list[int], count: int) -> dict[str, Any]:
    """Return the counts of the release that is imported in this process."""
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
    import diffusers
    from config_matrix import CLASSES, drawn, outcome

    diffusers.utils.logging.set_verbosity_error()
    present = [name for name in CLASSES if hasattr(getattr(diffusers, name, None), "from_config")]
    counts = {name: Counter[str]() for name in present}
    reasons, unmade, wrong = Counter[str](), Counter[str](), list[str]()
    for seed in seeds:
        for case in drawn(seed, count, present):
            said = outcome(case)
            counts[case.name][said.kind] += 1
            if said.kind == "refused":
                reasons[reason(said.said)] += 1
            if said.kind == "not refused" and said.said.startswith("NotImplementedError"):
                unmade[said.said.partition(": ")[2]] += 1
            elif said.kind in ("different", "not refused"):
                wrong.append(f"{case}: {said}"[:600])
    return {
        "version": diffusers.__version__,
        "counts": {name: dict(found) for name, found in counts.items()},
        "reasons": dict(reasons),
        "unmade": sorted(unmade),
        "wrong": wrong,
        "absent": [name for name in CLASSES if name not in present],
        "lacking": lacking(diffusers, present),
    }


def lacking(diffusers: Any, present: list[str]) -> list[str]:
    """Return the parameters that are read and that this release does not have."""
    import inspect

    from bdia_numerics.configs import FAMILIES

    found = []
    for name in present:
        own = inspect.signature(getattr(diffusers, name).__init__).parameters
        found += [f"{name}.{key}" for key in FAMILIES[name].defaults if key not in own]
    return found


def reason(said: str) -> str:
    """Return a refusal without its numbers."""
    return re.sub(r"\d+(\.\d+)?(e[+-]?\d+)?", "N", said)


def released(version: str, folder: Path, seeds: list[int], count: int) -> dict[str, Any]:
    """Install a release, the newest for an empty version, and return its counts."""
    wanted = f"diffusers=={version}" if version else "diffusers"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(folder), wanted], check=True
    )
    paths = os.pathsep.join([str(folder), str(ROOT)])
    command = [sys.executable, "-W", "ignore", __file__, "--here", "--count", str(count), "--seeds", *map(str, seeds)]
    done = subprocess.run(
        command, env=os.environ | {"PYTHONPATH": paths}, check=True, stdout=subprocess.PIPE, text=True
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def shown(found: dict[str, Any]) -> tuple[str, bool]:
    """Return the tables of a release, and whether it passes."""
    lines = [f"diffusers {found['version']}", "", f"| class | {' | '.join(OUTCOMES.values())} | read of what is made |"]
    lines.append("|---" * (len(OUTCOMES) + 2) + "|")
    total, low = Counter[str](), []
    for name, counts in [*found["counts"].items(), ("all", None)]:
        row = total if counts is None else Counter(counts)
        if counts is not None:
            total.update(counts)
        tried = row["same"] + row["refused"]
        part = row["same"] / tried if tried else 1.0
        if part < (TOTAL if counts is None else EACH):
            low.append(name)
        lines.append(f"| {name} | {' | '.join(str(row[key]) for key in OUTCOMES)} | {part:.0%} |")
    lines += ["", "| times | reason of the refusal |", "|---|---|"]
    lines += [f"| {n} | {said} |" for said, n in sorted(found["reasons"].items(), key=lambda item: (-item[1], item[0]))]
    for what, names in (("classes", found["absent"]), ("parameters", found["lacking"]), ("values", found["unmade"])):
        lines += ["", f"This release lacks these {what}, which were skipped: {'; '.join(names)}."] if names else []
    lines += ["", *(f"WRONG {case}" for case in found["wrong"]), *(f"TOO FEW READ: {name}" for name in low)]
    return "\n".join(lines), not found["wrong"] and not low


def main() -> int:
    """Run all releases, or count in this process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--versions", nargs="*", default=[OLDEST, ""], help='releases; "" is the newest')
    parser.add_argument("--seeds", nargs="*", type=int, default=list(range(5)))
    parser.add_argument("--count", type=int, default=1000, help="configurations for each seed")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.here:
        print(json.dumps(here(asked.seeds, asked.count)))
        return 0
    passed = True
    for version in asked.versions:
        with tempfile.TemporaryDirectory() as folder:
            text, ok = shown(released(version, Path(folder), asked.seeds, asked.count))
        print(text, flush=True)
        passed = passed and ok
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
