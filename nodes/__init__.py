"""The nodes of AU-Adapter: ComfyUI's face of the library, and the only code that imports comfy."""

from __future__ import annotations

from . import (
    apply,
    au_adapter,
    au_estimator,
    au_vector,
    calibrate,
    demo_model,
    evaluator,
    picture_record,
)

NODES = (
    *au_vector.NODES,
    *au_adapter.NODES,
    *apply.NODES,
    *demo_model.NODES,
    *au_estimator.NODES,
    *evaluator.NODES,
    *calibrate.NODES,
)

picture_record.register()
