"""AU Guider: how strongly the AUs guide, apart from how strongly the prompt does."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from torch import Tensor

from .compat import CFGGuider, ModelPatcher, calc_cond_batch, io, sampling_function
from .conditioning import Conditioning, has_tokens, without_tokens
from .sockets import CATEGORY


class AUGuidance(CFGGuider):
    """null + s_text (text - null) + s_AU (text with AUs - text), each a prediction of the UNet.

    null is the negative, text the positive with the neutral face in place of its AUs. With both
    scales equal this is FineFace's guidance, null + s (text with AUs - null), in two predictions;
    a prediction that the scales cancel is not made.
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
        options = _with_pre_cfg(options, lambda args: text.append(args["conds_out"][0]))
        # The prompt's part is core's own, so that other nodes find what they expect: of two
        # predictions the positive first. That of the AUs runs apart, as a positive too.
        guided = sampling_function(
            self.inner_model, x, timestep, self.conds["negative"], self.conds["text"], self.cfg,
            model_options=options, seed=seed,
        )  # fmt: skip
        if self.au_cfg == 0:
            return guided
        (with_aus,) = calc_cond_batch(
            self.inner_model, [self.conds["positive"]], x, timestep, options
        )
        return guided + self.au_cfg * (with_aus - text[0])


def _with_pre_cfg(options: dict[str, Any], look: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    """Options by which `look` sees the predictions before anything else does."""

    def first(args: dict[str, Any]) -> list[Tensor]:
        look(args)
        return args["conds_out"]

    others = options.get("sampler_pre_cfg_function", [])
    return {**options, "sampler_pre_cfg_function": [first, *others]}


class AUGuider(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="AUA_AUGuider",
            display_name="AU Guider",
            category=CATEGORY,
            description="Guidance of the AUs apart from that of the prompt, for "
            "SamplerCustomAdvanced. Different scales cost a third prediction at each step.",
            search_aliases=["CFG", "guidance", "FineFace", "action units"],
            inputs=[
                io.Model.Input("model", tooltip="From Apply AU-Adapter."),
                io.Conditioning.Input("positive", tooltip="From Apply AU-Adapter: with AUs."),
                io.Conditioning.Input("negative", tooltip="From Apply AU-Adapter."),
                io.Float.Input(
                    "text_cfg",
                    display_name="text CFG",
                    default=7.5,
                    min=0.0,
                    max=100.0,
                    step=0.1,
                    tooltip="How strongly the prompt guides, as CFG in KSampler. At 1 the negative "
                    "is not run.",
                ),
                io.Float.Input(
                    "au_cfg",
                    display_name="AU CFG",
                    default=7.5,
                    min=0.0,
                    max=100.0,
                    step=0.1,
                    tooltip="How strongly the AUs guide away from the neutral face. Equal to text "
                    "CFG it is FineFace's guidance in two predictions; otherwise there are three. "
                    "0 is the neutral face.",
                ),
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


NODES = (AUGuider,)
