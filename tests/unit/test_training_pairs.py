"""MagicFace's recipe: pairs of one person, changes of AUs, and what two steps of it leave."""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from pair_pictures import bundled_encoder
from tiny_demo import demo_unet, write_demo

from au_adapter.data.rendered import SAMPLE, RenderedSet, load
from au_adapter.models.autoencoder import SCALING_FACTOR
from au_adapter.models.magicface import AU_ENCODERS, MagicFace, widen_unet
from au_adapter.training.pairs import FacePairs, Partners, draw_change, with_jaw
from au_adapter.training.run import train
from au_adapter.weights.magicface_files import load_magicface, save_networks

TINY = {"steps": 2, "batch_size": 2, "learning_rate": 1e-3, "log_every": 1}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first two people of the committed sample, where a run may write its caches."""
    folder = tmp_path_factory.mktemp("faces")
    shard = min(SAMPLE.glob("*.tar"))
    with tarfile.open(shard) as whole, tarfile.open(folder / shard.name, "w") as part:
        for entry in whole.getmembers()[: 3 * 8]:
            part.addfile(entry, whole.extractfile(entry))
    return folder


@pytest.fixture(scope="module")
def faces(data: Path) -> RenderedSet:
    return load(data)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_demo(tmp_path_factory.mktemp("base"))


def test_partners_are_the_other_pictures_of_a_person() -> None:
    partners = Partners(np.array([7, 8, 7, 9, 7, 9]))
    found = {row: partners.of(row).tolist() for row in partners.rows}
    assert found == {0: [2, 4], 2: [0, 4], 4: [0, 2], 3: [5], 5: [3]}
    with pytest.raises(ValueError, match="no person among 3 pictures has two"):
        Partners(np.array([1, 2, 3]))


def test_partners_are_far_enough_apart_in_their_video() -> None:
    people, frames = np.array([1, 1, 1, 1, 2, 2]), np.array([0, 5, 10, -1, 7, 8])
    partners = Partners(people, frames, 6)
    found = {row: partners.of(row).tolist() for row in partners.rows}
    assert found == {0: [2, 3], 1: [3], 2: [0, 3], 3: [0, 1, 2]}  # -1 is of no video
    with pytest.raises(ValueError, match="two of them, 9 frames apart or more,"):
        Partners(people[4:], frames[4:], 9)


def test_pairs_are_of_one_person_and_say_how_the_aus_change(
    faces: RenderedSet, data: Path, base: Path
) -> None:
    pairs = FacePairs([data], bundled_encoder(base), SCALING_FACTOR, unchanged=0.5)
    generator = torch.Generator().manual_seed(0)
    photo, target = pairs.rows(400, generator)
    assert (faces.identity[photo] == faces.identity[target]).all()
    assert 0.4 < (photo == target).float().mean() < 0.6
    assert len({*zip(photo.tolist(), target.tolist(), strict=True)}) == 8 * 4  # every pair
    batch = pairs.draw(3, torch.Generator().manual_seed(1))
    assert batch["photo"].shape == batch["background"].shape == (3, 4, 16, 16)
    again = pairs.draw(3, torch.Generator().manual_seed(1))
    assert all(torch.equal(batch[name], again[name]) for name in batch)


def test_a_change_of_nothing_differs_from_a_dropped_one() -> None:
    change = torch.zeros(2000, 12)
    change[1000:] = 2.0
    drawn = draw_change(change, torch.Generator().manual_seed(0))
    zero = (drawn == 0).all(-1)
    for half in (zero[:1000], zero[1000:]):
        assert 0.07 < half.float().mean() < 0.13
    assert (drawn[1000:][~zero[1000:]] == 2).all()  # noise is on nothing else
    assert 0.19 < drawn[:1000][~zero[:1000]].std() < 0.21


def test_the_condition_is_the_background_with_the_jaw_on_black(faces: RenderedSet) -> None:
    behind = with_jaw(faces)
    person = faces.masks > 200
    row, jaw = 0, np.round(faces.labels[0]["jaw"]).astype(int)
    clear = faces.masks == 0
    for x, y in jaw:  # the dots lie on both
        for mask in (person, clear):
            mask[row, max(y - 4, 0) : y + 5, max(x - 4, 0) : x + 5] = False
    assert behind.images[row][person[row]].max() == 0
    assert np.array_equal(behind.images[row][clear[row]], faces.images[row][clear[row]])
    chin = jaw[8]
    assert behind.images[row, chin[1], chin[0], 0] > 150
    assert with_jaw(faces, 2).images.shape == (8, 256, 256, 3)


def test_two_steps_change_both_networks_and_the_result_loads(
    data: Path, base: Path, tmp_path: Path
) -> None:
    result = train("magicface", [data], tmp_path / "run", base=str(base), **TINY)
    network = load_magicface(result / "magicface.safetensors")
    start = MagicFace(widen_unet(demo_unet()), demo_unet())
    assert network.state_dict().keys() == start.state_dict().keys()
    for weights in (network.unet.conv_in.weight[:, 4:], network.unet.conv_in.weight[:, :4]):
        assert weights.abs().sum() > 0
    again = train(
        "magicface",
        [data],
        tmp_path / "more",
        base=str(base),
        start=str(result / "magicface.safetensors"),
        **TINY,
    )
    continued = load_magicface(again / "magicface.safetensors")
    for name in ("unet.conv_in.weight", "id_encoder.conv_in.weight", "au_encoder.linear.weight"):
        before, after = (n.state_dict()[name] for n in (network, continued))
        assert 0 < (before - after).abs().max() < 0.1, name


@pytest.mark.parametrize("au_encoder", AU_ENCODERS)
@pytest.mark.parametrize("controller", ["released", "paper"])
def test_every_variant_is_written_and_read_the_same(
    au_encoder: str, controller: str, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    network = MagicFace(widen_unet(demo_unet(), au_encoder), demo_unet(), au_encoder, controller)
    again = load_magicface(save_networks(network, tmp_path / "m.safetensors"))
    assert again.options == network.options
    expected = network.state_dict()
    assert all(torch.equal(t, expected[name]) for name, t in again.state_dict().items())


def test_the_papers_variant_trains(data: Path, base: Path, tmp_path: Path) -> None:
    options = {"au_encoder": "mlp_conv", "controller": "paper", **TINY}
    result = train("magicface", [data], tmp_path / "run", base=str(base), **options)
    assert load_magicface(result / "magicface.safetensors").options["controller"] == "paper"
