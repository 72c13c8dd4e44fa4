"""Models: what a network predicts, said in a word, and the linear algebra between the predictions.

With z = alpha x0 + sigma eps of eq. (1), each prediction m is a combination of x0 and eps:

======== ==================================
eps      m = eps
x0       m = x0
v        m = alpha eps - sigma x0
velocity m = alpha_dot x0 + sigma_dot eps
score    m = -eps / sigma, eq. (5)
======== ==================================
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from bdia_numerics.grids import Point
from bdia_numerics.schedules import Schedule
from bdia_numerics.spaces import Scalar, shaped
from bdia_numerics.spaces.values import of_kind, ordered, share
from bdia_numerics.texts import one_of, refuse, shown

PREDICTIONS = {"eps": "epsilon", "x0": "sample", "v": "v_prediction", "velocity": "flow_prediction", "score": ""}
"""What models predict, each with the word that diffusers' configurations have for it. Those of CompVis use our first three words."""

Model = Callable[[Any, Any], Any]
"""``model(z, t)``: states (*batch, *data) and a time to a prediction of the same shape and dtype."""


@dataclass(frozen=True)
class Predicting:
    """A model with a word on what it predicts."""

    model: Model
    prediction: str

    def __post_init__(self) -> None:
        if not callable(self.model):
            raise TypeError(f"model={shown(self.model)} is not callable: pass a function of (z, t)")
        said = _known(getattr(self.model, "prediction", self.prediction))
        if said != _known(self.prediction):
            raise ValueError(
                f"model={shown(self.model)} predicts {said}, not {self.prediction}: convert it with models.as_prediction"
            )

    def __call__(self, z: Any, t: Any) -> Any:
        """Return the model's own output at states z and time t."""
        return self.model(z, t)


def x0(f: Model) -> Predicting:
    """Say that f predicts the clean data."""
    return Predicting(f, "x0")


def v(f: Model) -> Predicting:
    """Say that f predicts v = alpha eps - sigma x0 (Salimans and Ho 2022)."""
    return Predicting(f, "v")


def velocity(f: Model) -> Predicting:
    """Say that f predicts dz/dt = alpha_dot x0 + sigma_dot eps, as flow matching does."""
    return Predicting(f, "velocity")


def score(f: Model) -> Predicting:
    """Say that f predicts the gradient of log q, eq. (5).

    Parameters
    ----------
    f
        A function of (z, t).

    Returns
    -------
    Predicting
        The model, which says what it predicts.

    Raises
    ------
    TypeError
        For what is not callable.

    Examples
    --------
    >>> from bdia_numerics import models
    >>> models.score(lambda z, t: -z).prediction
    'score'
    """
    return Predicting(f, "score")


def _known(prediction: str) -> str:
    if type(prediction) is str and prediction in PREDICTIONS:
        return prediction  # asked in each slot of a step
    ours = next((word for word, theirs in PREDICTIONS.items() if theirs == prediction != ""), None)
    if ours is not None:
        raise ValueError(f"prediction={shown(prediction)} is a word of diffusers' configurations: use {ours}")
    return one_of("prediction", prediction, PREDICTIONS)


def prediction_of(model: Model) -> str:
    """Return what a model predicts: its `prediction`, "eps" for a plain callable; ValueError for an unknown word."""
    return _known(getattr(model, "prediction", "eps"))


@dataclass(frozen=True)
class Trained:
    """The schedule of a network's training, in the times of a grid: asked for levels between whole training steps, it has the next ones.

    Attributes
    ----------
    schedule
        In the network's own times.
    scale
        What a grid's times are multiplied by to be those.
    """

    schedule: Schedule
    scale: Any = 1

    def __str__(self) -> str:
        return str(self.schedule)

    def alpha(self, t: Any) -> Any:
        """Return alpha at a time of the grid; ValueError outside the schedule."""
        return self.schedule.alpha(self.scale * t)

    def sigma(self, t: Any) -> Any:
        """Return sigma at a time of the grid; ValueError outside the schedule."""
        return self.schedule.sigma(self.scale * t)

    def slack(self, t: Any, alpha: float, sigma: float) -> float:
        """Return by how much alpha and sigma may differ at a time: schedulers round times, and cut them at the ends of the table."""
        if not hasattr(self.schedule, "length"):
            return 0.0
        told, (low, high) = float(self.scale * t), (float(x) for x in (0, self.schedule.t_max))
        own = float(self.schedule.alpha(told)), float(self.schedule.sigma(told))
        wider = sigma * own[0] - alpha * own[1]
        if (told <= low and wider < 0) or (told >= high and wider > 0):
            return math.inf
        ends = [min(max(told + half, low), high) for half in (-0.5, 0.5)]
        return sum(abs(float(f(ends[1])) - float(f(ends[0]))) for f in (self.schedule.alpha, self.schedule.sigma))


