"""CLIP-I, identity, background, head pose, LPIPS, FID and KID, by hand and through their own
packages. The backbones are small or random: this tests what is computed, not what they see."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from au_adapter.metrics import (
    background_rmse,
    clip_i,
    fid,
    head_pose_rmse,
    identity_cosine,
    identity_l2,
    inception_score,
    kid,
    lpips,
    lpips_network,
    person_rmse,
    picture_rmse,
)

GENERATOR = torch.Generator().manual_seed(3)
FACES = torch.rand(20, 8, 8, 3, generator=GENERATOR)


def mean_colour(images: torch.Tensor) -> torch.Tensor:
    return images.mean((1, 2))


def test_cosines_and_distance_by_hand() -> None:
    a, b = torch.tensor([[3.0, 4.0], [1.0, 0.0]]), torch.tensor([[4.0, 3.0], [0.0, 2.0]])
    for cosine in (clip_i, identity_cosine):
        assert cosine(a, b).tolist() == pytest.approx([24 / 25, 0])
    assert identity_l2(a, b).tolist() == pytest.approx([math.sqrt(2), math.sqrt(5)])
    assert identity_l2(a, a).tolist() == [0, 0]


def test_a_network_is_asked_in_batches_and_gives_the_same_as_its_embeddings() -> None:
    seen = []

    def encode(images: torch.Tensor) -> torch.Tensor:
        seen.append(len(images))
        return mean_colour(images)

    others = FACES.flip(0)
    by_network = clip_i(FACES, others, encode)
    assert seen == [16, 4, 16, 4]
    assert torch.equal(by_network, clip_i(mean_colour(FACES), mean_colour(others)))
    assert by_network.dtype == torch.float32 and by_network.shape == (20,)


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        (clip_i, "clip_i.*CLIP Vision"),
        (identity_l2, "identity_l2.*face recognition"),
        (identity_cosine, "identity_cosine.*face recognition"),
        (fid, "fid.*InceptionV3"),
        (kid, "kid.*InceptionV3"),
        (lpips, "lpips.*alexnet"),
    ],
)
def test_a_missing_network_is_named(metric, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        metric(FACES, FACES)


def test_background_by_hand() -> None:
    """Grey against black, half of it face; and one pixel of the background off by 1."""
    images, references = torch.zeros(2, 2, 2, 3), torch.zeros(2, 2, 2, 3)
    images[0] = 0.5
    images[1, 0, 0] = 1.0
    face = torch.zeros(2, 2, 2)
    face[:, 1] = 1
    assert background_rmse(images, references, face).tolist() == pytest.approx([0.5, 2**-0.5])
    # The other picture's face is left out too, here where the difference is.
    other = torch.zeros(2, 2, 2)
    other[:, 0, 0] = 1
    assert background_rmse(images, references, face, other).tolist() == pytest.approx([0.5, 0])
    # A soft edge counts by its share: (0.5 * 1) / 1.5.
    soft = face.clone()
    soft[:, 0, 0] = 0.5
    found = background_rmse(images, references, soft)[1].item()
    assert found == pytest.approx(math.sqrt(0.5 / 1.5))


def test_the_person_and_the_whole_picture_by_hand() -> None:
    """One of four pixels is off by 1: half of all, nothing outside it, and 1 / 3 beside another."""
    image, reference = torch.zeros(1, 2, 2, 3), torch.zeros(1, 2, 2, 3)
    image[0, 0, 0] = 1
    here, elsewhere = torch.zeros(1, 2, 2), torch.zeros(1, 2, 2)
    here[0, 0, 0] = elsewhere[0, 1, 1] = 1
    assert picture_rmse(image, reference).item() == 0.5
    assert person_rmse(image, reference, here).item() == 0
    assert person_rmse(image, reference, elsewhere).item() == pytest.approx((1 / 3) ** 0.5)
    assert person_rmse(image, reference, elsewhere, here).item() == 0


def test_lpips_by_hand() -> None:
    """Grey beside black is 1 apart on -1..1, for a network that takes mean squares."""
    grey, black = torch.full((2, 4, 4, 3), 0.5), torch.zeros(2, 4, 4, 3)
    assert lpips(grey, black, lambda a, b: (a - b).square().mean((1, 2, 3))).tolist() == [1, 1]


def test_background_that_is_not_there_and_what_the_face_does() -> None:
    face = torch.ones(20, 8, 8)
    assert background_rmse(FACES, FACES.flip(0), face).isnan().all()
    face[:, 0] = 0
    inside = FACES.clone()
    inside[:, 1:] = 0
    assert background_rmse(inside, FACES, face).tolist() == [0] * 20


def test_head_pose_by_hand_and_round_the_circle() -> None:
    poses = torch.tensor([[0.1, 0.2, 0.0], [math.pi - 0.03, 0, 0]])
    references = torch.tensor([[0.0, 0.0, 0.2], [-math.pi + 0.03, 0, 0]])
    expected = [math.sqrt((0.01 + 0.04 + 0.04) / 3), 0.06 / math.sqrt(3)]
    assert head_pose_rmse(poses, references).tolist() == pytest.approx(expected, rel=1e-4)
    with pytest.raises(ValueError, match="deg2rad"):
        head_pose_rmse(torch.full((1, 3), 20.0), torch.zeros(1, 3))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: background_rmse(FACES * 255, FACES, FACES[..., 0]), "0 to 1"),
        (lambda: background_rmse(FACES, FACES[:3], FACES[..., 0]), "one shape"),
        (lambda: background_rmse(FACES, FACES, torch.ones(20, 4, 4)), r"\[20, 8, 8\]"),
        (lambda: background_rmse(FACES, FACES, torch.full((20, 8, 8), 2.0)), "masks from 0 to 1"),
        (lambda: background_rmse(FACES[0], FACES[0], FACES[..., 0]), r"\[N, H, W, 3\]"),
        (lambda: clip_i(FACES, FACES, lambda images: images), r"as \[N, D\]"),
        (lambda: identity_l2(torch.tensor([[math.nan]]), torch.ones(1, 1)), "NaN"),
        (lambda: fid(torch.ones(1, 3), torch.ones(5, 3)), "two or more pictures"),
        (lambda: lpips(FACES, FACES[:2], lambda a, b: a), "one size"),
    ],
)
def test_errors_say_what_is_wrong(call, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()


def two_clouds() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(5)
    mix = random.normal(size=(3, 3))
    return random.normal(size=(40, 3)) @ mix + [1, 0, 0], random.normal(size=(30, 3)) * [1, 2, 3]


def test_fid_is_the_formula() -> None:
    a, b = two_clouds()
    first, second = np.cov(a.T), np.cov(b.T)
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(
        first + second - 2 * sqrtm(first @ second).real
    )
    assert fid(torch.tensor(a), torch.tensor(b)) == pytest.approx(expected, rel=1e-6)
    assert fid(torch.tensor(a), torch.tensor(a)) == pytest.approx(0, abs=1e-5)


def test_kid_is_the_formula_where_sets_are_taken_whole() -> None:
    a, b = (cloud[:25] for cloud in two_clouds())

    def kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return (x @ y.T / 3 + 1) ** 3

    within = [(k.sum() - np.trace(k)) / (25 * 24) for k in (kernel(a, a), kernel(b, b))]
    expected = sum(within) - 2 * kernel(a, b).mean()
    mean, deviation = kid(torch.tensor(a), torch.tensor(b), subsets=3)
    assert mean == pytest.approx(expected, rel=1e-6)
    assert deviation == pytest.approx(0, abs=1e-6)


def test_kid_is_repeatable_and_leaves_the_random_state_alone() -> None:
    a, b = map(torch.tensor, two_clouds())
    before = torch.random.get_rng_state()
    found = kid(a, b, subsets=4, subset_size=10, seed=1)
    assert found == kid(a, b, subsets=4, subset_size=10, seed=1)
    assert found != kid(a, b, subsets=4, subset_size=10, seed=2)
    assert torch.equal(before, torch.random.get_rng_state())


def test_the_inception_score_by_hand() -> None:
    """Sure of four classes, each as often: 4. Always the same class, or never sure: 1."""
    sure = 100 * torch.eye(4).repeat(5, 1)
    assert inception_score(sure, splits=1)[0] == pytest.approx(4)
    for alike in (sure[:1].repeat(20, 1), torch.zeros(20, 4)):
        assert inception_score(alike, splits=1)[0] == pytest.approx(1)
    before = torch.random.get_rng_state()
    assert inception_score(sure, splits=3) == inception_score(sure, splits=3)
    assert torch.equal(before, torch.random.get_rng_state())


def test_fid_of_pictures_goes_through_the_network() -> None:
    other = FACES.flip(0) * 0.5
    assert fid(FACES, other, mean_colour) == fid(mean_colour(FACES), mean_colour(other))


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of the layout that torchvision publishes, with random numbers in it."""
    from torchvision.models import squeezenet1_1

    path = tmp_path_factory.mktemp("backbone") / "squeezenet.pth"
    torch.save(squeezenet1_1(weights=None).state_dict(), path)
    return path


