"""The nodes of AU-Adapter: ComfyUI's face of the library, and the only code that imports comfy."""

from __future__ import annotations

from . import (
    apply,
    apply_magicface,
    au_adapter,
    au_change,
    au_correction,
    au_evaluator,
    au_keyframes,
    au_protocol,
    au_sides,
    au_text,
    au_vector,
    calibrate_adapter,
    demo_model,
    example_photos,
    expression,
    face_edit,
    guider,
    label_pictures,
    numbers,
    panel,
    picture_record,
    read_faces,
    train_adapter,
)

NODES = (
    *au_vector.NODES,
    *expression.NODES,
    *au_text.NODES,
    *au_keyframes.NODES,
    *au_sides.NODES,
    *au_adapter.NODES,
    *apply.NODES,
    *guider.NODES,
    *demo_model.NODES,
    *read_faces.NODES,
    *au_change.NODES,
    *au_protocol.NODES,
    *au_evaluator.NODES,
    *calibrate_adapter.NODES,
    *au_correction.NODES,
    *apply_magicface.NODES,
    *face_edit.NODES,
    *train_adapter.NODES,
    *label_pictures.NODES,
    *numbers.NODES,
)

picture_record.register(NODES)
panel.register()
example_photos.offer()
