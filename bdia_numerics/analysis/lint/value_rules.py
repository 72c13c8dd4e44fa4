"""Rules on single entries: what a scheduler does to predictions, and what it takes them for."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from bdia_numerics.analysis.lint import measure
from bdia_numerics.analysis.lint.case import Case, Rule
from bdia_numerics.analysis.lint.findings import Cost, Finding
from bdia_numerics.configs import PREDICTIONS, SchedulerConfig


def not_read(config: SchedulerConfig) -> Iterator[Finding]:
    """Say that the walk of a class is not read, so that no rule on it is run."""
    yield Finding(
        "unknown-class",
        "warning",
        f"_class_name={config.name!r}",
        f"the walk of this class is not read ({config.family.why}), and nothing is said about it",
        "take the walk from the scheduler itself: configs.from_scheduler",
    )
    if config.stochastic:
        yield Finding("stochastic", "error", f"_class_name={config.name!r}", _NOISY, _ODE_FORM)


_NOISY = "fresh noise is added in every step: two runs from one state end apart, and no inverse exists"
_ODE_FORM = "use the ODE form (DDIMScheduler with eta=0, algorithm_type='dpmsolver++'), or edit-friendly DDPM inversion"


def ignored_entries(case: Case) -> Iterator[Finding]:
    """Name entries that belong to other classes, which diffusers ignores in this one."""
    if case.config.ignored:
        yield Finding(
            "ignored-entries",
            "note",
            ", ".join(sorted(case.config.ignored)),
            f"{case.config.name} takes no such parameters, and does nothing with them",
            "remove them, unless another class is to be made of this configuration",
        )


def clip_sample(case: Case) -> Iterator[Finding]:
    """Find clipping of the predicted data, which is not a linear step any more."""
    if not case.config["clip_sample"]:
        return
    limit = float(case.config["clip_sample_range"] or 1.0)
    change = measure.clipped(limit)
    keeps = not case.config["use_clipped_model_output"]
    yield Finding(
        "clip-sample",
        "error",
        f"clip_sample=True, clip_sample_range={limit:g}",
        "x0 is clipped in every step, which inverses do not undo, and for data beyond "
        f"[-{limit:g}, {limit:g}] (latents) another ODE",
        "set clip_sample=False",
        Cost(measure.ERROR, _clipping_error(case, change, keeps), _plain_error(case)),
    )


def thresholding(case: Case) -> Iterator[Finding]:
    """Find dynamic thresholding, which mixes the elements of a sample."""
    if not case.config["thresholding"]:
        return
    ratio = float(case.config["dynamic_thresholding_ratio"] or 0.995)
    limit = float(case.config["sample_max_value"] or 1.0)

    def change(z: Any, eps: Any, alpha: float, sigma: float) -> Any:
        x0 = (z - sigma * eps) / alpha
        bound = np.clip(np.quantile(np.abs(x0), ratio), 1.0, limit)
        return (z - alpha * np.clip(x0, -bound, bound) / bound) / sigma

    yield Finding(
        "thresholding",
        "error",
        f"thresholding=True, dynamic_thresholding_ratio={ratio:g}",
        "x0 is scaled by a quantile of the whole sample in every step: not invertible, and only meant for pixels",
        "set thresholding=False",
        Cost(measure.ERROR, _clipping_error(case, change, True), _plain_error(case)),
    )


def _plain_error(case: Case) -> float:
    return measure.error(case.walk)


def _clipping_error(case: Case, change: measure.Change, keeps: bool) -> float:
    return measure.error(case.walk, change=change, keeps_eps=keeps)


def stochastic(case: Case) -> Iterator[Finding]:
    """Find samplers that add noise: no inverse, only an edit-friendly one."""
    if not case.config.stochastic:
        return
    entry = f"_class_name={case.config.name!r}"
    if not case.config.family.stochastic:
        entry = case.entry("algorithm_type" if "sde" in str(case.config["algorithm_type"]) else "stochastic_sampling")
    yield Finding(
        "stochastic",
        "error",
        entry,
        _NOISY,
        _ODE_FORM,
        Cost("rms distance of two runs from one state, in standard deviations", measure.spread(case.walk), 0.0),
    )


def prediction_type(case: Case) -> Iterator[Finding]:
    """Find a network that is read as another prediction than it makes; a consistency model's predicts data, under its own scaling."""
    if case.config.rule == "consistency":
        return
    try:
        makes = case.config.prediction
    except ValueError:
        yield Finding(
            "prediction-type",
            "error",
            case.entry("prediction_type"),
            "what the network predicts is not known",
            f"use one of {', '.join(PREDICTIONS)}",
        )
        return
    if case.walk.levels.kind == "one":  # EDM's network is read under its preconditioning
        return
    if case.prediction is None:
        if makes != "eps":
            yield Finding(
                "prediction-type",
                "note",
                case.entry("prediction_type"),
                f"the network predicts {makes}: a plain callable is read as eps",
                f"wrap it: models.{makes}(network)",
                _misread(case, makes, "eps"),
            )
    elif case.prediction != makes:
        yield Finding(
            "prediction-type",
            "error",
            case.entry("prediction_type"),
            f"the network predicts {makes} and is read as {case.prediction}",
            f"wrap it: models.{makes}(network)" if makes != "eps" else "pass it as it is",
            _misread(case, makes, case.prediction),
        )


def _misread(case: Case, makes: str, used: str) -> Cost | None:
    try:
        return Cost(measure.ERROR, measure.error(case.walk, change=measure.read_as(makes, used)), _plain_error(case))
    except (ValueError, ZeroDivisionError):
        return None


def zero_snr(case: Case) -> Iterator[Finding]:
    """Find alpha = 0 with a prediction that diverges there, and a table of it that is never reached."""
    if not case.tabled or not case.config["rescale_betas_zero_snr"]:
        return
    first, last = case.walk.steps[0], case.length - 1
    if first.s_end > first.s:  # towards the noise
        return
    if first.t < last:
        yield Finding(
            "zero-snr",
            "warning",
            case.entry("rescale_betas_zero_snr", "timestep_spacing"),
            f"the table ends at alpha = 0, but the first time is t={first.t:g} of {last}",
            "use trailing spacing, which begins at the last time",
        )
    elif case.config["prediction_type"] == "epsilon":
        what = "is 0/0" if math.isinf(first.s) else f"has the network's error {first.s:.0f} times"
        alpha = float(case.walk.levels.alpha(first.s))
        yield Finding(
            "zero-snr",
            "error",
            case.entry("rescale_betas_zero_snr", "prediction_type"),
            f"alpha = {alpha:.2g} at the first time, where x0 = (z - sigma eps)/alpha {what}",
            "use a network that predicts v, or end the grid before it",
        )


RULES: tuple[Rule, ...] = (ignored_entries, clip_sample, thresholding, stochastic, prediction_type, zero_snr)
