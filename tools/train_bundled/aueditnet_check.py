"""How the generator inverts, how the estimators read, and how AUEditNet edits people that none of
them was trained on."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from au_adapter.methods.wplus_editing import drawn
from au_adapter.metrics import picture_rmse
from au_adapter.training.aligned_faces import SubjectRows, load_aligned
from au_adapter.weights.aueditnet_files import load_aueditnet, load_siamese
from au_adapter.weights.wplus_files import Framing, load_wplus

from .editing_trials import agreement, inverted, make_edits, make_trials, read
from .sheets import save_rows

TRIALS = 200
SHOWN = 12


def check_wplus(result: Path, renders: Path, sheet: Path) -> dict[str, float]:
    """Peak signal to noise ratio of inverted faces in decibels, mean over faces. The sheet: faces,
    and what their codes say."""
    wplus = load_wplus(result)
    trials = make_trials([renders], wplus, TRIALS)
    rows = trials.source.unique()
    faces, found = trials.pictures(rows), drawn(wplus.generator, inverted(wplus, trials, rows))
    save_rows(sheet, [picture.movedim(-1, 1) for picture in (faces[:SHOWN], found[:SHOWN])])
    return {"psnr": float(-20 * picture_rmse(found, faces).clamp(min=1e-4).log10().mean())}


def check_siamese(result: Path, renders: Path, framing: Framing) -> dict[str, float]:
    """ICC(3,1) and MSE of differences between two pictures of a person, mean over AUs."""
    network = load_siamese(result)
    faces = load_aligned([renders], network.config.size, framing)
    generator = torch.Generator().manual_seed(0)
    first, second, _ = SubjectRows(faces).draw(TRIALS, generator)
    with torch.no_grad():
        pairs = zip(first.split(16), second.split(16), strict=True)
        seen = [network(faces.pictures(a), faces.pictures(b)) for a, b in pairs]
    change = faces.aus[first] - faces.aus[second]
    return agreement(change, torch.cat(seen), network.config.units)


def check_aueditnet(
    result: Path, wplus: Path, judge: Path, renders: Path, sheet: Path
) -> dict[str, float]:
    """ICC and MSE of edits towards other pictures of the people, and MSE without AUs, each beside
    that of doing nothing. The sheet: face, edit, the picture whose AUs were asked for, relaxed."""
    opened, network, reader = load_wplus(wplus), load_aueditnet(result).network, load_siamese(judge)
    trials = make_trials([renders], opened, TRIALS)
    made = make_edits(opened, network, trials)
    wanted, zero = (trials.faces.aus[rows] for rows in (trials.target, trials.neutral))

    def seen(pictures: Tensor) -> Tensor:
        return read(reader, trials, pictures, trials.neutral)

    edits, before = (
        agreement(wanted, seen(p), trials.units) for p in (made.edited, made.unchanged)
    )
    target = trials.pictures(trials.target)
    save_rows(
        sheet,
        [p[:SHOWN].movedim(-1, 1) for p in (made.unchanged, made.edited, target, made.relaxed)],
    )
    return {
        "icc": edits["icc"],
        "mse": edits["mse"],
        "mse_of_nothing": before["mse"],
        "neutral_mse": float((seen(made.relaxed) - zero).square().mean()),
        "neutral_mse_of_nothing": float((seen(made.unchanged) - zero).square().mean()),
        "icc_of_real_targets": agreement(wanted, seen(target), trials.units)["icc"],
    }
