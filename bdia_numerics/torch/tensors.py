"""The memory of tensors: float16, bfloat16, float32 and float64, on any device and in any layout.

States stay where they are, in the dtype and memory format that they have. A step reads no value on the host: coefficients are numbers
of the plan, and what `finite` finds on a device is read once, at the end of the run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from math import isfinite
from typing import Any

import numpy as np
import torch

from bdia_numerics import names
from bdia_numerics.models import Model
from bdia_numerics.spaces import FLOAT64, HALF, Memory, Numbers, Scalar, register, register_reader
from bdia_numerics.texts import one_of, shown

Array = np.ndarray[Any, Any]
DTYPES: tuple[torch.dtype, ...] = tuple(getattr(torch, name) for name in names.TORCH_DTYPES)
_fused: ContextVar[bool] = ContextVar("fused", default=False)
"""Whether combinations are compiled, in this thread or task."""
_CHUNK = 2**18
"""Elements that a thread sums at a time in float32: one megabyte, about a core's own cache."""
_BITS = {torch.bfloat16: torch.int16}
"""NumPy has no bfloat16: such states are stored as the integers of the same bits."""

_LAYOUTS = {4: torch.channels_last, 5: torch.channels_last_3d}
"""Channels last, by the number of axes: of images and of videos."""


def require_tensor(name: str, value: Any) -> None:
    """Raise TypeError, with what to pass instead, for what is not a tensor."""
    if not isinstance(value, torch.Tensor):
        raise TypeError(f"{name}={shown(value)} is not a tensor: pass torch.as_tensor({name})")


def require_float(name: str, dtype: Any) -> None:
    """Raise TypeError for what is not one of torch's floats; None leaves the choice open."""
    if dtype is not None and dtype not in DTYPES:
        raise TypeError(f"{name}={shown(dtype)} is not a float dtype of torch: pass one such as torch.float32")


