"""What the bundled MagicFace does to renders of people that nothing was trained on.

Renders of the project's sample, edited by a real ComfyUI from the shipped magicface_sweep graph:
each AU alone, some together, and the photo's own expression taken back. AUs are read by the demo
regressor, everything else by Google's models. Then the same for fewer and more steps of three
samplers.

    python -m benchmarks magicface_quality
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from au_adapter.bundled import demo_folder
from au_adapter.data.rendered import load
from au_adapter.estimators.bundled_regressor import ESTIMATOR
from au_adapter.evaluation.comparison import Comparison, comparison
from au_adapter.evaluation.observed import Observed, appearance_distance
from au_adapter.evaluation.protocols import load_protocol
from au_adapter.facs import SET_A, AUVector, change_of_aus
from au_adapter.weights.autoencoder_files import load_autoencoder
from tools import face_files
from tools.demo_edits import SAMPLE, Edit, Edits, au_error, edit_photo, measured_edits
from tools.server import ComfyServer

RESULTS = Path(__file__).parent / "results"
PICTURES = Path(__file__).parents[1] / ".cache" / "benchmarks" / "magicface_quality"
# Relaxed pictures of people who face the camera, as the training's do; the next one of each is not.
PEOPLE = (4, 16, 36, 44, 52, 64, 72, 76, 88, 92, 100, 108)
CHANGES = tuple(f"{unit}D" for unit in SET_A) + ("6C+12D", "1D+2D+5C", "4D+15C+17C", "25D+26D")
SAMPLER = {"seed": 424, "steps": 20}
TRADE_PEOPLE = PEOPLE[:4]
TRADE_CHANGES = ("1D+2D", "4D", "6C+12D", "15C+17C", "25D+26D")
SAMPLERS, STEPS = ("uni_pc", "dpmpp_2m", "euler"), (2, 4, 8, 16, 32)
ERROR_AIM, BACKGROUND_AIM = 0.60, 0.01


def main() -> None:
    """Edit, measure, and write results/magicface_quality.{json,md}."""
    server = ComfyServer()
    face_files.lend(server.base)
    with server:
        added = [_edit(server, n, CHANGES, "added", SAMPLER) for n in PEOPLE]
        removed = [_edit(server, n + 1, [_removal(n + 1)], "removed", SAMPLER) for n in PEOPLE]
        trade = {(name, steps): _trade(server, name, steps) for name in SAMPLERS for steps in STEPS}
    rows_added, rows_removed = _rows(added), _rows(removed)
    found = {
        "vae_background_rmse": _vae_background(),
        "yardstick": _yardstick(),
        "trade": [[*key, *_errors(_rows(edits))] for key, edits in trade.items()],
    }
    text = report(rows_added, rows_removed, found)
    content = {
        "schema": 1,
        "estimator": ESTIMATOR,
        "added": [row.json() for row in rows_added],
        "removed": [row.json() for row in rows_removed],
        **found,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "magicface_quality.json").write_text(json.dumps(content), encoding="utf-8")
    (RESULTS / "magicface_quality.md").write_text(text, encoding="utf-8")
    print(text)


def _edit(
    server: ComfyServer, number: int, changes: Sequence[str], name: str, sampler: dict[str, Any]
) -> Edits:
    return edit_photo(server, number, changes, PICTURES / name, **sampler)


def _trade(server: ComfyServer, sampler: str, steps: int) -> list[Edits]:
    inputs = {**SAMPLER, "sampler_name": sampler, "steps": steps}
    name = f"{sampler}_{steps}"
    return [_edit(server, n, TRADE_CHANGES, name, inputs) for n in TRADE_PEOPLE]


def _removal(number: int) -> str:
    """The change that takes the expression of a picture back, known from its making."""
    aus = torch.from_numpy(load(SAMPLE, number + 1).aus[number : number + 1])
    return change_of_aus(AUVector(SET_A, aus)).notation()


def _rows(edits: list[Edits]) -> list[Edit]:
    return [row for one in measured_edits(edits, [face_files.MODELS]) for row in one.rows]


def _photos() -> Tensor:
    return torch.from_numpy(load(SAMPLE, PEOPLE[-1] + 2).images).float() / 255


def _compare() -> Comparison:
    return comparison([face_files.MODELS])


@torch.inference_mode()
def _vae_background() -> float:
    """Background RMSE of the photos through the autoencoder and back: the least that any edit in
    its latents has."""
    photos, network = _photos()[list(PEOPLE)], load_autoencoder(demo_folder()).float()
    latents = network.encode(2 * photos.movedim(-1, 1) - 1)
    back = (network.decode(latents).movedim(1, -1) / 2 + 0.5).clamp(0, 1)
    return float(_compare()(back, photos)["background_rmse"].nanmean())


def _yardstick() -> dict[str, float]:
    """How far apart two pictures of one person are, and of two people, in the measure of looks."""
    photos, compare = _photos(), _compare()
    look = Observed(photos, compare.landmarker, compare.segmenter).appearance
    first, second = (look[[n + k for n in PEOPLE]] for k in (0, 1))
    return {
        "one person": float(appearance_distance(first, second).mean()),
        "two people": float(appearance_distance(first, second.roll(1, 0)).mean()),
    }


def _errors(rows: list[Edit]) -> tuple[float, float]:
    """AU MSE after the edit, and of doing nothing."""
    after, before = ([au_error(row, name) for row in rows] for name in ("after", "before"))
    return float(np.mean(after)), float(np.mean(before))


def _mean(rows: list[Edit], name: str) -> str:
    return f"{np.mean([r.metrics[name] for r in rows if r.metrics[name] is not None]):.3f}"


def report(added: list[Edit], removed: list[Edit], found: dict[str, Any]) -> str:
    """The whole result as Markdown."""
    quality = _quality(added, removed, found)
    return "\n".join([*_head(), *quality, "", *_units(added), "", *_trades(found), ""])


def _head() -> list[str]:
    return [
        "# What the bundled MagicFace does to photos",
        "",
        f"`python -m benchmarks magicface_quality`: {len(PEOPLE)} rendered people that nothing was "
        f"trained on, {len(CHANGES)} changes of each and the expression of another picture taken "
        f"back; {SAMPLER['steps']} steps of uni_pc, CFG 3, seed {SAMPLER['seed']}.",
        f"AUs by the {ESTIMATOR}; look, background and pose by Google's face landmarker and person "
        "segmenter.",
        "",
    ]


def _quality(added: list[Edit], removed: list[Edit], found: dict[str, Any]) -> list[str]:
    published, vae, look = _published(), found["vae_background_rmse"], found["yardstick"]
    lost = sum(row.metrics["head_pose_rmse"] is None for row in added)
    looks = f"one person {look['one person']:.3f}, two people {look['two people']:.3f}"
    background = f"aim: at most {vae + BACKGROUND_AIM:.3f}; the autoencoder alone {vae:.3f}"
    lines = [
        (
            f"AU MSE, changes added (aim: at most {ERROR_AIM} of doing nothing's)",
            _beside(added),
            published["au_mse"],
        ),
        ("AU MSE, expression taken back", _beside(removed), ""),
        (f"look ({looks})", _mean(added, "look"), f"{published['identity_l2']} by dlib"),
        (
            f"background RMSE before pasting ({background})",
            _mean(added, "background_rmse_drawn"),
            published["background_rmse"],
        ),
        ("background RMSE after pasting", _mean(added, "background_rmse"), ""),
        ("RMSE outside the person, before pasting", _mean(added, "person_rmse_drawn"), ""),
        ("RMSE outside the person, after pasting", _mean(added, "person_rmse"), ""),
        ("head pose RMSE, rad", _mean(added, "head_pose_rmse"), published["head_pose_rmse"]),
    ]
    return [
        "| | here | MagicFace as published |",
        "|---|---|---|",
        *(f"| {what} | {here} | {theirs} |" for what, here, theirs in lines),
        "",
        f"No face was found any more in {lost} of {len(added)} edits. The published figures are of "
        "photographs, by other estimators: they give the kind of number, not a comparison.",
    ]


def _beside(rows: list[Edit]) -> str:
    after, before = _errors(rows)
    return f"{after:.3f}, of doing nothing {before:.3f}: {after / before:.2f}"


def _published() -> dict[str, float]:
    """MagicFace's Table I."""
    photos = [str(number) for number in range(20)]
    return load_protocol("magicface", photos=photos).published["all"]


