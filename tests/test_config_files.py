"""Configurations of public models and combinations of options: the walk of diffusers' own scheduler, or a refusal in words."""

import inspect
import json
from pathlib import Path

import pytest
from config_matrix import Case, outcome

from bdia_numerics import configs

diffusers = pytest.importorskip("diffusers", reason="the extra torch is missing")
pytestmark = pytest.mark.filterwarnings("ignore")
FILES = sorted((Path(__file__).parent / "configs").glob("*.json"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_walk_is_that_of_diffusers_or_is_refused(path):
    """The file as it stands is read; of it, diffusers' scheduler is made with what its class takes."""
    config, entries = configs.read(path), json.loads(path.read_text(encoding="utf-8"))
    mu = 0.8 if config["use_dynamic_shifting"] else None
    if not config.known:
        with pytest.raises(ValueError, match=f"the walk of {config.name} is not read: "):
            configs.layout(config, 20, mu=mu)
        assert path.stem == "stable_cascade"
        return
    taken = inspect.signature(getattr(diffusers, config.name).__init__).parameters
    own = {key: value for key, value in entries.items() if key in taken}
    for steps in (7, 20):
        walk = configs.layout(config, steps, mu=mu)
        reduced = configs.layout(configs.from_mapping(own | {"_class_name": config.name}), steps, mu=mu)
        assert (walk.told, walk.steps) == (reduced.told, reduced.steps)
        assert outcome(Case(config.name, own, steps, mu)).kind == "same"
