"""How an image goes to noise and back: by a solver and its inverse, or by a baseline that keeps something besides the latents."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import torch

from bdia_numerics import names
from bdia_numerics.grids import Grid
from bdia_numerics.program import Solver, record_steps, structure
from bdia_numerics.runs.encoding import Solution, Status, encode, solve
from bdia_numerics.runs.inversion import (
    INVERSIONS,
    DDIMInversion,
    EditFriendly,
    ImplicitInversion,
    Method,
    edit_friendly,
    split,
)
from bdia_numerics.runs.inversion.steps import dependence
from bdia_numerics.runs.state import State
from bdia_numerics.solvers import DDIM, EDICT
from bdia_numerics.texts import refuse, shown
from bdia_numerics.torch.editing.pipelines import Asked, Labelled
from bdia_numerics.torch.editing.prompted import Prompted
from bdia_numerics.torch.networks.jacobians import array_model
from bdia_numerics.torch.schedulers.frames import PLAIN, Frame


def shortened(grid: Grid, strength: float) -> Grid:
    """Return as many slots of a grid, counted from the data end, as a strength in (0, 1] takes; the grid itself for 1."""
    slots = min(int(grid.n * strength), grid.n)
    return grid[:slots] if slots < grid.n else grid


@dataclass
class Setting:
    """A pipeline, its grid, and how many evaluations of its network were made.

    Attributes
    ----------
    pipe
        See `pipelines`.
    grid, frame
        Of the run, and how a pipeline evaluates its network on it.
    watch
        Called at each evaluation.
    evaluations : int
        Made so far.
    """

    pipe: Prompted | Labelled
    grid: Grid
    frame: Frame = PLAIN
    watch: Callable[[], None] = lambda: None
    evaluations: int = 0

    def model(self, condition: Any, guidance: float) -> Asked:
        """Return the network under a prompt or label as a model of states."""
        ask = self.pipe.model(condition, guidance, self.grid, self.frame)
        return self.asked(torch.no_grad()(ask))

    def asked(self, ask: Callable[[torch.Tensor, float], torch.Tensor]) -> Asked:
        """Return a function of states of the network's dtype as a model whose evaluations are counted."""
        return Asked(ask, self.pipe.prediction, self.pipe.network.dtype, self._count)

    def _count(self) -> None:
        self.evaluations += 1
        self.watch()


FINE, EULER = Status(), DDIM()


@dataclass(frozen=True)
class Encoded:
    """What an inversion leaves: the latents, and all else that the way back needs.

    Attributes
    ----------
    z
        The latents z_N.
    state : State or None
        Registers of the solver, where the inversion is exact.
    parts : mapping of str to tensor
        What a baseline keeps besides.
    inversion : str
        What ran.
    status : Status
        Of the run.
    """

    z: torch.Tensor
    state: State | None = None
    parts: Mapping[str, torch.Tensor] = field(default_factory=dict)
    inversion: str = ""
    status: Status = FINE


class Way(Protocol):
    """How an image goes to noise under a prompt or label, and back under any."""

    @property
    def solver(self) -> Solver:
        """What steps towards the data."""
        ...

    def there(self, setting: Setting, x: torch.Tensor, condition: Any, guidance: float, seed: int) -> Encoded:
        """Take data to noise."""
        ...

    def back(self, setting: Setting, kept: Encoded, condition: Any, guidance: float) -> Solution:
        """Take noise to data."""
        ...


@dataclass(frozen=True)
class BySolver:
    """A solver, and its derived inverse or a method of inversion."""

    solver: Solver
    method: Method | None = None

    def there(self, setting: Setting, x: torch.Tensor, condition: Any, guidance: float, seed: int) -> Encoded:
        """Take data to noise."""
        # At alpha = 0, where flow matching begins, (10) knows the noise without asking the network.
        euler = isinstance(self.solver, DDIM) and setting.pipe.prediction == "velocity"
        method = self.method or (INVERSIONS["(23)"] if euler else None)
        found = encode(self.solver, setting.model(condition, guidance), setting.grid, x, method)
        return Encoded(found.z, found.state, {}, found.inversion, found.status)

    def back(self, setting: Setting, kept: Encoded, condition: Any, guidance: float) -> Solution:
        """Take noise to data, from all registers where they are known."""
        begin = kept.z if kept.state is None else kept.state
        return solve(self.solver, setting.model(condition, guidance), setting.grid, begin)


