"""What VQ-AUFace's codec keeps of people that it was not trained on, and how its faces answer."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import torch
from torch import Tensor

from au_adapter.data.rendered import load
from au_adapter.estimators.bundled_regressor import BundledRegressor, load_regressor
from au_adapter.training.face_judgement import FaceJudgement
from au_adapter.training.face_tensors import to_unit_range
from au_adapter.training.recipes.vqauface_recipe import VQAUFaceLoss
from au_adapter.training.reference_pairs import ReferencePairs
from au_adapter.training.validation import SHEET
from au_adapter.weights.vqauface_files import CODEC_FILE, MODEL_FILE, load_codec, load_vqauface

from .sheets import save_rows

PICTURES = 200
SHOWN = 12
SEED = 8001
LANES = 4


@torch.no_grad()
def check_codec(result: Path, renders: Path, sheet: Path) -> dict[str, float]:
    """Mean PSNR in dB, pictures in 0..1, with all codes of a cell and with the first alone, and the
    share of the codebook that these pictures use. The sheet: pictures above what comes back."""
    codec = load_codec(result / CODEC_FILE)
    pictures = to_unit_range(torch.from_numpy(load(renders, PICTURES).images))
    ids = torch.cat([codec.encode(part) for part in pictures.split(16)])
    rebuilt = torch.cat([codec.decode(part) for part in ids.split(16)])
    first = codec.codes.codebook[ids[..., 0]]
    coarse = torch.cat([codec.decode_vectors(part) for part in first.split(16)])
    save_rows(sheet, [(part[:SHOWN] / 2 + 0.5).clamp(0, 1) for part in (pictures, rebuilt)])
    return {
        "psnr": psnr(pictures, rebuilt),
        "psnr_of_first_codes": psnr(pictures, coarse),
        "codebook_use": len(ids.unique()) / codec.config.codes,
    }


def psnr(pictures: Tensor, rebuilt: Tensor) -> float:
    """Mean peak signal-to-noise ratio in dB of pictures [N, 3, H, W] in -1..1."""
    error = ((pictures - rebuilt.clamp(-1, 1)) / 2).square().mean((1, 2, 3))
    return float((-10 * error.log10()).mean())


def check_vqauface(result: Path, regressor: Path, pairs: Path, sheet: Path) -> dict[str, float]:
    """Mean squared error of the AUs asked for in drawn faces, and in their references. The sheet:
    reference, drawn face, and the picture whose AUs were asked for."""
    network = load_vqauface(result / MODEL_FILE)
    reader = BundledRegressor(load_regressor(regressor / "regressor.safetensors"))
    seen = ReferencePairs([pairs], network.config.codec.size, SEED, LANES, PICTURES)
    with tempfile.TemporaryDirectory() as folder:
        measured = FaceJudgement(seen, network.config, reader)(VQAUFaceLoss(network), Path(folder))
        sheet.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(Path(folder, SHEET), sheet)
    return {name: measured[name] for name in ("au_error", "au_error_of_references")}
