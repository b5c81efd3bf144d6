"""The nodes of AU-Adapter: ComfyUI's face of the library, and the only code that imports comfy."""

from __future__ import annotations

from . import (
    apply,
    au_adapter,
    au_change,
    au_estimator,
    au_vector,
    calibrate,
    correction,
    demo_model,
    evaluator,
    expression,
    face_edit,
    guider,
    keyframes,
    magicface,
    panel,
    picture_record,
    protocol,
    sides,
    train,
)

NODES = (
    *au_vector.NODES,
    *expression.NODES,
    *keyframes.NODES,
    *sides.NODES,
    *au_adapter.NODES,
    *apply.NODES,
    *guider.NODES,
    *demo_model.NODES,
    *au_estimator.NODES,
    *au_change.NODES,
    *protocol.NODES,
    *evaluator.NODES,
    *calibrate.NODES,
    *correction.NODES,
    *magicface.NODES,
    *face_edit.NODES,
    *train.NODES,
)

picture_record.register()
panel.register()
