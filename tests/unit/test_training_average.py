"""The moving average of the weights, which a training leaves as its result."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from au_adapter.training.moving_average import MovingAverage


@pytest.mark.parametrize(("updates", "decay"), [(1, 2 / 11), (8, 0.5), (1000, 0.9)])
def test_the_moving_average_forgets_the_first_weights(updates: int, decay: float) -> None:
    module = nn.BatchNorm1d(1)
    average = MovingAverage(module, 0.9)
    average.n_averaged.fill_(updates)
    with torch.no_grad():
        module.weight.add_(1)
    module.running_mean.add_(1)
    module.num_batches_tracked.add_(1)
    average.update(module)
    torch.testing.assert_close(average.module.weight.data, torch.tensor([2.0 - decay]))
    torch.testing.assert_close(average.module.running_mean, torch.tensor([1.0 - decay]))
    assert average.module.num_batches_tracked == 1 and average.n_averaged == updates + 1


def test_the_moving_average_begins_with_the_weights_and_shares_the_frozen_ones() -> None:
    module = nn.Sequential(nn.Linear(2, 2).requires_grad_(False), nn.Linear(2, 2))
    average = MovingAverage(module, 0.9)
    with torch.no_grad():
        module[1].weight.add_(1)
    average.update(module)
    assert torch.equal(average.module[1].weight, module[1].weight)
    assert average.module[1].weight is not module[1].weight
    assert average.module[0].weight is module[0].weight
