"""Weights of the loss on parts of a face."""

from __future__ import annotations

import numpy as np
import torch

from au_adapter.training.face_tensors import PART_MARGIN, part_weights


def test_part_weights_cover_the_part_and_average_to_one() -> None:
    boxes = np.array([[[32, 40, 48, 56]], [[-20, -20, 500, 8]]], np.float32)
    weights = part_weights(boxes, size=128, cells=16, part_weight=3.0)
    assert weights.shape == (2, 1, 16, 16)
    torch.testing.assert_close(weights.mean((1, 2, 3)), torch.ones(2))
    # 32 - 3 = 29 px is in cell 3, 48 + 3 = 51 px ends in cell 6; rows 37 to 59 px: cells 4 to 7.
    assert PART_MARGIN == 3
    marked = weights[0, 0] > weights[0, 0, 0, 0]
    expected = torch.zeros(16, 16, dtype=torch.bool)
    expected[4:8, 3:7] = True
    assert torch.equal(marked, expected)
    torch.testing.assert_close(weights[0, 0, 4, 3], 3 * weights[0, 0, 0, 0])
    assert (weights[1, 0, :2] == weights[1, 0, 0, 0]).all()  # a box may leave the picture
