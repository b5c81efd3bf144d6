"""The identity of a photo in ComfyUI's UNet: wrappers on a clone of a MODEL.

The ID encoder's features travel on MODEL. What differs between pictures travels in CONDITIONING:
the change of AUs, the index of the photo, and the background. So guidance, batches and any guider
work without code of ours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from au_adapter.models.magicface import MAGICFACE_UNITS, Features, project_identity

from .attention import Replacement, with_replacements
from .compat import CallbacksMP, CONDRegular, ModelPatcher, WrappersMP

KEY = "magicface"
CHANGE, PHOTO = f"{KEY}.change", f"{KEY}.photo"  # names in CONDITIONING
SEEN = f"{KEY}.seen"  # among the arguments of the UNet: keys and values by turns


class PerPicture(CONDRegular):
    """One row for all pictures of the latent batch, or one for each."""

    def process_cond(self, batch_size: int, **kwargs: Any) -> CONDRegular:
        if len(self.cond) not in (1, batch_size):
            raise ValueError(
                f"Apply MagicFace: {len(self.cond)} changes or photos for a latent batch of "
                f"{batch_size} pictures. Use the LATENT of Apply MagicFace, or one of "
                f"{len(self.cond)} pictures."
            )
        return super().process_cond(batch_size, **kwargs)


@dataclass(eq=False)
class Identity:
    """MAGICFACE_ID: the ID encoder's features of P photos, and what is computed from them once.

    features: path of a transformer block in ComfyUI's UNet -> [P, L, C]. latents: of the photos,
    [P, 4, H, W]. The background's latents are kept here for further edits, as long as ComfyUI keeps
    the output of MagicFace ID Encoder.
    """

    features: Features
    latents: Tensor
    _background: tuple[Any, Tensor, Tensor] | None = field(default=None, repr=False)

    @property
    def photos(self) -> int:
        return len(self.latents)

    def background(self, vae: Any, image: Tensor) -> Tensor:
        """Latents [P, 4, H, W] of the background pictures, encoded once per VAE and image."""
        known = self._background
        if known is None or known[0] is not vae or known[1] is not image:
            self._background = vae, image, vae.encode(image[..., :3])
        return self._background[2]


@dataclass
class AttendIdentity:
    """A replacement of one self-attention: the previous one, with the identity's keys too."""

    previous: Replacement
    key: Tensor
    value: Tensor
    rows: Tensor | None

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, extra_options: dict[str, Any]) -> Tensor:
        rows = slice(None) if self.rows is None else self.rows
        k, v = (
            torch.cat([own, seen[rows].expand(len(own), -1, -1)], 1)
            for own, seen in ((k, self.key), (v, self.value))
        )
        # Perturbed-Attention Guidance returns the values, of which the first are its own.
        return self.previous(q, k, v, extra_options)[:, : q.shape[1]]


@dataclass(eq=False)
class IdentityWrappers:
    """The wrapper of an identity on one MODEL."""

    identity: Identity
    _model: ModelPatcher | None = None
    _known: dict[tuple, list[Tensor]] = field(default_factory=dict)

    def attach(self, model: ModelPatcher) -> None:
        """Register the wrapper on `model`, which must be a clone."""
        model.add_wrapper_with_key(WrappersMP.APPLY_MODEL, KEY, self.add_identity)
        model.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, KEY, self.run_unet)
        model.add_callback_with_key(CallbacksMP.ON_PRE_RUN, KEY, self.begin)
        model.add_callback_with_key(CallbacksMP.ON_CLEANUP, KEY, self.end)

    def begin(self, model: ModelPatcher) -> None:
        """A run starts on `model`, whose weights may have been patched since."""
        self._model = model

    def end(self, *_: Any) -> None:
        """The run has ended or failed: keep the identity, but nothing on the device."""
        self._model, self._known = None, {}

    def add_identity(self, executor: Callable, x: Tensor, *args: Any, **kwargs: Any) -> Any:
        """One call of the MODEL, with the identity's keys and values among its arguments."""
        model = executor.class_obj
        like = x.new_empty(0, dtype=model.manual_cast_dtype or model.get_dtype())
        kwargs[SEEN] = self._seen(model.diffusion_model, like)
        return executor(x, *args, **kwargs)

    def run_unet(
        self, executor: Callable, x: Tensor, timesteps: Any = None, context: Any = None,
        y: Any = None, control: Any = None, transformer_options: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:  # fmt: skip
        """One call of the UNet, with identity in its self-attentions and AUs in its time."""
        network, options = executor.class_obj, transformer_options or {}
        change, photo = kwargs.pop(CHANGE, None), kwargs.pop(PHOTO, None)
        if change is None:  # a conditioning that did not pass Apply MagicFace: no change
            change = x.new_zeros(len(x), len(MAGICFACE_UNITS))
        options = _with_time_term(options, network.au_aug_mlp(change.to(x)))
        rows, seen = self._rows(photo, len(x)), kwargs.pop(SEEN, None)
        if seen is None:  # a pack that calls the UNet by itself
            seen = self._seen(network, x)
        ours = {
            f"{path}.attn1": partial(AttendIdentity, key=key, value=value, rows=rows)
            for path, key, value in zip(self.identity.features, seen[::2], seen[1::2], strict=True)
        }
        options = with_replacements(options, network, ours)
        return executor(x, timesteps, context, y, control, options, **kwargs)

    def _seen(self, network: nn.Module, like: Tensor) -> list[Tensor]:
        """Keys and values of the identity by turns, computed once in a run until the UNet's weights
        change. like: a tensor with the UNet's device and dtype."""
        wanted = (id(network), *self._version(), like.device, like.dtype)
        seen = self._known.get(wanted)
        if seen is None:
            features = {path: feature.to(like) for path, feature in self.identity.features.items()}
            pairs = project_identity(network, features).values()
            seen = self._known[wanted] = [each for pair in pairs for each in pair]
        return seen

    def _rows(self, photo: Tensor | None, batch: int) -> Tensor | None:
        """The photo of each row; None when there is only one."""
        if self.identity.photos == 1:
            return None
        if photo is None:
            raise ValueError(
                f"Apply MagicFace: this MODEL carries {self.identity.photos} photos, but a "
                "CONDITIONING of the sampler does not say which one a picture is of: connect the "
                "positive and negative of Apply MagicFace."
            )
        return photo.reshape(batch)

    def _version(self) -> tuple:
        """Identifies the UNet's weights, which LoRAs change, and hooks during a run."""
        if self._model is None:
            return ()
        hooks = self._model.current_hooks
        strengths = () if hooks is None else tuple(hook.strength for hook in hooks.hooks)
        return self._model.patches_uuid, hooks, strengths


def _with_time_term(options: dict[str, Any], term: Tensor) -> dict[str, Any]:
    """Options that add `term` [N, E] to the time embedding, after other patches."""

    def add(emb: Tensor, model_channels: int, transformer_options: dict[str, Any]) -> Tensor:
        return emb + term.to(emb)

    patches = options.get("patches", {})
    return {**options, "patches": {**patches, "emb_patch": [*patches.get("emb_patch", []), add]}}
