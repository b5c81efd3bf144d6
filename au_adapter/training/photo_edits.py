"""Validation by edits: photos of some people, each AU changed alone, read by an estimator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..data.references import most_relaxed
from ..facs import AUVector
from ..methods.magicface_editor import edit_latents
from ..methods.sampling import decode
from ..models.magicface import change_of
from .pairs import FacePairs

STEPS = 20
PEOPLE = 2  # whose photos are edited


@dataclass(frozen=True)
class PhotoEdits:
    """Edits of photos that are trained on, as `Validation` asks for pictures.

    A prompt is "photo" and its number among `pairs`. Without a change of AUs the picture is the
    photo itself, as the autoencoder draws it.
    """

    network: nn.Module
    text: Tensor
    vae: nn.Module
    pairs: FacePairs
    steps: int = STEPS

    def photos(self) -> list[str]:
        """One photo each of the first people: the one with the least expression."""
        faces, rows = self.pairs.faces, self.pairs.partners.rows
        people = faces["identity"][rows].tolist()
        best = most_relaxed(people, faces["aus"][rows].sum(1).tolist())
        return [f"photo {rows[best[person]]}" for person in list(dict.fromkeys(people))[:PEOPLE]]

    @torch.no_grad()
    def draw_each(self, prompts: Sequence[str], seeds: Sequence[int], aus: AUVector) -> Tensor:
        """Pictures [N, H, W, 3] of N photos, seeds and changes of AUs."""
        changes, device = change_of(aus), self.text.device
        drawn = []
        for prompt, seed, change in zip(prompts, seeds, changes, strict=True):
            drawn.append(self._draw(int(prompt.split()[-1]), seed, change[None].to(device)))
        return torch.cat(drawn)

    def _draw(self, row: int, seed: int, change: Tensor) -> Tensor:
        faces, vae = self.pairs.faces, self.vae.to(self.text.device)
        photo, background = (faces[key][[row]].to(self.text) for key in ("photos", "backgrounds"))
        if not change.any():
            return decode(vae, photo * self.pairs.scaling_factor)
        noise = torch.randn(photo.shape, generator=torch.Generator().manual_seed(seed)).to(photo)
        seen = faces["tokens"][[row]].to(self.text) if "tokens" in faces else photo
        latents = edit_latents(self.network, self.text, seen, background, change, noise, self.steps)
        return decode(vae, latents)