def schedules_of(model: Any) -> tuple[Any, ...]:
    """Return the schedules that a model was made for: its own, and those of the models in it; none where they do not say."""
    own = getattr(model, "schedule", None)
    found = (own,) if hasattr(own, "alpha") and hasattr(own, "sigma") else ()
    if not isinstance(model, Predicting | Counted | Witnessed | _Guided | _Converted):
        return found
    parts = (model.cond, model.uncond) if isinstance(model, _Guided) else (model.model,)
    return found + tuple(schedule for part in parts for schedule in schedules_of(part))


@ordered
def guided(cond: Model, uncond: Model, scale: Any) -> Predicting:
    """Return classifier-free guidance, uncond + scale (cond - uncond).

    Parameters
    ----------
    cond, uncond
        Models with the same prediction.
    scale
        The guidance scale: 0 is uncond, 1 is cond. A number of the states' system.

    Raises
    ------
    ValueError
        If the predictions differ.
    """
    for name, model in (("cond", cond), ("uncond", uncond)):
        of_kind("model", name, model)
    kind, other = prediction_of(cond), prediction_of(uncond)
    odd = isinstance(scale, str | bytes) or scale is None or scale != scale
    refuse(
        (odd, f"scale={shown(scale)} is not a guidance scale: pass a finite number, such as 7.5"),
        (kind != other, f"cond predicts {kind} and uncond {other}: convert one with models.as_prediction"),
    )
    return Predicting(_Guided(cond, uncond, scale), kind)


@dataclass(frozen=True)
class _Guided:
    cond: Model
    uncond: Model
    scale: Any

    def __call__(self, z: Any, t: Any) -> Any:
        # A network may write every output into one array: the first one is kept, as its negative, which rounds nothing.
        less = -shaped(f"uncond(z, t={t})", self.uncond(z, t), z)
        return self.scale * (shaped(f"cond(z, t={t})", self.cond(z, t), z) + less) - less


@dataclass
class Counted:
    """A model that counts its evaluations in `nfe`."""

    model: Model
    nfe: int = 0

    @property
    def prediction(self) -> str:
        """What the model predicts."""
        return prediction_of(self.model)

    def __call__(self, z: Any, t: Any) -> Any:
        """Return the model's output at states z and time t, and count it."""
        self.nfe += 1
        return self.model(z, t)


def counted(model: Model) -> Counted:
    """Return the model with a counter of its evaluations, `nfe`; TypeError for what is not a model."""
    of_kind("model", "model", model)
    return Counted(model)


@dataclass
class Witnessed:
    """A model that remembers a digest of what it gave for each input; `unsteady` says where one input gave two outputs."""

    model: Model
    unsteady: str = ""
    _seen: dict[bytes, bytes] = field(default_factory=dict, repr=False)

    @property
    def prediction(self) -> str:
        """That of the model."""
        return prediction_of(self.model)

    def __call__(self, z: Any, t: Any) -> Any:
        """Return the model's output at states z and time t, and compare it with what it was before."""
        key = hashlib.blake2b(np.ascontiguousarray(z).tobytes() + repr(t).encode()).digest()
        output = self.model(z, t)
        value = hashlib.blake2b(np.ascontiguousarray(output).tobytes()).digest()
        if self._seen.setdefault(key, value) != value and not self.unsteady:
            self.unsteady = f"model(z, t={t}) gave two outputs for the same z: make it deterministic"
        return output


def witnessed(model: Model) -> Witnessed:
    """Return the model with a memory of what it gave, for arrays: `unsteady` is empty as long as it repeats itself."""
    return Witnessed(model)


def form(source: str, target: str, point: Any) -> tuple[Scalar, Scalar]:
    """Return (a, b) with target = a z + b m at a point, for a model whose output m is the prediction `source`.

    m = p x0 + q eps and z = alpha x0 + sigma eps are two equations for x0 and eps; both are solved for, and put into the target.

    Parameters
    ----------
    source, target
        Each one of `PREDICTIONS`.
    point
        Has alpha and sigma, and for "velocity" alpha_dot and sigma_dot: scalars of any number system.

    Raises
    ------
    ValueError
        Where the conversion diverges, or a derivative is not known; for an unknown prediction.
    """
    a, b = _form(_known(source), _known(target), point)
    return _field(a), _field(b)


