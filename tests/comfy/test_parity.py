"""The same adapter in a diffusers UNet and in ComfyUI's: equal predictions to 1e-5 in float32."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import comfy.samplers
import pytest
import torch
from au_adapter_pack.nodes.diffusers_model import build_model
from diffusers import UNet2DConditionModel
from sampling import run
from tiny_unet import SD15, SD21, tiny_adapter, tiny_unet
from torch import Tensor

from au_adapter import AUAdapter, AUVector, apply_to_unet

TIMESTEP = 500
SIZE = 8
HALF = torch.linspace(0, 1, SIZE).expand(1, SIZE, SIZE)
VECTORS = AUVector.stack([AUVector.parse(t) for t in ("12E", "L4C+1B", "AU25:-2+26D")])


@dataclass(frozen=True)
class Case:
    """What is predicted: latents, text for both sides, AUs, and how the adapter is applied."""

    batch: int
    vector: AUVector
    strength: float = 1.0
    mask: Tensor | None = None
    start: float = 0.0
    end: float = 1.0

    @property
    def active(self) -> bool:
        """Timestep 500 is half of the schedule."""
        return self.start < 0.5 < self.end

    def inputs(self, unet: UNet2DConditionModel) -> tuple[Tensor, Tensor, Tensor]:
        generator = torch.Generator().manual_seed(3)
        latents = torch.randn(self.batch, 4, SIZE, SIZE, generator=generator)
        width = unet.config.cross_attention_dim
        return latents, *torch.randn(2, 1, 7, width, generator=generator)


def in_diffusers(unet: UNet2DConditionModel, adapter: AUAdapter, case: Case) -> Tensor:
    """Noise predicted for positive and negative, [2, batch, 4, SIZE, SIZE]."""
    latents, positive, negative = case.inputs(unet)
    applied = apply_to_unet(unet, adapter, case.strength)
    arguments = {"au_mask": case.mask.unsqueeze(1)} if case.mask is not None else {}
    predictions = []
    for text, tokens in (
        (positive, adapter.encode(case.vector)),
        (negative, adapter.encode_zero()),
    ):
        if case.active:
            arguments["au_tokens"] = tokens.expand(case.batch, -1, -1)
        text = text.expand(case.batch, -1, -1)
        predictions.append(
            unet(latents, TIMESTEP, text, cross_attention_kwargs=arguments or None).sample
        )
    applied.remove()
    return torch.stack(predictions)


def in_comfyui(unet: UNet2DConditionModel, adapter: AUAdapter, case: Case) -> Tensor:
    """The same through our nodes and core's guider."""
    latents, positive, negative = case.inputs(unet)
    model = build_model(dict(unet.config), dict(unet.state_dict()))
    model, positive, negative = run(
        "AUA_ApplyAUAdapter",
        model=model,
        positive=[(positive, {})],
        negative=[(negative, {})],
        au_adapter=adapter,
        au_tokens=adapter.encode(case.vector),
        strength=case.strength,
        start=case.start,
        end=case.end,
        mask=case.mask,
    )
    guider = comfy.samplers.CFGGuider(model)
    guider.set_conds(positive, negative)
    recorder = Recorder(latents)
    guider.sample(
        torch.zeros_like(latents),
        torch.zeros_like(latents),
        comfy.samplers.KSAMPLER(recorder),
        recorder.sigmas(model),
    )
    return recorder.predictions


class Recorder:
    """A sampler that asks once, at timestep 500, for the noise in given latents."""

    def __init__(self, latents: Tensor) -> None:
        self.latents = latents

    def sigmas(self, model: object) -> Tensor:
        self.sigma = model.get_model_object("model_sampling").sigmas[TIMESTEP]
        return torch.stack([self.sigma, torch.zeros(())])

    def __call__(
        self, model: object, noise: Tensor, sigmas: Tensor, extra_args: dict, **_: object
    ) -> Tensor:
        guider = model.inner_model
        x = self.latents * (self.sigma**2 + 1).sqrt()  # the UNet sees the latents themselves
        conds = [guider.conds["positive"], guider.conds["negative"]]
        denoised = comfy.samplers.calc_cond_batch(
            guider.inner_model, conds, x, self.sigma.expand(len(x)), extra_args["model_options"]
        )
        self.predictions = torch.stack([(x - d) / self.sigma for d in denoised])
        return x


CASES = {
    "one picture": Case(1, VECTORS.face(0)),
    "three pictures of one face": Case(3, VECTORS.face(1), strength=0.7),
    "three faces": Case(3, VECTORS, strength=1.3),
    "mask": Case(3, VECTORS, mask=HALF),
    "a mask for each": Case(3, VECTORS, mask=torch.cat([HALF, 1 - HALF, HALF.mT])),
    "in range": Case(1, VECTORS.face(0), start=0.4, end=0.6),
    "before start": Case(1, VECTORS.face(0), start=0.6),
    "after end": Case(1, VECTORS.face(0), end=0.4),
}


@pytest.mark.parametrize(
    "adapted",
    [{}, {"encoder": "individual"}, {"sides": True}],
    ids=["res_mlp64", "individual", "sides apart"],
)
@pytest.mark.parametrize("shape", [SD21, SD15], ids=["SD 2.1", "SD 1.5"])
@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_comfyui_predicts_what_diffusers_predicts(shape: dict, adapted: dict, case: Case) -> None:
    unet = tiny_unet(shape)
    adapter = tiny_adapter(unet, **adapted)
    expected = in_diffusers(unet, adapter, case)
    torch.testing.assert_close(in_comfyui(unet, adapter, case), expected, atol=1e-5, rtol=1e-5)


def test_the_cases_differ(demo_files: Path) -> None:
    """Each part of a case matters, so that the agreement above says something."""
    unet = tiny_unet(SD21)
    adapter = tiny_adapter(unet)
    found = [in_comfyui(unet, adapter, case)[0, 0] for case in CASES.values()]
    plain = unet(case_latents(unet), TIMESTEP, CASES["one picture"].inputs(unet)[1]).sample[0]
    assert all((prediction - plain).abs().max() > 1e-2 for prediction in found)


def case_latents(unet: UNet2DConditionModel) -> Tensor:
    return CASES["one picture"].inputs(unet)[0]
