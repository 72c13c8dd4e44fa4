"""Rules on a configuration: where the model is evaluated, where steps begin and end, and what is done to predictions."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from bdia_numerics.analysis.lint import measure
from bdia_numerics.analysis.lint.grid_rules import Case, Cost, Finding, Rule
from bdia_numerics.analysis.measurement.errors import root_mean_square
from bdia_numerics.configs import SchedulerConfig, Walk
from bdia_numerics.configs.tables import times_of
from bdia_numerics.texts import shown

AWAY = 1.5
"""Training steps between the time that is told and that of its level, above which it is another: times are cut to whole numbers."""


def steps_not_dividing(case: Case) -> Iterator[Finding]:
    """Find steps that end elsewhere than the next one begins: t - T//S is not the next time."""
    if case.config.rule == "ldm" and len(case.walk.steps) != case.steps:
        yield Finding(
            "steps-not-dividing",
            "warning",
            f"steps={case.steps}",
            f"{case.steps} does not divide {case.length}: times {case.length // case.steps} apart make {len(case.walk.steps)} evaluations",
            f"ask for a divisor of {case.length}",
            Cost("evaluations", len(case.walk.steps), case.steps),
        )
    if case.config.rule not in ("jump", "inverse") or case.walk.consistent:
        return
    steps = case.walk.steps
    gaps = [a for a, b in pairwise(steps) if not math.isclose(a.s_end, b.s, rel_tol=1e-9)]
    linked, last = tuple(replace(step, s_end=after.s) for step, after in pairwise(steps)), steps[-1]
    right = replace(
        case.walk, steps=(*linked, last) if last.t >= 0 else (*linked[:-1], replace(linked[-1], s_end=last.s_end))
    )
    if case.config.rule == "inverse":
        right = replace(case.walk, steps=(steps[0], *(replace(b, s=a.s_end) for a, b in pairwise(steps))))
    yield Finding(
        "steps-not-dividing",
        "error",
        f"steps={case.steps}, {case.entry('timestep_spacing')}",
        f"steps end {case.length // case.steps} below their time, which in {len(gaps)} of {len(case.walk.steps)} is not where "
        f"the next one begins (after t={gaps[0].t:g}): the state is taken for one of another noise level",
        f"end each step at the next time, or use leading spacing, or a number of steps that divides {case.length}",
        _cost(case.walk, right),
    )


def _cost(walk: Walk, right: Walk | None = None, **how: Any) -> Cost | None:
    """Return the error of a walk, made `how` it is, and of the right one; None where a level rises, so that there is no step to run."""
    try:
        return Cost(measure.ERROR, measure.error(walk, **how), measure.error(right or walk))
    except (ValueError, ZeroDivisionError):
        return None


def beyond(config: SchedulerConfig, said: str) -> Finding:
    """Return the finding of a scheduler that stops at a time beyond its table."""
    where = f"steps_offset={config['steps_offset']!r}, timestep_spacing={config['timestep_spacing']!r}"
    return Finding(
        "out-of-table", "error", where, said.partition(":")[0], "lower steps_offset, or take another spacing"
    )


def out_of_table(case: Case) -> Iterator[Finding]:
    """Find times that the table does not have: beyond its end, or -1, which reads its last entry."""
    if not case.tabled or case.walk.levels.kind != "vp" or case.config["timestep_type"] == "continuous":
        return
    for t in dict.fromkeys(t for t in case.walk.told if not 0 <= t <= case.length - 1):
        if t < 0:
            what = "an index that reads the table's last, noisiest entry" if case.config.rule == "jump" else "no time"
            message = f"rounding gives a superfluous time t={t:g}, {what}"
            remedy = f"take one step more or fewer than {case.steps}"
        else:
            message = f"the network is told t={t:g}, beyond the {case.length - 1} of its training, while the level is the last one's"
            remedy = "lower steps_offset, or take another spacing"
        cost = Cost("evaluations", len(case.walk.steps), case.steps) if t < 0 else None
        yield Finding(
            "out-of-table",
            "error",
            f"steps={case.steps}, {case.entry('timestep_spacing', 'steps_offset')}",
            message,
            remedy,
            cost,
        )


def repeated_times(case: Case) -> Iterator[Finding]:
    """Find levels of which several are told the same time: the network cannot tell them apart."""
    times = [step.t for step in case.walk.steps]
    if repeated := [t for t in dict.fromkeys(times) if times.count(t) > 1]:
        worst = max(repeated, key=times.count)
        yield Finding(
            "repeated-times",
            "error",
            case.entry(
                "use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas", "use_lu_lambdas", "beta_schedule"
            ),
            f"t={worst:g} is told {times.count(worst)} times, at different levels: times are rounded to the {case.length} of the table",
            f"leave out what repeats in {case.passed}, and an end that the class adds itself"
            if case.passed
            else "leave out the other kind of sigmas, or take fewer steps",
        )


