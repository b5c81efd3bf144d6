"""FineFace's DreamBooth baseline: the whole UNet learns AUs as text, with prior preservation.

Prior preservation (Ruiz et al. 2022, Eq. 2): beside each face with its AUs stands a picture that
the untouched base drew of a prompt without AUs, so that the UNet forgets as little as it can.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from torch import Tensor

from ...methods.baselines import DreamBoothGenerator
from ...weights.tensors import kept
from ..diffusion import draw_noise
from ..drawing import drawing
from ..recipe import Share
from ..settings import check_options
from .conditioned import SETTINGS, AdaptedRecipe, ConditionedLoss, ConditionedOptions

PRIOR_PROMPT = "a photo of a man"  # known to the bundled base too
FIRST_SEED = 9001


@dataclass(frozen=True)
class DreamBoothOptions(ConditionedOptions):
    """Options of DreamBooth.

    prior_weight: of the loss on the base's own pictures. prior_count: how many of them are drawn,
    once, and kept in the data folder's cache. prior_prompt: of what.
    """

    prior_weight: float = 1.0
    prior_count: int = 200
    prior_prompt: str = PRIOR_PROMPT

    def __post_init__(self) -> None:
        check_options(self, prior_count=1)
        super().__post_init__()


class PriorLoss(ConditionedLoss):
    """Noise error of the faces, and of what the base draws by itself."""

    def __init__(self, *arguments: Any):
        super().__init__(*arguments)
        self.unet.requires_grad_(True)

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        prior = {n.removeprefix("prior_"): r for n, r in batch.items() if n.startswith("prior_")}
        return super().forward(batch) + self.options.prior_weight * super().forward(prior)


class DreamBoothRecipe(AdaptedRecipe):
    """Trains the whole UNet. Saves it as its base's family keeps it, see `BaseFamily.save_unet`."""

    Options = DreamBoothOptions
    settings = replace(SETTINGS, learning_rate=1e-4)
    loss, draws, worded = PriorLoss, DreamBoothGenerator, True

    def __init__(self, data: list[Path], options: DreamBoothOptions):
        super().__init__(data, options)
        with PartialState().main_process_first():  # one draws, the others read what it kept
            self.prior = self._prior(Path(data[0]) / "cache")
        self.prior_tokens = self.tokenize([options.prior_prompt])

    def rows(self, size: int, generator: torch.Generator, share: Share) -> dict[str, Tensor]:
        batch = super().rows(size, generator, share)
        chosen = torch.randint(len(self.prior), (size,), generator=generator)
        noise, timesteps = draw_noise((size, *self.prior.shape[1:]), generator)
        prior = {
            "prior_latents": self.prior[chosen],
            "prior_noise": noise,
            "prior_timesteps": timesteps,
            "prior_tokens": self.prior_tokens.repeat_interleave(size, dim=0),
            "prior_weights": torch.ones(size, 1, 1, 1),
        }
        return {**batch, **{name: share.of(rows) for name, rows in prior.items()}}

    def _prior(self, cache: Path) -> Tensor:
        """Scaled latents [count, 4, h, w] that the base draws of the prior prompt, made once."""
        options = self.options
        digest = hashlib.sha256(f"{options.prior_count} {options.prior_prompt}".encode())
        for tensor in self.pipeline.unet.state_dict().values():
            digest.update(tensor.flatten()[:64].numpy().tobytes())
        path = cache / f"prior-{digest.hexdigest()[:16]}.safetensors"

        def draw() -> dict[str, Tensor]:
            prompts = [options.prior_prompt] * options.prior_count
            seeds = range(FIRST_SEED, FIRST_SEED + len(prompts))
            self.pipeline.to(PartialState().device)
            latents = drawing(self.pipeline).plain_latents(prompts, seeds).float().cpu()
            self.pipeline.to("cpu")
            return {"latents": latents}

        return kept(path, draw, "latents")["latents"]

    def save(self, module: PriorLoss, folder: Path) -> None:
        self.family.save_unet(module.unet, self.base, folder)
