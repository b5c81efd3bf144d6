"""The demo's sheet of VQ-AUFace, on random weights: a row for each person, its texts beside it."""

from __future__ import annotations

from pathlib import Path

import pytest
from face_pictures import TASK
from PIL import Image
from tiny_vqauface import write_vqauface

from au_adapter import AUVector
from au_adapter.bundled import FOLDER_VARIABLE
from au_adapter.data.rendered import SAMPLE, load
from tools.demo_vqauface import TEXTS, can_draw, draw_texts


def test_people_are_drawn_from_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    assert not can_draw()
    write_vqauface(tmp_path / "vq_auface")
    assert can_draw()
    photo = tmp_path / "person.png"
    Image.fromarray(load(SAMPLE, 1).images[0]).save(photo)
    sheet = draw_texts([photo], TASK, tmp_path)
    assert Image.open(sheet).width > (len(TEXTS) + 1) * 128
    lines = [
        line for line in (tmp_path / "vqauface.md").read_text().splitlines() if line[:1] == "-"
    ]
    for notation, line in zip(TEXTS, lines, strict=True):
        said = line.partition(": ")[2]
        assert AUVector.from_text(said).dict() == AUVector.parse(notation).dict()
