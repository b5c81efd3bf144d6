"""The tensors in a pickle of NVIDIA's StyleGAN2 (stylegan2-ada-pytorch, stylegan3), read without
running anything in it.

Such a file carries Python source, which the official loader runs. Here every name in it becomes an
object that does nothing, but the few that make tensors and dictionaries.
"""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

PERSISTENT = ("torch_utils.persistence", "_reconstruct_persistent_obj")
TENSORS = ("_parameters", "_buffers")  # where torch keeps a network's own
PARTS = "_modules"  # and its parts
DEEPEST = 12  # parts in parts; StyleGAN2 has four
# What torch.save wrote before 2020 is a bare pickle too, and begins with this number.
TORCH_SAVE = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
BROKEN = (
    pickle.UnpicklingError, AttributeError, EOFError, ImportError, IndexError, KeyError,
    RuntimeError, TypeError, ValueError, MemoryError,  # the last for a length that no file has
)  # fmt: skip


class Inert(dict):
    """Stands for anything in a pickle: can be made, called and filled, and does nothing."""

    def __init__(self, *_: Any, **__: Any):
        super().__init__()

    def __call__(self, *_: Any, **__: Any) -> Inert:
        return Inert()

    def __setstate__(self, state: Any) -> None:
        self.update(state if isinstance(state, Mapping) else {})

    def append(self, item: Any) -> None:
        """Take an item as a list does, and forget it."""

    def extend(self, items: Any) -> None:
        """Take items as a list does, and forget them."""


class InertUnpickler(pickle.Unpickler):
    """Knows tensors and dictionaries; everything else is `Inert`."""

    def find_class(self, module: str, name: str) -> Any:
        """What stands for a name in the pickle."""
        return KNOWN.get((module, name), Inert)

    def persistent_load(self, pid: Any) -> Any:
        """A reference to something outside the pickle, which such files do not have."""
        raise pickle.UnpicklingError(f"it refers to something outside, {pid!r}")


def _state_of(meta: Any) -> Any:
    """The state of a persistent object; its class and source are not looked at."""
    return meta.get("state", Inert()) if isinstance(meta, Mapping) else Inert()


KNOWN = {
    PERSISTENT: _state_of,
    ("torch._utils", "_rebuild_tensor_v2"): torch._utils._rebuild_tensor_v2,
    ("torch._utils", "_rebuild_parameter"): lambda tensor, *_: tensor,
    # A tensor's numbers, which torch.save wrote into the pickle.
    ("torch.storage", "_load_from_bytes"): lambda content: torch.load(
        io.BytesIO(content), weights_only=True
    ),
    ("collections", "OrderedDict"): OrderedDict,
    ("dnnlib.util", "EasyDict"): dict,
}


def is_bare_pickle(path: Path) -> bool:
    """Whether a file is a pickle by itself, and nothing that torch.save wrote."""
    with path.open("rb") as file:
        start = file.read(len(TORCH_SAVE))
    return start.startswith(b"\x80") and start != TORCH_SAVE


def read_networks(path: str | Path) -> dict[str, dict[str, Tensor]]:
    """Network -> its tensors by their names in it, such as G_ema -> synthesis.b4.const.

    ValueError where the pickle is cut off, or is none.
    """
    try:
        with Path(path).open("rb") as file:
            content = InertUnpickler(file).load()
    except BROKEN as error:
        raise ValueError(f"{path} is no whole pickle ({error}): copy it again") from error
    found = {name: dict(_tensors(state)) for name, state in _items(content)}
    return {str(name): tensors for name, tensors in found.items() if tensors}


def _tensors(state: Any, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Tensor]]:
    """Name and tensor of everything in a network's state and in its parts' states."""
    for kind in TENSORS:
        for name, tensor in _items(_entry(state, kind)):
            if isinstance(tensor, Tensor):
                yield f"{prefix}{name}", tensor
    if depth < DEEPEST:
        for name, part in _items(_entry(state, PARTS)):
            yield from _tensors(part, f"{prefix}{name}.", depth + 1)


def _entry(mapping: Any, name: str) -> Any:
    return mapping.get(name) if isinstance(mapping, Mapping) else None


def _items(mapping: Any) -> list[tuple[Any, Any]]:
    return list(mapping.items()) if isinstance(mapping, Mapping) else []
