"""Stage I of VQ-AUFace: the codec, learnt from any labelled faces.

    au-adapter train --recipe vq-auface-codec --data FACES --steps 12000 --output DIR

Optimiser, batch of 240 and 150,000 steps of the full size are the paper's (appendix D); it gives no
weights of its losses. At full size it takes about 1.2 GiB a picture in float32, so that a GPU of
24 GB works 15 at once: the paper's 30 of each of eight GPUs take accumulation=2. `vqauface_recipe`
takes the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torchvision.models import vgg16

from ...data.stream import FaceStream
from ...estimators.bundled_regressor import load_regressor
from ...load_object import load_object
from ...models.vqauface.codec import BUNDLED, CodecConfig, ResidualVQGAN
from ...models.vqauface.codec_loss import CodecLoss, Features, LossWeights
from ...models.vqauface.discriminator import PatchDiscriminator
from ...weights.tensors import read_tensors
from ...weights.vqauface_files import CODEC_FILE, save_codec
from ..face_tensors import to_unit_range
from ..recipe import Share, SharingRecipe
from ..settings import Settings, check_options

SIZES = {"full": CodecConfig(), "bundled": BUNDLED}
STARTED_FROM = 64  # pictures whose cells the linear part of the codec starts from
DECAY = 0.9  # of the moving averages that codes are
UNUSED = 1.0  # codes that are taken less often than this a batch are put elsewhere
VGG_SIZE = 224
IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class VQAUFaceCodecOptions(LossWeights):
    """Options of the codec.

    sizes: "full" or "bundled"; size, patch, widths, blocks, code_width, codes, depth: instead of
    theirs, see `CodecConfig`. commitment, edges, adversarial, perceptual, anatomical: weights, see
    `LossWeights`; 0 leaves a term out. vgg: the file of torchvision's VGG16, without which there is
    no perceptual term. anatomy: a regressor.safetensors, or MODULE:FUNCTION that makes a
    differentiable function from pictures [N, 3, H, W] in 0..1 to features; without it there is no
    anatomical term. quantised_from, judged_from, anatomy_from: the steps at which codes,
    discriminator and anatomical loss come in, once there is something to judge. lanes, buffer: see
    `FaceStream`.
    """

    sizes: str = "bundled"
    size: int | None = None
    patch: int | None = None
    widths: Sequence[int] | None = None
    blocks: int | None = None
    code_width: int | None = None
    codes: int | None = None
    depth: int | None = None
    vgg: str | Path | None = None
    anatomy: str | Path | None = None
    quantised_from: int = 100
    judged_from: int = 5000
    anatomy_from: int = 5000
    lanes: int = 8
    buffer: int = 1000

    def __post_init__(self) -> None:
        if self.sizes not in SIZES:
            raise ValueError(f"sizes is {self.sizes!r}, expected {' or '.join(SIZES)}")
        check_options(self, lanes=1, buffer=1)

    def config(self) -> CodecConfig:
        """The sizes with what was chosen instead of them."""
        names = (field.name for field in fields(CodecConfig))
        chosen = {name: getattr(self, name) for name in names}
        return replace(SIZES[self.sizes], **{k: v for k, v in chosen.items() if v is not None})


class VQAUFaceCodecRecipe(SharingRecipe):
    """Trains the codec and saves it as codec.safetensors."""

    Options = VQAUFaceCodecOptions
    settings = Settings(
        steps=150_000, batch_size=240, learning_rate=3e-4, weight_decay=0.0, mixed_precision="bf16"
    )
    learnt_buffers = ("quantise.",)  # codes are moving averages, which no optimiser knows

    def __init__(self, data: list[Path], options: VQAUFaceCodecOptions):
        config, self.options = options.config(), options
        self.stream = FaceStream(
            data, config.size, torch.initial_seed(), options.lanes, options.buffer
        )
        codec = ResidualVQGAN(config)
        first = self.stream.read(0, max(STARTED_FROM, options.lanes)).pictures
        codec.start_from_principal_components(to_unit_range(torch.from_numpy(first)))
        self.module = CodecLoss(
            codec,
            LearningCodes(config),
            options,
            discriminator=PatchDiscriminator() if options.adversarial else None,
            perceptual=_perceptual(options.vgg) if options.perceptual and options.vgg else None,
            anatomical=_anatomy(options.anatomy)
            if options.anatomical and options.anatomy
            else None,
        )

    def rows(self, size: int, generator: torch.Generator, share: Share) -> dict[str, Tensor]:
        pictures = self.stream.read(share.step, size, share.index, share.count).pictures
        mirrored = torch.rand((), generator=generator) < 0.5
        seen = to_unit_range(torch.from_numpy(pictures))
        starts = {"quantised": self.options.quantised_from, "judged": self.options.judged_from,
                  "anatomy": self.options.anatomy_from}  # fmt: skip
        switches = {
            name: torch.full((len(seen),), share.step >= start) for name, start in starts.items()
        }
        return {"pictures": seen.flip(-1) if mirrored else seen, **switches}

    def save(self, module: CodecLoss, folder: Path) -> None:
        module.quantise.copy_into(module.codec)
        save_codec(module.codec, folder / CODEC_FILE)


class LearningCodes(nn.Module):
    """The codes while they are learnt, by vector-quantize-pytorch's `ResidualVQ`: moving averages
    of the vectors that are nearest to them, the first from k-means."""

    def __init__(self, config: CodecConfig):
        super().__init__()
        try:
            from vector_quantize_pytorch import ResidualVQ
        except ModuleNotFoundError as error:
            raise RuntimeError(
                f"the codec's codes are learnt with a package that is missing ({error.name}): pip "
                "install vector-quantize-pytorch"
            ) from error
        self.passes = ResidualVQ(
            dim=config.code_width,
            num_quantizers=config.depth,
            codebook_size=config.codes,
            shared_codebook=True,
            kmeans_init=True,
            decay=DECAY,
            threshold_ema_dead_code=UNUSED,
            rotation_trick=True,
        )

    def forward(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Vectors [N, L, C] as their codes add up, and the commitment loss of each pass."""
        coded, _, losses = self.passes(vectors)
        return coded, losses.flatten()

    @torch.no_grad()
    def copy_into(self, codec: ResidualVQGAN) -> None:
        codec.codes.codebook.copy_(self.passes.codebooks[0])


