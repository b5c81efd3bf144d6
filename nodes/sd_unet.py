"""The cross-attentions and weight names of a UNet in ComfyUI, as an AU-Adapter needs them."""

from __future__ import annotations

from dataclasses import dataclass

from .compat import ModelPatcher, UNetModel, unet_to_diffusers

BlockKey = tuple[str, int, int]  # the key of a block in ComfyUI's patches_replace


@dataclass(frozen=True)
class SDUNet:
    """The UNet of a MODEL as an adapter sees it.

    layers: diffusers path of each cross-attention ("...attn2") -> its inner channels C.
    modules: the same paths -> ComfyUI's. width: width of the text embedding. weights: diffusers
    name of every weight -> ComfyUI's.
    """

    layers: dict[str, int]
    modules: dict[str, str]
    width: int
    weights: dict[str, str]


def read_unet(model: ModelPatcher) -> SDUNet:
    """Describe the UNet of a MODEL; ValueError for any other network."""
    network = model.model.diffusion_model
    if not isinstance(network, UNetModel):
        raise _not_a_unet(f"a {type(network).__name__}")
    names = unet_to_diffusers(model.model.model_config.unet_config)
    suffix = ".to_k.weight"
    modules = {
        name.removesuffix(suffix): ours.removesuffix(suffix)
        for name, ours in names.items()
        if name.endswith(".attn2" + suffix)
    }
    if not modules:
        raise _not_a_unet("a UNet without text cross-attention")
    keys = {path: network.get_submodule(module).to_k for path, module in modules.items()}
    return SDUNet(
        layers={path: key.out_features for path, key in keys.items()},
        modules=modules,
        width=next(iter(keys.values())).in_features,
        weights=names,
    )


def block_key(module: str) -> BlockKey:
    """ComfyUI's key of a module's block: input_blocks.4.1.transformer_blocks.0.attn2 ->
    ("input", 4, 0); the middle block is 0."""
    parts = module.split(".")
    kind = parts[0].split("_")[0]
    return kind, 0 if kind == "middle" else int(parts[1]), int(parts[-2])


def _not_a_unet(found: str) -> ValueError:
    return ValueError(
        f"Apply AU-Adapter: the connected MODEL is {found}, but an AU-Adapter works on a UNet of "
        "the Stable Diffusion 1, 2 or XL kind. Connect the checkpoint that the adapter is for."
    )
