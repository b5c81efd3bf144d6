"""What a run may choose, and its learning rate from step to step."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

# Of each setting that is a number, the least that it can be.
LEAST = {
    "steps": 1, "batch_size": 1, "accumulation": 1, "save_every": 1, "log_every": 1,
    "warmup_steps": 0, "decay_steps": 0, "validate_every": 0, "seed": 0,
    "learning_rate": 0, "weight_decay": 0, "gradient_clip": 0, "average_decay": 0,
}  # fmt: skip
FRACTIONS = ("learning_rate", "weight_decay", "gradient_clip", "average_decay")


@dataclass(frozen=True)
class Settings:
    """What a run may choose. batch_size counts the examples of one step over all processes.

    accumulation: parts in which a process works its rows of a step off, for less memory and the
    same step. gradient_checkpointing: compute activations twice instead of keeping them.
    """

    steps: int
    batch_size: int = 32
    learning_rate: float = 1e-4
    weight_decay: float = 1e-2
    warmup_steps: int = 0
    decay_steps: int = 0  # the last steps, over which the learning rate falls linearly to a tenth
    gradient_clip: float = 1.0  # the most that the gradients' norm may be; 0 = any
    accumulation: int = 1
    gradient_checkpointing: bool = False
    average_decay: float = 0.0  # 0 = no moving average of the weights
    mixed_precision: str = "no"  # "no", "bf16" or "fp16"
    seed: int = 0
    save_every: int = 500
    log_every: int = 50
    validate_every: int = 0  # steps between two judgements of the weights; 0 = none

    def __post_init__(self) -> None:
        """ValueError, in the words of the command line, for a value that cannot be."""
        for name, least in LEAST.items():
            require_number(name, getattr(self, name), least, fraction=name in FRACTIONS)
        require_switch("gradient_checkpointing", self.gradient_checkpointing)


def require_number(
    name: str, value: object, least: int, most: float = inf, fraction: bool = False
) -> None:
    """ValueError, in the words of the command line, for what is no number from least to most."""
    number = isinstance(value, int) or (isinstance(value, float) and fraction)
    if not number or isinstance(value, bool) or not least <= value <= most:
        kind = "number" if fraction else "whole number"
        limits = f"of at least {least}" if most == inf else f"from {least} to {most:g}"
        raise ValueError(f"{name} is a {kind} {limits}, not {value!r}")


def require_switch(name: str, value: object) -> None:
    """ValueError for what is neither true nor false: a word such as no would switch it on."""
    if not isinstance(value, bool):
        raise ValueError(f"{name} is true or false, not {value!r}")


# What suits a network on the bundled model's small pictures.
BUNDLED = Settings(
    steps=20000,
    warmup_steps=200,
    decay_steps=2000,
    average_decay=0.998,
    mixed_precision="bf16",
    save_every=250,
)


def learning_rate_factor(step: int, settings: Settings) -> float:
    """Linear warm-up, constant, linear fall to a tenth over the last decay_steps."""
    factor = min(1.0, (step + 1) / settings.warmup_steps) if settings.warmup_steps else 1.0
    left = settings.steps - step
    if left < settings.decay_steps:
        factor *= 0.1 + 0.9 * left / settings.decay_steps
    return factor
