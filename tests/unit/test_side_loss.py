"""What teaches the AU attention which side a place is on, on a tiny UNet."""

from __future__ import annotations

import pytest
import torch
from diffusers import UNet2DConditionModel
from tiny_unet import SD15, tiny_adapter, tiny_unet, unet_inputs
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from au_adapter import AUAdapter, AUVector
from au_adapter.models.diffusers_unet import train_on_unet
from au_adapter.training.side_loss import SideLoss, left_logits, left_share

CROOKED = AUVector.parse("L12E+R1B")


def scene() -> tuple[UNet2DConditionModel, AUAdapter, SideLoss]:
    unet = tiny_unet(SD15).train()
    adapter = tiny_adapter(unet, sides=True)
    train_on_unet(unet, adapter)
    return unet, adapter, SideLoss(unet, adapter)


def predict(unet: UNet2DConditionModel, adapter: AUAdapter) -> Tensor:
    latents, timesteps, text = unet_inputs(unet)
    tokens = adapter.encode(CROOKED)
    return unet(latents, timesteps, text, cross_attention_kwargs={"au_tokens": tokens}).sample


def test_the_share_is_that_of_the_softmax() -> None:
    torch.manual_seed(1)
    query, key = torch.randn(2, 16, 12), torch.randn(2, 4, 12)
    logits = left_logits(query, key, 3)
    for head in range(3):
        part = slice(4 * head, 4 * head + 4)
        weights = (query[..., part] @ key[..., part].mT / 2).softmax(-1)
        torch.testing.assert_close(logits[:, head].sigmoid(), weights[..., :2].sum(-1))


def test_the_persons_left_is_the_pictures_right() -> None:
    share = left_share(torch.zeros(1, 1, 64))[0, 0].unflatten(0, (8, 8))
    assert torch.equal(share, share[:1].expand(8, 8)), "every row alike"
    assert share[0, :2].tolist() == [0, 0] and share[0, -2:].tolist() == [1, 1]
    assert share[0, 3] < 0.5 < share[0, 4] and share[0, 3] + share[0, 4] == 1


@pytest.mark.parametrize("checkpointing", [False, True])
def test_every_cross_attention_is_heard_at_every_step(checkpointing: bool) -> None:
    unet, adapter, loss = scene()
    if checkpointing:
        unet.enable_gradient_checkpointing()
    calls = []
    for path in adapter.config.layers:
        unet.get_submodule(path).register_forward_hook(
            lambda attention, args, kwargs, out, path=path: calls.append((path, attention, args)),
            with_kwargs=True,
        )
    for _ in range(2):
        calls.clear()
        loss.begin()
        predict(unet, adapter)
        found = loss.mean()
        torch.testing.assert_close(found.detach(), by_hand(adapter, calls))
        found.backward()
    for path in adapter.config.layers:
        assert adapter.projection("k", path).weight.grad[:, -1].any()


@torch.no_grad()
def by_hand(adapter: AUAdapter, calls: list[tuple]) -> Tensor:
    tokens = adapter.encode(CROOKED)
    assert sorted(path for path, *_ in calls) == sorted(adapter.config.layers)
    parts = [
        left_logits(attention.to_q(args[0]), adapter.projection("k", path)(tokens), attention.heads)
        for path, attention, args in calls
    ]
    return torch.stack([binary_cross_entropy_with_logits(p, left_share(p)) for p in parts]).mean()


def test_places_learn_their_side() -> None:
    unet, adapter, loss = scene()
    optimizer = torch.optim.AdamW(
        [p for m in (unet, adapter) for p in m.parameters() if p.requires_grad], lr=3e-3
    )
    losses = []
    for _ in range(40):
        loss.begin()
        predict(unet, adapter)
        losses.append(loss.mean())
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < 0.6 * losses[0]


def test_drawing_is_not_heard() -> None:
    unet, adapter, loss = scene()
    loss.begin()
    predict(unet, adapter)
    heard = loss.mean()
    with torch.no_grad():
        predict(unet, adapter)
    assert torch.equal(loss.mean(), heard)
