"""A recipe that trains in milliseconds. As a program it is one of two processes of one run."""

from __future__ import annotations

import errno
import shutil
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from au_adapter.data.stream import FaceStream
from au_adapter.training.loop import Trainer
from au_adapter.training.recipe import Share
from au_adapter.training.settings import Settings

SETTINGS = Settings(
    steps=30,
    batch_size=8,
    learning_rate=1e-2,
    warmup_steps=3,
    decay_steps=10,
    average_decay=0.9,
    save_every=10,
    log_every=1,
)


class ToyLoss(nn.Module):
    """Squared error of a small network behind a frozen layer."""

    def __init__(self, dropout: float, seed: int):
        super().__init__()
        torch.manual_seed(99)  # the frozen layer is the same for every seed, as a base model is
        self.frozen = nn.Linear(6, 6).requires_grad_(False)
        torch.manual_seed(seed)
        self.network = nn.Sequential(
            nn.Linear(6, 16), nn.SiLU(), nn.Dropout(dropout), nn.Linear(16, 3)
        )

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        return ((self.network(self.frozen(batch["inputs"])) - batch["targets"]) ** 2).mean()


class ToyRecipe:
    """Random inputs; `events` maps the number of a batch to what happens while it is drawn."""

    def __init__(
        self,
        events: dict[int, Callable[[], None]] | None = None,
        dropout: float = 0.2,
        seed: int = 0,
    ):
        self.module = ToyLoss(dropout, seed)
        self.events, self.drawn = events or {}, 0

    def batch(self, size: int, generator: torch.Generator) -> dict[str, Tensor]:
        self.drawn += 1
        self.events.get(self.drawn, lambda: None)()
        inputs = torch.randn(size, 6, generator=generator)
        return {"inputs": inputs, "targets": inputs[:, :3].sin()}

    def save(self, module: ToyLoss, folder: Path) -> None:
        save_file(module.network.state_dict(), folder / "network.safetensors")


class FullDisk(ToyRecipe):
    """Finds no room for one of its folders, result or best."""

    def __init__(self, folder: str):
        super().__init__()
        self.folder = folder

    def save(self, module: ToyLoss, folder: Path) -> None:
        if folder.name.startswith(self.folder):
            raise OSError(errno.ENOSPC, "No space left on device")
        super().save(module, folder)


class StreamedToy(ToyRecipe):
    """Inputs are the labels of faces in shards, of which each process reads its own."""

    def __init__(self, faces: Path):
        super().__init__(dropout=0.0)
        self.stream = FaceStream([faces], size=8, lanes=2, buffer=4)

    def rows(self, size: int, generator: torch.Generator, share: Share) -> dict[str, Tensor]:
        labels = self.stream.read(share.step, size, share.index, share.count).labels
        aus = torch.tensor([[10 * label["units"]["12"]] for label in labels])
        inputs = aus + share.of(torch.randn(size, 6, generator=generator))
        return {"inputs": inputs, "targets": inputs[:, :3].sin()}


def main(output: Path) -> None:
    """Five runs: a whole one, one that only the second process is asked to stop, one on a stream
    of the faces in `output`, an uneven one, and one with a folder for each process, of which one
    holds a state."""
    whole = Trainer(ToyRecipe(dropout=0.0), SETTINGS, output / "whole")
    whole.run()
    second = whole.accelerator.process_index == 1
    stop = {12: lambda: signal.raise_signal(signal.SIGTERM)} if second else {}
    Trainer(ToyRecipe(stop, dropout=0.0), SETTINGS, output / "stopped").run()
    Trainer(StreamedToy(output / "faces"), SETTINGS, output / "streamed").run()
    try:
        Trainer(ToyRecipe(), replace(SETTINGS, batch_size=7), output / "uneven")
    except ValueError as error:
        (output / f"uneven{whole.accelerator.process_index}.txt").write_text(str(error))
    apart = output / f"apart{whole.accelerator.process_index}"
    apart.mkdir()
    if second:
        shutil.copy(output / "stopped" / "state.pt", apart)
    try:
        Trainer(ToyRecipe(dropout=0.0), SETTINGS, apart).run()
    except ValueError as error:
        (apart / "refused.txt").write_text(str(error))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
