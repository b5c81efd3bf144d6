"""What `aueditnet_tables` found, as Markdown, beside the paper's figures."""

from __future__ import annotations

import math
from typing import Any

from au_adapter.facs import SET_A

# Of AUEditNet's tables on DISFA and FFHQ: photographs, other estimators, 1024 pixels.
PUBLISHED_1 = {
    "DeltaEdit": (0.179, 0.561), "ReDirTrans": (0.617, 0.290), "AUEditNet": (0.628, 0.283),
    "ReDirTrans (N)": (math.nan, 0.167), "AUEditNet (N)": (math.nan, 0.102),
}  # fmt: skip
PUBLISHED_4 = {
    "single branch, linear Phi": (0.317, 0.598, 0.621), "+ encoder, decoder": (0.290, 0.617, 0.167),
    "+ dual branch": (0.288, 0.617, 0.111), "+ label mapping": (0.283, 0.628, 0.102),
    "without L_R": (0.388, 0.584, 0.253), "without L_F": (0.507, 0.356, 0.467),
}  # fmt: skip
NAMES = {"l2": "L2", "lpips": "LPIPS", "identity_l2": "identity", "look": "look"}


def report(found: dict[str, Any]) -> str:
    """The whole result."""
    parts = [
        *_head(found), *_table_1(found["table 1"]), *_transfer(found["transfer"]),
        *_table_2(found["table 2"]), *_table_3(found["table 3"]), *_table_4(found["table 4"]),
        *_missing(found["not measured"]),
    ]  # fmt: skip
    return "\n".join(parts) + "\n"


def _head(found: dict[str, Any]) -> list[str]:
    return [
        "# AUEditNet's tables on rendered people",
        "",
        f"{found['trials']} edits of people that nothing was trained on, each towards another "
        f"picture of the same person in the same scene; {found['photos']} of them by the slower "
        f"methods. AUs are known from the making, and read by {found['judge']}. The published "
        "figures are of photographs: they give the kind of number, not a comparison.",
        "",
    ]


def _table_1(rows: dict[str, Any]) -> list[str]:
    codes = " | ".join(f"AU{unit}" for unit in SET_A)
    lines = [
        "## Table 1: intensities",
        "",
        f"| ICC(3,1) | {codes} | mean | paper |",
        "|---|" + "---|" * (len(SET_A) + 2),
    ]
    asked = {name: row for name, row in rows.items() if "(N)" not in name}
    lines += [_unit_row(name, row, "icc", 0) for name, row in asked.items()]
    lines += ["", f"| MSE | {codes} | mean | paper |", "|---|" + "---|" * (len(SET_A) + 2)]
    return [*lines, *(_unit_row(name, row, "mse", 1) for name, row in rows.items()), ""]


def _unit_row(name: str, row: dict[str, Any], metric: str, place: int) -> str:
    cells = [_number(row["units"][str(unit)][metric]) for unit in SET_A]
    paper = _number(PUBLISHED_1[name][place]) if name in PUBLISHED_1 else ""
    return f"| {name} | {' | '.join(cells)} | {_number(row[metric])} | {paper} |"


def _transfer(rows: dict[str, Any]) -> list[str]:
    lines = ["## The expression of somebody else", "", "| | ICC | MSE |", "|---|---|---|"]
    found = [f"| {n} | {_number(r['icc'])} | {_number(r['mse'])} |" for n, r in rows.items()]
    return [*lines, *found, ""]


def _table_2(rows: dict[str, Any]) -> list[str]:
    known = [name for name in NAMES if name in next(iter(rows.values()))["real"]]
    lines = [
        "## Table 2: identity and likeness",
        "",
        f"| | target | {' | '.join(NAMES[name] for name in known)} |",
        "|---|---|" + "---|" * len(known),
    ]
    for method, targets in rows.items():
        for kind, found in targets.items():
            cells = " | ".join(_number(found[name]) for name in known)
            lines.append(f"| {method} | {kind} | {cells} |")
    return [*lines, ""]


def _table_3(found: dict[str, Any]) -> list[str]:
    curve = " | ".join(_number(value) for value in found["curve"])
    steps = len(found["curve"])
    return [
        "## Table 3: a smile in eight steps",
        "",
        f"AU6 and AU12 together from 0 to 5, {found['people']} people, mean of both as read:",
        "",
        "| step | " + " | ".join(str(n + 1) for n in range(steps)) + " |",
        "|---|" + "---|" * steps,
        f"| read | {curve} |",
        "",
        f"E_d {_number(found['E_d'])} (distance from the first picture on the way), rho "
        f"{_number(found['rho'])} (smile for it). In the paper 0.099 and 121.3, on the scale of a "
        "face recognition network.",
        "",
    ]


def _table_4(rows: dict[str, dict[str, float]]) -> list[str]:
    lines = [
        "## Table 4: ablations",
        "",
        "| | MSE | ICC | neutral MSE | paper: MSE, ICC, neutral MSE |",
        "|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        paper = ", ".join(map(_number, PUBLISHED_4[name])) if name in PUBLISHED_4 else ""
        cells = " | ".join(_number(row[key]) for key in ("mse", "icc", "neutral_mse"))
        lines.append(f"| {name} | {cells} | {paper} |")
    return [*lines, ""]


def _missing(found: dict[str, str]) -> list[str]:
    return [
        f"{NAMES[name]} is not measured: {why}." for name, why in found.items() if name in NAMES
    ]


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"
