"""FineFace's recipe on the demo model: encoder, values and LoRA learn on a frozen base.

Departures from the paper, each a keyword of the recipe: the loss weighs face parts and timesteps
(plain_loss=True is FineFace's), and captions are dropped now and then (caption_dropout=0 is
FineFace's), because the tiny base has no habit of unprompted pictures to fall back on.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch
from diffusers.models.attention_processor import AttnProcessor
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from ...models.adapter import AUAdapter
from ...models.diffusers_unet import collect_lora, train_on_unet
from ...weights.autoencoder import load_autoencoder
from ...weights.files import load_adapter, save_adapter
from ..diffusion import min_snr_weights, noise_loss, stable_diffusion_schedule
from ..faces import CaptionedLatents, load_faces
from ..loop import Settings
from ..recipes.base import make_text_encoder, make_unet, tokenize
from ..smoothing import SMOOTHING

PART_WEIGHT = 3.0
MIN_SNR_GAMMA = 5.0

SETTINGS = Settings(
    steps=20000,
    batch_size=32,
    learning_rate=1e-3,
    weight_decay=1e-2,
    warmup_steps=200,
    decay_steps=2000,
    average_decay=0.998,
    mixed_precision="bf16",
    save_every=250,
)


class AdapterLoss(nn.Module):
    """Noise error of the adapted, otherwise frozen base."""

    def __init__(self, base: Path, encoder: str, lora_rank: int, plain: bool):
        super().__init__()
        self.unet = make_unet()
        self.unet.load_state_dict(load_file(base / "unet.safetensors"))
        self.tokenizer = CLIPTokenizer.from_pretrained(base / "tokenizer")
        self.text_encoder: CLIPTextModel = make_text_encoder(self.tokenizer)
        self.text_encoder.load_state_dict(load_file(base / "text_encoder.safetensors"))
        self.text_encoder.requires_grad_(False)
        self.schedule, self.plain = stable_diffusion_schedule(), plain
        self.adapter = AUAdapter.for_unet(
            self.unet, encoder=encoder, lora_rank=lora_rank, base="AU-Adapter demo"
        )

    def start(self) -> None:
        """Freeze the base and make the adapter trainable on it."""
        self.unet.set_attn_processor(AttnProcessor())
        train_on_unet(self.unet, self.adapter)

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        noisy = self.schedule.add_noise(batch["latents"], batch["noise"], batch["timesteps"])
        with torch.no_grad():
            text = self.text_encoder(batch["tokens"]).last_hidden_state
        tokens = self.adapter.encoder(batch["aus"])
        predicted = self.unet(
            noisy, batch["timesteps"], text, cross_attention_kwargs={"au_tokens": tokens}
        ).sample
        return noise_loss(predicted, batch["noise"], None if self.plain else self._weights(batch))

    def _weights(self, batch: dict[str, Tensor]) -> Tensor:
        snr = min_snr_weights(self.schedule, batch["timesteps"], MIN_SNR_GAMMA)
        return batch["weights"] * snr.reshape(-1, 1, 1, 1)


class FineFaceRecipe:
    """Trains an AU-Adapter on cached latents, captions and AU labels of folders of renders."""

    def __init__(
        self,
        data: list[Path],
        base: str,
        encoder: str = "res_mlp64",
        lora_rank: int = 32,
        smoothing: str = "released",
        caption_dropout: float = 0.1,
        plain_loss: bool = False,
        start: str | None = None,
    ):
        self.smooth, self.caption_dropout = SMOOTHING[smoothing], caption_dropout
        self.module = AdapterLoss(Path(base), encoder, lora_rank, plain_loss)
        if start:
            self.module.adapter = load_adapter(start)
        self.module.start()
        sets = load_faces(data)
        self.aus = torch.cat([torch.from_numpy(faces.aus) for faces in sets])
        self.faces = CaptionedLatents(
            sets,
            load_autoencoder(base),
            partial(tokenize, self.module.tokenizer),
            PART_WEIGHT,
            data[0] / "cache",
        )

    def batch(self, size: int, generator: torch.Generator) -> dict[str, Tensor]:
        rows, batch = self.faces.draw(size, generator, self.caption_dropout)
        return {**batch, "aus": self.smooth(self.aus[rows], generator)}

    def save(self, module: AdapterLoss, folder: Path) -> None:
        module.adapter.lora = collect_lora(module.unet)
        save_adapter(module.adapter, folder / "adapter.safetensors")