def on_arrays(method: Method) -> Method:
    """Return a method of inversion that iterates in NumPy as one of tensors."""

    def run(solver: Solver, model: Any, grid: Grid, x_0: torch.Tensor) -> Solution:
        found = method(solver, array_model(model, x_0.dtype, x_0.device), grid, x_0.cpu().numpy())
        return Solution(
            torch.as_tensor(np.asarray(found.z)).to(x_0), None, found.nfe, found.status, inversion=found.inversion
        )

    return run


@dataclass(frozen=True)
class ByNoise:
    """Edit-friendly DDPM inversion: a stochastic run through states that are drawn about the data, whose noise is kept."""

    solver: Solver = EULER

    def there(self, setting: Setting, x: torch.Tensor, condition: Any, guidance: float, seed: int) -> Encoded:
        """Draw the states, and keep the noise that leads through them."""
        model = array_model(setting.model(condition, guidance), x.dtype, x.device)
        found = edit_friendly(model, setting.grid, x.cpu().numpy(), np.random.default_rng(seed))
        tensors = {key: torch.as_tensor(getattr(found, key)).to(x) for key in ("trajectory", "offsets")}
        return Encoded(tensors["trajectory"][-1], None, tensors, "edit-friendly DDPM inversion", found.status)

    def back(self, setting: Setting, kept: Encoded, condition: Any, guidance: float) -> Solution:
        """Run the stochastic sampler with the kept noise."""
        model = array_model(setting.model(condition, guidance), kept.z.dtype, kept.z.device)
        parts = {key: value.cpu().numpy() for key, value in kept.parts.items()}
        found = EditFriendly(**parts, nfe=0, status=kept.status, grid=setting.grid).replay(model)
        return replace(found, z=torch.as_tensor(found.z).to(kept.z))


@dataclass(frozen=True)
class ByNullText:
    """Null-text inversion: the embedding of no text is fitted in each slot, so that guided DDIM returns along the unguided inversion.

    Mokady, Hertz, Aberman, Pritch, Cohen-Or, CVPR 2023, Algorithm 1 and its published settings: Adam, `inner` steps a slot at a rate of
    0.01 (1 - j/100) in slot j from the noise, fewer where the squared error is below 1e-5 + 2e-5 j.
    """

    inner: int = 10
    solver: Solver = EULER

    def there(self, setting: Setting, x: torch.Tensor, condition: Any, guidance: float, seed: int) -> Encoded:
        """Invert at guidance 1, then fit an embedding in each slot."""
        pipe, grid = setting.pipe, setting.grid
        refuse(
            (
                not (isinstance(pipe, Prompted) and pipe.embeds_alone),
                "null-text fits the one text embedding of StableDiffusionPipeline or its ControlNet: take another method, such as BDIA",
            ),
            (len(x) != 1, f"null-text fits the embeddings of one image, and there are {len(x)}: pass one"),
            (
                guidance == 1,
                "guidance_scale=1 leaves the embedding of no text without effect: take null-text with a larger one",
            ),
            (
                getattr(pipe, "given", {}).get("guidance_rescale"),
                "guidance_rescale changes the way back, to which null-text does not fit its embeddings: leave it out",
            ),
        )
        assert isinstance(pipe, Prompted)
        with_text = setting.model(condition, 1.0)
        pivot = solve(DDIMInversion(), with_text, grid.reversed(), x, return_trajectory=True)
        if not pivot.status.ok:
            return Encoded(pivot.z, None, {}, "null-text inversion", pivot.status)
        z, null, fitted = pivot.z, pipe.no_text(condition), []
        for j, i in enumerate(range(grid.n, 0, -1)):
            part, target = grid[i - 1 : i], pivot.trajectory[grid.n - i + 1]
            own, weight = _step(self.solver, part, setting.pipe.prediction)
            t, text = grid.t[i], with_text(z, grid.t[i])
            leaf = null.detach().clone().requires_grad_()
            descent = torch.optim.Adam([leaf], lr=1e-2 * max(1 - j / 100, 1e-2))
            kept = weight * guidance * text + own * z

            def ended(
                t: Any = t,
                z: torch.Tensor = z,
                kept: torch.Tensor = kept,
                weight: float = weight,
                leaf: torch.Tensor = leaf,
            ) -> torch.Tensor:
                without = setting.asked(pipe.model({"prompt_embeds": leaf}, 1.0, grid, setting.frame))
                return kept + weight * (1 - guidance) * without(z, t)

            with torch.enable_grad():
                for _ in range(self.inner):
                    loss = (ended() - target).square().mean()
                    descent.zero_grad()
                    loss.backward()
                    descent.step()
                    if loss.item() < 1e-5 + 2e-5 * j:
                        break
            with torch.no_grad():
                null, z = leaf.detach(), ended()
            fitted.append(null)
        return Encoded(pivot.z, None, {"nulls": torch.stack(fitted)}, "null-text inversion", Status())

    def back(self, setting: Setting, kept: Encoded, condition: Any, guidance: float) -> Solution:
        """Run guided DDIM with the embedding of each slot."""
        pipe, times = setting.pipe, np.asarray(setting.grid.t)[:0:-1].tolist()
        nulls = dict(zip(times, kept.parts["nulls"], strict=True))

        @torch.no_grad()
        def ask(z: torch.Tensor, t: float) -> torch.Tensor:
            given = {**pipe.condition(condition), "negative_prompt_embeds": nulls[t]}
            return pipe.model(given, guidance, setting.grid, setting.frame)(z, t)

        return solve(self.solver, setting.asked(ask), setting.grid, kept.z)