def test_lpips_reads_the_backbone_it_is_given(backbone: Path) -> None:
    network = lpips_network(backbone, "squeeze")
    weights = torch.load(backbone, weights_only=True)
    assert torch.equal(network.net.state_dict()["slice1.0.weight"], weights["features.0.weight"])
    images = torch.rand(2, 64, 64, 3, generator=GENERATOR)
    assert lpips(images, images, network).tolist() == [0, 0]
    found = lpips(images, images.flip(0), network)
    expected = network(*(side.permute(0, 3, 1, 2) * 2 - 1 for side in (images, images.flip(0))))
    assert found.shape == (2,) and (found > 0).all()
    assert torch.allclose(found, expected.flatten())
    assert torch.allclose(found[0], found[1], rtol=1e-4)  # a distance has no direction


def test_lpips_refuses_another_backbone(tmp_path: Path) -> None:
    path = tmp_path / "vgg16.pth"
    torch.save({"features.0.weight": torch.zeros(64, 3, 3, 3)}, path)
    with pytest.raises(ValueError, match="does not hold torchvision's squeezenet1_1.* 49 of 50"):
        lpips_network(path, "squeeze")
    path.write_text("no weights")
    with pytest.raises(ValueError, match="vgg16.pth is no file of weights as torchvision saves"):
        lpips_network(path, "squeeze")
    with pytest.raises(ValueError, match="choose one of alex, vgg, squeeze"):
        lpips_network(path, "resnet")


def test_a_missing_extra_is_named(backbone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("fid", "kid", "inception"):
        monkeypatch.setitem(sys.modules, f"torchmetrics.image.{module}", None)
    monkeypatch.setitem(sys.modules, "lpips", None)
    features = torch.rand(4, 2)
    for call in (fid, kid, lambda x, _: inception_score(x), lambda *_: lpips_network(backbone)):
        with pytest.raises(RuntimeError, match=r'pip install "au-adapter\[eval\]"'):
            call(features, features)
