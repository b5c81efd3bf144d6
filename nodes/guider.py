"""AU Guider: separate guidance scales for the AUs and the prompt."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from .compat import CFGGuider, ModelPatcher, io
from .conditioning import Conditioning, has_tokens, without_tokens
from .node import Node

BEFORE, AFTER = "sampler_pre_cfg_function", "sampler_post_cfg_function"
GUIDANCE = (BEFORE, AFTER, "sampler_cfg_function", "disable_cfg1_optimization")  # options

SCALE = {"default": 7.5, "min": 0.0, "max": 100.0, "step": 0.1}  # of guidance


class AUGuidance(CFGGuider):
    """null + s_text (text - null) + s_AU (text with AUs - text), each a prediction of the UNet.

    null is the negative, text the positive with the neutral face in place of its AUs. Equal scales
    give FineFace's guidance, null + s (text with AUs - null), in two predictions; a prediction that
    the scales cancel is skipped.
    """

    def set_conds(self, positive: Conditioning, negative: Conditioning) -> None:
        text = without_tokens(positive)
        self.inner_set_conds({"positive": positive, "text": text, "negative": negative})
        self.apart = has_tokens(positive)

    def set_cfg(self, text_cfg: float, au_cfg: float) -> None:
        self.cfg, self.au_cfg = text_cfg, au_cfg

    def predict_noise(
        self,
        x: Tensor,
        timestep: Tensor,
        model_options: dict[str, Any] | None = None,
        seed: int | None = None,
    ) -> Tensor:
        """The guided prediction for latents x [N, 4, H, W]."""
        options = model_options or {}
        if not self.apart or math.isclose(self.au_cfg, self.cfg):
            return super().predict_noise(x, timestep, options, seed)
        text: list[Tensor] = []
        # Core's guider makes the prompt's two predictions, the positive first, as other nodes
        # expect. That of the AUs runs by itself, as a positive too.
        prompt = self._plain(self.conds["text"], self.conds["negative"], self.cfg)
        guided = prompt.predict_noise(x, timestep, _noting(options, text), seed)
        if self.au_cfg == 0:
            return guided
        with_aus: list[Tensor] = []
        alone = self._plain(self.conds["positive"], None, 1.0)
        unguided = {key: value for key, value in options.items() if key not in GUIDANCE}
        alone.predict_noise(x, timestep, _noting(unguided, with_aus), seed)
        return guided + self.au_cfg * (with_aus[0] - text[0])

    def _plain(self, positive: list, negative: list | None, cfg: float) -> CFGGuider:
        """Core's guider on the same run. It predicts by core's function or a pack's replacement:
        AnimateDiff Evolved needs its own for context windows."""
        guider = CFGGuider(self.model_patcher)
        guider.inner_model = self.inner_model
        guider.conds = {"positive": positive, "negative": negative}
        guider.set_cfg(cfg)
        return guider


def _noting(options: dict[str, Any], positive: list[Tensor]) -> dict[str, Any]:
    """Options that store the positive prediction in `positive`, before anything changes it."""

    def before(args: dict[str, Any]) -> list[Tensor]:
        positive.append(args["conds_out"][0])
        return args["conds_out"]

    def after(args: dict[str, Any]) -> Tensor:
        positive.append(args["cond_denoised"])
        return args["denoised"]

    # AnimateDiff Evolved calls only the functions after the guidance, none before it.
    others = {place: options.get(place, []) for place in (BEFORE, AFTER)}
    return {**options, BEFORE: [before, *others[BEFORE]], AFTER: [after, *others[AFTER]]}


class AUGuider(Node):
    """Guidance of the AUs apart from that of the prompt, for SamplerCustomAdvanced. Different
    scales cost a third prediction at each step.

    model: From Apply AU-Adapter.
    positive: From Apply AU-Adapter: with AUs.
    negative: From Apply AU-Adapter.
    text_cfg: How strongly the prompt guides, as CFG in KSampler. At 1 the negative is not run.
    au_cfg: How strongly the AUs guide away from the neutral face. Equal to text CFG it is
        FineFace's guidance in two predictions; otherwise there are three. 0 is the neutral face.
    """

    @classmethod
    def define_schema(cls) -> io.Schema:
        return cls.schema(
            "AU Guider",
            family="draw a face",
            aliases=["CFG", "guidance", "action units"],
            inputs=[
                io.Model.Input("model"),
                io.Conditioning.Input("positive"),
                io.Conditioning.Input("negative"),
                io.Float.Input("text_cfg", display_name="text CFG", **SCALE),
                io.Float.Input("au_cfg", display_name="AU CFG", **SCALE),
            ],
            outputs=[io.Guider.Output()],
        )

    @classmethod
    def execute(
        cls,
        model: ModelPatcher,
        positive: Conditioning,
        negative: Conditioning,
        text_cfg: float,
        au_cfg: float,
    ) -> io.NodeOutput:
        guider = AUGuidance(model)
        guider.set_conds(positive, negative)
        guider.set_cfg(text_cfg, au_cfg)
        return io.NodeOutput(guider)
