"""The bundled model's base: text to picture, trained on captions that know nothing of AUs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from ...bases.family import pad_and_tokenize
from ...bundled.pipeline import load_unet, save_network
from ...data.rendered import load, mirrored
from ...data.rendering.captions import vocabulary
from ...disk import damage_named
from ...weights.autoencoder_files import load_autoencoder
from ..diffusion import denoising_loss, stable_diffusion_schedule
from ..labelled import RenderedLatents
from ..recipe import Share
from ..settings import BUNDLED, check_options
from ..tokenizer import END, MAX_LENGTH, START, write_tokenizer

WIDTH = 128  # of the text encoder and so of cross-attention
WIDTHS = (64, 128, 128)  # of the UNet, from fine to coarse
HEAD = 32  # channels of an attention head
CAPTION_DROPOUT = 0.1
PART_WEIGHT = 2.5
LEAST_SNR = 0.5  # for colours of backgrounds and clothes, which hardly count without it


def make_unet(widths: Sequence[int] = WIDTHS, latent_channels: int = 4) -> UNet2DConditionModel:
    """Stable Diffusion 2.1's layout in small: attention at 16, 8 and 4 cells a side, each of the
    given width, a multiple of 32. With (64, 128, 128) it has 7 M parameters."""
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=latent_channels,
        out_channels=latent_channels,
        block_out_channels=tuple(widths),
        layers_per_block=1,
        cross_attention_dim=WIDTH,
        attention_head_dim=[width // HEAD for width in widths],
        use_linear_projection=True,
        down_block_types=("CrossAttnDownBlock2D",) * 3,
        up_block_types=("CrossAttnUpBlock2D",) * 3,
    )


def make_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """A CLIP-shaped text encoder of 3 layers for the tokenizer's vocabulary."""
    ids = tokenizer.convert_tokens_to_ids
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=WIDTH,
            intermediate_size=4 * WIDTH,
            num_hidden_layers=3,
            num_attention_heads=4,
            max_position_embeddings=MAX_LENGTH,
            hidden_act="gelu",
            projection_dim=WIDTH,
            bos_token_id=ids(START),
            eos_token_id=ids(END),
            pad_token_id=ids(END),
        )
    )


def open_tokenizer(start: Path | None) -> tuple[CLIPTokenizer, dict[str, bytes]]:
    """The tokenizer of a base to start from, whose weights know the words by its ids, else one of
    all caption words; and its files by name."""
    with TemporaryDirectory() as made:
        folder = start / "tokenizer" if start else Path(made)
        if start is None:
            write_tokenizer(vocabulary(), folder)
        files = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
        return CLIPTokenizer.from_pretrained(folder), files


@torch.no_grad()
def adopt_words(text_encoder: CLIPTextModel, tokenizer: CLIPTokenizer, folder: Path) -> None:
    """Give a text encoder the weights of a base's in a folder, of the same shape: of its embeddings
    those of words that both tokenizers know."""
    known = CLIPTokenizer.from_pretrained(folder / "tokenizer").get_vocab()
    file = folder / "text_encoder.safetensors"
    with damage_named(file):
        weights = load_file(file)
        own = text_encoder.state_dict()
        (name,) = (name for name in own if name.endswith("token_embedding.weight"))
        theirs, rows = weights[name], own[name].clone()
        for word, row in tokenizer.get_vocab().items():
            if word in known:
                rows[row] = theirs[known[word]]
        text_encoder.load_state_dict({**weights, name: rows})


class BaseLoss(nn.Module):
    """Noise error with min-SNR weights over timesteps and more weight on eyes, brows and mouth."""

    def __init__(self, unet: UNet2DConditionModel, text_encoder: CLIPTextModel):
        super().__init__()
        self.unet, self.text_encoder = unet, text_encoder
        self.schedule = stable_diffusion_schedule()

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        text = self.text_encoder(batch["tokens"]).last_hidden_state
        return denoising_loss(
            self.schedule,
            batch["latents"],
            batch,
            lambda *noisy: self.unet(*noisy, text).sample,
            least_snr=LEAST_SNR,
        )


@dataclass(frozen=True)
class BaseOptions:
    """Options of the base.

    autoencoder: the folder of its autoencoder. start: the folder of a base to continue from, with
    its tokenizer; its widths hold. words: the folder of a base whose text encoder learns on, by the
    words that it knows: a new one takes long to tell a shirt's colour from the background's.
    widths: of the UNet, see `make_unet`. mirror: learn from every render in a mirror too.
    """

    autoencoder: str | Path
    start: str | Path | None = None
    words: str | Path | None = None
    widths: Sequence[int] = WIDTHS
    mirror: bool = False

    def __post_init__(self) -> None:
        check_options(self)
        if self.start and self.words:
            raise ValueError("start brings a text encoder of its own: leave words out")


class BaseRecipe:
    """Trains UNet and text encoder on the captions and cached latents of folders of renders."""

    Options = BaseOptions
    settings = replace(BUNDLED, learning_rate=6e-4, warmup_steps=300, decay_steps=2500)

    def __init__(self, data: list[Path], options: BaseOptions):
        self.autoencoder_folder = Path(options.autoencoder)
        self.autoencoder = load_autoencoder(self.autoencoder_folder)
        start = Path(options.start) if options.start else None
        self.tokenizer, self.tokenizer_files = open_tokenizer(start)
        sets = [load(folder) for folder in data]
        self.faces = RenderedLatents(
            [*sets, *map(mirrored, sets)] if options.mirror else sets,
            self.autoencoder,
            partial(pad_and_tokenize, self.tokenizer),
            PART_WEIGHT,
            data[0] / "cache",
        )
        channels = self.autoencoder.config.latent_channels
        unet = load_unet(start) if start else make_unet(options.widths, channels)
        self.module = BaseLoss(unet, make_text_encoder(self.tokenizer))
        if start:
            weights = start / "text_encoder.safetensors"
            with damage_named(weights):
                self.module.text_encoder.load_state_dict(load_file(weights))
        elif options.words:
            adopt_words(self.module.text_encoder, self.tokenizer, Path(options.words))
        # On a CPU plain attention trains a third faster than the fused one: its backward is slow.
        self.module.unet.set_attn_processor(AttnProcessor())
        self.module.text_encoder.set_attn_implementation("eager")

    def batch(self, size: int, generator: torch.Generator) -> dict[str, Tensor]:
        return self.faces.draw(size, generator, CAPTION_DROPOUT, Share()).batch

    def save(self, module: BaseLoss, folder: Path) -> None:
        save_network(module.unet, folder, "unet")
        save_network(module.text_encoder, folder, "text_encoder")
        (folder / "tokenizer").mkdir()
        for name, content in self.tokenizer_files.items():
            (folder / "tokenizer" / name).write_bytes(content)
        for name in ("vae.safetensors", "vae.json"):
            (folder / name).write_bytes((self.autoencoder_folder / name).read_bytes())
