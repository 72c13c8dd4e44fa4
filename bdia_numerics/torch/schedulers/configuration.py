"""Configurations of the schedulers: entries of any class that `configs` reads, with DDIMScheduler's by name, and what each solver adds."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any

from diffusers.schedulers.scheduling_ddim import DDIMScheduler

from bdia_numerics import configs
from bdia_numerics.configs.families import KNOWN, SIGMA_ENDS
from bdia_numerics.texts import nearest, one_of, refuse, shown
from bdia_numerics.torch.tensors import dtype_named

WALKS = (None, "grid", "ddim")
SHARED = {"walk": None, "state_dtype": "float64", "counts_as": None}
TABLES = ("jump", "inverse", "listed", "points", "intervals", "ldm")
DDIM = "DDIMScheduler"
SIGNATURE = inspect.signature(DDIMScheduler.__init__)
FOREIGN = (KNOWN | SIGMA_ENDS) - SIGNATURE.parameters.keys()
"""Entries of other classes, which a configuration holds if its class takes them."""


def initialiser(own: Mapping[str, Any], prepare: Callable[[Any], None]) -> Callable[..., None]:
    """Return an ``__init__`` with DDIMScheduler's parameters and others, since diffusers reads a configuration off its signature.

    With `counts_as` it also takes the parameters of that class.

    Parameters
    ----------
    own
        Defaults of the other parameters, by name.
    prepare
        Called with the scheduler when its configuration is known.
    """
    added = {**SHARED, **own}
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [p.replace(default=None) if p.name == "clip_sample" else p for p in SIGNATURE.parameters.values()]
    signature = inspect.Signature(
        [*parameters, *(inspect.Parameter(name, kind, default=value) for name, value in added.items())]
    )

    def initialise(self: Any, *args: Any, **kwargs: Any) -> None:
        foreign = {k: kwargs.pop(k) for k in FOREIGN & kwargs.keys()} if kwargs.get("counts_as") else {}
        for name in kwargs.keys() - signature.parameters.keys():
            if not name.startswith("_"):
                near = (
                    f"{nearest(name, signature.parameters)[0]}="
                    if nearest(name, signature.parameters)
                    else f"one of {', '.join(own)}"
                )
                said = f"{type(self).__name__}: there is no parameter {name}={shown(kwargs[name])}"
                text = (
                    ", a text such as 'bdia:gamma=9/10', since a configuration is saved as text"
                    if "spec" in near
                    else ""
                )
                raise TypeError(f"{said}: use {near}{text}")
        # An underscore marks what only configurations hold.
        bound = signature.bind(self, *args, **{k: v for k, v in kwargs.items() if not k.startswith("_")})
        given = set(bound.arguments)
        bound.apply_defaults()
        values = {name: value for name, value in bound.arguments.items() if name != "self"}
        unsaid = [name for name in values if name not in given]
        # As diffusers has it: absent where all was given, such as in a configuration that was saved.
        self.register_to_config(**values, **foreign, **({"_use_default_values": unsaid} if unsaid else {}))
        prepare(self)

    initialise.__signature__ = signature  # type: ignore[attr-defined]
    return initialise


def read_of(config: Mapping[str, Any]) -> configs.SchedulerConfig:
    """Return what a configuration of ours says in the words of the class that it counts as.

    Raises
    ------
    ValueError
        For a `counts_as` whose walk is not made, and for what its class does not take.
    """
    name = config["counts_as"] or DDIM
    family = configs.FAMILIES.get(str(name), configs.Family(""))
    own = {key: config[key] for key in (family.defaults.keys() | SIGMA_ENDS) & config.keys()}
    read = configs.from_mapping({"_class_name": name} | own) if family.walk else None
    if read is None or unmade(read):
        raise ValueError(f"counts_as={shown(name)} is none of {', '.join(_able())}")
    if (
        read.rule in TABLES
        and "timestep_spacing" not in own
        and config["timestep_spacing"] not in (None, own_spacing(read))
    ):
        raise ValueError(
            f"timestep_spacing={shown(config['timestep_spacing'])} is not taken by {name}, which counts {own_spacing(read)} times: leave "
            "it out, or pass counts_as=None to count as DDIMScheduler does"
        )
    if config["walk"] == "ddim" and name != DDIM:
        raise ValueError(
            f"walk='ddim' ends steps where DDIMScheduler does, but the times are counted as {name} does: leave walk out, or pass "
            "counts_as=None"
        )
    return read


def check(config: Mapping[str, Any], *, free: bool) -> None:
    """Raise ValueError for a configuration that cannot be run, or not be undone; `free` steps of DDIM may clip."""
    remedy = "is not invertible, and allowed for gamma = 0 (DDIM) on a table's times only"
    refuse(
        *(
            (config[name] and not free, f"{name}=True {remedy}: pass {name}=False to from_config")
            for name in ("clip_sample", "thresholding")
        ),
        (
            one_of("walk", config["walk"], WALKS) == "ddim" and not free,
            "walk='ddim' ends steps where the next does not begin, which only gamma = 0 can: leave walk out, or pass 'grid'",
        ),
    )
    if config["state_dtype"] is not None:
        dtype_named(config["state_dtype"])


def counts(read: configs.SchedulerConfig) -> bool:
    """Say whether a class has other times or levels than DDIMScheduler with the same entries."""
    shifted = read["snr_shift_scale"] not in (None, 1)
    return read.rule not in ("jump", "inverse") or shifted


def own_spacing(read: configs.SchedulerConfig) -> str:
    """Return the spacing of a class that has no choice."""
    return "leading" if read.rule == "ldm" else "linspace"


def unmade(read: configs.SchedulerConfig) -> str:
    """Return why these schedulers do not make the walk of a configuration; empty where they do."""
    if not read.known:
        return read.family.why
    if read.rule == "consistency":
        return "a consistency model's levels, between which it adds noise"
    if read.name.startswith("DPMSolver") and read.name.endswith("InverseScheduler"):
        return "a walk from data to noise; its sampler's configuration is read"
    if read["original_inference_steps"] is not None:
        return "the times of a distilled model, between which noise is added"
    return "a distilled model, which adds noise in each step" if read.name == "FlowMatchLCMScheduler" else ""


def _able() -> list[str]:
    reads = (configs.SchedulerConfig(name, family.defaults, frozenset()) for name, family in configs.FAMILIES.items())
    return [read.name for read in reads if not unmade(read)]


def translated(
    config: Mapping[str, Any], options: Mapping[str, Any], cls: Any, ignore: Collection[str]
) -> dict[str, Any]:
    """Return a configuration for one of these schedulers, from that of any scheduler, as `configs` reads it.

    What an entry that is absent means is decided by the class that the configuration is of.

    Parameters
    ----------
    config
        Of a scheduler of diffusers or of this package.
    options
        Entries that take the place of its own.
    cls
        The class that is made.
    ignore
        Entries that are known to have no effect.

    Raises
    ------
    ValueError
        For an entry that nothing reads, and for a walk that these schedulers do not make.
    """
    base = next(kind for kind in reversed(cls.__mro__) if "own" in vars(kind))
    ours = {kind.__name__: kind for kind in _family_of(base)}
    own = set(SHARED).union(*(kind.own for kind in ours.values()))
    entries = {**config, **options}
    named = entries.get("_class_name")
    named = named[-1] if isinstance(named, list | tuple) and named else named
    is_ours = named in ours or (named is None and bool(entries.get("counts_as")))
    source = config.get("counts_as") or DDIM if is_ours else named
    plain = {key: value for key, value in config.items() if key not in own}
    if source is None and (name := configs.from_mapping(plain, ignore=ignore).name) not in ("ldm", DDIM):
        source = name  # before options, which may be no entries of that class
    read = configs.from_mapping(
        {key: value for key, value in entries.items() if key not in own | {"_class_name"}}
        | ({} if source is None else {"_class_name": source}),
        ignore=ignore,
    )
    if why := unmade(read):
        key = "original_inference_steps" if read["original_inference_steps"] is not None else "_class_name"
        raise ValueError(
            f"{key}={shown(read[key] or read.name)} is not run by these schedulers ({why}): use `solve` with the grid of "
            "bdia_numerics.torch.load(...).grid or grids.from_scheduler gives"
        )
    chosen = options.get("counts_as") or read.name
    if chosen != read.name and not {read.rule, configs.FAMILIES.get(chosen, configs.Family("")).walk} <= {*TABLES}:
        tables = (name for name in _able() if configs.FAMILIES[name].walk in TABLES)
        raise ValueError(f"counts_as={shown(chosen)} is none of {', '.join(tables)}")
    said = entries.keys() - set(config.get("_use_default_values", ())) | options.keys()
    defaults = {key: p.default for key, p in inspect.signature(cls.__init__).parameters.items()}
    values: dict[str, Any] = {}
    if not is_ours:
        # Other classes neither rescale nor clip unless they say so.
        values |= dict.fromkeys(("rescale_betas_zero_snr", "clip_sample", "thresholding"), False)
        values |= {"timestep_spacing": own_spacing(read)} if read.rule in TABLES else {}
        values |= {key: read.values[key] for key in defaults.keys() & read.values.keys()}
        values |= {"set_alpha_to_one": read.ends_clean} if read.rule in TABLES else {}
        if values["clip_sample"] and "clip_sample" not in said:
            values["clip_sample"] = None
    values["counts_as"] = entries.get("counts_as") if is_ours else read.name if counts(read) else None
    values |= {key: value for key, value in options.items() if key in defaults}
    foreign = {key: read.values[key] for key in FOREIGN & read.values.keys()} if values["counts_as"] else {}
    found = {key: value for key, value in entries.items() if key != "_use_default_values"} | foreign | values
    # What is a default there and here counts as not said, as diffusers has it.
    return {k: v for k, v in found.items() if k in said or k not in defaults or (v is not None and v != defaults[k])}


def _family_of(kind: Any) -> list[Any]:
    below: list[Any] = kind.__subclasses__()
    return [kind, *(found for child in below for found in _family_of(child))]
