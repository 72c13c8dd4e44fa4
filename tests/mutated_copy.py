"""A copy of the package in which errors are planted, and a process that runs tests on it."""

import compileall
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import bdia_numerics

PACKAGE = Path(bdia_numerics.__file__).parent
ROOT = Path(__file__).resolve().parent.parent
PASSED, FAILED = 0, 1  # pytest's exit statuses; it has others for what was not collected, or broke on the way

SERVER = """
import gc, json, os, resource, sys
from contextlib import suppress

import jinja2, mpmath, numpy, pytest, scipy.integrate, scipy.optimize, scipy.special, scipy.stats
import sympy, sympy.polys.matrices, typer.testing, yaml

with suppress(ImportError):
    import torch
    torch.set_num_threads(1)
with suppress(ImportError):
    import diffusers
    diffusers.DDIMPipeline
with suppress(ImportError):
    import cloudpickle, flint, h5netcdf, xarray

gc.collect()
gc.freeze()  # so that a fork shares what stands here
for line in sys.stdin:
    package, log, seconds, *arguments = json.loads(line)
    if not (child := os.fork()):
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        resource.setrlimit(resource.RLIMIT_DATA, (16 << 30, 16 << 30))
        sys.path.insert(0, package)
        sys.stdout.flush()
        for stream in (1, 2):
            os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
        status = pytest.main(arguments)
        import bdia_numerics
        inside = bdia_numerics.__file__.startswith(package)
        sys.stdout.flush()
        os._exit(int(status) if inside else 9)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
"""Runs each test in a fork of a process that has loaded the libraries, since to load them takes longer than most of the tests."""


class Copy:
    """The package, the proofs and the figures' data in a folder, and the process, which is to be closed."""

    def __init__(self, folder: Path) -> None:
        self.package, self.log = folder / PACKAGE.name, folder / "log"
        shutil.copytree(PACKAGE, self.package)
        # A link: a file of proofs that pytest imports, too, is to be the one that the ledger reads.
        (folder / "proofs").symlink_to(ROOT / "proofs")
        shutil.copytree(ROOT / "paper_figs" / "data", folder / "paper_figs" / "data")  # found beside the package
        compileall.compile_dir(self.package, quiet=2)
        # Plugins of pytest take longer to load than most tests.
        own = {"PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        self.server = subprocess.Popen(
            [sys.executable, "-P", "-c", SERVER],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
            env=os.environ | own | {"PYTHONPATH": str(folder)},
        )  # fmt: skip

    def run(self, *words: str, seconds: int = 120) -> tuple[int, str]:
        """Return pytest's exit status, negative for a signal such as that of too much processor time, and its output."""
        options = ("-q", "-o", "addopts=", "-p", "no:cacheprovider", "-p", "pytest_benchmark.plugin")
        asked = [str(self.package.parent), str(self.log), seconds, *options, *words]
        self.server.stdin.write(json.dumps(asked) + "\n")
        self.server.stdin.flush()
        return int(self.server.stdout.readline()), self.log.read_text(errors="replace", encoding="utf-8").rstrip()

    @contextmanager
    def planted(self, file: str, source: str) -> Iterator[None]:
        """Let a file of the copy have another source inside."""
        place = self.package / file
        place.write_text(source, encoding="utf-8")
        try:
            yield
        finally:
            shutil.copy2(PACKAGE / file, place)  # with its time, by which compiled files are known

    def close(self) -> None:
        self.server.stdin.close()
        self.server.wait()
        self.server.stdout.close()
