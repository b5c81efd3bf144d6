"""What VQ-AUFace's recipes say that the full size costs, counted on its shapes without weights."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from transformers import CLIPVisionConfig, CLIPVisionModel, T5Config, T5EncoderModel

from au_adapter.models.vqauface import CodecConfig, ResidualVQGAN, VQAUFace, VQAUFaceConfig
from au_adapter.models.vqauface.discriminator import PatchDiscriminator
from au_adapter.models.vqauface.face_encoders import StructureEncoder, TextEncoder
from au_adapter.training.recipes import vqauface_codec_recipe, vqauface_recipe
from au_adapter.weights.vqauface_files import describe_given

GIB = 2**30
GPU = 24 * GIB
PICTURES = 2  # of 16 on eight GPUs
WORDS = 256  # tokens of a long text
LEARNT, STILL = 16, 4  # bytes a weight: itself, its gradient and two averages, or itself alone


def saved_bytes(function: Callable[[], Tensor]) -> int:
    """Bytes that a pass keeps for the way back, in float32."""
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        if not isinstance(tensor, nn.Parameter):
            storage = tensor.untyped_storage()
            kept[storage._cdata] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        function()
    return sum(kept.values())


def weight_bytes(network: nn.Module) -> int:
    return sum(p.numel() * (LEARNT if p.requires_grad else STILL) for p in network.parameters())


def told(recipe: object, pattern: str) -> float:
    """A number of the recipe's docstring."""
    return float(re.search(pattern, " ".join(recipe.__doc__.split()))[1])


def full_model() -> VQAUFace:
    """Stage II with T5-large, CLIP ViT-L/14 and a face network, on no device."""
    sizes = {"num_attention_heads": 16, "num_hidden_layers": 24}
    vision = CLIPVisionConfig(
        hidden_size=1024, intermediate_size=4096, image_size=224, patch_size=14, **sizes
    )
    text = T5Config(d_model=1024, d_kv=64, d_ff=4096, num_layers=24, num_heads=16)
    with torch.device("meta"):
        given = {
            "text": TextEncoder(T5EncoderModel(text), lambda texts, limit: torch.zeros(1)),
            "structure": StructureEncoder(CLIPVisionModel(vision)),
        }
        config = VQAUFaceConfig(given=describe_given(given))
        return VQAUFace(config, given).to("meta").train()


def test_stage_two_fits_a_gpu_as_it_says() -> None:
    network = full_model()
    codec, transformer = network.config.codec, network.transformer
    tokens = codec.cells * codec.depth
    assert (tokens, codec.codes, network.config.text_limit) == (2048, 65_536, 2048)
    with torch.device("meta"):
        ids = torch.zeros(PICTURES, codec.cells, codec.depth, dtype=torch.long)
        context = torch.zeros(PICTURES, WORDS + tokens, network.config.width)
        present = torch.ones(PICTURES, WORDS + tokens, dtype=torch.bool)

        def through() -> Tensor:
            hidden = transformer.embedding(ids)
            for block in transformer.blocks:
                hidden = block(hidden, context, present)
            return hidden

        passed = saved_bytes(through)
    # Logits, their softmax and its gradient; at worst every token is masked.
    logits = 3 * PICTURES * tokens * codec.codes * 4
    needed = weight_bytes(network) + passed + logits
    assert needed < GPU
    said = told(vqauface_recipe, r"about (\d+) GiB")
    assert said == pytest.approx(needed / GIB, rel=0.15)


def test_the_codec_takes_what_it_says() -> None:
    config = CodecConfig()
    with torch.device("meta"):
        codec, judge = ResidualVQGAN(config), PatchDiscriminator()
        picture = torch.zeros(1, 3, config.size, config.size)

        def through() -> Tensor:
            rebuilt = codec.decode_vectors(codec.encode_vectors(picture))
            return judge(torch.cat([picture, rebuilt])).sum() + rebuilt.sum()

        passed = saved_bytes(through)
    distances = 2 * config.cells * config.codes * 4  # of one pass at a time
    fixed = weight_bytes(codec) + weight_bytes(judge) + 4 * config.codes * config.code_width * 4
    said = told(vqauface_codec_recipe, r"about ([\d.]+) GiB a picture")
    assert said == pytest.approx((passed + distances) / GIB, rel=0.15)
    at_once = int(told(vqauface_codec_recipe, r"(\d+) at once"))
    assert fixed + at_once * (passed + distances) < GPU
