"""What a run may choose, and its learning rate from step to step."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, fields
from math import inf


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
        check_options(self, steps=1, batch_size=1, accumulation=1, save_every=1, log_every=1)


def check_options(options: object, **limits: int | tuple[int, int]) -> None:
    """ValueError, in the words of the command line, for a field of a dataclass that cannot be.

    limits: of a number, the least, or least and most; of all others at least 0. A field of type int
    takes whole numbers alone, one of type bool true or false: a word such as no would switch it on.
    """
    for field in fields(options):
        name, value = field.name, getattr(options, field.name)
        kind, _, optional = field.type.partition(" | ")
        if value is None and optional == "None":
            continue
        if kind == "bool" and not isinstance(value, bool):
            raise ValueError(f"{name} is true or false, not {value!r}")
        if kind in ("int", "float"):
            found = limits.get(name, 0)
            least, most = found if isinstance(found, tuple) else (found, inf)
            fits = isinstance(value, (int, float) if kind == "float" else int)
            if not fits or isinstance(value, bool) or not least <= value <= most:
                number = "number" if kind == "float" else "whole number"
                range_of = f"of at least {least}" if most == inf else f"from {least} to {most:g}"
                raise ValueError(f"{name} is a {number} {range_of}, not {value!r}")


def require_word(name: str, value: object, known: Collection[str]) -> None:
    """ValueError for a word that an option does not know."""
    if value not in known:
        raise ValueError(f"{name} is one of {', '.join(known)}, not {value!r}")


# What suits a network on the bundled model's small pictures.
BUNDLED = Settings(
    steps=20000,
    warmup_steps=200,
    decay_steps=2000,
    average_decay=0.998,
    mixed_precision="bf16",
    save_every=250,
)
# And one of AUEditNet's, on aligned faces.
ALIGNED = Settings(
    steps=20_000,
    batch_size=8,
    learning_rate=1e-3,
    weight_decay=0.0,
    warmup_steps=200,
    decay_steps=8000,
    average_decay=0.998,
)


def learning_rate_factor(step: int, settings: Settings) -> float:
    """Linear warm-up, constant, linear fall to a tenth over the last decay_steps."""
    factor = min(1.0, (step + 1) / settings.warmup_steps) if settings.warmup_steps else 1.0
    left = settings.steps - step
    if left < settings.decay_steps:
        factor *= 0.1 + 0.9 * left / settings.decay_steps
    return factor
