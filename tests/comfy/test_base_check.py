"""Does a MODEL look like the adapter's base? Prediction and weights, and what a mismatch does."""

from __future__ import annotations

import logging

import pytest
import torch
from au_adapter_pack.nodes.apply import ApplyAUAdapter
from au_adapter_pack.nodes.base_check import base_warning
from au_adapter_pack.nodes.diffusers_model import build_model
from au_adapter_pack.nodes.sd_unet import read_unet
from comfy.model_base import ModelType
from comfy_extras.nodes_model_advanced import ModelSamplingDiscrete
from predicting import predict
from sampling import SIZE, run
from tiny_unet import SD21, tiny_adapter, tiny_unet

from au_adapter import AUAdapter, AUVector

TIMESTEPS = (999, 750, 500, 250, 10)


@pytest.fixture(scope="module")
def adapter() -> AUAdapter:
    return tiny_adapter(tiny_unet(SD21), rank=0)


def model(prediction: ModelType = ModelType.EPS, weights: dict | None = None) -> object:
    unet = tiny_unet(SD21)
    return build_model(dict(unet.config), weights or dict(unet.state_dict()), prediction)


def warning(of: object, adapter: AUAdapter) -> str:
    return base_warning(of, read_unet(of), adapter)


def test_its_own_base_is_no_reason_to_warn(adapter: AUAdapter) -> None:
    assert warning(model(), adapter) == ""


def test_other_weights_of_the_same_shape_are_said(
    adapter: AUAdapter, caplog: pytest.LogCaptureFixture
) -> None:
    weights = {name: torch.randn_like(t) for name, t in tiny_unet(SD21).state_dict().items()}
    with caplog.at_level(logging.WARNING, logger="au_adapter"):
        text = warning(model(weights=weights), adapter)
    assert "other weights (cosine of the keys" in text and text in caplog.text


def test_a_fine_tuned_base_is_no_reason_to_warn(adapter: AUAdapter) -> None:
    weights = {
        n: t + 0.3 * t.std() * torch.randn_like(t) for n, t in tiny_unet(SD21).state_dict().items()
    }
    assert warning(model(weights=weights), adapter) == ""


def test_the_node_shows_the_sentence_in_the_page(adapter: AUAdapter) -> None:
    unet = tiny_unet(SD21)
    text = [(torch.zeros(1, 7, unet.config.cross_attention_dim), {})]
    for prediction, shown in ((ModelType.V_PREDICTION, True), (ModelType.EPS, False)):
        output = ApplyAUAdapter.execute(
            model(prediction), text, text, adapter, adapter.encode_zero(), 1.0
        )
        found = str(output.ui.as_dict()) if output.ui else ""
        assert ("predicts v_prediction" in found and "epsilon" in found) is shown


@pytest.mark.parametrize(
    ("detected", "said", "warns"),
    [
        (ModelType.V_PREDICTION, "eps", False),
        (ModelType.V_PREDICTION, "lcm", False),
        (ModelType.EPS, "v_prediction", True),
        (ModelType.EPS, "x0", True),
    ],
)
def test_what_model_sampling_discrete_says_counts(
    adapter: AUAdapter, detected: ModelType, said: str, warns: bool
) -> None:
    told = ModelSamplingDiscrete().patch(model(detected), said, False)[0]
    assert (f"predicts {said}," in warning(told, adapter)) is warns


def test_on_a_base_that_predicts_v_the_aus_act_weakly_at_first(adapter: AUAdapter) -> None:
    """The same change of the network's output moves the picture by 1 / sqrt(1 + sigma^2) of what
    it does where epsilon is predicted: 7 % in the first step, half in the middle, all at the end.
    """
    effects = {kind: _effects(kind, adapter) for kind in (ModelType.EPS, ModelType.V_PREDICTION)}
    sigmas = model().get_model_object("model_sampling").sigmas[list(TIMESTEPS)]
    ratio = effects[ModelType.V_PREDICTION] / effects[ModelType.EPS]
    torch.testing.assert_close(ratio, (1 + sigmas**2).rsqrt(), atol=2e-3, rtol=0)
    assert ratio[0] < 0.07 and 0.4 < ratio[2] < 0.6 and ratio[-1] > 0.99


def _effects(prediction: ModelType, adapter: AUAdapter) -> torch.Tensor:
    """How far the AUs move the predicted picture at each timestep, in units of sigma."""
    generator = torch.Generator().manual_seed(3)
    text = torch.randn(1, 7, adapter.config.width, generator=generator)
    conds = run(
        "AUA_ApplyAUAdapter", model=model(prediction), positive=[(text, {})],
        negative=[(text, {})], au_adapter=adapter,
        au_tokens=adapter.encode(AUVector.parse("12E")), strength=1.0,
    )  # fmt: skip
    latents = torch.randn(1, 4, SIZE, SIZE, generator=generator)
    found = predict(*conds, dict.fromkeys(TIMESTEPS, latents))
    return (found[:, 0] - found[:, 1]).flatten(1).std(dim=1)
