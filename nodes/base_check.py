"""Warns where a MODEL does not look like the base that an AU-Adapter was trained on."""

from __future__ import annotations

import logging

from au_adapter.models.adapter import AUAdapter

from .compat import ModelPatcher, model_sampling
from .sd_unet import SDUNet

logger = logging.getLogger("au_adapter")

# The prediction of ComfyUI's sampling classes; the first match counts, as the others extend EPS.
PREDICTIONS = (
    (model_sampling.X0, "x0"),
    (model_sampling.V_PREDICTION, "v_prediction"),
    (model_sampling.EPS, "epsilon"),
)
UNRELATED = 0.5  # cosine of the keys; on its own base an adapter has nearly 1, on others about 0


def base_warning(model: ModelPatcher, unet: SDUNet, adapter: AUAdapter) -> str:
    """A warning about this pair although the shapes fit; empty without one."""
    warnings = (_prediction(model, adapter), _weights(model, unet, adapter))
    warning = " ".join(filter(None, warnings))
    if warning:
        logger.warning("Apply AU-Adapter: %s", warning)
    return warning


def _prediction(model: ModelPatcher, adapter: AUAdapter) -> str:
    # Not the checkpoint's own type, which ModelSamplingDiscrete may have corrected.
    sampling = model.get_model_object("model_sampling")
    kinds = (name for kind, name in PREDICTIONS if isinstance(sampling, kind))
    found = next(kinds, type(sampling).__name__)
    expected = adapter.config.prediction
    if found == expected:
        return ""
    return (
        f"This MODEL predicts {found}, the AU-Adapter was trained on one that predicts {expected}: "
        "the AUs may act weakly or wrongly. Use a base with the adapter's prediction."
    )


def _weights(model: ModelPatcher, unet: SDUNet, adapter: AUAdapter) -> str:
    path = next(iter(adapter.config.layers))
    module = unet.weights[f"{path}.to_k.weight"].removesuffix(".weight")
    keys = model.model.diffusion_model.get_submodule(module).weight
    if keys is None or keys.is_meta or not keys.is_floating_point():
        return ""  # ComfyUI keeps it elsewhere, or quantised
    similarity = adapter.key_similarity(path, keys)
    if similarity is None or similarity > UNRELATED:
        return ""
    return (
        f"This MODEL has the shape of the AU-Adapter's base ({adapter.config.base or 'unnamed'}) "
        f"but other weights (cosine of the keys {similarity:.2f}, on its own base about 1): the "
        "AUs may do nothing sensible. Use the base that the adapter was trained on, or a "
        "fine-tuned version of it."
    )
