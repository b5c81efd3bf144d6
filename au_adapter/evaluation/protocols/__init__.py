"""The papers' test protocols: data files of what is asked for, expanded into requests.

What a paper does not publish (prompts, combinations, pairs) is chosen here and named in the file
under "ours". A file of your own in the same form works as well. `..protocol_run` runs a protocol,
`..report` reports the result.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from ...disk import damage_named, read_json
from ...facs.notation import format_notation, parse_notation
from ...facs.vector import AUVector
from ..records import REFERENCE, SCHEMA, Request

FOLDER = Path(__file__).parent
NAMES = tuple(sorted(path.stem for path in FOLDER.glob("*.json")))


@dataclass(frozen=True)
class Frame:
    """A labelled photo: file, who it shows, and AU code -> intensity 0..5: {"4": 2, "L12": 3}."""

    file: str
    subject: str
    aus: dict[str, float] = field(hash=False)


@dataclass(frozen=True)
class Protocol:
    """Requests, and the references they are compared with, which are not counted as rows.

    A reference asks for nothing: the picture without AU condition, or the photo itself. scale:
    "absolute" where a request is the intensity to show, "change" where it is added to what the
    reference shows. published: the paper's figures by group and metric, with its estimator.
    """

    name: str
    title: str
    scale: str
    units: tuple[int, ...]
    rows: tuple[Request, ...]
    references: tuple[Request, ...]
    published: dict = field(default_factory=dict)
    ours: tuple[str, ...] = ()

    def fingerprint(self) -> str:
        """SHA-256 of everything that is asked for: two runs with the same one may be compared."""
        asked = [asdict(row) for row in (*self.references, *self.rows)]
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def load_protocol(
    name: str | Path, photos: Sequence[str | Path] = (), frames: Iterable[Frame] = ()
) -> Protocol:
    """A protocol by its name (aueditnet, fineface, magicface) or its JSON file, expanded.

    photos: for "magicface", its 20 files, one for each person. frames: for "aueditnet", the
    labelled photos of the test people. The same input gives the same rows. ValueError for an
    unknown name, another file, or another number of photos.
    """
    path, data = _read(name)
    with damage_named(path, f"See {FOLDER / 'fineface.json'}"):
        if "pairs" in data:
            references, rows = _from_frames(data, list(frames))
        else:
            made = _prompts(data) if "prompts" in data else _photos(data, list(map(str, photos)))
            references, rows = made, [_asked(r, *ask) for r in made for ask in _requests(data)]
        told = [str(data[key]) for key in ("name", "title", "scale")]
        units = AUVector.zeros(tuple(data["units"])).units
        published, ours = dict(data.get("published", {})), tuple(map(str, data.get("ours", ())))
        return Protocol(*told, units, tuple(rows), tuple(references), published, ours)


def load_part(name: str | Path, number: int) -> tuple[Request, list[Request]]:
    """Reference `number`, from 1, of a protocol of prompts or photos, and the rows compared with
    it. The sources of photos are "photo 1" and so on, for somebody who has them at hand.

    ValueError for another number, and for a protocol that chooses among labelled frames.
    """
    photos = [f"photo {i + 1}" for i in range(_read(name)[1].get("photos", 0))]
    protocol = load_protocol(name, photos)
    if not 1 <= number <= len(protocol.references):
        raise ValueError(
            f"The protocol '{name}' has {len(protocol.references)} prompts or photos, found number "
            f"{number}: choose 1 to {len(protocol.references)}"
        )
    reference = protocol.references[number - 1]
    return reference, [row for row in protocol.rows if row.reference == reference.id]


def _read(name: str | Path) -> tuple[Path, dict]:
    path = FOLDER / f"{name}.json" if str(name) in NAMES else Path(name)
    if not path.is_file():
        raise ValueError(
            f"There is no protocol '{name}': choose {', '.join(NAMES)}, or give a JSON file"
        )
    data = read_json(path)
    data = data if isinstance(data, dict) else {}
    kinds = [kind for kind in ("prompts", "photos", "pairs") if kind in data]
    if data.get("schema") != SCHEMA or data.get("scale") not in ("absolute", "change") or not kinds:
        raise ValueError(
            f"{path} is no protocol: it needs schema {SCHEMA}, the scale absolute or change, and "
            f"prompts, photos or pairs; see {FOLDER / 'fineface.json'}"
        )
    return path, data


def _requests(data: Mapping) -> list[tuple[str, dict[str, float]]]:
    """Every AU at every level, then the combinations: (group, code -> intensity)."""
    singles = [
        ("single", {str(u): float(level)}) for u in data["units"] for level in data["levels"]
    ]
    return singles + [("combination", parse_notation(text)) for text in data["combinations"]]


def _prompts(data: Mapping) -> list[Request]:
    """FineFace: one seed a prompt."""
    return [
        Request(f"{i:02d}_reference", REFERENCE, {}, data["seed"] + i, f"{i:02d}_reference", prompt)
        for i, prompt in enumerate(data["prompts"], 1)
    ]


def _photos(data: Mapping, photos: list[str]) -> list[Request]:
    """MagicFace."""
    if len(photos) != data["photos"] or len(set(photos)) != len(photos):
        raise ValueError(
            f"The protocol '{data['name']}' edits {data['photos']} different photos, one for each "
            f"person; found {len(set(photos))}"
        )
    names = [f"{i:02d}_reference" for i in range(1, len(photos) + 1)]
    return [
        Request(name, REFERENCE, {}, data["seed"], name, source=photo)
        for name, photo in zip(names, photos, strict=True)
    ]


def _asked(reference: Request, group: str, requested: dict[str, float]) -> Request:
    """The same prompt, photo and seed as the reference, with AUs; named by FACS code."""
    name = reference.id.removesuffix(REFERENCE) + format_notation(requested).replace(":", "=")
    return replace(reference, id=name, group=group, requested=requested)


def _from_frames(data: Mapping, frames: list[Frame]) -> tuple[list[Request], list[Request]]:
    """AUEditNet: a frame to the labels of another frame of that person, and to no AU at all."""
    if not frames:
        raise ValueError(
            f"The protocol '{data['name']}' needs labelled frames of the test people (DISFA, or "
            "rendered faces), found none"
        )
    references, rows, nothing = [], [], dict.fromkeys(map(str, data["units"]), 0.0)
    for subject in sorted({frame.subject for frame in frames}):
        own = [frame for frame in frames if frame.subject == subject]
        for i, (source, target) in enumerate(_pairs(own, data["pairs"], data["seed"]), 1):
            name = f"{subject}_{i:03d}_reference"
            row = Request(name, REFERENCE, {}, data["seed"], name, source=source.file)
            references.append(row)
            wanted = AUVector.from_dict(target.aus).select(data["units"], strict=False)
            asked = ("target", wanted.dict(zeros=True), target.file), ("removal", nothing, "")
            rows += [
                replace(row, id=f"{subject}_{i:03d}_{name}", group=name, requested=aus, target=file)
                for name, aus, file in asked
            ]
    return references, rows


def _pairs(frames: list[Frame], count: int, seed: int) -> list[tuple[Frame, Frame]]:
    """`count` pairs of different frames, or one for every frame where there are fewer.

    The order comes from hashes of the file names, so that it depends on neither the order of the
    listing nor a version of a random generator.
    """
    if len(frames) < 2:
        raise ValueError(f"{frames[0].subject} has one frame: a target needs another one")
    sources = _scattered(frames, f"{seed} source")[:count]
    targets = _scattered(frames, f"{seed} target")
    return [
        (source, targets[i] if targets[i] is not source else targets[i - 1])
        for i, source in enumerate(sources)
    ]


def _scattered(frames: list[Frame], salt: str) -> list[Frame]:
    return sorted(frames, key=lambda f: hashlib.sha256(f"{salt} {f.file}".encode()).hexdigest())
