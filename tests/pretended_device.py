"""A device without hardware: tensors that say they are elsewhere, computed on the CPU.

An operation on tensors of two devices fails as on a GPU, and NumPy sees none of those elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

DEVICE = torch.device("meta")  # of the devices that every build of PyTorch knows
MOVES = ("_to_copy", "copy_", "to")
# As on CUDA, indices may lie on the CPU.
INDEXING = ("index", "index_put", "index_put_", "_index_put_impl_")


class Elsewhere(Tensor):
    """A tensor that says it is on DEVICE. `here`: what it holds, on the CPU."""

    here: Tensor

    @staticmethod
    def __new__(cls, here: Tensor) -> Elsewhere:
        self = Tensor._make_wrapper_subclass(
            cls,
            here.shape,
            strides=here.stride(),
            storage_offset=here.storage_offset(),
            dtype=here.dtype,
            device=DEVICE,
        )
        self.here = here
        return self

    def __repr__(self) -> str:
        return f"Elsewhere({self.here})"

    def tolist(self) -> Any:
        return self.here.tolist()

    @classmethod
    def __torch_dispatch__(
        cls, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        return _compute(function, args, kwargs or {})


@contextmanager
def pretended_device() -> Iterator[None]:
    """Inside, DEVICE can be used as if it were there."""
    with _Operations(), _Values():
        yield


class _Values(TorchFunctionMode):
    """Python's numbers, of which PyTorch makes tensors on DEVICE without any operation."""

    def __torch_function__(
        self, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        options = kwargs or {}
        device = options.get("device")
        if function in (Tensor.__getitem__, Tensor.__setitem__):
            args = (args[0], _index(args[1]), *args[2:])
        if function in (torch.tensor, torch.as_tensor) and device is not None:
            return function(*args, **{**options, "device": "cpu"}).to(device)
        return function(*args, **options)


class _Operations(TorchDispatchMode):
    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        return _compute(function, args, kwargs or {})


def _compute(function: Callable, args: tuple, kwargs: dict[str, Any]) -> Any:
    name, given = function.overloadpacket.__name__, tree_flatten((args, kwargs))[0]
    tensors = [x for x in given if isinstance(x, Tensor)]
    elsewhere = [x for x in tensors if isinstance(x, Elsewhere)]
    here = [x for x in tensors if not isinstance(x, Elsewhere) and x.dim() > 0]
    if name == "_has_compatible_shallow_copy_type":
        return not elsewhere  # a parameter that moves becomes another one
    if elsewhere and here and name not in (*MOVES, *INDEXING):
        raise RuntimeError(
            f"{function}: expected all tensors on one device, found {DEVICE} and cpu"
        )
    if name in INDEXING and elsewhere and not isinstance(args[0], Elsewhere):
        raise RuntimeError(f"{function}: indices on {DEVICE} for a tensor on the cpu")
    target = [x for x in given if isinstance(x, torch.device)]
    if name == "to" and len(args) > 1 and isinstance(args[1], Tensor):
        target = [args[1].device]
    goes = target[0].type == DEVICE.type if target else bool(elsewhere)
    inner, options = tree_map(_here, (args, kwargs))
    out = function(*inner, **options)
    if name == "copy_" or inner and out is inner[0] and goes == isinstance(args[0], Elsewhere):
        return args[0]  # an operation in place, or a move to where it is
    return tree_map(_put, out) if goes else out


def _here(x: Any) -> Any:
    if isinstance(x, torch.device):
        return torch.device("cpu")
    return x.here if isinstance(x, Elsewhere) else x


def _index(index: Any) -> Any:
    if isinstance(index, tuple):
        return tuple(map(_index, index))
    if isinstance(index, list):
        return torch.tensor(index) if index else torch.tensor([], dtype=torch.long)
    return index


def _put(x: Any) -> Any:
    return Elsewhere(x) if isinstance(x, Tensor) and not isinstance(x, Elsewhere) else x
