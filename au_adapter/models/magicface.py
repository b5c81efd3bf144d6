"""MagicFace (Wei et al. 2025, arXiv:2501.02260): a photo and a change of AUs -> the photo, changed.

Two UNets of Stable Diffusion 1.5's shape. The ID encoder reads the photo once, without noise, at
timestep 0. In each self-attention of the denoising UNet, the queries come from its own tokens, the
keys and values from its own tokens and from the ID encoder's features of the same block. The
photo's background with the jaw line is concatenated to the noisy latents, and the change of AUs is
added to the time embedding.

The released code makes queries of both halves and drops one half of the result. A query's attention
does not depend on the other queries, so queries of the own half alone give the same function at
about half the cost. The ID encoder's keys and values do not depend on the timestep: they are
projected once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ..facs import SET_A, AUVector
from .adapter import attend

MAGICFACE_UNITS = SET_A  # the columns of a change of AUs, in the order of the released weights
PROMPT = "A close up of a person."  # the only text that the released weights were trained with
GUIDANCE = 3.0  # the paper's scale of Eq. 4; useful up to 3.5
IDENTITY = "encoder"  # the published way to encode the identity, of those in Table II
ID_TIMESTEP = 0

Features = dict[str, Tensor]  # path of a transformer block -> [N, L, C]
KeysAndValues = dict[str, tuple[Tensor, Tensor]]
_NORM = re.compile(r"(.+\.transformer_blocks\.\d+)\.norm1")


def change_of(aus: AUVector) -> Tensor:
    """The changes [N, 12] that AU vectors ask of MagicFace. ValueError for AUs that it does not
    know, and where left and right differ."""
    if not torch.equal(*aus.sides()):
        raise ValueError(
            "the AU vector moves left and right apart, and MagicFace knows only both sides alike. "
            "Write AU12 instead of L12, or make two edits of one photo and join them by a mask of "
            "each half."
        )
    return aus.dense(MAGICFACE_UNITS)


@contextmanager
def collect_features(network: nn.Module) -> Iterator[Features]:
    """In the context, a call of a UNet fills the dict with the inputs of its transformer blocks.

    These are the hidden states [N, L, C] before the first norm, by the path of the block, in the
    order of execution. `network` is diffusers' UNet or ComfyUI's; it is left as it was.
    """
    features: Features = {}

    def keep(path: str) -> Callable[[nn.Module, tuple], None]:
        return lambda _, arguments: features.__setitem__(path, arguments[0])

    found = [(module, _NORM.fullmatch(name)) for name, module in network.named_modules()]
    hooks = [m.register_forward_pre_hook(keep(match[1])) for m, match in found if match]
    try:
        yield features
    finally:
        for hook in hooks:
            hook.remove()


def project_identity(network: nn.Module, features: Features) -> KeysAndValues:
    """The denoising UNet's self-attention keys and values [N, L, C] of the features.

    They depend neither on the timestep nor on the AUs: one call serves every step of every edit of
    a photo. `network` is diffusers' UNet or ComfyUI's, `features` those of the ID encoder.
    """
    projected = {}
    for path, feature in features.items():
        block = network.get_submodule(path)
        seen = block.norm1(feature)
        projected[path] = block.attn1.to_k(seen), block.attn1.to_v(seen)
    return projected


class MergedAttention:
    """An attention processor for diffusers: self-attention to the own tokens and the identity.

    Reads `identity` (KeysAndValues) from `cross_attention_kwargs`; N is 1 or the batch. Without it,
    and in every cross-attention, it is plain attention. Holds no state of a run.
    """

    def __init__(self, block: str | None) -> None:
        self.block = block

    def __call__(
        self,
        attn: nn.Module,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: None = None,
        temb: None = None,
        identity: KeysAndValues | None = None,
    ) -> Tensor:
        source = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        key, value = attn.to_k(source), attn.to_v(source)
        if identity and self.block in identity:
            key, value = (
                torch.cat([own, seen.to(own).expand(len(own), -1, -1)], 1)
                for own, seen in zip((key, value), identity[self.block], strict=True)
            )
        return attn.to_out[0](attend(attn.to_q(hidden_states), key, value, attn.heads))


class LinearTime(nn.Module):
    """The released AU encoder (Table III, "Linear+Time"): Linear(12 -> E), added to the time
    embedding. The bias acts without a change too."""

    channels = 0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(len(MAGICFACE_UNITS), width)

    def forward(self, change: Tensor) -> Tensor:
        return self.linear(change)


class ZeroAppendTime(nn.Module):
    """Table III, "ZeroAppend+Time": the change [N, 12] with zeros up to the time embedding's width
    E, added to it. Nothing to train."""

    channels = 0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, change: Tensor) -> Tensor:
        return nn.functional.pad(change, (0, self.width - change.shape[-1]))


class MLPConv(nn.Module):
    """Table III, "MLP+Conv": an MLP's answer as four more channels of the first convolution, equal
    at every place. Its layers are not published; these are 12 -> 64 -> 4."""

    channels = 4

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(len(MAGICFACE_UNITS), 64), nn.SiLU(), nn.Linear(64, self.channels)
        )

    def forward(self, change: Tensor) -> Tensor:
        return self.layers(change)


AU_ENCODERS = {"linear_time": LinearTime, "zero_append_time": ZeroAppendTime, "mlp_conv": MLPConv}


class Strided(nn.Conv2d):
    """The paper's Attribute Controller: 4 x 4 kernels, stride 2, the latents' channels.

    It halves the latents of a background picture of twice the photo's size, [N, C, 2H, 2W].
    """

    scale = 2

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, kernel_size=4, stride=2, padding=1)


class Concatenated(nn.Identity):
    """The Attribute Controller of the released weights: the background's latents as they are."""

    scale = 1


