"""Studies: functions of a frozen configuration that return results as data; nothing is drawn or printed here."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from bdia_numerics.spaces.values import share
from bdia_numerics.studies.engine.cluster import cluster
from bdia_numerics.studies.engine.journal import Task
from bdia_numerics.studies.engine.local import Outcome, Pool, processes, serial
from bdia_numerics.studies.engine.running import data_hash, load, run, save, tasks
from bdia_numerics.studies.study import Study, Variable


def _found() -> dict[str, Study]:
    """Return the studies that the modules of this folder hold."""
    names = (module.name for module in iter_modules(__path__) if not module.ispkg)
    held = [value for name in names for value in vars(import_module(f"{__name__}.{name}")).values()]
    return {value.name: value for value in held if isinstance(value, Study)}


STUDIES = _found()
"""By name: what `bdia sweep --study NAME` runs. A study is added by a file of this folder that holds it."""

__all__ = [
    "STUDIES",
    "Outcome",
    "Pool",
    "Study",
    "Task",
    "Variable",
    "cluster",
    "data_hash",
    "load",
    "processes",
    "run",
    "save",
    "serial",
    "tasks",
]

__dir__ = __all__.copy  # what completion shows
share(*map(globals().get, __all__))
