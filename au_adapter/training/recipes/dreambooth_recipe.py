"""FineFace's DreamBooth baseline: the whole UNet learns AUs as text, with prior preservation.

Prior preservation (Ruiz et al. 2022, Eq. 2): beside each face with its AUs stands a picture that
the untouched base drew of a prompt without AUs, so that the UNet forgets as little as it can.
"""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import torch
from accelerate import PartialState
from diffusers import StableDiffusionPipeline
from safetensors.torch import load_file, save_file
from torch import Tensor

from ...bases import is_demo
from ...disk import replacing
from ...methods.words_generator import WordsGenerator, au_text
from ..diffusion import draw_noise
from ..drawing import drawing
from ..labelled import tokenize
from ..recipe import Share
from .base_recipe import save_network
from .conditioned import AdaptedRecipe, ConditionedLoss
from .fineface_recipe import SETTINGS as FINEFACE

SETTINGS = replace(FINEFACE, learning_rate=1e-4)
PRIOR_PROMPT = "a photo of a man"  # known to the demo base too
FIRST_SEED = 9001
UNTOUCHED = ("text_encoder.json", "text_encoder.safetensors", "vae.json", "vae.safetensors")


class PriorLoss(ConditionedLoss):
    """Noise error of the faces, and of what the base draws by itself."""

    def __init__(self, pipeline: StableDiffusionPipeline, plain: bool, prior_weight: float):
        super().__init__(pipeline, plain)
        self.unet.requires_grad_(True)
        self.prior_weight = prior_weight

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        prior = {
            name.removeprefix("prior_"): rows
            for name, rows in batch.items()
            if name.startswith("prior_")
        }
        return super().forward(batch) + self.prior_weight * super().forward(prior)


class DreamBoothRecipe(AdaptedRecipe):
    """Trains the whole UNet. Saves a base: the demo's files, or the folder unet of diffusers.

    prior_weight: of the loss on the base's own pictures; prior_count: how many of them are drawn,
    once, and kept in the data folder's cache; prior_prompt: of what.
    """

    draws = WordsGenerator

    def __init__(
        self,
        data: list[Path],
        base: str | Path | None = None,
        prior_weight: float = 1.0,
        prior_count: int = 200,
        prior_prompt: str = PRIOR_PROMPT,
        **keywords: object,
    ):
        self.prior_weight, self.prior_prompt = prior_weight, prior_prompt
        super().__init__(data, base, **keywords)
        with PartialState().main_process_first():  # one draws, the others read what it kept
            self.prior = self._prior(Path(data[0]) / "cache", prior_count)
        self.prior_tokens = tokenize(self.tokenizer, [prior_prompt])

    def make_module(self, plain: bool) -> PriorLoss:
        return PriorLoss(self.pipeline, plain, self.prior_weight)

    def text(self, caption: str, aus: Tensor) -> str:
        return au_text(caption, aus, self.units)

    def rows(self, size: int, generator: torch.Generator, share: Share) -> dict[str, Tensor]:
        batch = super().rows(size, generator, share)
        chosen = torch.randint(len(self.prior), (size,), generator=generator)
        noise, timesteps = draw_noise((size, *self.prior.shape[1:]), generator)
        prior = {
            "prior_latents": self.prior[chosen],
            "prior_noise": noise,
            "prior_timesteps": timesteps,
            "prior_tokens": self.prior_tokens.expand(size, -1),
            "prior_weights": torch.ones(size, 1, 1, 1),
        }
        return {**batch, **{name: share.of(rows) for name, rows in prior.items()}}

    def _prior(self, cache: Path, count: int) -> Tensor:
        """Scaled latents [count, 4, h, w] that the base draws of the prior prompt, made once."""
        path = cache / f"prior-{self._fingerprint(count)}.safetensors"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            seeds = range(FIRST_SEED, FIRST_SEED + count)
            self.pipeline.to(PartialState().device)
            prompts = [self.prior_prompt] * count
            latents = drawing(self.pipeline).plain_latents(prompts, seeds).float().cpu()
            self.pipeline.to("cpu")
            with replacing(path) as partial:
                save_file({"latents": latents}, partial)
        return load_file(path)["latents"]

    def _fingerprint(self, count: int) -> str:
        digest = hashlib.sha256(f"{count} {self.prior_prompt}".encode())
        for tensor in self.pipeline.unet.state_dict().values():
            digest.update(tensor.flatten()[:64].numpy().tobytes())
        return digest.hexdigest()[:16]

    def save(self, module: PriorLoss, folder: Path) -> None:
        if not is_demo(self.base):
            module.unet.save_pretrained(folder / "unet", safe_serialization=True)
            return
        save_network(module.unet, folder, "unet")
        for name in UNTOUCHED:
            (folder / name).write_bytes((self.base / name).read_bytes())
        shutil.copytree(self.base / "tokenizer", folder / "tokenizer")
