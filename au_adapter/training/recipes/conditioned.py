"""What FineFace and its baselines have in common: a base, labelled faces, a noise error.

A recipe says how the AUs condition the UNet and what is saved; the rest is here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor, nn

from ...bases import encode_pictures, is_demo, load_base, training_schedule
from ...bundled import demo_folder
from ...data.rendered import is_rendered
from ...facs import SET_A, AUVector
from ...methods.base_generator import BaseGenerator
from ..diffusion import min_snr_weights, noise_loss, prediction_target
from ..drawing import STEPS, drawing
from ..labelled import LabelledFaces, RenderedLatents, StreamedPictures, tokenize
from ..recipe import Share
from ..settings import require_number
from ..smoothing import SMOOTHING

PART_WEIGHT = 3.0
MIN_SNR_GAMMA = 5.0


class ConditionedLoss(nn.Module):
    """Noise error of a base whose UNet is conditioned on text and AUs."""

    def __init__(self, pipeline: StableDiffusionPipeline, plain: bool):
        """plain: the mean squared error alone; else weighed by face part and min-SNR."""
        super().__init__()
        self.unet, self.text_encoder = pipeline.unet, pipeline.text_encoder
        self.vae = pipeline.vae
        self.schedule, self.plain = training_schedule(pipeline), plain
        if not torch.cuda.is_available():
            # On a CPU plain attention trains a third faster: the fused one's backward is slow.
            self.unet.set_attn_processor(AttnProcessor())

    def condition(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """What the UNet reads: text [N, T, width], and by name what goes to its attentions."""
        return self.read_text(batch["tokens"]), {}

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        return self.error(self.latents(batch), batch, *self.condition(batch))

    def error(
        self, latents: Tensor, batch: dict[str, Tensor], text: Tensor, extra: dict[str, Tensor]
    ) -> Tensor:
        """The loss of scaled latents [N, 4, H, W] under the batch's noise and timesteps."""
        noise, timesteps = batch["noise"], batch["timesteps"]
        noisy = self.schedule.add_noise(latents, noise, timesteps)
        predicted = self.unet(noisy, timesteps, text, cross_attention_kwargs=extra or None).sample
        target = prediction_target(self.schedule, latents, noise, timesteps)
        return noise_loss(predicted, target, None if self.plain else self._weights(batch))

    @torch.no_grad()
    def read_text(self, tokens: Tensor) -> Tensor:
        """The frozen text encoder's output [N, T, width] of token ids [N, T]."""
        return self.text_encoder(tokens).last_hidden_state

    @torch.no_grad()
    def latents(self, batch: dict[str, Tensor]) -> Tensor:
        """Scaled latents of the batch: as they come, or encoded from its pictures."""
        if "latents" in batch:
            return batch["latents"]
        return encode_pictures(self.vae, batch["pictures"], batch["latent_noise"])

    def _weights(self, batch: dict[str, Tensor]) -> Tensor:
        snr = min_snr_weights(self.schedule, batch["timesteps"], MIN_SNR_GAMMA)
        return batch["weights"] * snr.reshape(-1, 1, 1, 1)


class AdaptedRecipe:
    """Draws labelled faces for a ConditionedLoss on a base, which a subclass makes and saves.

    Keywords that every subclass takes:
        data: folders of shards. base: see `bases`; the bundled demo model by default. tokenizer:
            CLIP's vocabulary, a folder, for a base in one file.
        units: AU numbers that are learnt. smoothing: of their labels, a name in SMOOTHING.
        caption_dropout: chance of an empty caption, 0..1.
        plain_loss: FineFace's loss, unweighted; by default on every base but the demo's.
        stream: read pictures at every step rather than all at once, encoded, before the first; by
        default, unless renders meet the demo base. lanes, buffer: see `FaceStream`.
    """

    sides = False  # whether what trains reads the left of every AU, then the right
    draws: type[BaseGenerator] = BaseGenerator  # how AUs reach the base when it draws

    def __init__(
        self,
        data: list[Path],
        base: str | Path | None = None,
        units: Sequence[int] = SET_A,
        smoothing: str = "released",
        caption_dropout: float = 0.1,
        plain_loss: bool | None = None,
        stream: bool | None = None,
        lanes: int = 8,
        buffer: int = 1000,
        tokenizer: str | Path | None = None,
    ):
        require_number("caption_dropout", caption_dropout, 0, 1, fraction=True)
        require_number("lanes", lanes, 1)
        require_number("buffer", buffer, 1)
        self.base = demo_folder() if base is None else Path(base)
        demo = is_demo(self.base)
        self.units, self.caption_dropout = _units(units), caption_dropout
        self.smooth = _smoothing(smoothing)
        self.pipeline = load_base(self.base, tokenizer)
        self.tokenizer = self.pipeline.tokenizer
        self.module = self.make_module(not demo if plain_loss is None else plain_loss)
        self.faces: LabelledFaces
        if stream is None:
            stream = not (demo and all(map(is_rendered, data)))
        if stream:
            self.faces = StreamedPictures(
                data, self.pipeline, self.units, lanes, buffer, self.sides
            )
        else:
            _require_demo(demo)
            self.faces = RenderedLatents(data, self.pipeline, self.units, PART_WEIGHT, self.sides)

    def make_module(self, plain: bool) -> ConditionedLoss:
        """The loss, with what trains ready to train."""
        raise NotImplementedError

    def text(self, caption: str, aus: Tensor) -> str:
        """The prompt of a face; aus [K] in the order of units. A baseline puts the AUs in here."""
        return caption

    def batch(self, size: int, generator: torch.Generator) -> dict[str, Tensor]:
        return self.rows(size, generator, Share())

    def rows(self, size: int, generator: torch.Generator, share: Share) -> dict[str, Tensor]:
        drawn = self.faces.draw(size, generator, self.caption_dropout, share)
        # Drawn for the whole batch, so that processes together see what one alone would.
        aus = share.of(self.smooth(share.spread(drawn.aus), generator))
        texts = [self.text(c, row) for c, row in zip(drawn.captions, aus, strict=True)]
        batch = {**drawn.batch, "aus": aus}
        if texts != drawn.captions:
            batch["tokens"] = tokenize(self.tokenizer, texts)
        return batch

    def generator(
        self, module: ConditionedLoss, steps: int = STEPS, **settings: object
    ) -> BaseGenerator:
        """A method that draws with the module as it is now. settings: what `draws` takes."""
        networks = {"unet": module.unet, "text_encoder": module.text_encoder, "vae": module.vae}
        return drawing(self.pipeline, networks, self.draws, steps, **settings)


def _units(units: object) -> tuple[int, ...]:
    """ValueError for what is no list of AUs, each once."""
    if not isinstance(units, Sequence) or isinstance(units, str) or not units:
        raise ValueError(f"units is a list of AU numbers such as [1,2,12], not {units!r}")
    return AUVector.zeros(units).units


def _smoothing(name: str):
    if name not in SMOOTHING:
        raise ValueError(f"smoothing is one of {', '.join(SMOOTHING)}, not {name!r}")
    return SMOOTHING[name]


def _require_demo(demo: bool) -> None:
    if not demo:
        raise ValueError(
            "Only the demo model's small pictures are held in memory: leave stream=true for "
            "another base"
        )
