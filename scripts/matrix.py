"""Install the package for several interpreters, with lowest and latest dependencies, no constraints, and run its main job and tests.

    python scripts/matrix.py                              every interpreter from 3.11 to 3.14 that is found, both sets
    python scripts/matrix.py --here --dependencies lowest this interpreter, as each job of .github/workflows/tests.yml does

torch is taken from the environment's own index at its latest version, with the tests of the extra torch, or left out with
--without-torch. Printed is a line for each run; the exit status is 1 if one failed, and 2 if there was none.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VERSIONS = ("3.11", "3.12", "3.13", "3.14")
EXTRAS = ("report", "balls", "jax", "reference", "sweep")
SETS = ("lowest", "latest")


def interpreters() -> dict[str, str]:
    """Return the interpreters of `VERSIONS` that are on PATH and run, by version."""
    found = {}
    for version in VERSIONS:
        path = shutil.which(f"python{version}")
        if path and not subprocess.run([path, "-c", "pass"], check=False, capture_output=True).returncode:
            found[version] = path
    return found


def tests_of_the_project(extras: tuple[str, ...]) -> list[str]:
    """Return what the extra `test` requires that the chosen extras can do without torch: runners and peers."""
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    return [name for name in wanted["test"] if "torch" in extras or not name.startswith(("diffrax", "transformers"))]


def one(python: str, dependencies: str, extras: tuple[str, ...], folder: Path) -> str:
    """Return what failed with an interpreter and a set of dependencies: empty, or the name of the stage."""
    environment = {k: v for k, v in os.environ.items() if k not in ("PIP_CONSTRAINT", "PYTHONPATH", "VIRTUAL_ENV")}
    binaries = folder / ("Scripts" if os.name == "nt" else "bin")

    def stage(*words: str | Path, cwd: Path = ROOT) -> bool:
        return subprocess.run([str(w) for w in words], check=False, cwd=cwd, env=environment).returncode == 0

    wanted = f"{ROOT}[{','.join(extras)}]"
    pins = folder / "pins.txt"
    resolve = [
        binaries / "python", "-m", "uv", "pip", "compile", "-q", "--resolution", "lowest-direct", "-o", pins,
        *(word for extra in extras for word in ("--extra", extra)), ROOT / "pyproject.toml",
    ]  # fmt: skip
    install = [binaries / "python", "-m", "pip", "install", "-q"]
    stages = {
        "venv": lambda: stage(python, "-m", "venv", folder),
        "resolve": lambda: dependencies == "latest" or (stage(*install, "uv") and stage(*resolve)),
        "install": lambda: stage(
            *install, wanted, *tests_of_the_project(extras), *([] if dependencies == "latest" else ["-c", pins])
        ),
        "check": lambda: stage(binaries / "python", "-m", "pip", "check"),
        "bdia verify": lambda: stage(binaries / "bdia", "verify", "--quick", cwd=folder),
        "pytest": lambda: stage(binaries / "python", "-m", "pytest", "-q", "-p", "no:cacheprovider"),
    }
    return next((name for name, run in stages.items() if not run()), "")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--here", action="store_true", help="this interpreter alone")
    parser.add_argument("--dependencies", choices=SETS, action="append", help="one set; both by default")
    parser.add_argument("--without-torch", action="store_true", help="leave the extra torch out")
    given = parser.parse_args()
    extras = EXTRAS if given.without_torch else (*EXTRAS, "torch")
    found = {".".join(map(str, sys.version_info[:2])): sys.executable} if given.here else interpreters()
    outcomes = {}
    for version, python in found.items():
        for dependencies in given.dependencies or SETS:
            with tempfile.TemporaryDirectory() as folder:
                outcomes[version, dependencies] = one(python, dependencies, extras, Path(folder) / "venv")
            print(f"Python {version}, {dependencies}: {outcomes[version, dependencies] or 'ok'}", flush=True)
    for version in () if given.here else sorted({*VERSIONS} - {*found}):
        print(f"Python {version}: no interpreter of that version is on PATH")
    if not outcomes:
        print("nothing was tried")
        return 2
    return int(any(outcomes.values()))


if __name__ == "__main__":
    sys.exit(main())