def _perceptual(file: str | Path) -> Features:
    """VGG16 without its last two layers (Eq. 6): torchvision's up to the second layer of 4,096."""
    network = vgg16(weights=None)
    network.load_state_dict(read_tensors(file))
    network.classifier = network.classifier[:-2]
    return FrozenFeatures(network, VGG_SIZE, IMAGENET_MEAN, IMAGENET_DEVIATION)


def _anatomy(named: str | Path) -> Features:
    """Features of an AU network: those of a bundled regressor before its last layer, by its file or
    the folder of a result, or the user's own."""
    path = Path(named)
    if ":" in str(named) and not path.exists():
        return load_object(str(named))()
    regressor = load_regressor(path / "regressor.safetensors" if path.is_dir() else path)
    network = nn.Sequential(regressor.features, regressor.head[:-1])
    return FrozenFeatures(network, regressor.size, (0.5,) * 3, (0.5,) * 3)


class FrozenFeatures(nn.Module):
    """A network that never learns, on pictures [N, 3, H, W] in 0..1 at its own size and scale."""

    def __init__(
        self, network: nn.Module, size: int, mean: Sequence[float], deviation: Sequence[float]
    ):
        super().__init__()
        self.network, self.size = network.requires_grad_(False).eval(), size
        for name, values in (("mean", mean), ("deviation", deviation)):
            self.register_buffer(name, torch.tensor(values)[:, None, None], persistent=False)

    def train(self, mode: bool = True) -> FrozenFeatures:
        return self  # with dropout it would measure something else at every step

    def forward(self, pictures: Tensor) -> Tensor:
        if pictures.shape[-1] != self.size:
            size = (self.size, self.size)
            pictures = interpolate(pictures, size, mode="bilinear", antialias=True)
        return self.network((pictures - self.mean) / self.deviation)
