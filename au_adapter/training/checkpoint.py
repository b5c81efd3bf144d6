"""What a stopped run goes on from: what learns, how it is learnt, and whose run it was."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel

from .recipe import Recipe

SAMPLE = 8  # numbers of a weight


class RunState:
    """The parts of a run that its file keeps, collected and put back.

    optimizer: as accelerate prepared it; average: of the recipe's module, or None. told: plain
    values that say what run it is, None where nobody told.
    """

    def __init__(
        self,
        recipe: Recipe,
        accelerator: Accelerator,
        optimizer: Optimizer,
        average: AveragedModel | None,
        told: Mapping[str, Any],
    ):
        self.recipe, self.accelerator, self.told = recipe, accelerator, dict(told)
        self.optimizer, self.average = optimizer, average

    def collect(self, step: int) -> dict[str, Any]:
        """Tensors and plain values, for `restore`."""
        names, scaler = set(self.learning()), self.accelerator.scaler
        return {
            "step": step,
            "told": self.told,
            "module": {k: v for k, v in self.recipe.module.state_dict().items() if k in names},
            "frozen": self._frozen(),
            "units": self._units(),
            "average": self._average_state(names),
            "optimizer": self.optimizer.state_dict(),
            "random": torch.get_rng_state(),
            **({"random_cuda": torch.cuda.get_rng_state()} if self._draws_on_gpu() else {}),
            **({"scaler": scaler.state_dict()} if scaler is not None else {}),
        }

    def restore(self, path: Path) -> int:
        """Go on from the state in a file; its step. ValueError where it is of another kind of run,
        after which nothing has changed."""
        state = torch.load(path, map_location="cpu", weights_only=True)
        self._check(state, path)
        self.recipe.module.load_state_dict(state["module"], strict=False)
        if self.average is not None and state["average"] is not None:
            self.average.load_state_dict(state["average"], strict=False)
        self.optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["random"])
        if "random_cuda" in state and self._draws_on_gpu():
            torch.cuda.set_rng_state(state["random_cuda"])
        if "scaler" in state and self.accelerator.scaler is not None:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        return state["step"]

    def learning(self) -> dict[str, nn.Parameter]:
        """The weights that learn, by name."""
        return {n: p for n, p in self.recipe.module.named_parameters() if p.requires_grad}

    def _check(self, state: Mapping[str, Any], path: Path) -> None:
        others = _shapes(state["module"]) != _shapes(self.learning())
        if others or state.get("units", self._units()) != self._units():
            raise ValueError(
                f"{path} is the state of a run that trains other weights: choose another output "
                "folder, or the recipe and settings that this one was started with"
            )
        for name, value in state.get("told", {}).items():
            if value != self.told[name] and None not in (value, self.told[name]):
                raise ValueError(
                    f"{path} is the state of a run of {name} {value}, this one is of {name} "
                    f"{self.told[name]}: choose another output folder, or the {name} that it was "
                    "started with"
                )
        if not _alike(state.get("frozen", {}), self._frozen()):
            raise ValueError(
                f"{path} is the state of a run on another base of the same shape, or from another "
                "start: choose another output folder, or the base and start that this one had"
            )

    def _frozen(self) -> dict[str, Tensor]:
        """Some numbers of every weight that does not learn, of the module and of networks that the
        recipe has beside it: they tell one base from another."""
        still = {n: p for n, p in self.recipe.module.named_parameters() if not p.requires_grad}
        for name, network in vars(self.recipe).items():
            if isinstance(network, nn.Module) and network is not self.recipe.module:
                still |= {f"{name}.{n}": p for n, p in network.named_parameters()}
        return {n: p.detach().flatten()[:SAMPLE].float().cpu() for n, p in still.items()}

    def _units(self) -> list[int]:
        """The AUs that are learnt, where a recipe has any: twelve weights may be any twelve AUs."""
        return list(getattr(self.recipe, "units", ()))

    def _average_state(self, names: set[str]) -> dict[str, Any] | None:
        if self.average is None:
            return None
        kept = {f"module.{n}" for n in names} | {"n_averaged"}
        return {k: v for k, v in self.average.state_dict().items() if k in kept}

    def _draws_on_gpu(self) -> bool:
        """Whether dropout draws there."""
        return self.accelerator.device.type == "cuda"


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def _alike(kept: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> bool:
    """Whether samples of weights are of one network, in whatever precision each was read."""
    return all(
        torch.allclose(values, found[name], rtol=0.01, atol=1e-6)
        for name, values in kept.items()
        if name in found
    )
