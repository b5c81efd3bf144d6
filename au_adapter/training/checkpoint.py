"""Checkpoint: trainable weights, optimizer state, random state and the identity of the run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim import Optimizer

from ..disk import damage_named
from .moving_average import MovingAverage
from .recipe import Recipe

FINGERPRINT = 8  # numbers of each frozen weight that tell one base from another


class Checkpoint:
    """Collects the state of a run for its file, and restores it.

    optimizer: as accelerate prepared it. average: of the recipe's module, or None. identity: plain
    values that must agree when a run resumes, such as recipe, seed and data; None where unknown.
    """

    def __init__(
        self,
        recipe: Recipe,
        accelerator: Accelerator,
        optimizer: Optimizer,
        average: MovingAverage | None,
        identity: Mapping[str, Any],
    ):
        self.recipe, self.accelerator, self.identity = recipe, accelerator, dict(identity)
        self.optimizer, self.average = optimizer, average
        self.on_gpu = accelerator.device.type == "cuda"  # dropout draws there

    def collect(self, step: int) -> dict[str, Any]:
        """Tensors and plain values, for `restore`."""
        names, scaler = set(self.learnt()), self.accelerator.scaler
        averaged = {f"module.{n}" for n in names} | {"n_averaged"}
        average = None if self.average is None else self.average.state_dict()
        return {
            "step": step,
            "told": self.identity,
            "module": {k: v for k, v in self.recipe.module.state_dict().items() if k in names},
            "frozen": self._frozen(),
            "units": self._units(),
            "average": average and {k: v for k, v in average.items() if k in averaged},
            "optimizer": self.optimizer.state_dict(),
            **self.random_state(),
            **({"scaler": scaler.state_dict()} if scaler is not None else {}),
        }

    def random_state(self) -> dict[str, Tensor]:
        """The state of the global generators, which dropout draws from."""
        cuda = {"random_cuda": torch.cuda.get_rng_state()} if self.on_gpu else {}
        return {"random": torch.get_rng_state(), **cuda}

    def restore(self, path: Path) -> int:
        """Restore the state in a file and return its step. ValueError where the file belongs to
        another kind of run; nothing has changed then."""
        with damage_named(path, "Delete it to begin again, or choose another output folder"):
            state = torch.load(path, map_location="cpu", weights_only=True)
            self._check(state, path)
            self.recipe.module.load_state_dict(state["module"], strict=False)
            if self.average is not None and state["average"] is not None:
                self.average.load_state_dict(state["average"], strict=False)
            self.optimizer.load_state_dict(state["optimizer"])
            torch.set_rng_state(state["random"])
            if "random_cuda" in state and self.on_gpu:
                torch.cuda.set_rng_state(state["random_cuda"])
            if "scaler" in state and self.accelerator.scaler is not None:
                self.accelerator.scaler.load_state_dict(state["scaler"])
            return state["step"]

    def trainable(self) -> dict[str, nn.Parameter]:
        return {n: p for n, p in self.recipe.module.named_parameters() if p.requires_grad}

    def learnt(self) -> dict[str, Tensor]:
        """The trainable weights, and the buffers that the recipe says are learnt as well: those in
        its module whose names begin with one of `learnt_buffers`."""
        starts = tuple(getattr(self.recipe, "learnt_buffers", ()))
        kept = self.recipe.module.state_dict() if starts else {}
        return {**{n: b for n, b in kept.items() if n.startswith(starts)}, **self.trainable()}

    def _check(self, state: Mapping[str, Any], path: Path) -> None:
        differ = _shapes(state["module"]) != _shapes(self.learnt())
        if differ or state.get("units", self._units()) != self._units():
            raise ValueError(
                f"{path} is the state of a run that trains other weights: choose another output "
                "folder, or the recipe and settings that this one was started with"
            )
        for name, value in state.get("told", {}).items():
            if value != self.identity[name] and None not in (value, self.identity[name]):
                raise ValueError(
                    f"{path} is the state of a run of {name} {value}, this one is of {name} "
                    f"{self.identity[name]}: choose another output folder, or the {name} that it "
                    "was started with"
                )
        frozen, known = self._frozen(), state.get("frozen", {})
        # Close, not equal: the base may be loaded in another precision.
        same = [torch.allclose(known[n], frozen[n], 0.01, 1e-6) for n in known if n in frozen]
        if not all(same):
            raise ValueError(
                f"{path} is the state of a run on another base of the same shape, or from another "
                "start: choose another output folder, or the base and start that this one had"
            )

    def _frozen(self) -> dict[str, Tensor]:
        """The first numbers of every frozen weight, in the module and in the recipe's other
        networks."""
        frozen = {n: p for n, p in self.recipe.module.named_parameters() if not p.requires_grad}
        for name, network in vars(self.recipe).items():
            if isinstance(network, nn.Module) and network is not self.recipe.module:
                frozen |= {f"{name}.{n}": p for n, p in network.named_parameters()}
        return {n: p.detach().flatten()[:FINGERPRINT].float().cpu() for n, p in frozen.items()}

    def _units(self) -> list[int]:
        """The recipe's AUs, if it has any: weights of the same shape may be for other AUs."""
        return list(getattr(self.recipe, "units", ()))


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}
