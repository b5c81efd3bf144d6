"""From the rows of a run to numbers with names: a table, JSON, CSV.

Nothing is left out in silence: every line says how many pictures it is made of, and the counts say
how many are missing, showed no face, or several.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from ..data.tables import spreadsheet_text
from ..disk import damage_named, write_text
from ..estimators.reading import TURNED
from ..facs.vector import AUVector
from ..metrics import UnitScore, au_mse, change_target, mean_score, per_unit
from .protocol_run import read_header, read_rows
from .records import REFERENCE, Row, RunHeader
from .sides import Column, asked, columns, of_one_face
from .text_agreement import TEXT_READER, agreement_scores

# Metric -> its unit, and where good lies.
METRICS = {
    "au_mse": ("intensity^2", "lower"),
    "au_mse_all": ("intensity^2", "lower"),
    "icc_3_1": ("", "higher"),
    "clip_i": ("cosine", "moderate"),
    "clip_i_base": ("cosine", "moderate"),
    "identity_l2": ("distance", "lower"),
    "identity_cosine": ("cosine", "higher"),
    "background_rmse": ("0..1", "lower"),
    "person_rmse": ("0..1", "lower"),
    "head_pose_rmse": ("radians", "lower"),
    "look": ("distance", "lower"),
    "lpips": ("distance", "lower"),
    "picture_rmse": ("0..1", "moderate"),
    "aaad": ("", "higher"),
    "aaad_shuffled": ("", "baseline"),
    "aaad_constant": ("", "baseline"),
    "fid": ("", "lower"),
    "kid": ("", "lower"),
    "inception_score": ("", "higher"),
}
AU_METRICS = ("au_mse", "au_mse_all", "icc_3_1")  # made of an estimator's readings
TURNED_AWAY = f"turned further than {TURNED:g} degrees, the AUs a guess"
ALL = "all"  # the group of all rows together
CSV_COLUMNS = ("id", "group", "method", "prompt", "source", "target", "seed", "faces")
SCORE_COLUMNS = ["AU", "pictures", "MSE", "MAE", "bias", "ICC(3,1)", "Spearman", "R2"]


@dataclass(frozen=True)
class Line:
    """One number. count: the pictures it is made of. estimator: the network that saw it, or "" for
    pixels alone. published: the paper's, by its estimator."""

    group: str
    metric: str
    value: float
    unit: str
    better: str
    count: int
    estimator: str = ""
    published: float | None = None


