"""Stage I of VQ-AUFace: codes against brute force and against the library, losses by hand."""

from __future__ import annotations

import pytest
import torch
from tiny_vqauface import CODEC, tiny_codec
from torch import nn

from au_adapter.models.vqauface import CodecConfig, ResidualVQGAN
from au_adapter.models.vqauface.codec import BUNDLED
from au_adapter.models.vqauface.codec_loss import (
    CodecLoss,
    LossWeights,
    balance,
    commitment_loss,
    edge_loss,
    feature_loss,
    reconstruction_loss,
)
from au_adapter.models.vqauface.discriminator import (
    PatchDiscriminator,
    discriminator_loss,
    generator_loss,
)
from au_adapter.models.vqauface.residual_codes import ResidualCodes
from au_adapter.training.recipes.vqauface_codec_recipe import LearningCodes


def a_batch(count: int = 3, **switches: bool) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    pictures = torch.rand(count, 3, 32, 32, generator=generator) * 2 - 1
    names = ("quantised", "judged", "anatomy")
    given = {n: torch.full((count,), switches.get(n, True)) for n in names}
    return {"pictures": pictures, **given}


def test_codes_are_the_nearest_of_what_is_left_over() -> None:
    codes = ResidualCodes(12, 3, 3)
    codes.codebook.normal_(generator=torch.Generator().manual_seed(0))
    vectors = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(1))
    ids = codes.ids(vectors)
    assert ids.shape == (2, 5, 3)
    for vector, found in zip(vectors.flatten(0, 1), ids.flatten(0, 1), strict=True):
        for code in found:
            distances = [float((vector - other).norm()) for other in codes.codebook]
            assert distances[code] == pytest.approx(min(distances))
            vector = vector - codes.codebook[code]
    whole = codes.vectors(ids)
    torch.testing.assert_close(whole[0, 0], codes.codebook[ids[0, 0]].sum(0))


def test_learnt_codes_are_read_as_the_library_reads_them() -> None:
    torch.manual_seed(0)
    learning, codec = LearningCodes(CODEC).train(), ResidualVQGAN(CODEC)
    for _ in range(3):
        learning(torch.randn(4, 64, CODEC.code_width))
    learning.eval().copy_into(codec)
    vectors = torch.randn(4, 64, CODEC.code_width)
    coded, ids, _ = learning.passes(vectors)
    assert (codec.codes.ids(vectors) == ids).float().mean() > 0.99  # distances round otherwise
    torch.testing.assert_close(codec.codes.vectors(ids), coded, atol=1e-5, rtol=0)


def test_pictures_come_back_at_their_size_from_their_codes() -> None:
    codec, pictures = tiny_codec(), a_batch()["pictures"]
    ids = codec.encode(pictures)
    assert ids.shape == (3, 64, 2) and ids.min() >= 0 and ids.max() < CODEC.codes
    assert codec.decode(ids).shape == pictures.shape
    with torch.no_grad():
        torch.testing.assert_close(
            codec.decode(ids), codec.decode_vectors(codec.codes.vectors(ids))
        )


def test_a_codec_starts_as_the_best_linear_one() -> None:
    """What is left of the pixels is what the smaller singular values hold (Eckart and Young)."""
    generator = torch.Generator().manual_seed(3)
    rough = torch.rand(40, 3, 8, 8, generator=generator) * 2 - 1
    pictures = nn.functional.interpolate(rough, (32, 32), mode="bicubic")
    codec = ResidualVQGAN(CODEC)
    codec.start_from_principal_components(pictures)
    with torch.no_grad():
        vectors = codec.encode_vectors(pictures)
        left = (codec.decode_vectors(vectors) - pictures).square().sum()
    cells = nn.functional.pixel_unshuffle(pictures, 4).movedim(1, -1).flatten(0, 2)
    lengths = torch.linalg.svdvals(cells - cells.mean(0))
    # The mean of a cell is one colour here, as a transposed convolution has one for each channel.
    spread = (cells.mean(0).reshape(3, -1) - cells.mean(0).reshape(3, -1).mean(1, True)).square()
    expected = lengths[CODEC.code_width :].square().sum() + len(cells) * spread.sum()
    torch.testing.assert_close(left, expected, rtol=0.02, atol=0)
    assert vectors.square().mean().sqrt() == pytest.approx(1, abs=0.01)


