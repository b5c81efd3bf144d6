"""What FineFace and its baselines share: a base, labelled faces, the error of the noise.

A recipe says how the AUs condition the UNet and what is saved; the rest is here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from diffusers import DiffusionPipeline
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor, nn

from ...bases import BaseFamily, EncodedText, find_family, load_base
from ...bundled import demo_folder
from ...data.rendered import is_rendered, load
from ...facs import SET_A, AUVector
from ...methods.base_generator import BaseGenerator
from ...methods.sampling import told
from ...methods.words_generator import au_text
from ..diffusion import denoising_loss
from ..drawing import STEPS, drawing
from ..labelled import RenderedLatents, StreamedPictures
from ..latent_cache import LatentCache
from ..recipe import Share, SharingRecipe
from ..settings import BUNDLED, check_options, require_word

PART_WEIGHT = 3.0
ROUNDING_PROBABILITY = 0.2  # of smoothed labels

SETTINGS = replace(BUNDLED, learning_rate=1e-3)


def smooth_as_released(values: Tensor, generator: torch.Generator) -> Tensor:
    """AU values [N, K]: noise of deviation 0.2, clipped to 0..5; a batch in five is all rounded."""
    noisy = (values + 0.2 * torch.randn(values.shape, generator=generator)).clamp(0, 5)
    rounded = torch.rand((), generator=generator) < ROUNDING_PROBABILITY
    return noisy.round() if rounded else noisy


def smooth_as_in_paper(values: Tensor, generator: torch.Generator) -> Tensor:
    """AU values [N, K]: noise of variance 0.2, clipped to 0..5; each rounded with chance 0.2."""
    noisy = (values + 0.2**0.5 * torch.randn(values.shape, generator=generator)).clamp(0, 5)
    rounded = torch.rand(values.shape, generator=generator) < ROUNDING_PROBABILITY
    return torch.where(rounded, noisy.round(), noisy)


def unsmoothed(values: Tensor, generator: torch.Generator) -> Tensor:
    """AU values [N, K] without smoothing (the ablation of FineFace's Table 3), clipped to 0..5."""
    return values.clamp(0, 5)


# Distribution smoothing of AU labels (FineFace, section 4.3). What trains is 0..5 in any case, as
# the supplement wants it: its released correction of AffectNet strengthens some AUs beyond 5.
SMOOTHING = {"released": smooth_as_released, "paper": smooth_as_in_paper, "none": unsmoothed}


@dataclass(frozen=True)
class ConditionedOptions:
    """Options of every recipe on a base.

    base: see `bases`; the bundled model by default. tokenizer: a folder with CLIP's vocabulary, for
        a base in one file.
    units: AU numbers to learn. smoothing: of their labels, a name in SMOOTHING.
    caption_dropout: chance of an empty caption, 0..1.
    plain_loss: FineFace's unweighted loss; None: what the base's family takes.
    stream: read pictures at every step instead of all at once, encoded, before the first; None:
        unless renders meet the bundled base. lanes, buffer: see `FaceStream`.
    latent_cache: a folder that keeps what the autoencoder makes of streamed pictures, for the next
        epoch and for later runs; 128 KB a face of 512 pixels. None: encode them at every step.
    """

    base: str | Path | None = None
    tokenizer: str | Path | None = None
    units: Sequence[int] = SET_A
    smoothing: str = "released"
    caption_dropout: float = 0.1
    plain_loss: bool | None = None
    stream: bool | None = None
    lanes: int = 8
    buffer: int = 1000
    latent_cache: str | Path | None = None

    def __post_init__(self) -> None:
        """ValueError, in the words of the command line, for a value that cannot be."""
        check_options(self, caption_dropout=(0, 1), lanes=1, buffer=1)
        require_word("smoothing", self.smoothing, SMOOTHING)
        if not isinstance(self.units, Sequence) or isinstance(self.units, str) or not self.units:
            raise ValueError(f"units is a list of AU numbers such as [1,2,12], not {self.units!r}")
        object.__setattr__(self, "units", AUVector.zeros(self.units).units)


class ConditionedLoss(nn.Module):
    """Noise error of a base whose UNet is conditioned on text and AUs."""

    def __init__(
        self, family: BaseFamily, pipeline: DiffusionPipeline, plain: bool, options: Any = None
    ):
        """plain: the mean squared error alone; else weighted by face part and min-SNR. options: of
        the recipe."""
        super().__init__()
        for name in family.parts:
            setattr(self, name, getattr(pipeline, name))
        self.family, self.plain, self.options = family, plain, options
        self.schedule = family.training_schedule(pipeline)
        if not torch.cuda.is_available():
            # On a CPU plain attention trains a third faster: the fused one's backward is slow.
            self.unet.set_attn_processor(AttnProcessor())

    def networks(self) -> dict[str, nn.Module]:
        """The base's networks as they are now, by their names in its pipeline."""
        return {name: getattr(self, name) for name in self.family.parts}

    def condition(self, batch: dict[str, Tensor]) -> tuple[EncodedText, dict[str, Tensor]]:
        """What the UNet reads: text, and by name what goes to its attentions."""
        return self.encode_text(batch["tokens"]), {}

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        return self.error(self.latents(batch), batch, *self.condition(batch))

    def error(
        self, latents: Tensor, batch: dict[str, Tensor], text: EncodedText, extra: dict[str, Tensor]
    ) -> Tensor:
        """The loss of scaled latents [N, 4, H, W] under the batch's noise and timesteps."""

        def predict(noisy: Tensor, timesteps: Tensor) -> Tensor:
            more = {**told(text), "cross_attention_kwargs": extra or None}
            return self.unet(noisy, timesteps, **more).sample

        return denoising_loss(self.schedule, latents, batch, predict, self.plain)

    @torch.no_grad()
    def encode_text(self, tokens: Tensor) -> EncodedText:
        """What the frozen text encoders make of token ids, see `BaseFamily.encode_text`."""
        return self.family.encode_text(self, tokens)

    @torch.no_grad()
    def latents(self, batch: dict[str, Tensor]) -> Tensor:
        """Scaled latents of the batch: as they come, or encoded from its pictures."""
        if "latents" in batch:
            return batch["latents"]
        noise = batch["latent_noise"]
        if "distributions" in batch:
            return self.family.draw_latents(self.vae, batch["distributions"], noise)
        return self.family.encode_pictures(self.vae, batch["pictures"], noise)


class AdaptedRecipe(SharingRecipe):
    """Draws labelled faces for a ConditionedLoss on a base, which a subclass makes and saves."""

    Options = ConditionedOptions
    settings = SETTINGS
    loss: type[ConditionedLoss]  # of family, pipeline, plain and options
    sides = False  # whether what trains reads the left of every AU, then the right
    draws: type[BaseGenerator] = BaseGenerator  # how AUs reach the base when it draws
    worded = False  # whether the AUs stand in the prompt, see `au_text`

    def __init__(self, data: list[Path], options: ConditionedOptions):
        self.options, self.units = options, options.units
        self.base = demo_folder() if options.base is None else Path(options.base)
        self.family = find_family(self.base)
        self.pipeline = load_base(self.base, options.tokenizer)
        self.tokenize = partial(self.family.tokenize, self.pipeline)
        plain = self.family.plain_loss if options.plain_loss is None else options.plain_loss
        self.module = self.make_module(plain)
        self.faces = self._faces(data)

    def _faces(self, data: list[Path]) -> RenderedLatents | StreamedPictures:
        options, stream = self.options, self.options.stream
        if stream is None:
            stream = not (self.family.holds_latents and all(map(is_rendered, data)))
        if stream:
            cells = self.pipeline.unet.config.sample_size
            shape = (self.pipeline.vae.config.latent_channels, cells, cells)
            size = self.family.picture_size(self.pipeline)
            cache = None
            if options.latent_cache is not None:
                cache = LatentCache(options.latent_cache, self.family, self.pipeline.vae, size)
            shards = options.lanes, options.buffer, self.sides, cache
            return StreamedPictures(data, self.tokenize, size, shape, self.units, *shards)
        if not self.family.holds_latents:
            raise ValueError(
                "Only the bundled model's small pictures are held in memory: leave stream=true for "
                "another base"
            )
        sets = [load(folder, units=self.units) for folder in data]
        vae, cache = self.pipeline.vae.network, Path(data[0]) / "cache"
        return RenderedLatents(sets, vae, self.tokenize, PART_WEIGHT, cache, self.sides)

    def make_module(self, plain: bool) -> ConditionedLoss:
        """The loss, with what trains ready to train."""
        return self.loss(self.family, self.pipeline, plain, self.options)

    def rows(self, size: int, generator: torch.Generator, share: Share) -> dict[str, Tensor]:
        drawn = self.faces.draw(size, generator, self.options.caption_dropout, share)
        # Drawn for the whole batch, so that processes together see what one alone would.
        smooth = SMOOTHING[self.options.smoothing]
        aus = share.of(smooth(share.spread(drawn.aus), generator))
        batch = {**drawn.batch, "aus": aus}
        if self.worded:
            rows = zip(drawn.captions, aus, strict=True)
            batch["tokens"] = self.tokenize([au_text(c, row, self.units) for c, row in rows])
        return batch

    def generator(
        self, module: ConditionedLoss, steps: int = STEPS, **settings: object
    ) -> BaseGenerator:
        """A method that draws with the module as it is now. settings: what `draws` takes."""
        return drawing(self.pipeline, module.networks(), self.draws, steps, **settings)