@dataclass(frozen=True)
class Report:
    """The result of a run. tables: per AU, by group. rows: references among them."""

    header: RunHeader
    counts: dict[str, int]
    lines: tuple[Line, ...]
    tables: dict[str, list[UnitScore]]
    rows: tuple[Row, ...]

    @property
    def columns(self) -> tuple[Column, ...]:
        """What is scored: every AU, one by one, or by side where requests differ by side."""
        return self.header.scored

    def scored(self) -> list[Row]:
        """The rows without the references."""
        return [row for row in self.rows if row.group != REFERENCE]

    def not_finite(self) -> list[str]:
        """The ids of pictures and references with NaN or infinity, which nobody measured."""
        return [row.id for row in self.rows if not row.finite]

    def files(self) -> list[str]:
        """The file names of its pictures, where they have some."""
        return [row.target for row in self.rows if row.target]

    def markdown(self) -> str:
        """Tables for people, with everything that the numbers depend on."""
        head = self.header
        by = head.published.get("estimator", "another estimator")
        paper = f" The paper's figures are by {by} and not comparable across estimators."
        parts = [
            f"# {head.title}",
            f"Method: {head.method}. Estimator: {head.estimator}.{paper if head.published else ''}",
            _table(["pictures", "count"], self.counts.items()),
            self._lines_table(),
        ]
        if not_finite := self.not_finite():
            parts += ["## Not finite: NaN or infinity, not measured", ", ".join(not_finite)]
        if head.not_measured:
            missing = "\n".join(f"- {k}: {v}" for k, v in head.not_measured.items())
            parts += ["## Not measured", missing]
        for group, scores in self.tables.items():
            parts += [f"## Each AU: {group}", _table(SCORE_COLUMNS, map(_score_row, scores))]
        if head.ours:
            parts += ["## Chosen here, not by the paper", "\n".join(f"- {x}" for x in head.ours)]
        if head.settings:
            parts += ["## Settings", _table(["name", "value"], head.settings.items())]
        return "\n\n".join(parts) + "\n"

    def _lines_table(self) -> str:
        names = ["group", "metric", "value", "unit", "better", "pictures", "estimator"]
        rows = [
            [x.group, x.metric, _short(x.value), x.unit, x.better, x.count, x.estimator]
            for x in self.lines
        ]
        if self.header.published:
            names.append("published")
            for row, line in zip(rows, self.lines, strict=True):
                row.append(_short(line.published))
        return _table(names, rows)

    def json(self) -> str:
        """Everything, for programs; null stands for what could not be measured."""
        data = {
            **self.header.json(),
            "counts": self.counts,
            "not_finite": self.not_finite(),
            "lines": [asdict(line) for line in self.lines],
            "per_unit": {group: [asdict(s) for s in t] for group, t in self.tables.items()},
            "records": [row.json() for row in self.rows],
        }
        return json.dumps(_without_nan(data), indent=1, allow_nan=False) + "\n"

    def csv(self) -> str:
        """One line a picture: what was asked for, measured, and compared."""
        metrics = sorted({name for row in self.rows for name in row.metrics or {}})
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        wanted = [f"requested_{c}" for c in self.columns]
        seen = [f"measured_{c}" for c in self.columns]
        writer.writerow([*CSV_COLUMNS, *wanted, *seen, *metrics])
        for row in self.rows:
            cells = [getattr(row, name) for name in CSV_COLUMNS]
            cells = [spreadsheet_text(x) if isinstance(x, str) else x for x in cells]
            cells += [asked(row.requested, column) for column in self.columns]
            cells += [(row.measured or {}).get(str(column)) for column in self.columns]
            writer.writerow(cells + [(row.metrics or {}).get(name) for name in metrics])
        return text.getvalue()

    def write(self, folder: str | Path, name: str = "report") -> list[Path]:
        """NAME.md, NAME.json and NAME.csv in `folder`, each whole or not at all."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        texts = {"md": self.markdown(), "json": self.json(), "csv": self.csv()}
        for ending, text in texts.items():
            write_text(folder / f"{name}.{ending}", text)
        return [folder / f"{name}.{ending}" for ending in texts]


def report_run(output: str | Path) -> Report:
    """The report of a folder that `run_protocol` writes to, finished or not."""
    with damage_named(output):
        return build_report(read_header(output), read_rows(output))


def build_report(header: RunHeader, rows: Sequence[Row]) -> Report:
    """The report of rows, references among them, with the header of their run."""
    header = _with_columns(header, rows)
    references = {row.id: row for row in rows if row.group == REFERENCE}
    made, of_references = [row for row in rows if row.group != REFERENCE], references.values()
    targets = {row.id: _target(row, references, header) for row in made}
    usable = [row for row in made if targets[row.id] is not None]
    lines, tables = [], {}
    for group in dict.fromkeys([ALL, *(row.group for row in made)]):
        seen = [row for row in usable if group in (ALL, row.group)]
        if seen:
            tables[group], scores = _scores(group, seen, targets, header)
            lines += scores
        lines += _metric_lines(group, [row for row in made if group in (ALL, row.group)], header)
    counts = {
        "asked for": header.rows,
        "made": len(made),
        "missing": header.rows - len(made),
        "not finite": sum(not row.finite for row in made),
        "face not found": sum(row.faces == 0 for row in made),
        "several faces, the most confident one read": sum((row.faces or 0) > 1 for row in made),
        TURNED_AWAY: sum(row.turned for row in made),
        "an AU not read by the estimator": sum(
            bool(row.measured) and _read(row.measured, header) is None for row in made
        ),
        "not finite in the reference": sum(not row.finite for row in of_references),
        "face not found in the reference": sum(row.faces == 0 for row in of_references),
        f"{TURNED_AWAY}, in the reference": sum(row.turned for row in of_references),
        "scored for AUs": len(usable),
    }
    return Report(header, counts, tuple(lines), tables, tuple(rows))


def _with_columns(header: RunHeader, rows: Sequence[Row]) -> RunHeader:
    """The header, with columns where some request asks for sides that differ. An AU that was read
    as one has one column, and the header says so: it cannot tell one side from the other."""
    if not header.sides:
        return header
    as_one = [unit for unit in header.sides if any(str(unit) in (r.measured or {}) for r in rows)]
    why = f"{header.estimator} reads no sides, and their mean is scored"
    return replace(
        header,
        columns=tuple(columns(header.units, {*header.sides} - {*as_one})),
        not_measured=header.not_measured | {f"L{unit} and R{unit}": why for unit in as_one},
    )


def _target(row: Row, references: Mapping[str, Row], header: RunHeader) -> Tensor | None:
    """The intensities [K] that a row should show, or None where its face, or that of the reference
    it is a change of, was not read in all columns."""
    wanted = of_one_face(AUVector.from_dict(row.requested).select(header.units))
    target = _read(wanted, header)
    if target is None or _read(row.measured, header) is None:
        return None
    if header.scale == "absolute":
        return target
    reference = references.get(row.reference)
    before = _read(reference.measured if reference else None, header)
    return None if before is None else change_target(before[None], target[None])[0]


def _read(values: Mapping[str, float] | None, header: RunHeader) -> Tensor | None:
    """The values [K] of the scored columns, None where one is missing."""
    if values is None or any(str(column) not in values for column in header.scored):
        return None
    return torch.tensor([values[str(column)] for column in header.scored])


def _scores(
    group: str, rows: Sequence[Row], targets: Mapping[str, Tensor], header: RunHeader
) -> tuple[list[UnitScore], list[Line]]:
    """Of rows that were read in all columns: each AU over those that ask for it, and the mean of
    the AUs; AU error over the prompted AUs and over all, the paper's first; ICC where labels are
    full; AAAD of all together, where sides are not apart. A picture that asks for no AU counts over
    all AUs only."""
    target = torch.stack([targets[row.id] for row in rows])
    measured = torch.stack([_read(row.measured, header) for row in rows])
    prompted = torch.tensor(
        [[asked(row.requested, c) is not None for c in header.scored] for row in rows]
    )
    table: list[UnitScore] = []
    for i, column in enumerate(header.scored):
        if (of := prompted[:, i]).any():
            table += per_unit(target[of, i, None], measured[of, i, None], [column])
    if table:  # the mean counts the rows that ask for any of the AUs
        table.append(replace(mean_score(table), count=int(prompted.any(1).sum())))
    values, over_all, some = {}, (au_mse(target, measured), len(rows)), prompted.any(1)
    if header.scale == "change" or prompted.all():
        values["au_mse"] = over_all
    else:
        if some.any():
            error = au_mse(target[some], measured[some], prompted[some])
            values["au_mse"] = (error, int(some.sum()))
        values["au_mse_all"] = over_all
    if prompted.all():
        values["icc_3_1"] = (table[-1].icc, len(rows))
    if group == ALL and not header.columns:
        values |= agreement_scores(measured, target)
    return table, [_line(group, name, *value, header) for name, value in values.items()]


def _metric_lines(group: str, rows: Sequence[Row], header: RunHeader) -> list[Line]:
    """Means of what was compared with the reference, over the rows where it could be."""
    found = defaultdict(list)
    for row in rows:
        for name, value in (row.metrics or {}).items():
            found[name] += [] if value is None else [value]
    return [
        _line(group, name, sum(values) / len(values) if values else math.nan, len(values), header)
        for name, values in found.items()
    ]


def _line(group: str, metric: str, value: float, count: int, header: RunHeader) -> Line:
    published = header.published.get(group, {}).get(metric)
    network = header.estimator if metric in AU_METRICS else header.networks.get(metric, "")
    if metric.startswith("aaad"):
        network = f"{header.estimator}, {TEXT_READER}"
    return Line(group, metric, value, *METRICS.get(metric, ("", "")), count, network, published)


def _score_row(score: UnitScore) -> list[object]:
    numbers = (score.mse, score.mae, score.bias, score.icc, score.spearman, score.r2)
    return [score.unit or "mean", score.count, *map(_short, numbers)]


def _short(value: float | None) -> str:
    if value is None:
        return ""
    return "not defined" if math.isnan(value) else f"{value:.3f}"


def _table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def _without_nan(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