def test_the_full_size_is_the_papers() -> None:
    full = CodecConfig()
    assert (full.codes, full.side, full.cells * full.depth) == (65_536, 16, 2048)
    assert (BUNDLED.side, BUNDLED.size) == (16, 128)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"size": 100}, "multiple of 16"),
        ({"widths": (12, 20), "size": 128}, "multiples of 8, found 12"),
        ({"depth": 0}, "at least 1"),
    ],
)
def test_a_codec_that_cannot_be_is_refused(sizes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CodecConfig(**sizes)


def test_losses_of_the_paper_by_hand() -> None:
    real, made = torch.tensor([2.0, 0.5]), torch.tensor([-3.0, 0.5])
    assert discriminator_loss(real, made) == pytest.approx((0 + 0.5) / 2 + (0 + 1.5) / 2)
    assert generator_loss(made) == pytest.approx(1.25)
    pictures, rebuilt = torch.zeros(1, 3, 4, 4), torch.full((1, 3, 4, 4), 0.5)
    assert reconstruction_loss(pictures, rebuilt) == pytest.approx(0.5)
    assert edge_loss(pictures, rebuilt) == 0
    rebuilt[..., 0] = 0.0  # one step of 0.5 in each row, of three
    assert edge_loss(pictures, rebuilt) == pytest.approx(0.5 / 3)
    seen = feature_loss(lambda x: x.mean((1, 2, 3))[:, None], pictures, torch.ones(1, 3, 4, 4))
    assert seen == pytest.approx(0.25)  # 0.5 and 1.0 in 0..1


def test_the_commitment_of_all_passes_is_rqvaes() -> None:
    """Sum over d of || z - z_hat_d ||^2, written out."""
    torch.manual_seed(0)
    learning = LearningCodes(CODEC).train()
    learning(torch.randn(4, 64, CODEC.code_width))
    book = learning.passes.codebooks[0].clone()
    vectors = torch.randn(2, 8, CODEC.code_width)
    _, passes = learning(vectors)
    codes = ResidualCodes(CODEC.codes, CODEC.code_width, CODEC.depth)
    codes.codebook.copy_(book)
    ids, expected = codes.ids(vectors), 0.0
    for depth in range(1, CODEC.depth + 1):
        expected += (vectors - book[ids[..., :depth]].sum(-2)).square().mean()
    torch.testing.assert_close(commitment_loss(passes), expected, atol=1e-5, rtol=1e-5)


def test_balance_makes_two_gradients_of_one_length() -> None:
    layer = nn.Parameter(torch.ones(3))
    first, second = (4 * layer).sum(), (layer * 0.5).sum()
    weight = balance(first, second, layer)
    assert weight == pytest.approx(8.0, rel=1e-3)


def test_neither_player_learns_from_the_others_loss() -> None:
    torch.manual_seed(0)
    weights = LossWeights(adversarial=1.0, edges=0.0, commitment=0.0)
    loss = CodecLoss(tiny_codec(), LearningCodes(CODEC), weights, PatchDiscriminator(8, 2))
    batch = a_batch(quantised=False)
    pictures = batch["pictures"]
    loss(batch).backward()
    rebuilt = loss.codec.decode_vectors(loss.codec.encode_vectors(pictures)).detach()
    mine = loss.discriminator
    found = [p.grad.clone() for p in mine.parameters()]
    mine.zero_grad()
    discriminator_loss(*mine(torch.cat([pictures, rebuilt])).chunk(2)).backward()
    for one, other in zip(found, [p.grad for p in mine.parameters()], strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)
    assert all(p.grad is not None for p in loss.codec.parameters())


@pytest.mark.parametrize("term", ["adversarial", "perceptual", "anatomical"])
def test_each_term_can_be_switched_off(term: str) -> None:
    torch.manual_seed(0)
    features = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 4)).requires_grad_(False)
    parts = {"perceptual": features, "anatomical": features}
    totals = []
    for weight in (1.0, 0.0):
        torch.manual_seed(0)
        weights = LossWeights(**{**dict.fromkeys(("adversarial", "perceptual", "anatomical"), 0.0)})
        weights = LossWeights(**{**vars(weights), term: weight})
        players = PatchDiscriminator(8, 2) if weights.adversarial else None
        loss = CodecLoss(tiny_codec(), LearningCodes(CODEC), weights, players, **parts)
        totals.append(float(loss(a_batch()).detach()))
    plain = float(CodecLoss(tiny_codec(), LearningCodes(CODEC), LossWeights())(
        a_batch(quantised=False)).detach())  # fmt: skip
    assert totals[0] != totals[1] and plain > 0


def test_the_anatomy_waits_until_there_is_a_face() -> None:
    torch.manual_seed(0)
    seen = []
    loss = CodecLoss(
        tiny_codec(),
        LearningCodes(CODEC),
        LossWeights(),
        anatomical=lambda x: seen.append(x.shape) or x.mean((2, 3)),
    )
    loss(a_batch(quantised=False, anatomy=False))
    assert not seen
    loss(a_batch(quantised=False))
    assert seen == [(3, 3, 32, 32)] * 2
