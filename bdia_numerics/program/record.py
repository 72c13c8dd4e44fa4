"""The recorder `s` that a solver's `step(s)` is written against, and the linear forms that it writes: coefficients, slot by slot.

Every value of a run has a number of its own (static single assignment): assigning a register gives it a new version,
swapping two registers moves versions about. A form is a linear combination of such numbers, so it knows which versions
it mentions, and a form that outlives one of them is found out when it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bdia_numerics import models, spaces
from bdia_numerics.grids import Between, Point
from bdia_numerics.program.identity import attributes
from bdia_numerics.program.ops import Combine, Evaluate, Held, Mix, Op, Slot, Time, Trace
from bdia_numerics.program.refusal import theirs
from bdia_numerics.schedules.base import angle_of
from bdia_numerics.spaces import Scalar, vanishes
from bdia_numerics.texts import shown


class StaleFormError(ValueError):
    """A form mentions a version of a register that has been overwritten."""


class Linear:
    """Algebra shared by forms and handles: sums, differences, multiples."""

    recorder: Recorder
    __array_ufunc__ = None  # a NumPy scalar on the left leaves the product to us

    def form(self) -> Form:
        """Return this value as a form."""
        raise NotImplementedError

    def __add__(self, other: object) -> Form:
        return self.form().plus(other)

    __radd__ = __add__

    def __sub__(self, other: object) -> Form:
        return self.form().plus(-other if isinstance(other, Linear) else other)

    def __rsub__(self, other: object) -> Form:
        return (-self).plus(other)

    def __neg__(self) -> Form:
        return Form(self.recorder, {number: -c for number, c in self.form().terms.items()})

    def __mul__(self, scalar: object) -> Form:
        if isinstance(scalar, Linear):
            raise TypeError(
                f"the product of {self} and {scalar} is not linear: a step program is linear in its registers, "
                "so multiply states in the model"
            )
        return self.form().times(self.recorder.scalar(scalar))

    __rmul__ = __mul__

    def __truediv__(self, scalar: object) -> Form:
        if isinstance(scalar, Linear):
            raise TypeError(
                f"the quotient of {self} by {scalar} is not linear: a step program is linear in its registers, "
                "so divide states in the model"
            )
        return self.form().times(1 / self.recorder.scalar(scalar))

    def __pow__(self, power: object) -> Form:
        raise TypeError(
            f"{self} to the power {shown(power)} is not linear: a step program is linear in its registers, "
            "so take powers of states in the model"
        )

    def __bool__(self) -> bool:
        raise TypeError(
            f"a step does not know the value of {self}: it is recorded once for all states, so branch on s.i, s.slot "
            "or a parameter"
        )

    def __gt__(self, other: object) -> bool:
        return bool(self)

    __lt__ = __ge__ = __le__ = __gt__


@dataclass(repr=False, eq=False)
class Form(Linear):
    """A linear combination of values: coefficients by the number of the value."""

    recorder: Recorder
    terms: Mapping[int, Any]

    def __repr__(self) -> str:
        names = [self.recorder.trace.names[number] for number in self.terms]
        return f"Form({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"

    def form(self) -> Form:
        """Return itself."""
        return self

    def plus(self, other: object) -> Form:
        """Return the sum with another value; the number 0 is accepted, so that `sum` works."""
        if isinstance(other, Linear):
            terms = dict(self.terms)
            for number, c in other.form().terms.items():
                terms[number] = terms[number] + c if number in terms else c
            return Form(self.recorder, terms)
        if isinstance(other, int) and other == 0:
            return self
        raise TypeError(f"{shown(other)} cannot be added to a linear form: a step program is linear in its registers")

    def times(self, scalar: Any) -> Form:
        """Return the multiple by a scalar of the field."""
        one = self.recorder.one
        return Form(self.recorder, {number: scalar if c is one else scalar * c for number, c in self.terms.items()})


@dataclass(frozen=True)
class Register(Linear):
    """A named register; as a form it stands for the version that it holds when it is mentioned."""

    recorder: Recorder = field(repr=False)
    name: str

    def form(self) -> Form:
        """Return the present version with coefficient 1."""
        return Form(self.recorder, {self.recorder.held[self.name].number: self.recorder.one})


@dataclass(frozen=True)
class Scratch(Linear):
    """A value computed within the step and dropped at its end."""

    recorder: Recorder = field(repr=False)
    number: int
    time: Any

    def form(self) -> Form:
        """Return the value with coefficient 1."""
        return Form(self.recorder, {self.number: self.recorder.one})


@dataclass(frozen=True)
class Evaluation(Linear):
    """One evaluation of the model, at one version and one time; in algebra it stands for eps."""

    recorder: Recorder = field(repr=False)
    number: int
    argument: int
    time: Any

    def form(self) -> Form:
        """Return eps, converted from what the model predicts."""
        return Form(self.recorder, {self.recorder.eps_number(self): self.recorder.one})


Conversion = Callable[[str, Point], tuple[Scalar, Scalar]]
"""`models.eps_form` and its like: multiples of the state and of the model's prediction."""


