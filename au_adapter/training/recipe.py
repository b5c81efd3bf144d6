"""What a recipe brings to the loop, and what the loop tells it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

# Judges the module to use: draws what it likes into the folder, returns measures by name, among
# them "au_error", of which less is better.
Validate = Callable[[nn.Module, Path], dict[str, Any]]
# Hears what a run does while it does it: {"event": "step", "step": 7, ...}; see `progress`.
Report = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True)
class Share:
    """A process's part of the batch of a step: rows of part `index` of `count`."""

    step: int = 0
    index: int = 0
    count: int = 1

    def of(self, rows: Tensor) -> Tensor:
        """The process's own rows of a whole batch."""
        return rows.chunk(self.count)[self.index]

    def spread(self, rows: Tensor) -> Tensor:
        """A whole batch in which the process's own rows are these and all others are zero."""
        whole = rows.new_zeros(len(rows) * self.count, *rows.shape[1:])
        self.of(whole).copy_(rows)
        return whole


class Recipe(Protocol):
    """What a recipe brings. The trainable module's forward takes a batch and returns the loss.

    Before each `save` it is given `provenance`: step, settings, data and measures, as in
    training.json.
    """

    module: nn.Module
    provenance: Mapping[str, Any]

    def batch(self, size: int, generator: torch.Generator) -> dict[str, Tensor]:
        """The examples of one step, each tensor with size rows, drawn from the generator alone."""

    def save(self, module: nn.Module, folder: Path) -> None:
        """Write the files that the trained module is for."""


@runtime_checkable
class SharingRecipe(Protocol):
    """A recipe that can draw one process's rows without the others'."""

    def batch(self, size: int, generator: torch.Generator) -> dict[str, Tensor]:
        """All rows of the first step."""
        return self.rows(size, generator, Share())

    def rows(self, size: int, generator: torch.Generator, share: Share) -> dict[str, Tensor]:
        """What `share.of` would leave of each tensor of the whole batch of `size` rows."""