CONTROLLERS = {"released": Concatenated, "paper": Strided}


class MagicFace(nn.Module):
    """Both UNets (diffusers' UNet2DConditionModel) with AU encoder and Attribute Controller.

    unet: the denoising one, see `widen_unet`: its first convolution takes twice the latents'
    channels, 4 more with "mlp_conv". Latents are [N, C, H, W], Stable Diffusion's of 4 channels;
    those of the photo and of its background are means of the autoencoder without the scaling
    factor, those that are denoised have it, as released.
    """

    def __init__(
        self,
        unet: nn.Module,
        id_encoder: nn.Module,
        au_encoder: str = "linear_time",
        controller: str = "released",
    ) -> None:
        super().__init__()
        self.unet, self.id_encoder = unet, id_encoder
        self.options = {"identity": IDENTITY, "au_encoder": au_encoder, "controller": controller}
        self.au_encoder = AU_ENCODERS[au_encoder](unet.time_embedding.linear_2.out_features)
        self.controller = CONTROLLERS[controller](unet.config.out_channels)
        # What comes after the last feature has nothing to learn, and a step over processes would
        # wait for its gradients.
        last = id_encoder.up_blocks[-1].attentions[-1]
        after = (last.transformer_blocks[-1], last.proj_out)
        for module in (*after, id_encoder.conv_norm_out, id_encoder.conv_out):
            module.requires_grad_(False)
        for path, module in unet.named_modules():
            if path.endswith((".attn1", ".attn2")):
                block = path.removesuffix(".attn1") if path.endswith(".attn1") else None
                module.set_processor(MergedAttention(block))

    def identify(self, photo: Tensor, text: Tensor) -> KeysAndValues:
        """The identity of a photo: one run of the ID encoder, projected.

        photo: its unscaled latents. text [N, 77, width]: `PROMPT`, encoded.
        """
        with collect_features(self.id_encoder) as features:
            self.id_encoder(photo, ID_TIMESTEP, text)
        return project_identity(self.unet, features)

    def forward(
        self,
        noisy: Tensor,
        timesteps: Tensor,
        text: Tensor,
        identity: KeysAndValues,
        background: Tensor,
        change: Tensor,
    ) -> Tensor:
        """The noise in `noisy` for a change of AUs [N, 12], target minus photo; Eq. 3.

        Zeros are the dropped condition of Eq. 4. `background` has the size of `noisy`, twice that
        with the paper's controller.
        """
        planes, term = encode_change(self.au_encoder, change, noisy)
        with time_term(self.unet, term):
            return self.unet(
                torch.cat([noisy, self.controller(background), *planes], 1),
                timesteps,
                text,
                cross_attention_kwargs={"identity": identity},
            ).sample


def encode_change(
    au_encoder: nn.Module, change: Tensor, noisy: Tensor
) -> tuple[list[Tensor], Tensor | None]:
    """A change [N, 12] as more channels beside `noisy`, or as a term [N, E] for `time_term`."""
    encoded = au_encoder(change)
    if not au_encoder.channels:
        return [], encoded
    return [encoded[:, :, None, None].expand(-1, -1, *noisy.shape[-2:])], None


@contextmanager
def time_term(unet: nn.Module, term: Tensor | None) -> Iterator[None]:
    """Inside the context, `term` [N, E] is added to a diffusers network's time embedding."""
    if term is None:
        yield
        return
    hook = unet.time_embedding.register_forward_hook(lambda *call: call[-1] + term)
    try:
        yield
    finally:
        hook.remove()


def guide_change(without: Tensor, changed: Tensor, scale: float = GUIDANCE) -> Tensor:
    """Eq. 4: predictions without and with the change of AUs; 1 is the latter alone."""
    return without + scale * (changed - without)


def widen_unet(unet: nn.Module, au_encoder: str = "linear_time", more: int = 0) -> nn.Module:
    """A copy of a text-to-image UNet (diffusers) with input channels for the background.

    more: further input channels. All new ones start at zero: the copy predicts what the UNet does.
    """
    latents = unet.config.out_channels
    channels = 2 * latents + more + AU_ENCODERS[au_encoder].channels
    # Names that begin with "_" say which values were defaults, and would win over ours.
    config = {k: v for k, v in unet.config.items() if not k.startswith("_")}
    wide = type(unet).from_config({**config, "in_channels": channels})
    weights = unet.state_dict()
    first = torch.zeros_like(wide.conv_in.weight)
    first[:, :latents] = weights["conv_in.weight"]
    wide.load_state_dict({**weights, "conv_in.weight": first})
    return wide