def double_shift(case: Case) -> Iterator[Finding]:
    """Find levels of flow matching that are shifted twice."""
    shift = case.config["shift"]
    passed = case.passed
    if case.config.rule != "flow" or case.config["use_dynamic_shifting"] or shift == 1 or passed == "timesteps":
        return
    s = case.walk.steps[-1].s
    once = shift / (case.length + shift - 1)
    yield Finding(
        "double-shift",
        "warning" if passed else "note",
        case.entry("shift"),
        f"{passed} are shifted by {shift:g} when they are set: pass them unshifted"
        if passed
        else "the ends are shifted when the scheduler is made and again with the times: the last level is "
        f"{s / (1 + s):.3g}, where one shift gives {once:.3g}",
        "pass levels before the shift" if passed else "pass sigmas=linspace(1, 1/T, steps), as pipelines do",
    )


def told_elsewhere(case: Case) -> Iterator[Finding]:
    """Find times that are told at levels of other times: classes shift, spread and interpolate levels that they tell as they were."""
    walk, flow = case.walk, case.config.rule == "flow" and not case.config["invert_sigmas"]
    own = flow and case.asked.get("timesteps") is not None
    if not own and (case.config["interpolation_type"] != "log_linear" or case.config.preconditioned is not None):
        return
    s, told = np.array([[step.s, step.t] for step in walk.steps]).T
    right = walk.levels.sigma(s) * case.length
    if walk.table is not None:
        right = times_of(s, np.sqrt((1 - walk.table) / walk.table))
    k = int(abs(right - told).argmax())
    if abs(right[k] - told[k]) > AWAY:
        yield Finding(
            "told-elsewhere",
            "error",
            f"timesteps={shown(case.asked['timesteps'])}" if own else case.entry("interpolation_type"),
            f"the network is told t={told[k]:g} at the level of t={right[k]:.4g}: the class makes other levels of these times",
            "pass sigmas alone, of which it makes the times"
            if own
            else "set interpolation_type='linear', or use_exponential_sigmas=True, with which the times are those of the levels",
        )


def evaluations(case: Case) -> Iterator[Finding]:
    """Find walks with more evaluations than steps."""
    if case.walk.nfe != case.steps and case.config.rule != "ldm" and not any(t < 0 for t in case.walk.told):
        yield Finding(
            "evaluations",
            "note",
            f"_class_name={case.config.name!r}",
            f"{case.steps} steps evaluate the network {case.walk.nfe} times",
            "compare samplers at equal evaluations, not at equal steps",
            Cost("evaluations", case.walk.nfe, float("nan")),
        )


def zero_length(case: Case) -> Iterator[Finding]:
    """Find steps that move nothing: an evaluation wasted, and 0/0 in O-BELM, which divides by the step."""
    tabled, last = "set_alpha_to_one" in case.config.values, case.walk.steps[-1]
    for step in case.walk.steps:
        if step.s != step.s_end:
            continue
        both = case.config["steps_offset"] and not case.config["set_alpha_to_one"]
        better = case.with_walk(**({"set_alpha_to_one": True} if both else {"steps_offset": 1})) if tabled else None
        yield Finding(
            "zero-length-slot",
            "error",
            case.entry("steps_offset", "set_alpha_to_one") if tabled else case.entry("final_sigmas_type"),
            f"the step from t={step.t:g} begins and ends at the same noise level"
            f"{'' if tabled or step is not last else ', the lowest one'}: its evaluation is "
            "wasted, and methods that divide by the step (O-BELM) have 0/0 there",
            "set steps_offset=1, or set_alpha_to_one=True"
            if tabled
            else f"leave out what repeats in {case.passed}, and an end that the class adds itself"
            if case.passed
            else "leave out the other kind of sigmas, or use final_sigmas_type='zero' where the class takes it",
            None if better is None else _cost(case.walk, better),
        )


def negative(case: Case) -> Iterator[Finding]:
    """Find steps that go the wrong way."""
    up, passed = case.config.name.endswith("InverseScheduler"), case.passed
    where = f"steps={case.steps}, {case.entry('steps_offset', 'timestep_spacing')}"
    for step in case.walk.steps:
        if (step.s_end > step.s) != up and step.s_end != step.s:
            yield Finding(
                "negative-slot",
                "error",
                f"{passed}={shown(case.asked[passed])}" if passed else where,
                f"the step from t={step.t:g} goes {'to less' if up else 'to more'} noise",
                f"sort {passed}, noise end first"
                if passed
                else f"take fewer steps than {case.steps}, or another spacing",
            )


