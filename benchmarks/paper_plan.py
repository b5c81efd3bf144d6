"""What `paper_tables` trains and draws: the cells of FineFace's tables, and three sizes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from au_adapter.facs import SET_A
from au_adapter.training.drawing import STEPS


@dataclass(frozen=True)
class Cell:
    """One row of a table: how its model is trained. tables: the numbers of those that show it."""

    name: str
    recipe: str
    tables: tuple[int, ...]
    settings: dict[str, Any] = field(default_factory=dict)


CELLS = (
    Cell("FineFace", "fineface", (1, 2, 3)),
    Cell("LoRA-T", "lora-text", (1,)),
    Cell("LoRA-AU", "lora-au", (1,)),
    Cell("DreamBooth", "dreambooth", (1,), {"learning_rate": 1e-4}),
    Cell("encoder none", "fineface", (2,), {"encoder": "none"}),
    Cell("encoder mlp", "fineface", (2,), {"encoder": "mlp"}),
    Cell("encoder res_mlp", "fineface", (2,), {"encoder": "res_mlp"}),
    Cell("encoder res_3mlp", "fineface", (2,), {"encoder": "res_3mlp"}),
    Cell("encoder individual", "fineface", (2,), {"encoder": "individual"}),
    Cell("encoder individual summed", "fineface", (2,), {"encoder": "individual_sum"}),
    Cell("without smoothing", "fineface", (3,), {"smoothing": "none"}),
    Cell("smoothing as in the paper", "fineface", (3,), {"smoothing": "paper"}),
)


@dataclass(frozen=True)
class Size:
    """How much is done. data: see `training.sources`. ranks: whether it is enough to rank by."""

    training: dict[str, Any]
    data: str
    prompts: int
    levels: tuple[float, ...]
    combinations: int
    units: tuple[int, ...] = SET_A
    seeds: tuple[int, ...] = (1,)
    ranks: bool = True
    sampling: int = STEPS


DECAYED = {"warmup_steps": 50, "average_decay": 0.99, "mixed_precision": "no", "batch_size": 16}
FEW = {
    "mixed_precision": "no", "batch_size": 2, "warmup_steps": 0, "decay_steps": 0, "log_every": 1
}  # fmt: skip
SIZES = {
    "smoke": Size(
        {**FEW, "steps": 2}, "rendered", 1, (4.0,), 1, units=(6, 12), ranks=False, sampling=2
    ),
    "evening": Size(
        {**DECAYED, "steps": 1000, "decay_steps": 300}, "rendered", 2, (1.0, 3.0, 5.0), 6
    ),
    "full": Size(
        {"batch_size": 32, "steps": 20000}, "rendered:20000", 8, (1.0, 2.0, 3.0, 4.0, 5.0), 50,
        seeds=(1, 2, 3),
    ),
}  # fmt: skip
