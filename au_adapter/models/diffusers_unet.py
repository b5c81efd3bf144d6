"""The AU-Adapter in a diffusers UNet, for inference and for training.

    handle = apply_to_unet(pipeline.unet, adapter)
    tokens = torch.cat([adapter.encode_zero(), adapter.encode(vector)])  # classifier-free guidance
    pipeline.unet(latents, t, text, cross_attention_kwargs={"au_tokens": tokens})
    handle.remove()

The attention that was there (diffusers' own, IP-Adapter's) runs first. FineFace adds its term
before the output projection; that is affine, so adding the projected term after it is the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from .adapter import LORA_TARGETS, AUAdapter, LoRA, check_layers, cross_attentions
from .masks import block_size, mask_for_block

PEFT_NAME = "au_adapter"


class AUAttention:
    """An attention processor that adds strength * AU term to another one's result, FineFace Eq. 5.

    Reads `au_tokens` [N, T, width] and optionally `au_mask` [N, 1, H, W] (H x W of the latent) from
    diffusers' `cross_attention_kwargs`; N is 1 or the batch. Without tokens, or at strength 0
    (every self-attention), only the other processor runs. Keeps no state of a run.
    """

    def __init__(self, processor: object, adapter: AUAdapter, path: str, strength: float) -> None:
        self.processor, self.adapter, self.path, self.strength = processor, adapter, path, strength

    # diffusers passes only the arguments that this signature names.
    def __call__(
        self,
        attn: nn.Module,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
        au_tokens: Tensor | None = None,
        au_mask: Tensor | None = None,
        ip_adapter_masks: list[Tensor] | None = None,
    ) -> Tensor:
        masks = {} if ip_adapter_masks is None else {"ip_adapter_masks": ip_adapter_masks}
        inputs = (hidden_states, encoder_hidden_states, attention_mask, temb)
        out = self.processor(attn, *inputs, **masks)
        if au_tokens is None or not self.strength:
            return out
        if len(au_tokens) not in (1, len(hidden_states)):
            raise ValueError(
                f"{len(au_tokens)} AU vectors for a batch of {len(hidden_states)}: give one, or "
                "one for each row (with classifier-free guidance also for the unconditional rows)"
            )
        term = self._term(attn, hidden_states, au_tokens).to(out)
        if au_mask is not None:
            size = block_size(au_mask.shape[-2], au_mask.shape[-1], hidden_states.shape[1])
            term = term * mask_for_block(au_mask, *size).to(term)
        return out + term

    def _term(self, attn: nn.Module, hidden_states: Tensor, tokens: Tensor) -> Tensor:
        """strength * AU term, projected: [N, 1, C] of one token, else [N, L, C]."""
        query = attn.to_q(hidden_states) if tokens.shape[1] > 1 else None
        term = self.strength * self.adapter.au_term(self.path, tokens, query, attn.heads)
        linear = attn.to_out[0]
        projected = linear(term.to(hidden_states.dtype))
        # The attention has the bias already.
        return projected if linear.bias is None else projected - linear.bias


@dataclass
class AppliedAdapter:
    """What `apply_to_unet` changed in a UNet; `remove` restores it exactly."""

    unet: nn.Module
    processors: dict[str, object] = field(default_factory=dict)
    weights: dict[str, Tensor] = field(default_factory=dict)

    def switch(self, strength: float) -> None:
        """Set the strength of the AU term. The LoRA stays as it is."""
        for path in self.processors:
            if path.endswith("attn2"):
                self.unet.get_submodule(path).processor.strength = strength

    def remove(self) -> None:
        """Restore the UNet's processors and weights, and take a LoRA in training away, which
        `collect_lora` has to be asked for before; a second call does nothing."""
        if PEFT_NAME in getattr(self.unet, "peft_config", ()):
            self.unet.delete_adapters(PEFT_NAME)
            self.unet.unload_lora()
        with torch.no_grad():
            for path, weight in self.weights.items():
                self.unet.get_submodule(path).weight.copy_(weight)
        for path, processor in self.processors.items():
            self.unet.get_submodule(path).set_processor(processor)
        self.processors, self.weights = {}, {}


def apply_to_unet(
    unet: nn.Module, adapter: AUAdapter, strength: float = 1.0, lora_strength: float | None = None
) -> AppliedAdapter:
    """Apply the adapter to a diffusers UNet, which then reads `au_tokens` (see the example above).

    strength multiplies the AU term and the LoRA; 0 leaves the UNet as it is. lora_strength: 1 for
    the LoRA as trained (alpha / rank), 0 for none, None for the adapter's own. Both can be any real
    number. ValueError for a UNet of other layers, or one that has an adapter already.
    """
    attentions = cross_attentions(unet)
    layers = {path: attn.to_v.out_features for path, attn in attentions.items()}
    check_layers(adapter.config, layers, next(iter(attentions.values())).to_v.in_features)
    if any(isinstance(attn.processor, AUAttention) for attn in attentions.values()):
        raise ValueError("this UNet carries an AU-Adapter already: remove() that one first")
    handle = AppliedAdapter(unet)
    # On self-attentions too, because diffusers passes the AU tokens to every attention.
    for path, module in unet.named_modules():
        if path.endswith(("attn1", "attn2")):
            handle.processors[path] = module.processor
            here = strength if path.endswith("attn2") else 0.0
            module.set_processor(AUAttention(module.processor, adapter, path, here))
    lora_strength = adapter.lora_strength if lora_strength is None else lora_strength
    for path in adapter.lora if strength * lora_strength else ():
        weight = unet.get_submodule(path).weight
        handle.weights[path] = weight.detach().clone()
        with torch.no_grad():
            delta = adapter.lora_delta(path).to(weight)
            weight.add_(delta, alpha=strength * lora_strength)
    return handle


def train_on_unet(unet: nn.Module, adapter: AUAdapter) -> AppliedAdapter:
    """Freeze the UNet and make the adapter trainable on it: encoder, values, LoRA.

    Keys train only with more than one token, where they have an effect. The LoRA starts from
    `adapter.lora`, if any, else as in FineFace: Gaussian A, zero B. Its scale is alpha / rank.
    """
    unet.requires_grad_(False)
    adapter.requires_grad_(True)
    # With one token the keys have no effect, and only weight decay would change them.
    adapter.to_k.requires_grad_(adapter.config.tokens > 1)
    applied = apply_to_unet(unet, adapter, lora_strength=0.0)
    config = adapter.config
    if config.lora_rank:
        add_lora(unet, config.lora_rank, config.lora_scale * config.lora_rank)
        with torch.no_grad():
            for path, down, up in _lora_layers(unet):
                if path in adapter.lora:
                    down.weight.copy_(adapter.lora[path][0])
                    up.weight.copy_(adapter.lora[path][1])
    return applied


def collect_lora(unet: nn.Module) -> LoRA:
    """Copies of the LoRA being trained on `unet`: module path -> (A [rank, in], B [out, rank])."""
    return {
        path: (down.weight.detach().clone(), up.weight.detach().clone())
        for path, down, up in _lora_layers(unet)
    }


def add_lora(unet: nn.Module, rank: int, alpha: float, name: str = PEFT_NAME) -> None:
    """Add a LoRA to train, of scale alpha / rank, to every attention of a UNet."""
    from peft import LoraConfig

    options = {"init_lora_weights": "gaussian", "target_modules": list(LORA_TARGETS)}
    unet.add_adapter(LoraConfig(r=rank, lora_alpha=alpha, **options), adapter_name=name)


def _lora_layers(unet: nn.Module) -> Iterator[tuple[str, nn.Module, nn.Module]]:
    for path, module in unet.named_modules():
        if PEFT_NAME in getattr(module, "lora_A", {}):
            yield path, module.lora_A[PEFT_NAME], module.lora_B[PEFT_NAME]
