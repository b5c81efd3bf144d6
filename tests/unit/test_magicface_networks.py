"""MagicFace's networks against a plain reference of the released formulation."""

from __future__ import annotations

import pytest
import torch
from diffusers import UNet2DConditionModel
from tiny_magicface import TINY, ReleasedMagicFace, random_unets, write_published
from torch import Tensor

from au_adapter.models.magicface import (
    AU_ENCODERS,
    MagicFace,
    Strided,
    collect_features,
    guide_change,
    widen_unet,
)
from au_adapter.weights.magicface_files import load_magicface

TOLERANCE = 1e-4  # of the prediction's spread


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> MagicFace:
    return load_magicface(write_published(tmp_path_factory.mktemp("magicface")))


@pytest.fixture(scope="module")
def released() -> ReleasedMagicFace:
    return ReleasedMagicFace(random_unets())


def inputs(batch: int = 1) -> dict[str, Tensor]:
    """Photo, background and noisy latents, text, a change of AUs; seeded."""
    generator = torch.Generator().manual_seed(3)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    return {
        "photo": 5 * draw(1, 4, 8, 8),  # unscaled latents are about five times as large
        "background": 5 * draw(1, 4, 8, 8).expand(batch, -1, -1, -1),
        "noisy": draw(batch, 4, 8, 8),
        "text": draw(1, 7, 96),
        "change": 3 * draw(batch, 12),
    }


def expected(released: ReleasedMagicFace, case: dict[str, Tensor], timestep: float) -> Tensor:
    text = case["text"]
    features = released.features(case["photo"], text)
    return released.predict(
        case["noisy"],
        timestep,
        text.expand(len(case["noisy"]), -1, -1),
        features,
        case["background"],
        case["change"],
    )


@torch.no_grad()
def predicted(network: MagicFace, case: dict[str, Tensor], timestep: float) -> Tensor:
    batch = len(case["noisy"])
    return network(
        case["noisy"],
        torch.full((batch,), timestep),
        case["text"].expand(batch, -1, -1),
        network.identify(case["photo"], case["text"]),
        case["background"],
        case["change"],
    )


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("timestep", [999, 500, 20])
def test_it_predicts_what_the_released_formulation_predicts(
    ours: MagicFace, released: ReleasedMagicFace, timestep: int, batch: int
) -> None:
    case = inputs(batch)
    found, right = predicted(ours, case, timestep), expected(released, case, timestep)
    assert (found - right).abs().max() <= TOLERANCE * right.std()


@pytest.mark.parametrize("name", ["photo", "background", "change", "text"])
def test_everything_matters(ours: MagicFace, name: str) -> None:
    """So that the agreement says something."""
    case = inputs()
    other = {**case, name: case[name] + 0.5}
    first, second = (predicted(ours, c, 500) for c in (case, other))
    assert (first - second).abs().max() > 30 * TOLERANCE * first.std()


def test_features_come_in_the_order_of_execution_and_leave_nothing_behind(ours: MagicFace) -> None:
    case = inputs()
    with collect_features(ours.id_encoder) as features:
        ours.id_encoder(case["photo"], 0, case["text"])
    places = [path.split(".attentions")[0] for path in features]
    assert (
        places
        == ["down_blocks.0", "down_blocks.1", "mid_block"]
        + ["up_blocks.0"] * 2
        + ["up_blocks.1"] * 2
    )
    assert features["down_blocks.0.attentions.0.transformer_blocks.0"].shape == (1, 64, 64)
    assert not any(module._forward_pre_hooks for module in ours.id_encoder.modules())


def test_a_failing_run_leaves_no_hook_behind(ours: MagicFace) -> None:
    with pytest.raises(RuntimeError), collect_features(ours.id_encoder):
        ours.id_encoder(torch.zeros(1, 3, 8, 8), 0, torch.zeros(1, 7, 96))
    assert not any(module._forward_pre_hooks for module in ours.id_encoder.modules())


def test_the_published_shape_has_sixteen_blocks() -> None:
    with torch.device("meta"):
        unet = UNet2DConditionModel(cross_attention_dim=768, attention_head_dim=8)
        with collect_features(unet) as features:
            unet(torch.zeros(1, 4, 64, 64), torch.zeros(1), torch.zeros(1, 77, 768))
    sizes = [tuple(feature.shape[1:]) for feature in features.values()]
    outer, middle, inner, centre = (4096, 320), (1024, 640), (256, 1280), (64, 1280)
    down = [outer] * 2 + [middle] * 2 + [inner] * 2
    assert sizes == [*down, centre, *[inner] * 3, *[middle] * 3, *[outer] * 3]


def test_what_the_id_encoder_does_last_has_no_effect(ours: MagicFace) -> None:
    frozen = [p for p in ours.id_encoder.parameters() if not p.requires_grad]
    assert len(frozen) == 26  # of the 686 tensors of the published shape it is the same number
    predicted(ours, case := inputs(), 500)
    with torch.enable_grad():
        identity = ours.identify(case["photo"], case["text"])
        sum(value.sum() for _, value in identity.values()).backward()
    learning = [n for n, p in ours.id_encoder.named_parameters() if p.requires_grad]
    assert all(ours.id_encoder.get_parameter(name).grad is not None for name in learning)


def test_guidance_goes_from_no_change_to_the_change() -> None:
    without, changed = torch.tensor([1.0]), torch.tensor([2.0])
    assert guide_change(without, changed).item() == 4.0  # 1 + 3 (2 - 1)
    assert guide_change(without, changed, 1.0).item() == 2.0


@pytest.mark.parametrize("au_encoder", AU_ENCODERS)
@pytest.mark.parametrize("controller", ["released", "paper"])
def test_every_variant_predicts_and_listens_to_the_change(au_encoder: str, controller: str) -> None:
    torch.manual_seed(1)
    plain = UNet2DConditionModel(**TINY).eval()
    network = MagicFace(widen_unet(plain, au_encoder), plain, au_encoder, controller).eval()
    scale = network.controller.scale
    case = inputs(2)
    case["background"] = torch.randn(2, 4, 8 * scale, 8 * scale)
    with torch.no_grad():  # the new channels start at zero
        network.unet.conv_in.weight[:, 4:].normal_()
    first = predicted(network, case, 500)
    second = predicted(network, {**case, "change": -case["change"]}, 500)
    assert first.shape == (2, 4, 8, 8) and (first - second).abs().max() > 1e-4


def test_a_widened_unet_starts_as_the_unet_it_was() -> None:
    torch.manual_seed(1)
    plain = UNet2DConditionModel(**TINY).eval()
    case = inputs()
    wide = widen_unet(plain).eval()
    both = torch.cat([case["noisy"], case["background"]], 1)
    with torch.no_grad():
        before = plain(case["noisy"], 500, case["text"]).sample
        after = wide(both, 500, case["text"]).sample
    torch.testing.assert_close(after, before)


def test_the_papers_controller_is_a_strided_convolution() -> None:
    controller = Strided(4)
    assert controller.weight.shape == (4, 4, 4, 4) and controller.stride == (2, 2)
    assert controller(torch.zeros(1, 4, 16, 16)).shape == (1, 4, 8, 8)
