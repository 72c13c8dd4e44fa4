"""Rules on the walk: where the model is evaluated, and where its steps begin and end."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from bdia_numerics.analysis.lint import measure
from bdia_numerics.analysis.lint.case import Case, Rule
from bdia_numerics.analysis.lint.findings import Cost, Finding
from bdia_numerics.analysis.measurement.errors import root_mean_square
from bdia_numerics.configs import SchedulerConfig, Walk


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
    gaps = [
        (a, b)
        for a, b in zip(case.walk.steps, case.walk.steps[1:], strict=False)
        if not math.isclose(a.s_end, b.s, rel_tol=1e-9)
    ]
    linked = tuple(
        replace(step, s_end=after.s) for step, after in zip(case.walk.steps, case.walk.steps[1:], strict=False)
    )
    last = case.walk.steps[-1]
    right = replace(
        case.walk, steps=(*linked, last) if last.t >= 0 else (*linked[:-1], replace(linked[-1], s_end=last.s_end))
    )
    if case.config.rule == "inverse":
        first = case.walk.steps[0]
        moved = tuple(replace(b, s=a.s_end) for a, b in zip(case.walk.steps, case.walk.steps[1:], strict=False))
        right = replace(case.walk, steps=(first, *moved))
    yield Finding(
        "steps-not-dividing",
        "error",
        f"steps={case.steps}, {case.entry('timestep_spacing')}",
        f"steps end {case.length // case.steps} below their time, which in {len(gaps)} of {len(case.walk.steps)} is not where "
        f"the next one begins (after t={gaps[0][0].t:g}): the state is taken for one of another noise level",
        f"end each step at the next time, or use leading spacing, or a number of steps that divides {case.length}",
        _cost(case.walk, right),
    )


def _cost(walk: Walk, right: Walk) -> Cost | None:
    try:
        return Cost(measure.ERROR, measure.error(walk), measure.error(right))
    except ValueError:  # a level rises, so that there is no step to run
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
            "leave out the other kind of sigmas, or take fewer steps",
        )


def double_shift(case: Case) -> Iterator[Finding]:
    """Find levels of flow matching that are shifted twice."""
    shift = case.config["shift"]
    if case.config.rule != "flow" or case.config["use_dynamic_shifting"] or shift == 1:
        return
    passed = next((key for key in ("sigmas", "timesteps") if case.asked[key] is not None), None)
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
    for step in case.walk.steps:
        if step.s == step.s_end:
            if "set_alpha_to_one" not in case.config.values:
                yield Finding(
                    "zero-length-slot",
                    "error",
                    case.entry("final_sigmas_type"),
                    f"the step from t={step.t:g} begins and ends at the same noise level, the lowest one: its evaluation is wasted, and "
                    "methods that divide by the step (O-BELM) have 0/0 there",
                    "leave out the other kind of sigmas, or use final_sigmas_type='zero' where the class takes it",
                )
                continue
            ways = {"set_alpha_to_one": True} if not case.config["set_alpha_to_one"] else {"steps_offset": 1}
            better = _better(case, "steps_offset" if not case.config["steps_offset"] else "set_alpha_to_one", ways)
            yield Finding(
                "zero-length-slot",
                "error",
                case.entry("steps_offset", "set_alpha_to_one"),
                f"the step from t={step.t:g} begins and ends at the same noise level: its evaluation is wasted, and methods that "
                "divide by the step (O-BELM) have 0/0 there",
                "set steps_offset=1, or set_alpha_to_one=True",
                None if better is None else _cost(case.walk, better),
            )


def _better(case: Case, key: str, ways: dict[str, Any]) -> Walk | None:
    try:
        return case.with_walk(**({"steps_offset": 1} if key == "steps_offset" else ways))
    except ValueError:
        return None


def negative(case: Case) -> Iterator[Finding]:
    """Find steps that go the wrong way."""
    up = case.config.name.endswith("InverseScheduler")
    for step in case.walk.steps:
        if (step.s_end > step.s) != up and step.s_end != step.s:
            yield Finding(
                "negative-slot",
                "error",
                f"steps={case.steps}, {case.entry('steps_offset', 'timestep_spacing')}",
                f"the step from t={step.t:g} goes {'to less' if up else 'to more'} noise",
                f"take fewer steps than {case.steps}, or another spacing",
            )


def start_below_noise(case: Case) -> Iterator[Finding]:
    """Find runs that take pure noise for a state of a time that still holds some data."""
    first = case.walk.steps[0]
    rising = first.s_end > first.s
    if case.walk.levels.kind != "vp" or rising or not math.isfinite(first.s):
        return
    assert case.walk.table is not None
    late = first.s < np.sqrt((1 - case.walk.table[-1]) / case.walk.table[-1]) * (1 - 1e-6)
    if (
        not late and case.config["rescale_betas_zero_snr"]
    ):  # there alpha is 0 but for a number that keeps sigma/alpha finite
        return
    better = _trailing(case) if late else math.inf
    end = case.walk.steps[-1].s_end
    remedied = measure.shift(better, end, case.walk.levels) if math.isfinite(better) else 0.0
    place = f"t={first.t:g} of {case.length - 1}" if late else f"t={first.t:g}, the table's last"
    yield Finding(
        "start-below-noise",
        "warning" if late else "note",
        case.entry("timestep_spacing", "steps_offset") if late else case.entry("rescale_betas_zero_snr"),
        f"the first time is {place}, where alpha={float(case.walk.levels.alpha(first.s)):.3g}: N(0, I) lacks that part of the data's mean",
        "use trailing spacing"
        if late
        else "a network trained with rescale_betas_zero_snr and v-prediction has alpha = 0 there",
        Cost(
            "error of a mean of one standard deviation (sqrt(n) times that for the average of n elements that share it)",
            measure.shift(first.s, end, case.walk.levels),
            remedied,
        ),
    )


def _trailing(case: Case) -> float:
    """Return the first level with trailing spacing; infinite where the class or what is passed does not leave a choice."""
    try:
        return case.with_walk(timestep_spacing="trailing").steps[0].s
    except ValueError:
        return math.inf


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


RULES: tuple[Rule, ...] = (
    steps_not_dividing, out_of_table, repeated_times, double_shift, evaluations, zero_length, negative, start_below_noise, final_alpha,
)  # fmt: skip