def _step(solver: Solver, part: Grid, prediction: str) -> tuple[float, float]:
    """Return the coefficients of the state and of the network's output in a step of one evaluation."""
    run, output = record_steps(solver, part, prediction), structure(solver).output
    weights = dependence(run, output)
    own = weights.pop(run.inputs[output].number)
    (weight,) = weights.values()
    return float(own), float(weight)


BASELINES: Mapping[str, tuple[str, Callable[[], Way]]] = {
    "ddim": ("DDIM inversion", lambda: BySolver(DDIM())),
    "fixed-point": ("fixed-point iterations (AIDI)", lambda: BySolver(DDIM(), on_arrays(ImplicitInversion(10)))),
    "edit-friendly": ("edit-friendly DDPM inversion", ByNoise),
    "edict": ("EDICT", lambda: BySolver(EDICT())),
    "null-text": ("null-text inversion", ByNullText),
}
"""Methods to compare with, by name: what the literature calls them, and what makes them. DDIM inversion is (10), and (23) for flow
matching, which is Euler's method; AIDI solves each step of DDIM by ten fixed-point iterations."""
_ALSO = {"aidi": "fixed-point", "ddpm": "edit-friendly"}


def _word(text: str) -> str:
    word = text.strip().lower()
    return _ALSO.get(word, word)


def title_of(text: str) -> str:
    """Return what a picture calls the method that a text names."""
    if _word(text) in BASELINES:
        return BASELINES[_word(text)][0]
    name, _, parameters = text.strip().partition(":")
    title = type(way_of(text).solver).__name__
    return ", ".join(filter(None, [title, parameters])) if title.lower() == name.lower() else text


def way_of(solver: Any, method: Method | None = None) -> Way:
    """Return how a solver, a name of `BASELINES`, or a text such as "bdia:gamma=0.96" or "DDIM by (23)" goes there and back.

    Raises
    ------
    ValueError
        For a text that names nothing, and a method beside a baseline that has its own.
    """
    if not isinstance(solver, str):
        return BySolver(solver, method)
    word = _word(solver)
    if word in BASELINES and (method is None or word == "ddim"):
        return BASELINES[word][1]() if method is None else BySolver(DDIM(), method)
    if word in BASELINES:
        raise ValueError(f"solver={shown(solver)} has an inversion of its own: leave method out")
    text, named = split(solver)
    method = method or named
    return BySolver(names.solver(text), on_arrays(method) if isinstance(method, ImplicitInversion) else method)
