"""What is measured of an adapter that knows left and right apart: faces that are drawn as two
halves of a row for each AU, and an estimator that reads them there."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from au_adapter.estimators.reading import Reading
from au_adapter.evaluation.contact_sheet import CAPTION, MARGIN
from au_adapter.facs import AUVector
from benchmarks.sides_response import left_share, measure, one_sided, report, sheet

UNITS = (12, 25)
WIDTH = 8


def exact(number: int, aus: AUVector) -> Tensor:
    """Pictures [N, 2, 8, 3] of both sides: the person's left is the picture's right."""
    left, right = (side[:, :, None].expand(-1, -1, WIDTH // 2) for side in aus.sides())
    return torch.cat([right, left], dim=2)[..., None].expand(-1, -1, -1, 3) / 10


def bilateral(number: int, aus: AUVector) -> Tensor:
    """Both sides get the mean of what is asked for."""
    return exact(number, AUVector(aus.units, aus.values))


class Reader:
    name = "rows"

    def estimate(self, images: Tensor) -> Sequence[Reading]:
        right, left = 10 * images[:, :, :1, 0].mT, 10 * images[:, :, -1:, 0].mT
        seen = [AUVector(UNITS, (a + b) / 2, a, b) for a, b in zip(left, right, strict=True)]
        return [Reading(n, 0, (0, 0, 1, 1), 1.0, aus) for n, aus in enumerate(seen)]


def test_one_side_is_told_from_both() -> None:
    found, first = measure(bilateral, exact, Reader(), UNITS, count=2)
    assert one_sided(found, "renders", 12) == pytest.approx((4, 0, 1), abs=1e-5)
    assert one_sided(found, "adapter", 12) == pytest.approx((2, 2, 0.5), abs=1e-5)
    assert one_sided(found, "adapter", 25) is None
    assert found["adapter_missing"] == 0
    about = {"adapter": "a1", "estimator": "rows", "seeds": [901, 902]}
    rows = 6  # both, left and right, drawn and rendered
    assert sheet(first, UNITS).size[1] == 2 * CAPTION + 2 * MARGIN + rows * (len(UNITS) + MARGIN)
    text = report(found | about)
    assert "| 12 Lip corner puller |" in text
    assert "2.00 (4.00) | 2.00 (0.00) | 0.50 (1.00) |" in text
    assert "for 0 of 1: none. 50% of the change is there. The renders:" in text
    assert "for 1 of 1: AU12. 100% of the change is there." in text


def test_the_persons_left_is_the_pictures_right() -> None:
    pictures = torch.zeros(3, 4, 4, 3)
    pictures[1, :, 3] = 1.0
    pictures[2, :, 0], pictures[2, :, 2] = 1.0, 2.0
    assert left_share(pictures).tolist() == pytest.approx([1.0, 0.8])