@dataclass(frozen=True)
class Tensors(Memory):
    """Float tensors of one dtype on one device.

    Schedules and coefficients are float64 numbers, rounded once more where a kernel meets a narrower tensor. Linear combinations of
    float16 and bfloat16 states are summed in float32 and rounded once.

    On a CPU a run ends at the first state that is not finite. On another device it goes on to its end, since to look would halt the
    device; its status then names the first such state.
    """

    dtype: torch.dtype
    device: torch.device

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise TypeError(
                f"dtype={self.dtype} is not a real float: use float16, bfloat16, float32 or float64 (z.float())"
            )

    @property
    def name(self) -> str:
        """The dtype and the device."""
        return f"{_word(self.dtype)} tensors on {self.device}"

    @property
    def remedy(self) -> str:  # type: ignore[override]
        """A wider dtype for float16, which ends early."""
        return HALF if self.dtype == torch.float16 else ""

    @cached_property
    def deferred(self) -> bool:  # type: ignore[override]
        """Whether finiteness is read at the end of a run only."""
        return self.device.type != "cpu"

    @cached_property
    def half(self) -> bool:
        """Whether sums are made in float32, since the dtype itself has too few digits for them."""
        return self.dtype in (torch.float16, torch.bfloat16)

    @property
    def scalars(self) -> Numbers:
        """float64 numbers."""
        return FLOAT64

    def combine(
        self, coefficients: Sequence[Scalar], values: Sequence[torch.Tensor], out: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return sum_k coefficients[k] * values[k], added from the left.

        It is written into `out` if that is the first of the values and no gradient is recorded; its bits do not depend on that.
        """
        if _fused.get():
            return _kernel()(_row(tuple(coefficients), self.device), list(values), self.half)
        if torch.is_grad_enabled():
            for value in values:
                if (
                    value.requires_grad
                ):  # then nothing is written over: the sum so far, and the buffer, may be needed again
                    terms = [values[0].float(), *values[1:]] if self.half else values
                    return _new_sum(coefficients, terms).to(self.dtype)
        if self.half:
            return _in_chunks(coefficients, values, out)
        return _left_sum(coefficients, values) if out is values[0] else _new_sum(coefficients, values)

    def holds(self, value: object) -> bool:
        """Say whether it is a tensor of this dtype on this device."""
        return type(value) is torch.Tensor and value.dtype == self.dtype and value.device == self.device

    def finite(self, value: torch.Tensor) -> torch.Tensor | bool:
        """Say whether no element is NaN or infinite, on a device in a boolean tensor of no axes; nothing is known of meta tensors."""
        # One reading pass, through which NaN and infinity come.
        if not self.deferred:
            # The sum decides the usual case; an overflow of the sum alone is told apart by the ends. In float16 many sums overflow.
            if self.dtype is not torch.float16 and isfinite(value.sum().item()):
                return True
            return value.numel() == 0 or all(isfinite(end.item()) for end in torch.aminmax(value))
        if value.numel() == 0 or value.is_meta:
            return True
        largest: torch.Tensor = torch.linalg.vector_norm(value.detach(), float("inf"))
        return largest.isfinite()

    def read(self, flags: list[Any]) -> list[bool]:
        """Return the flags of a run, in one transfer."""
        if any(isinstance(flag, bool) for flag in flags) or not flags:
            return [bool(flag) for flag in flags]
        return torch.stack(flags).tolist()

    def asked(self, model: Model, z: torch.Tensor, t: Any) -> Any:
        """Return a model's output; ValueError if it wrote into its argument, as torch counts, but for inference tensors."""
        before = None if z.is_inference() else z._version
        output = model(z, t)
        if before is not None and z._version != before:
            raise ValueError(f"model(z, t={t}) wrote into z, which the run still needs: let it work on a copy")
        return output

    def received(self, output: torch.Tensor, argument: torch.Tensor, lasts: bool) -> torch.Tensor:
        """Return a model's output as a run may keep it: a copy if it lasts over a later call, or shares the state's memory."""
        same = output.untyped_storage()._cdata == argument.untyped_storage()._cdata
        return output.clone() if lasts or same else output

    def frozen(self, value: torch.Tensor) -> torch.Tensor:
        """Return a copy on the same device, in the same layout."""
        return value.clone()

    def history(self, n: int, value: torch.Tensor) -> torch.Tensor:
        """Return room for n states like a value, shape (n, *shape), filled with NaN."""
        return value.new_full((n, *value.shape), float("nan"))

    def rms(self, difference: torch.Tensor) -> float:
        """Return the root mean square over all elements."""
        if difference.is_meta:
            return float("nan")
        norm = float(torch.linalg.vector_norm(difference.detach(), dtype=torch.float64))
        return norm / math.sqrt(max(difference.numel(), 1))

    def stored(self, value: torch.Tensor) -> tuple[Array, str]:
        """Return the state's array and a word on dtype and layout."""
        host = value.detach().cpu()
        array: Array = host.contiguous().view(_BITS.get(self.dtype, self.dtype)).numpy()
        return array, f"torch:{_word(self.dtype)}:{'channels_last' if _channels_last(value) else 'contiguous'}"

    @property
    def reference_rtol(self) -> float:  # type: ignore[override]
        """What the rounding of a network allows: its levels between training steps are not smooth either."""
        return max(1e-7, 100 * torch.finfo(self.dtype).eps)

    def host(self, value: torch.Tensor) -> Array:
        """Return a float64 array of the values."""
        return value.detach().double().cpu().numpy()

    def placed(self, array: Array) -> torch.Tensor:
        """Return a tensor of an array's values on this device."""
        return torch.from_numpy(array).to(self.device)

    def on_arrays(self, model: Model) -> Model:
        """Return a model of tensors as one of arrays."""
        return lambda z, t: self.host(model(self.placed(z).to(self.dtype), t))


# Each linear combination as one kernel. Plainly a BDIA step is two or three, each of which goes over the state again: on a GPU that is
# what a step costs. On a CPU the calls of a compiled function cost more than small states do.


@contextmanager
def fused() -> Iterator[None]:
    """Let the linear combinations of runs in this block be one kernel each.

    The first run in each dtype and layout compiles for some seconds; with a C++ compiler on a CPU, Triton on a GPU. A kernel may contract
    products and sums (fused multiply-add), so its bits may differ from those of a plain run: sample and invert both in such a block. It
    takes no buffer over, so that a run holds one array of the state's size more.

    Examples
    --------
    >>> from bdia_numerics.torch import fused
    >>> with fused():
    ...     found = solve(BDIA(), model, grid, z)
    """
    token = _fused.set(True)
    try:
        yield
    finally:
        _fused.reset(token)


@lru_cache(maxsize=65536)
def _row(coefficients: tuple[float, ...], device: torch.device) -> torch.Tensor:
    """Return coefficients as a float64 tensor on a device, brought there once and without waiting for it.

    As numbers they would be compiled into the kernel, one kernel a slot.
    """
    made = torch.tensor(coefficients, dtype=torch.float64)
    return made.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else made.to(device)


def _weighted(row: torch.Tensor, values: list[torch.Tensor], wide: bool) -> torch.Tensor:
    """Return what is compiled: the sum from the left; a coefficient, a tensor without axes, takes the dtype of the values."""
    terms = [value.float() for value in values] if wide else values
    total = row[0] * terms[0]
    for k in range(1, len(terms)):
        total = total + row[k] * terms[k]
    return total.to(values[0].dtype)


@cache
def _kernel() -> Callable[..., Any]:
    return torch.compile(_weighted)


def _new_sum(coefficients: Sequence[Scalar], values: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return the sum from the left in a new tensor."""
    if coefficients[0] == 1 and len(values) > 1:  # one kernel less, and the same bits
        total, begin = torch.add(values[0], values[1], alpha=coefficients[1]), 2
    else:
        total, begin = torch.mul(values[0], coefficients[0]), 1
    return _left_sum((1, *coefficients[begin:]), (total, *values[begin:]))


def _in_chunks(
    coefficients: Sequence[Scalar], values: Sequence[torch.Tensor], out: torch.Tensor | None
) -> torch.Tensor:
    """Return the sum from the left in float32, rounded once; a large one on a CPU goes through one scratch that stays in the cache."""
    first, length = values[0], _CHUNK * torch.get_num_threads()
    in_a_row = first.is_contiguous() or _channels_last(first)
    alike = all(v.stride() == first.stride() and v.shape == first.shape for v in values)
    if first.device.type != "cpu" or first.numel() <= length or not (in_a_row and alike):
        total = _left_sum(coefficients, [first.float(), *values[1:]])
        return total.to(first.dtype) if out is None else out.copy_(total)
    made = torch.empty_like(first) if out is None else out
    scratch = first.new_empty(length, dtype=torch.float32)
    rows = (v.as_strided((v.numel(),), (1,)) for v in (made, *values))
    for target, *parts in zip(*(torch.split(row, length) for row in rows), strict=True):
        target.copy_(_left_sum(coefficients, [scratch[: len(target)].copy_(parts[0]), *parts[1:]]))
    return made


def _left_sum(coefficients: Sequence[Scalar], values: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return the sum from the left, written into the first of the values as far as no gradient is recorded."""
    total = values[0] if coefficients[0] == 1 else values[0].mul_(coefficients[0])
    for k in range(1, len(values)):
        if total.requires_grad:
            total = total.add(values[k], alpha=coefficients[k])
        else:
            total.add_(values[k], alpha=coefficients[k])
    return total


def dtype_named(name: str) -> torch.dtype:
    """Return the dtype of a name; ValueError unless states can have it."""
    return getattr(torch, one_of("dtype", name, names.TORCH_DTYPES))


def _word(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _channels_last(value: torch.Tensor) -> bool:
    layout = _LAYOUTS.get(value.ndim)
    return layout is not None and value.is_contiguous(memory_format=layout) and not value.is_contiguous()


def _read(array: Array, word: str) -> torch.Tensor:
    name, layout = word.split(":")
    tensor = torch.from_numpy(array.copy()).view(getattr(torch, name))
    return tensor.contiguous(memory_format=_LAYOUTS[tensor.ndim]) if layout == "channels_last" else tensor


@cache
def has_float64(device: torch.device) -> bool:
    """Say whether a device computes in float64; Apple's mps does not."""
    try:
        torch.ones((), dtype=torch.float64, device=device)
    except (TypeError, RuntimeError):
        return False
    return True


def space_of(x: torch.Tensor) -> Tensors:
    """Return the number system of a tensor; TypeError unless it holds real floats, all of them, in memory of its own."""
    if hasattr(x, "get_mask"):
        raise TypeError("z is a MaskedTensor, whose mask a run would lose: pass z.get_data(), or z.to_tensor(value)")
    if x.layout is not torch.strided:
        raise TypeError("z is a sparse or nested tensor: pass z.to_dense(), or z.to_padded_tensor(0.0)")
    try:
        x.untyped_storage()  # where a run sees which tensors share their memory
    except NotImplementedError:
        raise TypeError(
            "z stands in a transform of torch.func: use torch.autograd, or arrays of JAX with its own"
        ) from None
    return Tensors(x.dtype, x.device)


register(lambda x: isinstance(x, torch.Tensor), space_of)  # type: ignore[arg-type]  # a property where the protocol has one
register_reader("torch", _read)
