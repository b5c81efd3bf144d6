"""What each stage is held to when it is done: numbers, a sheet to look at, and what it cost."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from au_adapter.disk import replacing

from .autoencoder_check import check_autoencoder
from .plan import DRAWS, STAGES
from .work import Workshop, training_seconds

Check = Callable[[Workshop, Path], dict[str, float]]
REPORT = "report.json"


def _autoencoder(shop: Workshop, sheet: Path) -> dict[str, float]:
    return check_autoencoder(shop.result("autoencoder"), shop.renders("held_out"), sheet)


CHECKS: dict[str, Check] = {"autoencoder": _autoencoder}


def check(name: str, shop: Workshop) -> dict[str, float]:
    """Check a stage's result, and keep the numbers in the report."""
    numbers = CHECKS[name](shop, shop.output / "sheets" / f"{name}.png")
    report = read_report(shop.output)
    report[name] = {
        "minutes": round(training_seconds(shop.output / name) / 60, 1),
        "numbers": {key: round(value, 4) for key, value in numbers.items()},
    }
    with replacing(shop.output / REPORT) as partial:
        partial.write_text(json.dumps(report, indent=1), encoding="utf-8")
    return numbers


def read_report(output: Path) -> dict[str, dict]:
    """Stage -> its minutes and numbers, of the stages that were checked."""
    path = output / REPORT
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def write_table(shop: Workshop) -> Path:
    """Write report.md: what each draw and each stage took, and what came of it."""
    lines = ["| Draw | Pictures | Minutes |", "|---|---|---|"]
    for name, draw in DRAWS.items():
        spent = shop.renders(name) / "seconds.json"
        if spent.is_file():
            minutes = json.loads(spent.read_text(encoding="utf-8")) / 60
            lines.append(f"| {name} | {draw.count} | {minutes:.1f} |")
    lines += ["", "| Stage | Steps x batch | Minutes | Numbers |", "|---|---|---|---|"]
    for name, row in read_report(shop.output).items():
        settings = STAGES[name].settings
        size = f"{settings['steps']} x {settings['batch_size']}"
        numbers = ", ".join(f"{key} {value:.3g}" for key, value in row["numbers"].items())
        lines.append(f"| {name} | {size} | {row['minutes']} | {numbers} |")
    path = shop.output / "report.md"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