def start_below_noise(case: Case) -> Iterator[Finding]:
    """Find runs that take pure noise for a state of a time that still holds some data."""
    first = case.walk.steps[0]
    rising = first.s_end > first.s
    if case.walk.levels.kind != "vp" or rising or not math.isfinite(first.s):
        return
    assert case.walk.table is not None
    last = float(case.walk.table[-1])
    top = math.sqrt((1 - last) / last) if last else math.inf
    late = first.s < top * (1 - 1e-6)
    if (
        not late and case.config["rescale_betas_zero_snr"]
    ):  # there alpha is 0 but for a number that keeps sigma/alpha finite
        return
    trailing, end = case.with_walk(timestep_spacing="trailing") if late else None, case.walk.steps[-1].s_end
    better = math.inf if trailing is None else trailing.steps[0].s
    limit = next((k for k in ("sigma_max", "lambda_min_clipped") if case.config[k] not in (None, -math.inf)), "")
    where, remedy = case.entry("timestep_spacing", "steps_offset"), "use trailing spacing"
    if late and better <= first.s and (own := case.passed):
        begin = case.length - 1 if own == "timesteps" else f"{top:.4g}"
        where, remedy, better = f"{own}={shown(case.asked[own])}", f"begin {own} with the table's last, {begin}", top
    elif late and better <= first.s and limit:
        where, remedy, better = case.entry(limit), f"leave out {limit}", top
    remedied = measure.shift(better, end, case.walk.levels) if math.isfinite(better) else 0.0
    beyond = first.s > top * (1 + 1e-6)
    if beyond:
        where, remedy = case.entry("sigma_max"), "begin at a larger sigma"
    elif not late:
        where = case.entry("rescale_betas_zero_snr")
        remedy = "a network trained with rescale_betas_zero_snr and v-prediction has alpha = 0 there"
    place = f" of {case.length - 1}" if late else "" if beyond else ", the table's last"
    alpha = float(case.walk.levels.alpha(first.s))
    yield Finding(
        "start-below-noise",
        "warning" if late else "note",
        where,
        f"the first time is t={first.t:g}{place}, where alpha={alpha:.3g}: N(0, I) lacks that part of the data's mean",
        remedy,
        Cost(
            "error of a mean of one standard deviation (sqrt(n) times that for the average of n elements that share it)",
            measure.shift(first.s, end, case.walk.levels),
            remedied,
        ),
    )


def final_alpha(case: Case) -> Iterator[Finding]:
    """Find runs that end before clean data, and take the noisy state for data."""
    end = min(case.walk.steps[-1].s_end, case.walk.steps[0].s)
    if end == 0:
        return
    z = measure.states(end, case.walk.levels)
    left = root_mean_square(z - measure.LAW.flow(z, end, 0.0, case.walk.levels))
    where = "final_sigmas_type" if "final_sigmas_type" in case.config.values else "set_alpha_to_one"
    yield Finding(
        "final-alpha",
        "note",
        case.entry(where),
        f"the data end stands at sigma={float(case.walk.levels.sigma(end)):.3g}, not at clean data: an inversion must start there, "
        "and another library's default ends elsewhere",
        "use the same final alpha both ways; set_alpha_to_one=True (final_sigmas_type='zero') ends on clean data",
        Cost("rms of the noise left in the result, in standard deviations", left, 0.0),
    )


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
    yield Finding(
        "clip-sample",
        "error",
        f"clip_sample=True, clip_sample_range={limit:g}",
        "x0 is clipped in every step, which inverses do not undo, and for data beyond "
        f"[-{limit:g}, {limit:g}] (latents) another ODE",
        "set clip_sample=False",
        _cost(case.walk, change=measure.clipped(limit), keeps_eps=not case.config["use_clipped_model_output"]),
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
        _cost(case.walk, change=change, keeps_eps=True),
    )


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
    except ValueError as error:
        remedy = str(error).partition(": ")[2]
        what = f"{case.config.name} takes no network of this prediction on these levels"
        yield Finding("prediction-type", "error", case.entry("prediction_type"), what, remedy)
        return
    if case.walk.levels.kind == "one":  # EDM's network is read under its preconditioning
        return
    if case.config["invert_sigmas"]:
        what, remedy = (
            "the network predicts data less noise and is told 1 - sigma",
            "hand on minus its output, as velocity",
        )
        yield Finding(
            "prediction-type", "error" if case.prediction else "note", case.entry("invert_sigmas"), what, remedy
        )
    elif case.prediction is None:
        if makes != "eps":
            yield Finding(
                "prediction-type",
                "note",
                case.entry("prediction_type"),
                f"the network predicts {makes}: a plain callable is read as eps",
                f"wrap it: models.{makes}(network)",
                _cost(case.walk, change=measure.read_as(makes, "eps")),
            )
    elif case.prediction != makes:
        yield Finding(
            "prediction-type",
            "error",
            case.entry("prediction_type"),
            f"the network predicts {makes} and is read as {case.prediction}",
            f"wrap it: models.{makes}(network)" if makes != "eps" else "pass it as it is",
            _cost(case.walk, change=measure.read_as(makes, case.prediction)),
        )


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


RULES: tuple[Rule, ...] = (
    steps_not_dividing, out_of_table, repeated_times, double_shift, told_elsewhere, evaluations, zero_length, negative, start_below_noise,
    final_alpha, ignored_entries, clip_sample, thresholding, stochastic, prediction_type, zero_snr,
)  # fmt: skip
