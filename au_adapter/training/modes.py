"""Modes of a module: gradient checkpointing, and evaluation in the middle of a run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import nn

SWITCHES = {  # how diffusers and transformers turn it on, and how their classes say that they can
    "enable_gradient_checkpointing": "_supports_gradient_checkpointing",
    "gradient_checkpointing_enable": "supports_gradient_checkpointing",
}


def checkpoint_gradients(module: nn.Module) -> None:
    """Let every network of diffusers or transformers that trains compute its activations twice, and
    those that the module's `passes_gradients` names, which carry gradients to what trains.

    ValueError where there is none: nothing would be saved.
    """
    passing = getattr(module, "passes_gradients", list)()
    switches = [
        getattr(network, name)
        for network in module.modules()
        for name, supported in SWITCHES.items()
        if getattr(network, supported, False)
        and (
            any(network is each for each in passing)
            or any(p.requires_grad for p in network.parameters())
        )
    ]
    if not switches:
        raise ValueError(
            f"{type(module).__name__} has no network that knows gradient checkpointing: set "
            "gradient_checkpointing=false"
        )
    for switch in switches:
        switch()


def keeping_random_state(device: torch.device) -> AbstractContextManager[None]:
    """Restore the random state of the processor and of the device alone: torch would ask every GPU
    of the machine for its own."""
    return torch.random.fork_rng([device] if device.type == "cuda" else [])


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode: no dropout, no gradients, and the random state is restored afterwards."""
    modes = [(part, part.training) for part in module.modules()]
    try:
        with keeping_random_state(next(module.parameters()).device), torch.no_grad():
            yield module.eval()
    finally:
        for part, training in modes:
            part.training = training