def _form(source: str, target: str, point: Any) -> tuple[Scalar, Scalar]:
    alpha, sigma = _field(point.alpha), _field(point.sigma)
    if source == target:
        return 0, 1
    if source == "score":  # eps = -sigma m, without a division
        a, b = _form("eps", target, point)
        return a, -sigma * b
    if target == "score":
        a, b = _form(source, "eps", point)
        return _over(-a, sigma, "score", "sigma"), _over(-b, sigma, "score", "sigma")
    combinations = {"eps": (0, 1), "x0": (1, 0), "v": (-sigma, alpha)}
    (p, q), (x0, eps) = (combinations.get(kind) or _derivatives(point) for kind in (source, target))
    determinant = alpha * q - sigma * p
    name = _DETERMINANTS[source]
    return (
        _over(x0 * q - eps * p, determinant, source, name),
        _over(alpha * eps - sigma * x0, determinant, source, name),
    )


_DETERMINANTS = {
    "eps": "alpha", "x0": "sigma", "v": "alpha^2 + sigma^2", "velocity": "alpha*sigma_dot - sigma*alpha_dot",
}  # fmt: skip


def eps_form(prediction: str, point: Any) -> tuple[Scalar, Scalar]:
    """Return (a, b) with eps = a z + b m at a point, for a model that predicts m; see `form`."""
    return form(prediction, "eps", point)


def x0_form(prediction: str, point: Any) -> tuple[Scalar, Scalar]:
    """Return (a, b) with x0 = a z + b m at a point, for a model that predicts m; see `form`."""
    return form(prediction, "x0", point)


def velocity_form(prediction: str, point: Any) -> tuple[Scalar, Scalar]:
    """Return (a, b) with dz/dt = a z + b m at a point, for a model that predicts m; see `form`."""
    return form(prediction, "velocity", point)


def v_form(prediction: str, point: Any) -> tuple[Scalar, Scalar]:
    """Return (a, b) with v = alpha eps - sigma x0 = a z + b m at a point, for a model that predicts m; see `form`."""
    return form(prediction, "v", point)


def _derivatives(point: Any) -> tuple[Scalar, Scalar]:
    if point.alpha_dot is None or point.sigma_dot is None:
        raise ValueError(
            f"velocity needs alpha_dot and sigma_dot at t={point.t}, which are unknown or diverge there: "
            "use a grid with a schedule that ends before it"
        )
    return _field(point.alpha_dot), _field(point.sigma_dot)


def _field(x: Scalar) -> Scalar:
    # 1/c of an int is a float in Python, which would enter exact runs.
    return Fraction(x) if isinstance(x, int) else x


def _over(top: Scalar, bottom: Scalar, prediction: str, name: str) -> Scalar:
    if bottom == 0:
        remedy = {"alpha": "v, velocity or x0", "sigma": "eps, v or velocity"}.get(name, "eps or x0")
        raise ValueError(
            f"{name} = 0: {prediction} leaves the state open there: predict {remedy}, or end the grid before it"
        )
    return top / bottom


def _plus(a: Scalar, z: Any, b: Scalar, m: Any) -> Any:
    # A zero coefficient drops its term, and with it its dtype and a possible 0 * inf.
    if _is(a, 0):
        return m if _is(b, 1) else b * m
    return a * z if _is(b, 0) else a * z + (m if _is(b, 1) else b * m)


def _is(c: Scalar, number: int) -> bool:
    return bool(c == number) if not hasattr(c, "shape") or c.shape == () else False


@ordered
def as_eps(model: Model, schedule: Schedule) -> Model:
    """Return the noise prediction of a model of any prediction; ValueError at times where it is not determined."""
    return as_prediction(model, schedule, "eps")


@ordered
def as_prediction(model: Model, schedule: Schedule, prediction: str) -> Predicting:
    """Return a model converted to another prediction.

    Parameters
    ----------
    model
        Any model.
    schedule
        The noise levels at which it is asked.
    prediction
        What the result predicts, one of `PREDICTIONS`.

    Raises
    ------
    ValueError
        For an unknown prediction; when called, at times where the result is not determined.
    """
    source, target = prediction_of(model), _known(prediction)
    if source == target:
        return Predicting(model, target)
    return Predicting(_Converted(model, schedule, source, target), target)


@dataclass(frozen=True)
class _Converted:
    model: Model
    schedule: Schedule
    source: str
    target: str

    def __call__(self, z: Any, t: Any) -> Any:
        point = Point(t, self.schedule.alpha(t), self.schedule.sigma(t))
        if "velocity" in (self.source, self.target):
            point = Point(*point[:3], self.schedule.alpha_dot(t), self.schedule.sigma_dot(t))
        a, b = _form(self.source, self.target, point)
        return _plus(a, z, b, shaped(f"model(z, t={t})", self.model(z, t), z))


share(Predicting, Trained, Counted, Witnessed, _Guided, _Converted)
