"""Stage I of VQ-AUFace: the Residual VQGAN, pictures <-> codes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..autoencoder import ResidualBlock
from .residual_codes import ResidualCodes


@dataclass(frozen=True)
class CodecConfig:
    """Sizes of the codec. The defaults are the full model's: 65,536 codes and 16 x 16 x 8 = 2,048
    tokens are the paper's; 256 pixels and the widths are ours.

    size: pixels of a side. patch: side in pixels of the squares that are folded into channels
    before the first convolution. widths: channels from fine to coarse; every step halves the sides.
    blocks: residual blocks of a stage. code_width: numbers of a code. codes: in the codebook, which
    all passes share. depth: codes of a cell.
    """

    size: int = 256
    patch: int = 1
    widths: tuple[int, ...] = (128, 128, 256, 256, 512)
    blocks: int = 2
    code_width: int = 32
    codes: int = 65_536
    depth: int = 8

    def __post_init__(self) -> None:
        object.__setattr__(self, "widths", tuple(self.widths))
        step = self.step
        if self.size % step or min(self.size, self.depth, self.blocks) < 1 or self.codes < 2:
            raise ValueError(
                f"a codec of {self.size} pixels, {self.codes} codes and depth {self.depth} cannot "
                f"be: size must be a multiple of {step} (patch and widths), the others at least 1"
            )
        if uneven := [width for width in self.widths if width % 8]:
            raise ValueError(f"widths are multiples of 8, found {uneven[0]}")

    @property
    def step(self) -> int:
        """Pixels of a cell's side."""
        return self.patch * 2 ** (len(self.widths) - 1)

    @property
    def side(self) -> int:
        """Cells of a side."""
        return self.size // self.step

    @property
    def cells(self) -> int:
        """Cells of a picture."""
        return self.side**2


#: Of the model that comes with AU-Adapter: 16 x 16 x 6 tokens.
BUNDLED = CodecConfig(
    size=128, patch=2, widths=(40, 80, 144), blocks=2, code_width=32, codes=2048, depth=6
)


class CellAttention(nn.Module):
    """Every cell looks at every other. [N, C, H, W] -> [N, C, H, W]."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm = nn.GroupNorm(8, channels)
        self.attention = nn.MultiheadAttention(channels, 1, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        cells = self.norm(x).flatten(2).transpose(1, 2)
        seen, _ = self.attention(cells, cells, cells, need_weights=False)
        return x + seen.transpose(1, 2).reshape(x.shape)


def _coarsest(width: int) -> list[nn.Module]:
    return [ResidualBlock(width), CellAttention(width), ResidualBlock(width)]


class ResidualVQGAN(nn.Module):
    """Encoder E, codes and decoder G. Pictures are [N, 3, size, size] in -1..1."""

    def __init__(self, config: CodecConfig):
        super().__init__()
        self.config = config
        pixels, widths = 3 * config.patch**2, config.widths
        first, last = widths[0], widths[-1]
        down: list[nn.Module] = [nn.Conv2d(pixels, first, 3, padding=1)]
        up: list[nn.Module] = []
        for fine, coarse in zip(widths, widths[1:], strict=False):
            stage = [ResidualBlock(fine) for _ in range(config.blocks)]
            down += [*stage, nn.Conv2d(fine, coarse, 3, stride=2, padding=1)]
            stage = [ResidualBlock(fine) for _ in range(config.blocks)]
            up = [nn.Conv2d(coarse, 4 * fine, 1), nn.PixelShuffle(2), *stage, *up]
        self.encoder = nn.Sequential(
            nn.PixelUnshuffle(config.patch),
            *down,
            *_coarsest(last),
            nn.GroupNorm(8, last),
            nn.SiLU(),
            nn.Conv2d(last, config.code_width, 3, padding=1),
        )
        self.codes = ResidualCodes(config.codes, config.code_width, config.depth)
        self.decoder = nn.Sequential(
            nn.Conv2d(config.code_width, last, 3, padding=1),
            *_coarsest(last),
            *up,
            nn.GroupNorm(8, first),
            nn.SiLU(),
            nn.Conv2d(first, pixels, 3, padding=1),
            nn.PixelShuffle(config.patch),
        )
        # A linear path beside the networks, ours: it starts as the best linear code of a cell's
        # pixels, so that the networks only have to learn what a linear code cannot say.
        self.cells_in = nn.Conv2d(3, config.code_width, step := config.step, stride=step)
        self.cells_out = nn.ConvTranspose2d(config.code_width, 3, step, stride=step)

    @torch.no_grad()
    def start_from_principal_components(self, pictures: Tensor) -> None:
        """Start from the principal components of the cells of pictures [N, 3, size, size]: the
        codec is then linear, and its vectors lie as far apart as the pixels that they stand for,
        their numbers about 1 in size."""
        step, width = self.config.step, self.config.code_width
        cells = nn.functional.pixel_unshuffle(pictures, step).movedim(1, -1).flatten(0, 2)
        mean = cells.mean(0)
        _, lengths, components = torch.linalg.svd(cells - mean, full_matrices=False)
        shape = (width, 3, step, step)
        components = components[:width]
        components = nn.functional.pad(components, (0, 0, 0, width - len(components)))
        scale = lengths[:width].square().sum().div(len(cells) * width).sqrt()
        self.cells_in.weight.copy_((components / scale).reshape(shape))
        self.cells_in.bias.copy_(-(components / scale) @ mean)
        self.cells_out.weight.copy_((components * scale).reshape(shape))
        self.cells_out.bias.copy_(mean.reshape(3, -1).mean(1))
        for last in (self.encoder[-1], self.decoder[-2]):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    @property
    def last_layer(self) -> Tensor:
        """The weights that make pixels, by whose gradients losses are balanced."""
        return self.decoder[-2].weight

    def encode_vectors(self, pictures: Tensor) -> Tensor:
        """E: vectors z [N, cells, code_width] before they become codes."""
        return (self.encoder(pictures) + self.cells_in(pictures)).flatten(2).transpose(1, 2)

    def decode_vectors(self, vectors: Tensor) -> Tensor:
        """G: pictures of vectors [N, cells, code_width]; about -1..1."""
        side = self.config.side
        cells = vectors.transpose(1, 2).unflatten(2, (side, side))
        return self.decoder(cells) + self.cells_out(cells)

    @torch.no_grad()
    def encode(self, pictures: Tensor) -> Tensor:
        """The codes int64 [N, cells, depth] of pictures."""
        return self.codes.ids(self.encode_vectors(pictures))

    def decode(self, ids: Tensor) -> Tensor:
        """Pictures, about -1..1, of codes [N, cells, depth]."""
        return self.decode_vectors(self.codes.vectors(ids))
