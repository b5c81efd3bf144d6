"""What a measurement is made of: requests, rows, the header of a run; and their JSON, both ways.

The field names are those of the files that scripts read (schema 1): `rows-*.jsonl`,
`protocol.json`, `report.json` and `demo/report.json`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from ..facs import AUVector
from .sides import Column

SCHEMA = 1
MOST = 1e6  # of intensities and metrics
ANSWER = ("method", "prompt", "seed", "requested", "measured")  # fields of demo/report.json
REFERENCE = "reference"  # the group of pictures that others are compared with


@dataclass(frozen=True)
class Request:
    """One picture to make.

    id: unique in its protocol, fit for a file name. group: "single", "combination", "target",
    "removal", or "reference". requested: AU code -> intensity, or change on the scale "change".
    reference: id of the request it is compared with, "" for none. source: file of a photo to edit.
    target: file that shows what is asked for, where there is one.
    """

    id: str
    group: str
    requested: dict[str, float]
    seed: int | None
    reference: str = ""
    prompt: str = ""
    source: str = ""
    target: str = ""


@dataclass(frozen=True)
class Row(Request):
    """A request and what came of it.

    method: what made the picture. finite: False for a picture with NaN or infinity, which nobody
    measures. faces: how many were found, None where nobody looked. turned: the face that was read
    looks away. measured: AU code -> intensity of the most confident face, None without one.
    metrics: name -> number beside the reference, None where it could not be measured; None in place
    of all where nothing was compared.
    """

    method: str = ""
    finite: bool = True
    faces: int | None = None
    turned: bool = False
    measured: dict[str, float] | None = None
    metrics: dict[str, float | None] | None = None

    def json(self) -> dict[str, Any]:
        """A line of `rows-*.jsonl`, a record of `report.json`."""
        return {k: v for k, v in asdict(self).items() if v is not None or k != "metrics"}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Row:
        """The row of such a line; earlier versions wrote fewer fields. What is no such line is a
        ValueError or TypeError."""
        row = cls(**{f.name: data[f.name] for f in fields(cls) if f.name in data})
        _require(row, str, "id", "group", "reference", "prompt", "source", "target", "method")
        told = [name for name in ("faces", "seed") if getattr(row, name) is not None]
        _require(row, int, "finite", "turned", *told)
        found = [row.requested, *(x for x in (row.measured, row.metrics) if x is not None)]
        numbers = [number for each in found for number in each.values()]
        if wrong := [n for n in numbers if n is not None and not -MOST < n < MOST]:
            raise ValueError(f"it has {wrong[0]!r} in place of a number")
        AUVector.from_dict(row.requested)
        return row

    def answer(self) -> dict[str, Any]:
        """A row of `demo/report.json`, of a picture in the file `target`; metrics beside it."""
        found = {name: getattr(self, name) for name in ANSWER}
        return {"file": self.target, **found, **(self.metrics or {})}

    @classmethod
    def from_answer(cls, data: Mapping[str, Any]) -> Row:
        """The row of such a row. Other numbers in it are metrics."""
        known = {name: data[name] for name in ANSWER if name in data}
        others = {k: v for k, v in data.items() if k not in known and isinstance(v, int | float)}
        file = data.get("file", "")
        return cls(
            **{"seed": None, **known}, id=file, group="", target=file, metrics=others or None
        )


@dataclass(frozen=True, kw_only=True)
class RunHeader:
    """What a run is: which protocol, made and measured how.

    fingerprint: SHA-256 of all that is asked for. scale: "absolute" or "change". rows, references:
    how many. published: the paper's figures by group and metric. ours: what the paper leaves open.
    networks: metric -> what sees it. not_measured: metric -> why it is missing. sides: AUs that
    some request wants uneven. columns: what is scored, where that is not `units`.
    """

    protocol: str
    title: str
    fingerprint: str
    scale: str
    units: tuple[int, ...]
    rows: int
    references: int
    published: dict[str, Any] = field(default_factory=dict)
    ours: tuple[str, ...] = ()
    estimator: str
    method: str
    settings: dict[str, Any] = field(default_factory=dict)
    networks: dict[str, str] = field(default_factory=dict)
    not_measured: dict[str, str] = field(default_factory=dict)
    sides: tuple[int, ...] = ()
    columns: tuple[Column, ...] = ()

    @property
    def scored(self) -> tuple[Column, ...]:
        """Every AU, one by one, or by side where requests differ by side."""
        return self.columns or self.units

    def json(self) -> dict[str, Any]:
        """`protocol.json`; `sides` and `columns` only where there are some."""
        found = {"schema": SCHEMA, **asdict(self)}
        return {k: v for k, v in found.items() if v or k not in ("sides", "columns")}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RunHeader:
        """The header in such a file. What is no header is a ValueError, TypeError or the like."""
        known = {f.name: data[f.name] for f in fields(cls) if f.name in data}
        lists = {name: tuple(value) for name, value in known.items() if isinstance(value, list)}
        header = cls(**known | lists)
        _require(header, str, "protocol", "title", "fingerprint", "scale", "estimator", "method")
        _require(header, int, "rows", "references")
        _require(header, tuple, "units", "ours", "sides", "columns")
        _require(header, dict, "published", "settings", "networks", "not_measured")
        groups = [group for name, group in header.published.items() if name != "estimator"]
        sum(number for group in groups for number in group.values())
        AUVector.zeros(header.units + tuple(set(header.sides) - set(header.units)))
        return header


def _require(record: object, kind: type, *names: str) -> None:
    """TypeError where a field is not of a kind."""
    for name in names:
        if not isinstance(found := getattr(record, name), kind):
            raise TypeError(f"{name} is {found!r}, expected {kind.__name__}")
