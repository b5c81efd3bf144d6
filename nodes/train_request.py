"""The widgets of Train AU-Adapter as arguments of `au-adapter train`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from au_adapter.bases import find_family
from au_adapter.data.rendered import SAMPLE
from au_adapter.data.shards import PATTERN
from au_adapter.disk import path_inside
from au_adapter.faces.locate import FACE_LANDMARKER, MODEL_FOLDER, find, locate
from au_adapter.facs import ALL_UNITS, SET_A
from au_adapter.models.encoders import TOKEN_ENCODERS

from .compat import command_line, folder_paths, tokenizer_folder

BASES = ("AU-Adapter demo model",)  # beside the checkpoints
DATA = ("rendered sample",)  # beside the folders in the input folder
RUNS = ("go on", "begin again")
PRECISIONS = {"bf16": "bf16", "fp16": "fp16", "fp32": "no"}
UNIT_CHOICES = {  # choice -> AUs, whether left and right are apart
    "12 (set A)": (SET_A, False),
    "17 (sets A and B)": (ALL_UNITS, False),
    "12, left and right apart": (SET_A, True),
    "17, left and right apart": (ALL_UNITS, True),
}
# Folders inside a run's folder, which no run inside that folder may be called.
TAKEN = frozenset(
    name + ending
    for name in ("best", "result", "validation", "cache")
    for ending in ("", ".partial", ".previous")
)
ENCODERS = ("FineFace's", *TOKEN_ENCODERS)  # the first is the recipe's own
RUN_FOLDER = "au_adapter"  # of the output folder
SAVE_EVERY = 250  # steps; an interruption saves anyway


@dataclass(frozen=True)
class Request:
    """The widgets of the node. ValueError for a name that cannot be used."""

    base: str
    data: str
    name: str
    batch_size: int
    grad_accumulation_steps: int
    steps: int
    learning_rate: float
    rank: int
    seed: int
    training_dtype: str
    gradient_checkpointing: bool
    units: str
    validate_every: int
    existing_run: str
    encoder: str = ENCODERS[0]  # graphs of earlier releases do not name one

    def __post_init__(self) -> None:
        place = path_inside(run_folder(""), self.name, "models/au_adapter")
        if any(part in TAKEN for part in place.relative_to(run_folder("").resolve()).parts[1:]):
            raise ValueError(
                f"{self.name!r} is where another run keeps its own files; choose another name."
            )

    @property
    def folder(self) -> Path:
        return run_folder(self.name)

    @property
    def checkpoint(self) -> Path | None:
        """The base's file; None for the bundled model."""
        if self.base in BASES:
            return None
        return Path(folder_paths.get_full_path_or_raise("checkpoints", self.base))

    def arguments(self) -> list[str]:
        recipe = "fineface"
        if self.checkpoint:
            recipe += f"-{find_family(self.checkpoint).name}"
        settings = [f"{name}={value}" for name, value in self._settings().items()]
        return [
            *("--recipe", recipe, "--data", str(self._faces()), "--steps", str(self.steps)),
            *("--validate-every", str(self.validate_every)),
            *(("--estimator", "mesh") if self._landmarker() else ()),
            *(word for setting in settings for word in ("--set", setting)),
        ]

    def environment(self) -> dict[str, str]:
        found = {"ACCELERATE_USE_CPU": "true"} if command_line.cpu else {}
        if landmarker := self._landmarker():
            found[FACE_LANDMARKER.variable] = str(landmarker)
        return found

    def _settings(self) -> dict[str, object]:
        base = {"base": self.checkpoint, "tokenizer": tokenizer_folder()}
        units, sides = UNIT_CHOICES[self.units]
        return {
            **(base if self.checkpoint else {}),
            "batch_size": self.batch_size * self.grad_accumulation_steps,
            "accumulation": self.grad_accumulation_steps,
            "learning_rate": self.learning_rate,
            "warmup_steps": min(200, self.steps // 20),
            "decay_steps": self.steps // 4,
            **({"encoder": self.encoder} if self.encoder in TOKEN_ENCODERS else {}),
            "lora_rank": self.rank,
            "seed": self.seed,
            "mixed_precision": PRECISIONS[self.training_dtype],
            "gradient_checkpointing": str(self.gradient_checkpointing).lower(),
            "units": "[" + ",".join(map(str, units)) + "]",
            **({"sides": "true"} if sides else {}),
            "lanes": 1,  # any number of faces fills it
            "log_every": 1,
            "save_every": SAVE_EVERY,
        }

    def _faces(self) -> Path:
        folder = faces_folder(self.data)
        if folder == SAMPLE and not any(folder.glob(PATTERN)):
            raise FileNotFoundError(
                f"there is no {PATTERN} in {folder}, where the rendered sample "
                "belongs: install the extension again, or choose a folder of your own in data."
            )
        return folder

    def _landmarker(self) -> Path | None:
        """The file with which the estimator `mesh` validates. None without validation, and where
        the bundled model's regressor suffices: it reads 12 AUs."""
        wide = set(UNIT_CHOICES[self.units][0]) > set(SET_A)
        if not self.validate_every or not (self.checkpoint or wide):
            return None
        look = locate if self.checkpoint else find
        try:
            return look(FACE_LANDMARKER, None, folder_paths.get_folder_paths(MODEL_FOLDER))
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f"to check the faces that are drawn, it needs the face "
                f"landmarker; or set validate_every to 0. {error}"
            ) from error


def faces_folder(data: str) -> Path:
    """The folder of labelled faces for a choice of `data`. "rendered sample" is always the sample;
    `--data rendered` on the command line may find other renders."""
    return SAMPLE if data in DATA else Path(folder_paths.get_input_directory()) / data


def run_folder(name: str) -> Path:
    """The folder of the state of a run."""
    return Path(folder_paths.get_output_directory()) / RUN_FOLDER / name
