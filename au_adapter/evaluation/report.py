"""From rows of a protocol to numbers with names: a table, JSON, CSV.

Nothing is left out in silence: every line says how many pictures it is made of, and the counts say
how many are missing, showed no face, or several.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..facs.vector import AUVector
from .metrics import UnitScore, au_mse, mean_score, per_unit
from .protocols import REFERENCE
from .protocols.run import read_header, read_records

SCHEMA = 1
# Metric -> its unit, and where good lies.
METRICS = {
    "au_mse": ("intensity^2", "lower"),
    "au_mse_all": ("intensity^2", "lower"),
    "icc_3_1": ("", "higher"),
    "clip_i": ("cosine", "moderate"),
    "identity_l2": ("distance", "lower"),
    "identity_cosine": ("cosine", "higher"),
    "background_rmse": ("0..1", "lower"),
    "head_pose_rmse": ("radians", "lower"),
    "lpips": ("distance", "lower"),
}
ALL = "all"  # the group of all rows together


@dataclass(frozen=True)
class Line:
    """One number. count: the pictures it is made of. published: the paper's, by its estimator."""

    group: str
    metric: str
    value: float
    unit: str
    better: str
    count: int
    published: float | None = None


@dataclass(frozen=True)
class Report:
    """What came of a run: its header, counts, lines, per-AU tables by group, and the rows."""

    header: dict
    counts: dict[str, int]
    lines: tuple[Line, ...]
    tables: dict[str, list[UnitScore]]
    records: tuple[dict, ...]

    def markdown(self) -> str:
        """Tables for people, with everything that the numbers depend on."""
        head, published = self.header, self.header["published"].get("estimator", "")
        columns = ["group", "metric", "value", "unit", "better", "pictures", "published"]
        lines = [
            [x.group, x.metric, _short(x.value), x.unit, x.better, x.count, _short(x.published)]
            for x in self.lines
        ]
        parts = [
            f"# {head['title']}",
            f"Method: {head['method']}. Estimator: {head['estimator']}. The paper's figures are by "
            f"{published or 'another estimator'} and not comparable across estimators.",
            _table(["pictures", "count"], [[k, v] for k, v in self.counts.items()]),
            _table(columns, lines),
        ]
        for group, scores in self.tables.items():
            parts += [f"## Each AU: {group}", _table(_SCORE, [_score_row(s) for s in scores])]
        if head["ours"]:
            parts += ["## Chosen here, not by the paper", "\n".join(f"- {x}" for x in head["ours"])]
        if head["settings"]:
            settings = [[key, value] for key, value in head["settings"].items()]
            parts += ["## Settings", _table(["name", "value"], settings)]
        return "\n\n".join(parts) + "\n"

    def json(self) -> str:
        """Everything, for programs; null stands for what could not be measured."""
        data = {
            "schema": SCHEMA,
            **{key: value for key, value in self.header.items() if key != "schema"},
            "counts": self.counts,
            "lines": [asdict(line) for line in self.lines],
            "per_unit": {group: [asdict(s) for s in t] for group, t in self.tables.items()},
            "records": self.records,
        }
        return json.dumps(_without_nan(data), indent=1, allow_nan=False) + "\n"

    def csv(self) -> str:
        """One line a picture: what was asked for, measured, and compared."""
        units = [str(unit) for unit in self.header["units"]]
        metrics = sorted({name for record in self.records for name in record.get("metrics", {})})
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        asked, seen = [f"requested_{u}" for u in units], [f"measured_{u}" for u in units]
        writer.writerow([*_CSV, *asked, *seen, *metrics])
        for record in self.records:
            sources = ("requested", units), ("measured", units), ("metrics", metrics)
            cells = [(record.get(key) or {}).get(name) for key, names in sources for name in names]
            writer.writerow([*(record[key] for key in _CSV), *cells])
        return text.getvalue()

    def write(self, folder: str | Path) -> list[Path]:
        """report.md, report.json and report.csv in `folder`."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        texts = {"report.md": self.markdown(), "report.json": self.json(), "report.csv": self.csv()}
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")
        return [folder / name for name in texts]


_CSV = ("id", "group", "method", "prompt", "source", "target", "seed", "faces")
_SCORE = ["AU", "pictures", "MSE", "MAE", "bias", "ICC(3,1)", "Spearman", "R2"]


def report_run(output: str | Path) -> Report:
    """The report of a folder that `run_protocol` writes to, finished or not."""
    return build_report(read_header(output), read_records(output))


def build_report(header: dict, records: list[dict]) -> Report:
    """The report of rows as `run_protocol` writes them, with the header of their folder."""
    references = {r["id"]: r for r in records if r["group"] == REFERENCE}
    rows = [record for record in records if record["group"] != REFERENCE]
    usable = [row for row in rows if _targets(row, references, header) is not None]
    groups = [ALL, *dict.fromkeys(row["group"] for row in rows)]
    lines, tables = [], {}
    for group in groups:
        seen = [row for row in usable if group in (ALL, row["group"])]
        if seen:
            tables[group] = _per_unit(seen, references, header)
            lines += _au_lines(group, seen, references, header, tables[group])
        lines += _metric_lines(group, [r for r in rows if group in (ALL, r["group"])], header)
    return Report(header, _counts(header, records, usable), tuple(lines), tables, tuple(records))


def _counts(header: dict, records: list[dict], usable: list[dict]) -> dict[str, int]:
    rows = [record for record in records if record["group"] != REFERENCE]
    units = {str(unit) for unit in header["units"]}
    return {
        "asked for": header["rows"],
        "made": len(rows),
        "missing": header["rows"] - len(rows),
        "face not found": sum(not row["faces"] for row in rows),
        "several faces, the most confident one read": sum(row["faces"] > 1 for row in rows),
        "an AU not read by the estimator": sum(
            bool(row["measured"]) and not units <= {*row["measured"]} for row in rows
        ),
        "face not found in the reference": sum(
            not record["faces"] for record in records if record["group"] == REFERENCE
        ),
        "scored for AUs": len(usable),
    }


def _targets(row: dict, references: dict[str, dict], header: dict) -> Tensor | None:
    """The intensities [K] that a row should show, or None where its face, or that of the reference
    it is a change of, was not read in all units."""
    units, scale = header["units"], header["scale"]
    target = AUVector.from_dict(row["requested"]).select(units)
    if not _read(row["measured"], units):
        return None
    if scale == "absolute":
        return target.values[0]
    before = references.get(row["reference"], {}).get("measured")
    if not _read(before, units):
        return None
    return (target.values[0] + torch.tensor([before[str(unit)] for unit in units])).clamp(0, 5)


def _read(measured: dict | None, units: list[int]) -> bool:
    return measured is not None and all(str(unit) in measured for unit in units)


def _scored(rows: list[dict], references: dict, header: dict) -> tuple[Tensor, Tensor, Tensor]:
    """Targets, measured and whether asked for, [N, K] each."""
    units = header["units"]
    targets = torch.stack([_targets(row, references, header) for row in rows])
    measured = torch.tensor([[row["measured"][str(unit)] for unit in units] for row in rows])
    asked = torch.tensor([[unit in _asked(row) for unit in units] for row in rows])
    return targets, measured, asked


def _asked(row: dict) -> set[int]:
    return set(AUVector.from_dict(row["requested"]).units) if row["requested"] else set()


def _per_unit(rows: list[dict], references: dict, header: dict) -> list[UnitScore]:
    """Each AU over the rows that ask for it, and the mean of the AUs."""
    targets, measured, asked = _scored(rows, references, header)
    scores = []
    for column, unit in enumerate(header["units"]):
        of = asked[:, column]
        if of.any():
            scores += per_unit(targets[of, column, None], measured[of, column, None], [unit])
    return [*scores, mean_score(scores)]


def _au_lines(
    group: str, rows: list[dict], references: dict, header: dict, table: list[UnitScore]
) -> list[Line]:
    """AU error over the prompted AUs and over all, the paper's first; ICC where labels are full."""
    targets, measured, asked = _scored(rows, references, header)
    over_all = au_mse(targets, measured)
    if header["scale"] == "change" or asked.all():
        values = {"au_mse": over_all}
    else:
        values = {"au_mse": au_mse(targets, measured, asked), "au_mse_all": over_all}
    if asked.all():
        values["icc_3_1"] = table[-1].icc
    return [_line(group, name, value, len(rows), header) for name, value in values.items()]


def _metric_lines(group: str, rows: list[dict], header: dict) -> list[Line]:
    """Means of what was compared with the reference, over the rows where it could be."""
    found = defaultdict(list)
    for row in rows:
        for name, value in row.get("metrics", {}).items():
            found[name] += [] if value is None else [value]
    return [
        _line(group, name, sum(values) / len(values) if values else math.nan, len(values), header)
        for name, values in found.items()
    ]


def _line(group: str, metric: str, value: float, count: int, header: dict) -> Line:
    published = header["published"].get(group, {}).get(metric)
    return Line(group, metric, value, *METRICS.get(metric, ("", "")), count, published)


def _score_row(score: UnitScore) -> list[object]:
    numbers = (score.mse, score.mae, score.bias, score.icc, score.spearman, score.r2)
    return [score.unit or "mean", score.count, *map(_short, numbers)]


def _short(value: float | None) -> str:
    if value is None:
        return ""
    return "not defined" if math.isnan(value) else f"{value:.3f}"


def _table(columns: list[str], rows: list[list]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def _without_nan(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
