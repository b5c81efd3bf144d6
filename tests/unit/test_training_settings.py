"""What a run may choose: what cannot be is a sentence, before the first step."""

from __future__ import annotations

import pytest

from au_adapter.training.settings import Settings


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("save_every", 0, "save_every is a whole number of at least 1, not 0"),
        ("log_every", 0, "log_every is a whole number of at least 1"),
        ("accumulation", 0, "accumulation is a whole number of at least 1"),
        ("steps", 2.5, "steps is a whole number of at least 1, not 2.5"),
        ("batch_size", True, "batch_size is a whole number"),
        ("learning_rate", "abc", "learning_rate is a number of at least 0, not 'abc'"),
        ("learning_rate", float("nan"), "learning_rate is a number of at least 0, not nan"),
        ("gradient_checkpointing", "no", "gradient_checkpointing is true or false, not 'no'"),
        ("warmup_steps", -1, "warmup_steps is a whole number of at least 0"),
    ],
)
def test_a_number_that_cannot_be_is_named(name: str, value: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Settings(**{"steps": 3, name: value})


def test_every_number_has_its_least() -> None:
    numbers = {n for n, f in Settings.__dataclass_fields__.items() if f.type in ("int", "float")}
    for name in numbers:
        with pytest.raises(ValueError, match=f"{name} is a (whole )?number of at least"):
            Settings(**{"steps": 3, name: -1})
    ones = dict.fromkeys(("steps", "batch_size", "accumulation", "save_every", "log_every"), 1)
    Settings(**dict.fromkeys(numbers, 0) | ones)
