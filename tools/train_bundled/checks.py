"""What each stage is held to when it is done: numbers, a sheet to look at, and what it cost."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from au_adapter.disk import replacing
from au_adapter.faces import FACE_LANDMARKER, FaceLandmarker, locate
from au_adapter.weights.wplus_files import Framing
from tools.face_files import MODELS

from .adapter_check import check_adapter
from .aueditnet_check import check_aueditnet, check_siamese, check_wplus
from .autoencoder_check import check_autoencoder
from .base_check import check_base
from .magicface_check import check_magicface
from .plan import DRAWS, FRAMING, STAGES
from .regressor_check import check_regressor
from .vqauface_check import check_codec, check_vqauface
from .work import Workshop, training_seconds

Check = Callable[[Workshop, Path], dict[str, float]]
REPORT = "report.json"


def _autoencoder(shop: Workshop, sheet: Path) -> dict[str, float]:
    return check_autoencoder(shop.result("autoencoder"), shop.renders("held_out"), sheet)


def _decoder(shop: Workshop, sheet: Path) -> dict[str, float]:
    return check_autoencoder(shop.result("decoder"), shop.renders("held_out"), sheet)


def _base(shop: Workshop, sheet: Path) -> dict[str, float]:
    landmarker = FaceLandmarker(locate(FACE_LANDMARKER, folders=[MODELS]))
    return check_base(shop.result("base"), shop.renders("held_out_base"), landmarker, sheet)


def _regressor(shop: Workshop, sheet: Path) -> dict[str, float]:
    return check_regressor(shop.result("regressor"), shop.renders("held_out"))


def _adapter(shop: Workshop, sheet: Path) -> dict[str, float]:
    file = shop.result("adapter") / "adapter.safetensors"
    return check_adapter(file, shop.result("base"), shop.result("regressor"), sheet)


def _sided(shop: Workshop, sheet: Path) -> dict[str, float]:
    file = shop.result("sided") / "adapter.safetensors"
    return check_adapter(file, shop.result("base"), shop.result("regressor"), sheet)


def _magicface(shop: Workshop, sheet: Path) -> dict[str, float]:
    results = (shop.result(name) for name in ("magicface", "base", "regressor"))
    return check_magicface(*results, shop.renders("held_out_scenes"), sheet)


def _siamese(name: str) -> Check:
    def check_one(shop: Workshop, sheet: Path) -> dict[str, float]:
        return check_siamese(shop.result(name), shop.renders("held_out_scenes"), Framing(**FRAMING))

    return check_one


def _wplus(name: str) -> Check:
    def check_one(shop: Workshop, sheet: Path) -> dict[str, float]:
        return check_wplus(shop.result(name), shop.renders("held_out_scenes"), sheet)

    return check_one


def _aueditnet(shop: Workshop, sheet: Path) -> dict[str, float]:
    results = (shop.result(name) for name in ("aueditnet", "wplus_sharp", "judge"))
    return check_aueditnet(*results, shop.renders("held_out_scenes"), sheet)


def _vqauface_codec(shop: Workshop, sheet: Path) -> dict[str, float]:
    return check_codec(shop.result("vqauface_codec"), shop.renders("held_out"), sheet)


def _vqauface(shop: Workshop, sheet: Path) -> dict[str, float]:
    results = (shop.result(name) for name in ("vqauface", "regressor"))
    return check_vqauface(*results, shop.renders("held_out_references"), sheet)


CHECKS: dict[str, Check] = {
    "autoencoder": _autoencoder,
    "base": _base,
    "decoder": _decoder,
    "regressor": _regressor,
    "adapter": _adapter,
    "sided": _sided,
    "magicface": _magicface,
    "teacher": _siamese("teacher"),
    "judge": _siamese("judge"),
    "wplus": _wplus("wplus"),
    "wplus_sharp": _wplus("wplus_sharp"),
    "aueditnet": _aueditnet,
    "vqauface_codec": _vqauface_codec,
    "vqauface": _vqauface,
}


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
