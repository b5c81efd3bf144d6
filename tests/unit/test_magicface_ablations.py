"""The alternatives of MagicFace's Table II: what they predict, start from, learn, and leave."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from diffusers import ControlNetModel, UNet2DConditionModel
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tiny_magicface import TINY
from torch import Tensor, nn

from au_adapter.models.magicface import AU_ENCODERS, MagicFace, widen_unet
from au_adapter.models.magicface_ablations import ABLATIONS, Ablation
from au_adapter.weights.magicface_files import (
    ID_ENCODER,
    RELEASED,
    find_unets,
    is_magicface,
    load_magicface,
    read_unet_file,
    save_networks,
)

SMALL = {**TINY, "block_out_channels": (32, 64)}
CLIP = {"clip": "tiny", "clip_width": 32}
FORMS = [("linear_time", "released"), ("zero_append_time", "paper"), ("mlp_conv", "paper")]
CONTROLNETS = ("controlnet", "controlnet_all")


def plain_unet() -> UNet2DConditionModel:
    torch.manual_seed(1)
    return UNet2DConditionModel(**SMALL).eval()


def begun(identity: str, **options: str) -> Ablation:
    """An alternative as its training starts."""
    more = CLIP if identity == "clip" else {}
    return ABLATIONS[identity].begin(plain_unet(), **options, **more).eval()


def stirred(network: Ablation) -> Ablation:
    """The same with something in every weight that starts at zero."""
    torch.manual_seed(2)
    with torch.no_grad():
        network.unet.conv_in.weight[:, 4:].normal_(std=0.1)
        for weight in network.parameters():
            if not weight.any():
                weight.normal_(std=0.1)
    return network


def inputs(network: Ablation, batch: int = 2) -> dict[str, Tensor]:
    """Photo, background and noisy latents, text, a change of AUs; seeded."""
    generator = torch.Generator().manual_seed(3)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    side = 8 * network.controller.scale
    clip = network.options["identity"] == "clip"
    return {
        "noisy": draw(batch, 4, 8, 8),
        "photo": draw(1, 5, 32) if clip else 5 * draw(1, 4, 8, 8),
        "background": 5 * draw(batch, 4, side, side),
        "text": draw(1, 7, 96),
        "change": 3 * draw(batch, 12),
    }


def predicted(network: Ablation, case: dict[str, Tensor]) -> Tensor:
    batch = len(case["noisy"])
    return network(
        case["noisy"],
        torch.full((batch,), 500),
        case["text"].expand(batch, -1, -1),
        network.identify(case["photo"], case["text"]),
        case["background"],
        case["change"],
    )


def learning(network: Ablation) -> set[str]:
    return {name for name, p in network.named_parameters() if p.requires_grad}


def learn(network: Ablation, case: dict[str, Tensor], steps: int) -> None:
    """Steps towards a prediction of zeros."""
    parameters = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-2)
    for _ in range(steps):
        predicted(network, case).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()


@torch.no_grad()
def answers(network: Ablation, case: dict[str, Tensor], name: str) -> float:
    """How far the prediction moves, over its spread, when one input does."""
    before = predicted(network, case)
    other = {**case, name: case[name] + torch.randn_like(case[name])}
    return float((before - predicted(network, other)).abs().max() / before.std())


@pytest.mark.parametrize(("au_encoder", "controller"), FORMS)
@pytest.mark.parametrize("identity", ABLATIONS)
def test_every_form_predicts_and_listens(identity: str, au_encoder: str, controller: str) -> None:
    network = stirred(begun(identity, au_encoder=au_encoder, controller=controller))
    case = inputs(network)
    assert predicted(network, case).shape == case["noisy"].shape
    for name in ("photo", "background", "change", "noisy"):
        assert answers(network, case, name) > 1e-3, name
    assert (answers(network, case, "text") > 1e-3) == (identity != "clip")  # CLIP is in its place


@pytest.mark.parametrize("identity", ABLATIONS)
def test_each_picture_of_a_batch_has_its_own_photo(identity: str) -> None:
    network = stirred(begun(identity))
    case = inputs(network)
    case["photo"] = torch.cat([case["photo"], -case["photo"]])
    case["text"] = case["text"].expand(2, -1, -1)
    with torch.no_grad():
        both = predicted(network, case)
        for row in (0, 1):
            alone = predicted(network, {k: v[row : row + 1] for k, v in case.items()})
            torch.testing.assert_close(both[row : row + 1], alone, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_the_convolution_starts_from_the_base() -> None:
    network = begun("conv", au_encoder="mlp_conv")  # which adds nothing to the time embedding
    case = inputs(network)
    text = case["text"].expand(2, -1, -1)
    base = plain_unet()(case["noisy"], 500, text).sample
    torch.testing.assert_close(predicted(network, case), base)


@torch.no_grad()
@pytest.mark.parametrize("au_encoder", AU_ENCODERS)
@pytest.mark.parametrize("identity", CONTROLNETS)
def test_controlnet_starts_from_the_base_whatever_the_aus(identity: str, au_encoder: str) -> None:
    network = begun(identity, au_encoder=au_encoder)
    case = inputs(network)
    text = case["text"].expand(2, -1, -1)
    assert torch.equal(predicted(network, case), plain_unet()(case["noisy"], 500, text).sample)


@torch.no_grad()
def test_the_convolution_is_concatenated_and_clip_takes_the_texts_place() -> None:
    for identity in ("conv", "clip"):
        network = stirred(begun(identity))
        case = inputs(network)
        seen = network.identify(case["photo"], case["text"])
        parts, context = [case["noisy"], case["background"]], case["text"]
        if identity == "conv":
            parts.append(seen.expand(2, -1, -1, -1))
        else:
            context = seen
        found = predicted(network, case)
        network.unet.class_embedding = network.au_encoder.linear  # diffusers adds it to the time
        context = context.expand(2, -1, -1)
        right = network.unet(torch.cat(parts, 1), 500, context, class_labels=case["change"]).sample
        torch.testing.assert_close(found, right)


@torch.no_grad()
def test_controlnet_is_diffusers_with_a_convolution_of_latents() -> None:
    network = stirred(begun("controlnet"))
    case = inputs(network)
    reference = ControlNetModel.from_unet(network.unet)
    reference.controlnet_cond_embedding = nn.Conv2d(8, 32, 3, padding=1)
    reference.load_state_dict(network.controlnet.state_dict())
    reference.class_embedding = network.au_encoder.linear
    text = case["text"].expand(2, -1, -1)
    condition = torch.cat([case["photo"].expand(2, -1, -1, -1), case["background"]], 1)
    down, middle = reference(
        case["noisy"], 500, text, condition, class_labels=case["change"], return_dict=False
    )
    residuals = {"down_block_additional_residuals": down, "mid_block_additional_residual": middle}
    right = network.unet(case["noisy"], 500, text, **residuals).sample
    torch.testing.assert_close(predicted(network, case), right)


@pytest.mark.parametrize("identity", ABLATIONS)
def test_training_makes_it_listen_to_the_photo(identity: str) -> None:
    """ControlNet takes two steps: in the first, its own zeros hide those of what it looks at."""
    network = begun(identity)
    case = inputs(network)
    assert (answers(network, case, "photo") == 0) == (identity != "clip")
    learn(network, case, 1)
    assert (answers(network, case, "photo") == 0) == (identity in CONTROLNETS)
    learn(network, case, 1)
    assert answers(network, case, "photo") > 1e-4


@pytest.mark.parametrize("identity", ABLATIONS)
def test_everything_learns_but_the_unet_of_controlnet(identity: str) -> None:
    network = stirred(begun(identity))
    predicted(network, inputs(network)).square().mean().backward()
    reached = {name for name, p in network.named_parameters() if p.grad is not None}
    unet = {f"unet.{name}" for name, _ in network.unet.named_parameters()}
    every = {name for name, _ in network.named_parameters()}
    assert reached == learning(network) == every - (unet if identity == "controlnet" else set())


def test_tokens_of_another_clip_are_refused() -> None:
    with pytest.raises(ValueError, match="are 48 wide, and .* trained with tiny, 32 wide"):
        begun("clip").identify(torch.zeros(1, 5, 48), torch.zeros(1, 7, 96))


@pytest.mark.parametrize(("au_encoder", "controller"), FORMS)
@pytest.mark.parametrize("identity", ABLATIONS)
def test_each_is_written_and_read_the_same(
    identity: str, au_encoder: str, controller: str, tmp_path: Path
) -> None:
    network = stirred(begun(identity, au_encoder=au_encoder, controller=controller))
    path = save_networks(network, tmp_path / "m.safetensors")
    again = load_magicface(path)
    assert type(again) is type(network) and again.options == network.options
    assert learning(again) == learning(network)
    case = inputs(network)
    with torch.no_grad():
        assert torch.equal(predicted(network, case), predicted(again, case))


def test_a_file_without_an_id_encoder_says_so(tmp_path: Path) -> None:
    path = save_networks(begun("conv"), tmp_path / "m.safetensors")
    (part,) = find_unets(path)
    assert part.options["identity"] == "conv" and not is_magicface(path)
    with pytest.raises(
        ValueError, match="holds a MagicFace without an ID encoder, not MagicFace's"
    ):
        read_unet_file(path, ID_ENCODER)


def test_the_published_form_and_its_files_stay_as_they_were(tmp_path: Path) -> None:
    network = MagicFace(widen_unet(plain_unet()), plain_unet())
    path = save_networks(network, tmp_path / "m.safetensors")
    with safe_open(path, framework="pt") as file:
        described = json.loads(file.metadata()["magicface"])
    assert described["options"] == {"au_encoder": "linear_time", "controller": "released"}
    assert network.options == load_magicface(path).options == RELEASED


def test_a_damaged_file_names_what_is_missing(tmp_path: Path) -> None:
    path = save_networks(begun("controlnet"), tmp_path / "m.safetensors")
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    weights = load_file(path)
    name = "denoising_unet.controlnet.controlnet_cond_embedding.weight"
    del weights[name]
    save_file(weights, path, metadata)
    with pytest.raises(ValueError, match=f"lacks 1 weights .*: {name}"):
        load_magicface(path)
