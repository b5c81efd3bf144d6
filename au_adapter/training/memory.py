"""What a step needs of memory, known before it is taken: a size that cannot fit is refused."""

from __future__ import annotations

import psutil
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from .errors import LOWER
from .modes import keeping_random_state


def require_room(module: nn.Module, rows: dict[str, Tensor], device: torch.device) -> None:
    """ValueError where the activations of a step's rows cannot fit into the memory that is free.

    module: forward takes rows and returns the loss, on `device`. One row is tried, and nothing
    remembers it: neither gradients, nor buffers, nor the random state.
    """
    count = len(next(iter(rows.values())))
    if count < 2:  # nothing smaller could be advised
        return
    one = {name: tensor[:1].to(device) for name, tensor in rows.items()}
    needed, free = count * activation_bytes(module, one), free_bytes(device)
    if needed > free:
        raise ValueError(
            f"{count} faces at once need about {needed / 1e9:,.0f} GB for their activations, and "
            f"{free / 1e9:,.1f} GB are free: {LOWER}"
        )


def activation_bytes(module: nn.Module, rows: dict[str, Tensor]) -> int:
    """Bytes that a forward keeps for its backward, without the weights."""
    kept = {p.untyped_storage().data_ptr(): 0 for p in module.parameters()}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept.setdefault(storage.data_ptr(), storage.nbytes())
        alive.append(tensor)  # an address is not given twice
        return tensor

    alive: list[Tensor] = []
    device = next(iter(rows.values())).device
    before = [(buffer, buffer.clone()) for buffer in module.buffers()]  # moving averages follow
    with keeping_random_state(device), saved_tensors_hooks(keep, lambda t: t):
        module(rows)
    with torch.no_grad():
        for buffer, value in before:
            buffer.copy_(value)
    return sum(kept.values())


def free_bytes(device: torch.device) -> int:
    """Memory that a tensor on the device can have."""
    if device.type != "cuda":
        return psutil.virtual_memory().available
    cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + cached
