"""AUEditNet's equations: what is exact, what learns, and what files keep."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tiny_wplus import EDITOR, random_editor
from torch import Tensor

from au_adapter.models.aueditnet import (
    AUEditNet,
    AUEditNetConfig,
    Conditions,
    estimated,
    label_loss,
    with_change,
    with_expression,
    with_intensities,
)
from au_adapter.models.siamese import SiameseAU, SiameseConfig, pretrained_loss
from au_adapter.weights.aueditnet_files import (
    load_aueditnet,
    load_siamese,
    save_aueditnet,
    save_siamese,
)


def some_codes(count: int = 3, seed: int = 1) -> Tensor:
    return torch.randn(count, 6, 16, generator=torch.Generator().manual_seed(seed))


def aus(**values: float) -> Tensor:
    row = torch.zeros(1, len(EDITOR.units))
    for name, value in values.items():
        row[0, EDITOR.units.index(int(name.removeprefix("au")))] = value
    return row


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("labels", [4, 0])
def test_equal_embeddings_give_the_codes_themselves(shared: bool, labels: int) -> None:
    network = random_editor(replace(EDITOR, shared=shared, labels=labels))
    codes = some_codes()
    seen = network.embed(codes)
    assert torch.equal(network.moved(codes, seen, seen.embedding), codes)
    assert torch.equal(network.moved(codes, seen, with_expression(network, seen, seen)), codes)
    nothing = with_change(network, seen, torch.zeros(3, 12))
    assert torch.equal(network.moved(codes, seen, nothing), codes)


def test_one_code_with_many_changes_keeps_that_without_one_exactly() -> None:
    network, codes = random_editor(), some_codes(1)
    seen = network.embed(codes)
    changes = torch.cat([aus(), aus(au12=3.0), aus(au4=-1.0)])
    moved = network.moved(codes, seen, with_change(network, seen, changes))
    assert torch.equal(moved[0], codes[0])
    assert not torch.equal(moved[1], codes[0]) and not torch.equal(moved[2], codes[0])


def test_the_neutral_code_does_not_depend_on_the_target() -> None:
    network, codes = random_editor(), some_codes()
    seen = network.embed(codes)
    before = network.neutral(codes, seen)
    network.moved(codes, seen, with_intensities(network, seen, aus(au12=5.0)))
    assert torch.equal(network.neutral(codes, seen), before)
    assert not torch.equal(before, codes)


def test_eq_2_takes_own_away_and_adds_the_target() -> None:
    network, codes = random_editor(), some_codes()
    seen = network.embed(codes)
    target = with_intensities(network, seen, aus(au12=2.0, au6=1.0).expand(3, -1))
    wanted = network.neutral(codes, seen) + network.residual(target)
    torch.testing.assert_close(network.moved(codes, seen, target), wanted)


@pytest.mark.parametrize("shared", [True, False])
def test_directions_are_added_by_active_intensities(shared: bool) -> None:
    network = random_editor(replace(EDITOR, shared=shared))
    active, intensity = torch.rand(2, 2, 6, 12)
    wanted = torch.zeros(2, 6, 8)
    for level in range(6):
        directions = network.directions if shared else network.directions[level]
        for unit in range(12):
            amount = active[:, level, unit] * intensity[:, level, unit]
            wanted[:, level] += amount[:, None] * directions[unit]
    torch.testing.assert_close(network.offset(Conditions(active, intensity)), wanted)


def test_only_the_levels_of_the_config_are_edited() -> None:
    network = random_editor(replace(EDITOR, levels=(1, 4)))
    codes = some_codes()
    seen = network.embed(codes)
    moved = network.moved(codes, seen, with_intensities(network, seen, aus(au12=5.0)))
    changed = (moved != codes).any(-1).any(0)
    assert changed.tolist() == [False, True, False, False, True, False]


def test_only_the_aus_of_a_region_change_places() -> None:
    network, seen = random_editor(), random_editor().embed(some_codes(1))
    other = network.embed(some_codes(1, seed=2))
    none, mouth = torch.zeros(12).bool(), torch.zeros(12).bool()
    mouth[6:] = True
    kept = with_expression(network, seen, other, none)
    torch.testing.assert_close(kept, seen.embedding)
    part = with_expression(network, seen, other, mouth)
    wanted = seen.embedding + network.offset(other.conditions.only(mouth))
    torch.testing.assert_close(part, wanted - network.offset(seen.conditions.only(mouth)))
    asked = aus(au1=5.0, au12=2.0)
    upper = with_intensities(network, seen, asked, ~mouth)
    without = with_intensities(network, seen, aus(au1=5.0), ~mouth)
    torch.testing.assert_close(upper, without)


def test_negative_and_fractional_intensities_are_active() -> None:
    network = random_editor(replace(EDITOR, labels=0))
    told = network.conditions(aus(au5=-1.0, au12=2.5))
    assert told.active[0, 0].nonzero().flatten().tolist() == [3, 6]
    assert told.intensity[0, :, 3].unique().tolist() == [pytest.approx(-0.2)]


def test_labels_start_as_they_are_on_every_level_and_back() -> None:
    torch.manual_seed(0)
    network, asked = AUEditNet(EDITOR), aus(au12=3.0, au4=1.0)
    told = network.conditions(asked)
    torch.testing.assert_close(told.intensity, (asked / 5)[:, None].expand(1, 6, 12))
    active, intensity = network.labels(told)
    torch.testing.assert_close(intensity, asked)
    assert ((active > 0.5) == (asked != 0)).all()


def test_a_hard_choice_is_all_or_nothing_and_still_learns() -> None:
    network = random_editor(replace(EDITOR, hard=True)).requires_grad_(True)
    seen = network.embed(some_codes())
    assert set(seen.conditions.active.detach().flatten().tolist()) <= {0.0, 1.0}
    network.offset(seen.conditions).sum().backward()
    assert network.encoder.layers[-1].weight.grad.abs().sum() > 0


def test_gradients_reach_every_part() -> None:
    network = random_editor().requires_grad_(True)
    codes = some_codes()
    seen, other = network.embed(codes), network.embed(some_codes(3, seed=2))
    target = with_intensities(network, other, aus(au12=3.0).expand(3, -1))
    moved = network.moved(codes, seen, target)
    neutral = network.neutral(codes, seen)  # the last bias of Phi_dec cancels in W_tar
    loss = moved.square().mean() + neutral.square().mean()
    (loss + label_loss(network, seen, aus(au4=2.0).expand(3, -1))).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


def test_estimates_stay_on_the_scale() -> None:
    read = estimated(random_editor(), random_editor().embed(10 * some_codes()))
    assert read.shape == (3, 12) and read.min() >= 0 and read.max() <= 5


def test_a_file_keeps_an_editor_to_the_bit(tmp_path: Path) -> None:
    config = replace(EDITOR, shared=False, hard=True, levels=(0, 2))
    network = random_editor(config)
    found = load_aueditnet(save_aueditnet(network, tmp_path / "a.safetensors", "abc"))
    assert (found.space, found.network.config) == ("abc", config)
    kept = found.network.state_dict()
    assert all(torch.equal(t, kept[name]) for name, t in network.state_dict().items())


def test_other_files_are_no_editors(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"weight": torch.zeros(2)}, path)
    with pytest.raises(ValueError, match="is no AUEditNet: its metadata lacks 'aueditnet'"):
        load_aueditnet(path)
    save_aueditnet(random_editor(), path, "abc")
    with pytest.raises(ValueError, match="is no Siamese AU estimator"):
        load_siamese(path)


@pytest.mark.parametrize(
    "config",
    [SiameseConfig(size=32, share=0.05, hidden=8), SiameseConfig(backbone="resnet50", size=32)],
    ids=["F_pre", "H_est"],
)
def test_an_estimator_of_differences(config: SiameseConfig, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = SiameseAU(config).eval()
    one, two = torch.rand(2, 2, 3, 40, 40) * 2 - 1
    with torch.no_grad():
        assert torch.equal(network(one, one), torch.zeros(2, 12))
        assert torch.equal(network(one, two), -network(two, one))
        again = load_siamese(save_siamese(network, tmp_path / "s.safetensors"))
        assert torch.equal(again(one, two), network(one, two))
    assert again.config == config


def test_the_backbones_are_torchvisions() -> None:
    from torchvision.models import vgg16

    with torch.device("meta"):
        ours = SiameseAU(SiameseConfig()).trunk.state_dict()
        theirs = vgg16().state_dict()
    shapes = {name: t.shape for name, t in theirs.items() if name.startswith("features")}
    assert {name: t.shape for name, t in ours.items()} == shapes


def test_the_pretrained_loss_is_nothing_for_the_same_picture() -> None:
    network, pictures = SiameseAU(SiameseConfig(size=32, share=0.05)), torch.rand(2, 3, 32, 32)
    stages, other = network.stages(pictures), network.stages(pictures.flip(-1))
    seen, change = network.compare(stages, other), network.compare(other, other)
    assert pretrained_loss(stages, stages, seen, seen) == 0
    by_hand = sum(((a - b) ** 2).mean() for a, b in zip(stages, other, strict=True)) / 5
    by_hand = by_hand + ((seen - change) ** 2).mean() / 25
    torch.testing.assert_close(pretrained_loss(stages, other, seen, change), by_hand)


def test_unknown_backbones_are_refused() -> None:
    with pytest.raises(ValueError, match="choose vgg16, resnet50"):
        SiameseConfig(backbone="vgg19")
    with pytest.raises(ValueError, match="share is of vgg16 alone"):
        SiameseConfig(backbone="resnet50", share=0.5)


def test_the_default_size_is_about_29_million() -> None:
    with torch.device("meta"):
        network = AUEditNet(AUEditNetConfig())
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(29e6, rel=0.05)
