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

from ..data.tables import spreadsheet_text
from ..estimators.reading import TURNED
from ..facs.vector import AUVector
from ..metrics import UnitScore, au_mse, mean_score, per_unit
from .protocol_run import read_header, read_records
from .protocols import REFERENCE
from .sides import Column, asked, columns, of_one_face

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
    "picture_rmse": ("0..1", "moderate"),
}
AU_METRICS = ("au_mse", "au_mse_all", "icc_3_1")  # made of an estimator's readings
TURNED_AWAY = f"turned further than {TURNED:g} degrees, the AUs a guess"
ALL = "all"  # the group of all rows together


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
    """What came of a run: its header, counts, lines, per-AU tables by group, and the rows."""

    header: dict
    counts: dict[str, int]
    lines: tuple[Line, ...]
    tables: dict[str, list[UnitScore]]
    records: tuple[dict, ...]

    @property
    def columns(self) -> list[Column]:
        """What is scored: every AU, one by one, or by side where requests differ by side."""
        return _columns(self.header)

    def markdown(self) -> str:
        """Tables for people, with everything that the numbers depend on."""
        head = self.header
        parts = [
            f"# {head['title']}",
            f"Method: {head['method']}. Estimator: {head['estimator']}.{self._published()}",
            _table(["pictures", "count"], [[k, v] for k, v in self.counts.items()]),
            self._lines_table(),
        ]
        if not_finite := self.not_finite():
            parts += ["## Not finite: NaN or infinity, not measured", ", ".join(not_finite)]
        if missing := head.get("not_measured"):
            parts += ["## Not measured", "\n".join(f"- {k}: {v}" for k, v in missing.items())]
        for group, scores in self.tables.items():
            parts += [f"## Each AU: {group}", _table(_SCORE, [_score_row(s) for s in scores])]
        if head["ours"]:
            parts += ["## Chosen here, not by the paper", "\n".join(f"- {x}" for x in head["ours"])]
        if head["settings"]:
            settings = [[key, value] for key, value in head["settings"].items()]
            parts += ["## Settings", _table(["name", "value"], settings)]
        return "\n\n".join(parts) + "\n"

    def _published(self) -> str:
        if not (published := self.header["published"]):
            return ""
        by = published.get("estimator", "another estimator")
        return f" The paper's figures are by {by} and not comparable across estimators."

    def _lines_table(self) -> str:
        columns = ["group", "metric", "value", "unit", "better", "pictures", "estimator"]
        rows = [
            [x.group, x.metric, _short(x.value), x.unit, x.better, x.count, x.estimator]
            for x in self.lines
        ]
        if self.header["published"]:
            columns.append("published")
            for row, line in zip(rows, self.lines, strict=True):
                row.append(_short(line.published))
        return _table(columns, rows)

    def json(self) -> str:
        """Everything, for programs; null stands for what could not be measured."""
        data = {
            "schema": SCHEMA,
            **{key: value for key, value in self.header.items() if key != "schema"},
            "counts": self.counts,
            "not_finite": self.not_finite(),
            "lines": [asdict(line) for line in self.lines],
            "per_unit": {group: [asdict(s) for s in t] for group, t in self.tables.items()},
            "records": self.records,
        }
        return json.dumps(_without_nan(data), indent=1, allow_nan=False) + "\n"

    def csv(self) -> str:
        """One line a picture: what was asked for, measured, and compared."""
        scored = self.columns
        metrics = sorted({name for record in self.records for name in record.get("metrics", {})})
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        wanted, seen = [f"requested_{c}" for c in scored], [f"measured_{c}" for c in scored]
        writer.writerow([*_CSV, *wanted, *seen, *metrics])
        for record in self.records:
            sources = ("measured", map(str, scored)), ("metrics", metrics)
            cells = [(record.get(key) or {}).get(name) for key, names in sources for name in names]
            cells = [*(asked(record["requested"], column) for column in scored), *cells]
            told = [record[key] for key in _CSV]
            told = [spreadsheet_text(x) if isinstance(x, str) else x for x in told]
            writer.writerow([*told, *cells])
        return text.getvalue()

    def not_finite(self) -> list[str]:
        """The ids of pictures and references with NaN or infinity, which nobody measured."""
        return [record["id"] for record in self.records if not _finite(record)]

    def files(self) -> list[str]:
        """The file names of its pictures, where they have some; references have none."""
        return [record["target"] for record in self.records if record["group"] != REFERENCE]

    def write(self, folder: str | Path, name: str = "report") -> list[Path]:
        """NAME.md, NAME.json and NAME.csv in `folder`."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        texts = {"md": self.markdown(), "json": self.json(), "csv": self.csv()}
        paths = [folder / f"{name}.{ending}" for ending in texts]
        for path, text in zip(paths, texts.values(), strict=True):
            path.write_text(text, encoding="utf-8")
        return paths


_CSV = ("id", "group", "method", "prompt", "source", "target", "seed", "faces")
_SCORE = ["AU", "pictures", "MSE", "MAE", "bias", "ICC(3,1)", "Spearman", "R2"]


def report_run(output: str | Path) -> Report:
    """The report of a folder that `run_protocol` writes to, finished or not."""
    return build_report(read_header(output), read_records(output))


def build_report(header: dict, records: list[dict]) -> Report:
    """The report of rows as `run_protocol` writes them, with the header of their folder."""
    header = _with_columns(header, records)
    references = {r["id"]: r for r in records if r["group"] == REFERENCE}
    rows = [record for record in records if record["group"] != REFERENCE]
    usable = [row for row in rows if _targets(row, references, header) is not None]
    groups = dict.fromkeys([ALL, *(row["group"] for row in rows)])
    lines, tables = [], {}
    for group in groups:
        seen = [row for row in usable if group in (ALL, row["group"])]
        if seen:
            tables[group] = _per_unit(seen, references, header)
            lines += _au_lines(group, seen, references, header, tables[group])
        lines += _metric_lines(group, [r for r in rows if group in (ALL, r["group"])], header)
    return Report(header, _counts(header, records, usable), tuple(lines), tables, tuple(records))


def _with_columns(header: dict, records: list[dict]) -> dict:
    """The header, and the columns where some request asks for sides that differ. An AU that was
    read as one has one column, which is said: it cannot tell one side from the other."""
    if not (sided := header.get("sides")):
        return header
    as_one = [u for u in sided if any(str(u) in (r["measured"] or {}) for r in records)]
    why = f"{header['estimator']} reads no sides, and their mean is scored"
    missing = {f"L{unit} and R{unit}": why for unit in as_one}
    return header | {
        "columns": columns(header["units"], {*sided} - {*as_one}),
        "not_measured": header.get("not_measured", {}) | missing,
    }


def _columns(header: dict) -> list[Column]:
    return header.get("columns", header["units"])


def _counts(header: dict, records: list[dict], usable: list[dict]) -> dict[str, int]:
    rows = [record for record in records if record["group"] != REFERENCE]
    references = [record for record in records if record["group"] == REFERENCE]
    scored = _columns(header)
    return {
        "asked for": header["rows"],
        "made": len(rows),
        "missing": header["rows"] - len(rows),
        "not finite": sum(not _finite(row) for row in rows),
        "face not found": sum(row["faces"] == 0 for row in rows),
        "several faces, the most confident one read": sum((row["faces"] or 0) > 1 for row in rows),
        TURNED_AWAY: sum(row.get("turned", False) for row in rows),
        "an AU not read by the estimator": sum(
            bool(row["measured"]) and not _read(row["measured"], scored) for row in rows
        ),
        "not finite in the reference": sum(not _finite(record) for record in references),
        "face not found in the reference": sum(record["faces"] == 0 for record in references),
        f"{TURNED_AWAY}, in the reference": sum(r.get("turned", False) for r in references),
        "scored for AUs": len(usable),
    }


def _finite(record: dict) -> bool:
    """Whether a picture has finite values only; rows of earlier versions were all of that kind."""
    return record.get("finite", True)


def _targets(row: dict, references: dict[str, dict], header: dict) -> Tensor | None:
    """The intensities [K] that a row should show, or None where its face, or that of the reference
    it is a change of, was not read in all columns."""
    scored = _columns(header)
    target = of_one_face(AUVector.from_dict(row["requested"]).select(header["units"]))
    if not _read(row["measured"], scored):
        return None
    if header["scale"] == "absolute":
        return _row(target, scored)
    before = references.get(row["reference"], {}).get("measured")
    if not _read(before, scored):
        return None
    return (_row(target, scored) + _row(before, scored)).clamp(0, 5)


def _read(measured: dict | None, scored: list[Column]) -> bool:
    return measured is not None and all(str(column) in measured for column in scored)


def _row(values: dict[str, float], scored: list[Column]) -> Tensor:
    return torch.tensor([values[str(column)] for column in scored])


def _scored(rows: list[dict], references: dict, header: dict) -> tuple[Tensor, Tensor, Tensor]:
    """Targets, measured and whether asked for, [N, K] each."""
    scored = _columns(header)
    targets = torch.stack([_targets(row, references, header) for row in rows])
    measured = torch.stack([_row(row["measured"], scored) for row in rows])
    of = [[asked(row["requested"], column) is not None for column in scored] for row in rows]
    return targets, measured, torch.tensor(of)


def _per_unit(rows: list[dict], references: dict, header: dict) -> list[UnitScore]:
    """Each AU over the rows that ask for it, and the mean of the AUs."""
    targets, measured, prompted = _scored(rows, references, header)
    scores = []
    for i, column in enumerate(_columns(header)):
        of = prompted[:, i]
        if of.any():
            scores += per_unit(targets[of, i, None], measured[of, i, None], [column])
    return [*scores, mean_score(scores)] if scores else []


def _au_lines(
    group: str, rows: list[dict], references: dict, header: dict, table: list[UnitScore]
) -> list[Line]:
    """AU error over the prompted AUs and over all, the paper's first; ICC where labels are full."""
    targets, measured, prompted = _scored(rows, references, header)
    over_all, some = au_mse(targets, measured), prompted.any(1)
    if header["scale"] == "change" or prompted.all():
        values = {"au_mse": (over_all, len(rows))}
    else:
        values = {"au_mse_all": (over_all, len(rows))}
        if some.any():  # a picture that asks for no AU counts over all AUs only
            error = au_mse(targets[some], measured[some], prompted[some])
            values = {"au_mse": (error, int(some.sum())), **values}
    if prompted.all():
        values["icc_3_1"] = (table[-1].icc, len(rows))
    return [_line(group, name, value, count, header) for name, (value, count) in values.items()]


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
    networks = {**dict.fromkeys(AU_METRICS, header["estimator"]), **header.get("networks", {})}
    about = METRICS.get(metric, ("", ""))
    return Line(group, metric, value, *about, count, networks.get(metric, ""), published)


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
