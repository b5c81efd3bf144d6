"""The alternatives to MagicFace's ID encoder that its paper compares (section IV-C, Table II).

Each replaces `MagicFace`: `identify` encodes a photo once, and the network predicts noise for a
change of AUs, with any AU encoder and Attribute Controller. The paper describes each in a sentence,
without code or weights. "Ours" marks our own choices.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .magicface import (
    AU_ENCODERS,
    CONTROLLERS,
    IDENTITY,
    MagicFace,
    encode_change,
    time_term,
    widen_unet,
)

Asked = tuple[Tensor, Tensor, Tensor]  # noisy latents, timesteps, text
Change = tuple[list[Tensor], Tensor | None]  # planes beside the latents, a term of the time


class Ablation(nn.Module):
    """The common part: denoising UNet (diffusers), AU encoder and Attribute Controller.

    Latents are those of `MagicFace`.
    """

    identity: str  # its name among IDENTITIES
    sees_photo = False  # whether the photo's latents are among the UNet's input channels

    def __init__(
        self, unet: nn.Module, au_encoder: str = "linear_time", controller: str = "released"
    ) -> None:
        super().__init__()
        self.unet = unet
        kinds = {"au_encoder": au_encoder, "controller": controller}
        self.options: dict[str, Any] = {"identity": self.identity, **kinds}
        self.au_encoder = AU_ENCODERS[au_encoder](unet.time_embedding.linear_2.out_features)
        self.controller = CONTROLLERS[controller](unet.config.out_channels)

    @classmethod
    def begin(cls, unet: nn.Module, au_encoder: str = "linear_time", **options: Any) -> Ablation:
        """A network to train, from a text-to-image UNet, which may become part of it."""
        wide = widen_unet(unet, au_encoder, unet.config.out_channels if cls.sees_photo else 0)
        return cls(wide, au_encoder=au_encoder, **options)

    def forward(
        self,
        noisy: Tensor,
        timesteps: Tensor,
        text: Tensor,
        identity: Tensor,
        background: Tensor,
        change: Tensor,
    ) -> Tensor:
        """As `MagicFace.forward`; `identity`, of one photo or of each, is what `identify` gave."""
        encoded = encode_change(self.au_encoder, change, noisy)
        seen = identity.expand(len(noisy), *identity.shape[1:])
        behind = self.controller(background)
        return self.predict((noisy, timesteps, text), seen, behind, encoded)

    def predict(self, asked: Asked, seen: Tensor, behind: Tensor, change: Change) -> Tensor:
        """The noise. asked: noisy latents, timesteps, text. seen: the identity, and behind: the
        controlled background, of each. change: of AUs, as `encode_change` gives it."""
        (noisy, timesteps, text), (planes, term) = asked, change
        inputs = [noisy, behind, seen] if self.sees_photo else [noisy, behind]
        with time_term(self.unet, term):
            context = text if self.sees_photo else seen
            return self.unet(torch.cat([*inputs, *planes], 1), timesteps, context).sample


class ConvIdentity(Ablation):
    """Conv ID.: one convolution of the photo's latents, beside the background's.

    Ours: 3 x 3 kernels, as many channels as latents have, and the place among the UNet's input
    channels, where the Attribute Controller has its own.
    """

    identity = "conv"
    sees_photo = True

    def __init__(self, unet: nn.Module, **options: str) -> None:
        super().__init__(unet, **options)
        channels = unet.config.out_channels
        self.photo = nn.Conv2d(channels, channels, kernel_size=3, padding=1)

    def identify(self, photo: Tensor, text: Tensor) -> Tensor:
        """Latents [N, C, H, W] of what the convolution sees. photo: its unscaled latents."""
        return self.photo(photo)


class CLIPIdentity(Ablation):
    """CLIP ID.: the tokens of CLIP's image encoder in the text's place in cross-attention, so that
    the text has no effect.

    Ours: all tokens of its last layer; the image encoder frozen, so that a picture is encoded once;
    a Linear to the text's width and the LayerNorm that a text encoder ends with.
    """

    identity = "clip"

    def __init__(self, unet: nn.Module, clip: str, clip_width: int, **options: str) -> None:
        """clip: what the image encoder is called; clip_width: numbers of each of its tokens."""
        super().__init__(unet, **options)
        self.options |= {"clip": clip, "clip_width": clip_width}
        width = unet.config.cross_attention_dim
        self.projection = nn.Sequential(nn.Linear(clip_width, width), nn.LayerNorm(width))

    def identify(self, photo: Tensor, text: Tensor) -> Tensor:
        """Tokens [N, L, width]. photo [N, L, clip_width]: its tokens by CLIP, `weights.clip`.

        ValueError for the tokens of a CLIP of another width.
        """
        if photo.shape[-1] != self.options["clip_width"]:
            raise ValueError(
                f"these tokens of CLIP are {photo.shape[-1]} wide, and this MagicFace was trained "
                f"with {self.options['clip']}, {self.options['clip_width']} wide: use that one"
            )
        return self.projection(photo)


class ControlNetIdentity(Ablation):
    """ControlNet: the base's UNet, frozen, and a ControlNet for photo, background and AUs.

    Ours: photo and background come as latents, through one convolution that starts at zero in the
    place of ControlNet's picture embedding. The change of AUs is added to ControlNet's own time
    embedding ("mlp_conv": goes through that convolution), so that nothing differs from the base
    before ControlNet has learnt.
    """

    identity = "controlnet"
    trains_unet = False

    def __init__(self, unet: nn.Module, **options: str) -> None:
        from diffusers import ControlNetModel  # ComfyUI, whose process loads this file, lacks it

        super().__init__(unet.requires_grad_(self.trains_unet), **options)
        self.controlnet = ControlNetModel.from_unet(unet)
        channels = 2 * unet.config.out_channels + self.au_encoder.channels
        embedding = nn.Conv2d(channels, unet.conv_in.out_channels, kernel_size=3, padding=1)
        for parameter in embedding.parameters():
            nn.init.zeros_(parameter)
        self.controlnet.controlnet_cond_embedding = embedding

    @classmethod
    def begin(cls, unet: nn.Module, **options: str) -> Ablation:
        return cls(unet, **options)

    def identify(self, photo: Tensor, text: Tensor) -> Tensor:
        """The photo's unscaled latents, as they are."""
        return photo

    def predict(self, asked: Asked, seen: Tensor, behind: Tensor, change: Change) -> Tensor:
        planes, term = change
        condition = torch.cat([seen, behind, *planes], 1)
        with time_term(self.controlnet, term):
            down, middle = self.controlnet(*asked, condition, return_dict=False)
        more = {"down_block_additional_residuals": down, "mid_block_additional_residual": middle}
        return self.unet(*asked, **more).sample


class ControlNetAll(ControlNetIdentity):
    """Cont. All: the same, and the denoising UNet learns too."""

    identity = "controlnet_all"
    trains_unet = True


ABLATIONS: dict[str, type[Ablation]] = {
    kind.identity: kind for kind in (ConvIdentity, CLIPIdentity, ControlNetIdentity, ControlNetAll)
}
IDENTITIES: dict[str, type[nn.Module]] = {IDENTITY: MagicFace, **ABLATIONS}
