"""The demo's sheet of AUEditNet, on random weights: a row for each person, the edits beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from face_pictures import TASK
from PIL import Image
from tiny_wplus import write_shipped

from au_adapter.bundled import AUEDITNET, FOLDER_VARIABLE, aueditnet_folder
from au_adapter.data.rendered import SAMPLE, load
from tools.demo_aueditnet import REQUESTS, can_invert, edit_codes


def test_people_are_edited_by_numbers_and_by_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    assert not can_invert()
    write_shipped(aueditnet_folder())
    assert can_invert()
    photos = [tmp_path / f"{number}.png" for number in range(2)]
    for photo, pixels in zip(photos, load(SAMPLE, 2).images, strict=True):
        Image.fromarray(pixels).save(photo)
    sheet = np.asarray(Image.open(edit_codes(photos, TASK, tmp_path)))
    assert sheet.shape[1] > (len(REQUESTS) + 2) * 128
    assert sheet.shape[0] > len(photos) * 128
    (aueditnet_folder() / AUEDITNET).unlink()
    assert not can_invert()
