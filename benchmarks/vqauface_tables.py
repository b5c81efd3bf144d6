"""VQ-AUFace's tables again, on rendered heads whose AUs are known.

    python -m benchmarks.vqauface_tables --size evening --data FOLDER --held-out FOLDER

Does text say more than AU labels? What do S, A and V, and the anatomical loss add? How do unseen
combinations and those of the paper's user study come out? Every cell, a model with a seed, is
trained and read in a folder of its own, and a stopped run goes on. Both folders are renders as
`au-adapter render --neutral-first --one-scene` makes them, of different people.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import click
import torch
from torch import Tensor

from au_adapter.data.rendered import SAMPLE
from au_adapter.data.shards import find_shards, label_of, read_shard
from au_adapter.disk import write_json
from au_adapter.estimators import Estimator, open_estimator
from au_adapter.evaluation.text_agreement import text_agreement
from au_adapter.facs import AUVector
from au_adapter.methods import open_generator
from au_adapter.methods.vqauface_editor import VQAUFaceEditor
from au_adapter.metrics import au_mse
from au_adapter.training.reference_pairs import Pairs, ReferencePairs, aus_of
from au_adapter.training.run import train
from au_adapter.weights.vqauface_files import MODEL_FILE, load_vqauface

from .vqauface_report import CONFLICTS, write_report

RESULTS = Path(__file__).parent / "results"
WORK = Path(__file__).parents[1] / ".cache" / "benchmarks" / "vqauface_tables"
SEED = 9001  # of the pictures; nothing was trained or chosen on them
STRENGTH = 3.0  # intensity at which conflicts are asked for
SHOWN = 0.5
PROMPT = "a portrait of a young woman with light skin"

# Cell -> options of the recipe, and which codec it draws with.
CELLS: dict[str, tuple[dict[str, Any], str]] = {
    "text": ({}, "anatomy"),
    "vector": ({"driver": "vector"}, "anatomy"),
    "without S": ({"structure": False}, "anatomy"),
    "without A": ({"appearance": False}, "anatomy"),
    "without V": ({"reference": False}, "anatomy"),
    "without S, A, V": (
        {"structure": False, "appearance": False, "reference": False}, "anatomy",
    ),
    "without anatomical loss": ({}, "plain"),
}  # fmt: skip


@dataclass(frozen=True)
class Size:
    """How much is done. codec, network: settings and options of the two recipes. pairs: held-out
    pictures that are drawn; people: references of the conflicts."""

    codec: dict[str, Any]
    network: dict[str, Any]
    pairs: int
    people: int
    steps: int = 12
    seeds: tuple[int, ...] = (1, 2)


FEW = {"batch_size": 2, "warmup_steps": 0, "decay_steps": 0, "log_every": 1, "lanes": 2,
       "buffer": 8, "mixed_precision": "no"}  # fmt: skip
MANY = {"batch_size": 8, "lanes": 2, "warmup_steps": 100}
TINY_CODEC = {"size": 32, "patch": 2, "widths": [8, 16], "blocks": 1, "code_width": 4,
              "codes": 16, "depth": 2, "quantised_from": 0, "anatomy_from": 0}  # fmt: skip
SIZES = {
    "smoke": Size(
        {**FEW, **TINY_CODEC, "steps": 2, "adversarial": 0.0},
        {**FEW, "steps": 2, "width": 32, "layers": 1, "heads": 2},
        pairs=6, people=1, steps=2, seeds=(1,),
    ),
    "evening": Size(
        {**MANY, "steps": 4000, "decay_steps": 2000, "learning_rate": 1e-3, "adversarial": 0.0,
         "edges": 1.0, "anatomical": 0.02, "anatomy_from": 1000},
        {**MANY, "steps": 3000, "decay_steps": 1000, "learning_rate": 6e-4},
        pairs=96, people=8,
    ),
    "full": Size(
        {**MANY, "steps": 13_000, "decay_steps": 6000, "learning_rate": 1e-3, "adversarial": 0.0,
         "edges": 1.0, "anatomical": 0.02, "anatomy_from": 2000},
        {**MANY, "steps": 8000, "decay_steps": 3000, "learning_rate": 6e-4},
        pairs=400, people=15,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Tables:
    """One run of the benchmark. codecs: "anatomy" and "plain" -> a finished codec, else trained.
    networks: cell -> finished networks, one a seed, else trained."""

    size: Size
    data: Path
    held_out: Path
    work: Path
    estimator: Estimator
    regressor: Path
    codecs: Mapping[str, Path] = field(default_factory=dict)
    networks: Mapping[str, Sequence[Path]] = field(default_factory=dict)

    def codec(self, name: str) -> Path:
        """A codec with or without the anatomical loss, trained where none was given."""
        if name in self.codecs:
            return self.codecs[name]
        anatomy = {"anatomy": str(self.regressor)} if name == "anatomy" else {}
        told = {**self.size.codec, **anatomy}
        return train("vq-auface-codec", [self.data], self.work / f"codec-{name}", **told)

    def cell(self, name: str) -> list[dict[str, Any]]:
        """The numbers of a cell, for each seed."""
        if name in self.networks:
            return [self.measure(load_vqauface(path)) for path in self.networks[name]]
        return [self.trained(name, seed) for seed in self.size.seeds]

    def trained(self, name: str, seed: int) -> dict[str, Any]:
        """The numbers of a cell that is trained here, measured once."""
        options, codec = CELLS[name]
        folder = self.work / f"{name.replace(' ', '_').replace(',', '')}-{seed}"
        found = folder / "measured.json"
        if found.is_file():
            return json.loads(found.read_text(encoding="utf-8"))
        told = {**self.size.network, **options, "codec": str(self.codec(codec)), "seed": seed}
        result = train("vq-auface", [self.data], folder, **told)
        measured = self.measure(load_vqauface(result / MODEL_FILE))
        write_json(found, measured)
        return measured

    @cached_property
    def seen(self) -> set[frozenset[str]]:
        """The combinations of AUs that training pictures show."""
        labels = (label_of(p, s) for s in find_shards(self.data) for p in read_shard(s, "json"))
        return {_combination(label) for label in labels}

    def measure(self, network: Any) -> dict[str, Any]:
        """The numbers of a trained network: of held-out pairs, of those among them whose
        combination no training picture shows, and of conflicts."""
        config = network.config
        pairs = ReferencePairs([self.held_out], config.codec.size, SEED, 2, self.size.pairs).read(
            0, self.size.pairs
        )
        editor = VQAUFaceEditor(network=network, landmarker=None, steps=self.size.steps)
        references, targets = (part.movedim(1, -1) / 2 + 0.5 for part in pairs.pictures())
        asked = AUVector.stack([aus_of(label, config) for label in pairs.labels])
        drawn = torch.cat([editor.open(picture[None]).edit(asked.face(n), SEED)
                           for n, picture in enumerate(references)])  # fmt: skip
        read = {name: self.read(pictures) for name, pictures in
                (("drawn", drawn), ("references", references), ("targets", targets))}  # fmt: skip
        unseen = [n for n, label in enumerate(pairs.labels) if _combination(label) not in self.seen]
        return {
            "all": self.numbers(read, asked, range(len(drawn))),
            "unseen": self.numbers(read, asked, unseen),
            "conflicts": self.conflicts(editor, pairs),
        }

    def numbers(
        self, read: Mapping[str, Tensor], asked: AUVector, rows: Sequence[int]
    ) -> dict[str, Any]:
        """AU errors and AAAD of some pairs; of fewer than two there are none."""
        units = self.units(asked)
        wanted = asked.select(units, strict=False).values
        rows = [n for n in rows if (wanted[n] >= SHOWN).any()]
        if len(rows) < 2:
            return {"pictures": len(rows)}
        there = wanted[rows] >= SHOWN
        columns = [self.estimator.units.index(unit) for unit in units]
        values = {name: part[rows][:, columns] for name, part in read.items()}
        agreement = text_agreement(values["drawn"], wanted[rows], values["targets"])
        errors = {f"au_error_of_{name}": au_mse(wanted[rows], part, there)
                  for name, part in values.items()}  # fmt: skip
        return {"pictures": len(rows), **errors, "aaad": vars(agreement)}

    def conflicts(self, editor: VQAUFaceEditor, pairs: Pairs) -> dict[str, float]:
        """Combination -> squared error of its AUs, the mean over references."""
        references = (pairs.pictures()[0] / 2 + 0.5).movedim(1, -1)[: self.size.people]
        asked = conflict_vectors()
        drawn = torch.cat([editor.open(picture[None]).edit(asked, SEED) for picture in references])
        return self.conflict_errors(drawn)

    def generator_conflicts(self, name: str) -> dict[str, float]:
        """The same of a method that draws from a prompt, on its own base."""
        generator = open_generator(name, steps=self.size.steps)
        seeds = range(SEED, SEED + self.size.people)
        drawn = torch.cat([generator.draw(PROMPT, seed, conflict_vectors()) for seed in seeds])
        return self.conflict_errors(drawn)

    def conflict_errors(self, drawn: Tensor) -> dict[str, float]:
        """drawn: pictures [people x combinations, H, W, 3]."""
        values = self.read(drawn).unflatten(0, (-1, len(CONFLICTS)))
        errors = {}
        for number, combination in enumerate(CONFLICTS):
            columns = [self.estimator.units.index(unit) for unit in combination]
            found = values[:, number][:, columns]
            errors["+".join(map(str, combination))] = float((found - STRENGTH).square().mean())
        return errors

    def read(self, pictures: Tensor) -> Tensor:
        """Intensities [N, K] of the estimator's AUs; none where it finds no face."""
        values = torch.zeros(len(pictures), len(self.estimator.units))
        for reading in sorted(self.estimator.estimate(pictures), key=lambda r: r.confidence):
            values[reading.image] = reading.aus.values[0]
        return values

    def units(self, asked: AUVector) -> tuple[int, ...]:
        """The AUs that are asked for and can be read."""
        return tuple(unit for unit in asked.units if unit in self.estimator.units)