@dataclass(eq=False)  # handles are keys of a mix, and are hashed with their recorder
class Recorder:
    """What a step program may do. All scalars are exact: fractions, or symbolic expressions.

    Attributes
    ----------
    i : int
        Index of the slot's starting time: the step goes from t_i to t_{i-1}.
    registers : tuple of Register
        Handles in the order in which the solver names them.
    """

    trace: Trace
    i: Any
    held: dict[str, Held]
    ops: list[Op] = field(default_factory=list)
    own: set[int] = field(default_factory=set)
    solver: object = None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # of copies and of what looks for a protocol
            raise AttributeError(name)
        register = name in self.__dict__.get("held", ())
        use = f"write {name}, = s.registers" if register else f"s has {', '.join(_METHODS)}"
        raise AttributeError(f"a step has no s.{name}: {use}")

    @property
    def registers(self) -> tuple[Register, ...]:
        """Handles of the solver's registers, in the order in which it names them."""
        return tuple(Register(self, name) for name in self.held)

    @property
    def one(self) -> Scalar:
        """The exact number 1."""
        return self.trace.one

    def value(self, parameter: object) -> Scalar:
        """Return a parameter, exact: a number, a symbol, or a function of the slot.

        A float is the decimal that it prints as, but in runs on arrays of floats, which take it as it is.

        Raises
        ------
        TypeError
            If it is a number of another system.
        """
        if callable(parameter) and not hasattr(parameter, "free_symbols"):  # a sympy symbol is callable, too
            return self._of_slot(parameter)
        return self._parameter(parameter)

    def scalar(self, x: object) -> Scalar:
        """Return a factor in a form, exact; TypeError for a number of another system."""
        return self.trace.grid.space.field(x)

    def _parameter(self, x: object) -> Scalar:
        return spaces.parameter(self.trace.grid.space, x, written=self.trace.written)

    def _of_slot(self, function: Callable[[Slot], object]) -> Scalar:
        value = theirs(function, self.slot)
        try:
            return self._parameter(value)
        except (TypeError, ValueError) as error:
            names = (k for k, v in attributes(self.solver).items() if v is function)
            name = next(names, getattr(function, "__qualname__", "a parameter"))
            where = f"{name}={shown(value)} in the slot from i={self.i} to {self.i - 1}"
            raise type(error)(f"{where}: {error}; return a finite number of the run") from None

    def _converted(self, form_of: Conversion, time: Time, prediction: str = "") -> tuple[Scalar, Scalar]:
        """Return the form of a prediction, the model's by default, at a time; an error names the point where it diverges."""
        key = (form_of, time, prediction)
        if key not in self.trace.conversions:
            point = self.trace.point(time, derivatives=form_of is models.velocity_form)
            try:
                self.trace.conversions[key] = form_of(prediction or self.trace.prediction, point)
            except ValueError as error:
                grid = self.trace.grid
                index = grid.n - time if grid.is_reversed and isinstance(time, int) else time  # as in sampling
                raise ValueError(f"at i={index}, t={point.t}: {error}") from None
        return self.trace.conversions[key]

    @property
    def slot(self) -> Slot:
        """The slot from t_i to t_{i-1}."""
        return Slot(self.trace.grid, self.i)

    def t(self, time: Time) -> Scalar:
        """Return t at a time."""
        return self.trace.grid.space.field(self.trace.point(time).t)

    def alpha(self, time: Time) -> Scalar:
        """Return alpha at a time."""
        return self.trace.point(time).alpha

    def sigma(self, time: Time) -> Scalar:
        """Return sigma at a time."""
        return self.trace.point(time).sigma

    def sigma_bar(self, time: Time) -> Scalar:
        """Return sigma/alpha at a time; ValueError where alpha = 0."""
        if time not in self.trace.ratios:
            alpha = self.alpha(time)
            if self.is_zero(alpha):
                raise ValueError(
                    f"alpha = 0 at index {time}: sigma/alpha is infinite there; start at a time with alpha > 0"
                )
            self.trace.ratios[time] = self.sigma(time) / alpha
        return self.trace.ratios[time]

    def between(self, i: int, j: int, theta: Any, variable: str = "sigma_bar") -> Between:
        """Return the time at which `variable` is (1 - theta) of its value at t_i and theta, a parameter, of that at t_j."""
        return Between(i, j, self.value(theta), variable)

    def time(self, register: Register) -> Time:
        """Return the time at which a register stands."""
        return self.held[register.name].time

    def eps(self, x: Linear, *, at: Time | None = None) -> Evaluation:
        """Evaluate the model at a register, a scratch value or a form.

        It is evaluated once for each (version, time): asking again costs nothing while the version stands.

        Parameters
        ----------
        x
            Where to evaluate.
        at
            The time to tell the model; by default the time at which `x` stands. A bare form has none.
        """
        if isinstance(x, Form):
            x = self.scratch(x, at=at)
        if isinstance(x, Register):
            number, time = self.held[x.name]
        elif isinstance(x, Scratch):
            number, time = x.number, x.time
        else:
            raise TypeError(f"the model cannot be evaluated at {shown(x)}: pass a register, a scratch value or a form")
        time = time if at is None else at
        if time is None:
            raise ValueError("a scratch value has no time of its own: pass at=")
        self._check((number,), "the argument of the model")
        key = (number, time)
        if key not in self.trace.evaluations:
            target = self.trace.evaluations[key] = self.trace.new(f"eps({self.trace.names[number]}, {time})")
            self.ops.append(Evaluate(target, number, time))
        self.own.add(self.trace.evaluations[key])
        return Evaluation(self, self.trace.evaluations[key], number, time)

    def eps_number(self, e: Evaluation) -> int:
        """Return the number of the value eps; for other predictions it is computed where the model was evaluated."""
        if self.trace.prediction == "eps":
            return e.number
        key = (e.number, e.time)
        if key not in self.trace.evaluations:
            of_state, of_output = self._converted(models.eps_form, e.time)
            target = self.trace.evaluations[key] = self.trace.new(self.trace.names[e.number])
            output = (
                of_output,
                e.number,
            )  # kept where all vanishes, as eps = -sigma score at sigma = 0: an empty sum is not a state
            terms = tuple((c, n) for c, n in ((of_state, e.argument), output) if c != 0) or (output,)
            place = next((k + 1 for k, op in enumerate(self.ops) if getattr(op, "target", None) == e.number), 0)
            self.ops.insert(place, Combine(target, terms))
        self.own.add(self.trace.evaluations[key])
        return self.trace.evaluations[key]

    def delta(self, i: Time, j: Time, z: Linear, e: Linear) -> Form:
        """Return the DDIM approximation Delta(t_i -> t_j | z) of the integral, eq. (21) and (23).

        Where `e` was taken at `z` and t_i, what the model predicts is used as it is, so that the increment stays finite
        with alpha_i = 0 (x0, v, velocity) or sigma_i = 0 (eps, v, velocity). `e` may also be a combination of evaluations,
        or a register that holds one.
        """
        start, end = self.trace.point(i), self.trace.point(j)
        form = z.form()
        own = e if isinstance(e, Evaluation) and list(form.terms) == [e.argument] and e.time == i else None
        if own is not None and self.trace.prediction != "eps":
            x0_z, x0_m = self._converted(models.x0_form, i)
            eps_z, eps_m = self._converted(models.eps_form, i)
            output = Form(self, {own.number: end.alpha * x0_m + end.sigma * eps_m})
            return form.times(end.alpha * x0_z + end.sigma * eps_z - 1) + output
        if own is None and self.is_zero(start.alpha):
            raise ValueError(
                f"alpha = 0 at index {i}: the step takes eps at another state or time than the one it moves, "
                "and its coefficient diverges there: end the grid before it"
            )
        x0_z, x0_e = self._converted(models.x0_form, i, "eps")
        return form.times(end.alpha * x0_z - 1) + e.form().times(end.alpha * x0_e + end.sigma)

    def x0(self, z: Linear, e: Linear) -> Form:
        """Return the data prediction (z - sigma eps)/alpha; as the model gives it, where `e` was taken at `z`."""
        return self._predicted(models.x0_form, z, e)

    def velocity(self, z: Linear, e: Linear) -> Form:
        """Return dz/dt = alpha_dot x0 + sigma_dot eps, eq. (2); as the model gives it, where `e` was taken at `z`."""
        return self._predicted(models.velocity_form, z, e)

    def v(self, z: Linear, e: Linear) -> Form:
        """Return v = alpha eps - sigma x0, which is dz/dphi on a variance-preserving schedule; as the model gives it, as `x0`."""
        return self._predicted(models.v_form, z, e)

    def _predicted(self, form_of: Conversion, z: Linear, e: Linear) -> Form:
        if not isinstance(e, Evaluation) or list(z.form().terms) != [e.argument]:
            raise TypeError("x0, v and velocity need an evaluation and the value that it was taken at: z and s.eps(z)")
        of_state, of_output = self._converted(form_of, e.time)
        return z.form().times(of_state) + Form(self, {e.number: of_output})

    def angle(self, time: Time) -> Scalar:
        """Return phi = atan(sigma/alpha), rounded; ValueError unless alpha^2 + sigma^2 = 1, TypeError for fractions."""
        if ("angle", time) not in self.trace.ratios:
            space, point = self.trace.grid.space, self.trace.point(time)
            try:
                phi = angle_of(space, space.coefficient(point.alpha), space.coefficient(point.sigma))
            except ValueError as error:
                raise ValueError(f"at t={shown(point.t)} {error}") from None
            self.trace.ratios["angle", time] = space.field(phi)
        return self.trace.ratios["angle", time]

    def half_log_snr(self, time: Time) -> Scalar:
        """Return log(alpha/sigma), rounded in the grid's system; TypeError for fractions."""
        alpha, sigma = self.alpha(time), self.sigma(time)
        if (zero := self.is_zero(alpha)) or self.is_zero(sigma):
            t = self.trace.point(time).t
            raise ValueError(
                f"{'alpha' if zero else 'sigma'} = 0 at t={t}: log_snr is infinite there: end the grid before it"
            )
        return self.function("log", alpha / sigma)

    def function(self, name: str, x: Scalar) -> Scalar:
        """Return exp, expm1, log, log1p or sqrt of a scalar, rounded in the grid's system.

        TypeError for fractions, ZeroDivisionError for the logarithm of 0.
        """
        space = self.trace.grid.space
        if name == "log" and vanishes(space, x):
            raise ZeroDivisionError
        return space.field(getattr(space, name)(space.coefficient(x)))

    def root(self, x: int, n: int) -> Scalar:
        """Return the n-th root of a positive whole number, rounded in the grid's system; TypeError for fractions."""
        return self.function("exp", self.function("log", self.scalar(x)) / n)

    def is_zero(self, x: Scalar) -> bool:
        """Decide exactly whether a scalar is zero, for a step that differs where sigma or alpha vanishes."""
        return self.trace.grid.space.is_zero(x)

    def assign(self, register: Register, value: Linear, *, at: Time | None = None) -> None:
        """Give a register a new version, and move it to another time if `at` is given."""
        form = value.form()
        self._check(form.terms, f"the assignment of {register.name}")
        old, time = self.held[register.name]
        time = time if at is None else at
        target = self.trace.new(f"{register.name} at {time}", time)
        self.ops.append(Combine(target, self._terms(form), register.name, old))
        self.held[register.name] = Held(target, time)

    def mix(self, values: dict[Register, Linear], *, at: Time | None = None) -> None:
        """Replace several registers at once by linear combinations of themselves.

        A register that only takes over what another one held keeps its version, so evaluations at it are remembered.
        """
        names = tuple(r.name for r in values)
        olds = tuple(self.held[name].number for name in names)
        forms = [value.form() for value in values.values()]
        for form in forms:
            self._check(form.terms, f"the mix of {', '.join(names)}")
            if set(form.terms) - set(olds):
                raise ValueError(f"the mix of {', '.join(names)} mentions other values: use assign for those")
        zero = self.trace.grid.space.field(0)
        matrix = tuple(tuple(form.terms.get(old, zero) for old in olds) for form in forms)
        targets: list[int] = []
        for name, row in zip(names, matrix, strict=True):
            time = self.held[name].time if at is None else at
            kept = self._taken_over(row, olds)
            targets.append(self.trace.new(f"{name} at {time}", time) if kept is None or kept in targets else kept)
            self.held[name] = Held(targets[-1], time)
        self.ops.append(Mix(tuple(targets), olds, matrix, names))

    def _taken_over(self, row: tuple[Scalar, ...], olds: tuple[int, ...]) -> int | None:
        """Return the value that a row of a mix hands on unchanged, if it does."""
        space = self.trace.grid.space
        ones = [old for c, old in zip(row, olds, strict=True) if not vanishes(space, c)]
        return ones[0] if len(ones) == 1 and any(vanishes(space, c - self.one) for c in row) else None

    def swap(self, a: Register, b: Register) -> None:
        """Exchange what two registers hold, times included; it costs nothing."""
        self.held[a.name], self.held[b.name] = self.held[b.name], self.held[a.name]

    def scratch(self, value: Linear, *, at: Time | None = None) -> Scratch:
        """Compute a value that is dropped at the end of the step, and recomputed by the inverse."""
        form = value.form()
        self._check(form.terms, "a scratch value")
        target = self.trace.new("a scratch value")
        self.ops.append(Combine(target, self._terms(form)))
        self.own.add(target)
        return Scratch(self, target, at)

    def _terms(self, form: Form) -> tuple[tuple[Scalar, int], ...]:
        terms = tuple((c, n) for n, c in form.terms.items())
        return tuple((c, n) for c, n in terms if not vanishes(self.trace.grid.space, c)) or terms[:1]

    def _check(self, numbers: Iterable[int], what: str) -> None:
        for number in numbers:
            if number not in self.own and all(number != held.number for held in self.held.values()):
                raise StaleFormError(
                    f"{what} mentions {self.trace.names[number]}, a version that has been overwritten: "
                    "form it again, or keep it with s.scratch"
                )


_METHODS = [name for name in vars(Recorder) if not name.startswith("_") and name not in Recorder.__dataclass_fields__]
