"""How much of a face the autoencoder keeps, on heads that it was not trained on."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from au_adapter.data.rendered import RenderedSet, load
from au_adapter.models.autoencoder import DemoAutoencoder
from au_adapter.training.face_tensors import to_unit_range
from au_adapter.weights.autoencoder_files import load_autoencoder

from .sheets import save_rows

PARTS = ("left_eye", "right_eye", "mouth")
SHOWN = 10


def check_autoencoder(result: Path, held_out: Path, sheet: Path) -> dict[str, float]:
    """PSNR in dB of all pixels together, and of those in the boxes of eyes and mouth; edge energy
    there, as a share of the renders'. The sheet: renders above what comes back."""
    faces = load(held_out)
    pictures = to_unit_range(torch.from_numpy(faces.images)) / 2 + 0.5
    returned = reconstructed(load_autoencoder(result), pictures)
    save_rows(sheet, [pictures[:SHOWN], returned[:SHOWN]])
    inside = part_masks(faces)
    return {
        "psnr": psnr(pictures, returned),
        "psnr_eyes_mouth": psnr(pictures, returned, inside),
        "edge_energy": float((edges(returned) * inside).sum() / (edges(pictures) * inside).sum()),
    }


@torch.no_grad()
def reconstructed(autoencoder: DemoAutoencoder, pictures: Tensor) -> Tensor:
    """Pictures [N, 3, H, W] in 0..1 after encoding and decoding, rounded to 8 bits as files are."""
    parts = [autoencoder.decode(autoencoder.encode(p * 2 - 1)) for p in pictures.split(50)]
    return ((torch.cat(parts) / 2 + 0.5).clamp(0, 1) * 255).round() / 255


def part_masks(faces: RenderedSet) -> Tensor:
    """[N, 1, H, W]: 1 inside the boxes of eyes and mouth."""
    side = faces.images.shape[1]
    masks = torch.zeros(len(faces), 1, side, side)
    chosen = [faces.box_names.index(name) for name in PARTS]
    for mask, boxes in zip(masks, faces.boxes[:, chosen].round().astype(int), strict=True):
        for x0, y0, x1, y1 in boxes:
            mask[:, y0:y1, x0:x1] = 1
    return masks


def psnr(a: Tensor, b: Tensor, where: Tensor | None = None) -> float:
    """Peak signal-to-noise ratio in dB of the squared error over all pictures in 0..1."""
    error = (a - b).square().mean(1, keepdim=True)
    mean = error.mean() if where is None else (error * where).sum() / where.sum()
    return float(-10 * mean.log10())


def edges(pictures: Tensor) -> Tensor:
    """Squared differences of neighbouring pixels [N, 1, H, W]."""
    across = pictures.diff(dim=-1, append=pictures[..., -1:]).square()
    down = pictures.diff(dim=-2, append=pictures[..., -1:, :]).square()
    return (across + down).mean(1, keepdim=True)