def conflict_vectors() -> AUVector:
    """The combinations of the paper's user study, at STRENGTH."""
    asked = [dict.fromkeys(map(str, combination), STRENGTH) for combination in CONFLICTS]
    return AUVector.stack([AUVector.from_dict(aus) for aus in asked])


def _combination(label: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(unit for unit, value in label["units"].items() if value >= SHOWN)


def run(
    tables: Tables, results: Path, name: str, cells: Sequence[str], generators: Sequence[str]
) -> Path:
    """Make what is not made yet, and write the report."""
    found = {cell: tables.cell(cell) for cell in cells}
    others = {generator: tables.generator_conflicts(generator) for generator in generators}
    return write_report(results, name, found, others, tables.estimator.name)


@click.command()
@click.option("--size", type=click.Choice(tuple(SIZES)), required=True)
@click.option("--data", type=click.Path(exists=True, path_type=Path), default=SAMPLE)
@click.option("--held-out", type=click.Path(exists=True, path_type=Path), default=SAMPLE)
@click.option("--estimator", default="demo", show_default=True, help="Reads the AUs.")
@click.option(
    "--regressor",
    type=click.Path(exists=True, path_type=Path),
    required=True,
    help="regressor.safetensors, the AU network of the anatomical loss.",
)
@click.option("--codec", type=click.Path(exists=True, path_type=Path), help="With that loss.")
@click.option("--plain-codec", type=click.Path(exists=True, path_type=Path), help="Without it.")
@click.option("--network", "networks", multiple=True, metavar="CELL=FILE",
              help="A finished vqauface.safetensors for a cell; of each seed one.")  # fmt: skip
@click.option("--cell", "cells", multiple=True, type=click.Choice(tuple(CELLS)))
@click.option("--generator", "generators", multiple=True, default=("au-adapter",),
              show_default=True, help="Methods beside it on the conflicts.")  # fmt: skip
def main(
    size: str, data: Path, held_out: Path, estimator: str, regressor: Path, codec: Path | None,
    plain_codec: Path | None, networks: tuple[str, ...], cells: tuple[str, ...],
    generators: tuple[str, ...],
) -> None:  # fmt: skip
    """Write results/vqauface_tables_SIZE.{json,md}, of all cells, or of those that are named."""
    given = {"anatomy": codec, "plain": plain_codec}
    codecs = {name: path for name, path in given.items() if path}
    finished: dict[str, list[Path]] = {}
    for cell, _, path in (named.partition("=") for named in networks):
        if cell not in CELLS:
            raise click.UsageError(f"--network {cell}=...: a cell is one of {', '.join(CELLS)}")
        finished.setdefault(cell, []).append(Path(path))
    reader = open_estimator(estimator)
    tables = Tables(SIZES[size], data, held_out, WORK / size, reader, regressor, codecs, finished)
    run(tables, RESULTS, f"vqauface_tables_{size}", cells or tuple(CELLS), generators)


if __name__ == "__main__":
    main()