def _units(added: list[Edit]) -> list[str]:
    """Each AU alone: how much more of it there is, of the four asked for."""
    lines = ["| AU + 4 | more of it | AU MSE | of doing nothing |", "|---|---|---|---|"]
    for unit in map(str, SET_A):
        rows = [row for row in added if list(row.change) == [unit]]
        more = np.mean([row.after[unit] - row.before[unit] for row in rows])
        after, before = _errors(rows)
        lines.append(f"| {unit} | {more:.1f} | {after:.2f} | {before:.2f} |")
    return lines


def _trades(found: dict[str, Any]) -> list[str]:
    """AU error by sampler and steps, as a share of that of doing nothing."""
    shares = {(name, steps): after / before for name, steps, after, before in found["trade"]}
    lines = [
        f"AU MSE as a share of doing nothing's, {len(TRADE_PEOPLE)} people, "
        f"{len(TRADE_CHANGES)} changes:",
        "",
        "| steps | " + " | ".join(map(str, STEPS)) + " |",
        "|---|" + "---|" * len(STEPS),
    ]
    for name in SAMPLERS:
        cells = " | ".join(f"{shares[name, steps]:.2f}" for steps in STEPS)
        lines.append(f"| {name} | {cells} |")
    return lines


if __name__ == "__main__":
    main()
