"""What a model predicts and its dtype are words of one table each, and every reader names the nearest where one is misspelt."""

import ast
from pathlib import Path

import pytest

import bdia_numerics
from bdia_numerics import DDIM, analysis, configs, grids, models, names, schedules, solve

GRID = grids.uniform(schedules.vp_linear(), 4, t_min=0.1)
LDM = {
    "model": {"params": {"timesteps": 1000, "linear_start": 0.00085, "linear_end": 0.012, "parameterization": "veps"}}
}


def mine(word):
    """Return a model that says by itself what it predicts."""
    model = lambda z, t: z  # noqa: E731
    model.prediction = word
    return model


def scheduler(**config):
    pytest.importorskip("diffusers", reason="needs the extra torch")
    from bdia_numerics.torch.schedulers import BDIAScheduler

    return BDIAScheduler(**config)


def network(**fields):
    pytest.importorskip("torch", reason="needs the extra torch")
    from bdia_numerics.torch import NetworkModel

    return NetworkModel(lambda z, t: z, **fields)


@pytest.mark.parametrize(
    ("read", "message"),
    [
        (lambda: models.Predicting(mine("v"), "velocty"), "prediction='velocty' is unknown: use velocity"),
        (lambda: solve(DDIM(), mine("velocty"), GRID, 1.0), "prediction='velocty' is unknown: use velocity"),
        (lambda: analysis.lint(GRID, prediction="velocty"), "prediction='velocty' is unknown: use velocity"),
        (lambda: models.Predicting(mine("v"), "sample"), "of diffusers' configurations: use x0"),
        (lambda: network(prediction="v_prediction"), "prediction='v_prediction' is a word of .*: use v$"),
        (lambda: network(prediction="velocty"), "prediction='velocty' is unknown: use velocity"),
        (
            lambda: configs.from_mapping({"_class_name": "DDIMScheduler", "prediction_type": "epsilo"}).prediction,
            "prediction_type='epsilo' is unknown: use epsilon",
        ),
        (lambda: scheduler(prediction_type="epsilo"), "prediction_type='epsilo' is unknown: use epsilon"),
        (lambda: scheduler(prediction_type="flow_prediction"), "'flow_prediction' is unknown: use v_prediction"),
        (lambda: configs.from_mapping(LDM), "parameterization='veps' is unknown: use eps"),
        (lambda: scheduler(state_dtype="flaot32"), "dtype='flaot32' is unknown: use float32"),
        (lambda: analysis.lint(GRID, dtype="flaot32"), "dtype='flaot32' is unknown: use float32"),
        (lambda: analysis.lint(GRID, dtype="bfloat16"), "dtype='bfloat16' is unknown: use float16"),
    ],
)
def test_a_misspelt_word_is_answered_by_the_nearest(read, message):
    with pytest.raises(ValueError, match=message):
        read()


def test_the_words_of_diffusers_are_those_of_its_classes():
    """Each of our words has at most one of theirs, and `score` none."""
    assert configs.PREDICTIONS == {"epsilon": "eps", "sample": "x0", "v_prediction": "v", "flow_prediction": "velocity"}
    assert set(models.PREDICTIONS) - set(configs.PREDICTIONS.values()) == {"score"}


def test_dtypes_of_tensors_are_those_of_the_table():
    torch = pytest.importorskip("torch", reason="needs the extra torch")
    from bdia_numerics.torch.tensors import DTYPES

    assert (torch.float16, torch.bfloat16, torch.float32, torch.float64) == DTYPES
    assert [str(dtype).removeprefix("torch.") for dtype in DTYPES] == [*names.TORCH_DTYPES]


PACKAGE = Path(bdia_numerics.__file__).parent
OWN = {"names.py": set(names.DTYPES), "models.py": set(configs.PREDICTIONS) - {"sample"}}


@pytest.mark.parametrize("home", OWN)
def test_no_second_table(home):
    """A list of most of these words, or a mapping from them, outside of its home would be one that can differ from it."""
    few = 2 + (home == "names.py")
    texts = {path: path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py") if path != PACKAGE / home}
    found = [
        f"{path.relative_to(PACKAGE)}:{node.lineno}"
        for path, text in texts.items()
        if sum(word in text for word in OWN[home]) >= few  # without them there is no such table, and nothing to parse
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Tuple | ast.List | ast.Set | ast.Dict)
        if len(OWN[home] & {getattr(x, "value", None) for x in ast.iter_child_nodes(node)}) >= few
    ]
    assert len(texts) > 200
    assert found == []
