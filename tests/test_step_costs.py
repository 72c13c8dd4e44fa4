"""What a scheduler's step does besides its sum, counted: nothing is worked out anew that a run knows already."""

import sys
from collections import Counter

import pytest

torch = pytest.importorskip("torch", reason="needs the extra torch")
pytest.importorskip("diffusers", reason="needs the extra torch")
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

from bdia_numerics.runs import stepwise  # noqa: E402
from bdia_numerics.schedules import Discrete  # noqa: E402
from bdia_numerics.torch.schedulers import BDIAInverseScheduler, BDIAScheduler, EDICTScheduler  # noqa: E402
from bdia_numerics.torch.tensors import Tensors  # noqa: E402

pytestmark = pytest.mark.filterwarnings(r"ignore:BDIA.* on these 10 slots. expect an error")
N = 10
Z, OUTPUT = torch.randn(2, 1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
CASES = {
    "BDIA": lambda: BDIAScheduler(state_dtype=None),
    "BDIA in float64": BDIAScheduler,
    "BDIA inverse": lambda: BDIAInverseScheduler(state_dtype=None),
    "EDICT": lambda: EDICTScheduler(state_dtype=None),
    "gamma = 0": lambda: BDIAScheduler(gamma=0.0),
    "gamma = 0, not clipped": lambda: BDIAScheduler(gamma=0.0, clip_sample=False),
}


class Kernels(TorchDispatchMode):
    """Counts what is computed; views and single numbers read are no kernels."""

    def __init__(self):
        super().__init__()
        self.count = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        if name not in ("view", "detach", "alias", "select", "_local_scalar_dense"):
            self.count[name] += 1
        return func(*args, **(kwargs or {}))


def steps(scheduler, *, preview):
    """Make the first step, and then yield before and after each further one; a run of its own before them fills the caches."""
    for fill in (True, False):
        scheduler.set_timesteps(N)
        z = Z
        for k, t in enumerate(scheduler.timesteps):
            if k and not fill:
                yield
            found = scheduler.step(OUTPUT, t, z, return_dict=preview)
            z = found.prev_sample if preview else found[0]
            if k and not fill:
                yield


def counted(monkeypatch, owner, name):
    """Count the calls of a function."""
    calls, function = [], getattr(owner, name)

    def counting(*args, **kwargs):
        calls.append(args)
        return function(*args, **kwargs)

    monkeypatch.setattr(owner, name, counting)
    return calls


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("preview", [True, False], ids=["object", "tuple"])
def test_what_a_run_knows_is_not_asked_again(case, preview, monkeypatch):
    """The text of the solver, by which its shape is found, the levels of the schedule; and a Status is made where a run fails."""
    asked = sys.modules["bdia_numerics.program.identity"]  # the package has the function of that name
    places = [
        (asked, "identity"),
        (Discrete, "alpha"),
        (Discrete, "sigma"),
        (stepwise, "Status"),
    ]
    stepping = steps(CASES[case](), preview=preview)
    next(stepping)
    calls = {name: counted(monkeypatch, owner, name) for owner, name in places}
    assert list(stepping)
    assert {name: len(found) for name, found in calls.items()} == dict.fromkeys(calls, 0)


# New registers of a step, of which EDICT's first has none and its second two; and kernels for a pipeline, and with the data prediction.
COUNTS = {
    "BDIA": (1, 4, 6),
    "BDIA in float64": (2, 6, 9),
    "BDIA inverse": (1, 4, 6),
    "EDICT": (2, 9, 11),
    "gamma = 0": (1, 16, 16),
    "gamma = 0, not clipped": (1, 3, 5),
}


@pytest.mark.parametrize("case", CASES)
def test_each_new_register_is_looked_at_once(case, monkeypatch):
    """A sample that is a register rounded to another dtype is looked at, too, since it alone may overflow."""
    stepping = steps(CASES[case](), preview=True)
    looks, most = counted(monkeypatch, Tensors, "finite"), 0
    for _ in stepping:
        looks.clear()
        next(stepping)
        most = max(most, len(looks))
    assert most == COUNTS[case][0]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("preview", [False, True], ids=["tuple", "object"])
def test_kernels_of_a_step(case, preview):
    """At most nine for a pipeline, and fewer where one output makes one register; clipping makes the prediction and a state of it anew."""
    stepping, most = steps(CASES[case](), preview=preview), 0
    for _ in stepping:
        with Kernels() as kernels:
            next(stepping)
        most = max(most, kernels.count.total())
    assert most <= COUNTS[case][1 + preview], kernels.count
