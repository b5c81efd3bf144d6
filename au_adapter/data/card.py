"""The data card of a folder of shards: what it holds, where it came from, what was left out."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ..disk import damage_named, read_json
from .rendered import is_rendered
from .shards import count_faces, find_shards, label_of, read_shard

LOGGER = logging.getLogger("au_adapter")
CARD = "card.json"
WORK = "work"  # folder of what is kept of each shard's making, inside that of the shards
SCHEMA = 1
COUNTED = ("faces", "uneven", "captioned")
GRADES = 6  # 0..5
MOST_FACES = 10**9  # of a shard; more is damage


def shard_counts(shards: Sequence[Path]) -> dict[Path, int]:
    """Faces of each shard: from the data cards beside them, else by reading their headers."""
    known: dict[Path, int] = {}
    for folder in {shard.parent for shard in shards}:
        if card := read_card(folder):
            known |= {folder / name: n for name, n in card["shards"].items()}
    return {shard: known.get(shard) or count_faces(shard) for shard in shards}


def read_card(folder: str | Path) -> dict | None:
    """The data card of a folder, None where there is none. ValueError for one of a later schema."""
    path = Path(folder) / CARD
    if not path.is_file():
        return None
    card = read_json(path)
    schema = card.get("schema") if isinstance(card, dict) else None
    if schema != SCHEMA:
        raise ValueError(
            f"{path} has schema {schema!r}, and only {SCHEMA} is known here: read it "
            "with the version that wrote it"
        )
    shards = card.get("shards")
    counts = shards.values() if isinstance(shards, dict) else [None]
    if not all(type(n) is int and 0 <= n < MOST_FACES for n in counts):
        raise ValueError(
            f'{path} is damaged: "shards" gives the number of faces of each shard, and is '
            f"{str(shards)[:80]}. Delete it"
        )
    return card


def counts_path(shard: Path) -> Path:
    """Where the `count_labels` of a shard is kept, so that a folder is counted as it is made."""
    return shard.parent / WORK / f"counts-{shard.stem.removeprefix('shard-')}.json"


def count_labels(labels: Iterable[Mapping]) -> dict:
    """What some labels say, as numbers that add up: see `add_counts`.

    {"faces", "uneven": faces whose sides differ, "captioned", "units": AU -> {"labelled", "sum",
    "grades": how many round to 0, 1, .. 5}}; outside 0..5 counts as the nearest grade.
    """
    total: dict = {"faces": 0, "uneven": 0, "captioned": 0, "units": {}}
    for label in labels:
        total["faces"] += 1
        total["uneven"] += label["left"] != label["right"]
        total["captioned"] += bool(label["caption"])
        for unit, value in label["units"].items():
            row = total["units"].setdefault(unit, _no_unit())
            row["labelled"] += 1
            row["sum"] += value
            row["grades"][min(max(round(value), 0), GRADES - 1)] += 1
    return total


def add_counts(parts: Iterable[Mapping]) -> dict:
    """The sum of several `count_labels`."""
    total = count_labels(())
    for part in parts:
        for name in COUNTED:
            total[name] += part[name]
        for unit, row in part["units"].items():
            into = total["units"].setdefault(unit, _no_unit())
            into["labelled"] += row["labelled"]
            into["sum"] += row["sum"]
            into["grades"] = [a + b for a, b in zip(into["grades"], row["grades"], strict=True)]
    return total


def make_card(
    counts: Mapping, shards: Mapping[str, int], settings: Mapping, steps: Sequence[Mapping]
) -> dict:
    """The card: counts in all and per AU, shards with their faces, settings, steps in order."""
    units = {
        unit: {
            "labelled": row["labelled"],
            "mean": round(row["sum"] / row["labelled"], 4),
            "grades": row["grades"],
        }
        for unit, row in sorted(counts["units"].items(), key=lambda item: int(item[0]))
    }
    return {
        "schema": SCHEMA,
        "settings": dict(settings),
        "steps": list(steps),
        **{name: counts[name] for name in COUNTED},
        "units": units,
        "shards": dict(shards),
    }


def describe_folder(folder: str | Path) -> dict:
    """The card of a folder of shards; where there is none, it is made anew, and not kept: nobody
    would know when the shards are others."""
    if card := read_card(folder):
        with damage_named(Path(folder) / CARD, "Delete it"):
            if not all(type(card[name]) is int for name in COUNTED):
                raise ValueError("faces, uneven and captioned are whole numbers")
            _ = [(step["step"], step["in"] - step["dropped"]) for step in card["steps"]]
            units = card["units"].items()
            _ = [(int(unit), row["mean"] + sum(row["grades"])) for unit, row in units]
        return card
    LOGGER.info("%s has no %s: its labels are read", folder, CARD)
    return count_folder(folder)


def count_folder(folder: str | Path) -> dict:
    """The card of the shards that are in a folder, by the counts that were kept of each, else by
    its labels. FileNotFoundError without shards, ValueError for a face without a label."""
    parts = {shard.name: _counted(shard) for shard in find_shards(folder)}
    shards = {name: part["faces"] for name, part in parts.items()}
    source = "rendered" if is_rendered(folder) else "shards"
    return make_card(add_counts(parts.values()), shards, {"source": source}, [])


def _counted(shard: Path) -> dict:
    kept = counts_path(shard)
    if kept.is_file():
        return read_counts(kept)
    return count_labels(label_of(face, shard) for face in read_shard(shard, only="json"))


def read_counts(path: Path) -> dict:
    """The `count_labels` in a file. ValueError naming it where it holds something else."""
    counts = read_json(path)
    with damage_named(path, "Delete it"):
        make_card(add_counts([counts]), {}, {}, [])
        return counts


def _no_unit() -> dict:
    return {"labelled": 0, "sum": 0.0, "grades": [0] * GRADES}
