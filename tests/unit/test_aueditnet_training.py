"""Training AUEditNet, its estimators and a small generator: data, losses, and that it learns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from face_pictures import TASK
from labelled_faces import write_faces
from PIL import Image
from tiny_wplus import EDITOR, random_editor, random_encoder, random_generator, write_ours
from torch import Tensor

from au_adapter.data.prepare_shards import prepare
from au_adapter.data.rendered import SAMPLE, load
from au_adapter.data.shards import make_label, shard_path, write_shard
from au_adapter.facs import SET_A
from au_adapter.models.aueditnet import with_intensities
from au_adapter.models.patch_critic import PatchCritic, critic_loss, deceiving_loss
from au_adapter.models.siamese import VGG16Trunk
from au_adapter.training.aligned_faces import (
    AlignedFaces,
    SubjectRows,
    augmented,
    cached_codes,
    load_aligned,
    settle_statistics,
    still_rows,
)
from au_adapter.training.editing_losses import PerceptualLoss, arcface_view, identity_loss
from au_adapter.training.recipes.aueditnet_recipe import (
    LOSSES,
    AUEditNetLoss,
    AUEditNetOptions,
)
from au_adapter.training.recipes.wplus_recipe import WPlusOptions, face_weights, feature_distance
from au_adapter.training.run import train
from au_adapter.weights.aueditnet_files import load_aueditnet, load_siamese
from au_adapter.weights.wplus_files import Framing, load_wplus
from tools.sample_faces import few_faces

FEW = {"steps": 2, "batch_size": 2, "warmup_steps": 0, "decay_steps": 0, "log_every": 1}
SMALL = {
    "channels": [16, 16, 8], "style": 16, "stages": [16, 24, 32, 40], "blocks": [1, 1, 1, 1],
    "seen": 32, "mixed_precision": "no",
}  # fmt: skip
EDITOR_SIZES = {"width": 8, "hidden": 12, "layers": 1, "labels": 4}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every recipe after two steps, each on what the one before left."""
    folder = tmp_path_factory.mktemp("runs")
    data = [few_faces(folder / "faces")]
    faces = {"zoom": 0.72, "lower": 0.35}
    siamese = {"size": 32, "share": 0.05, "hidden": 8, **faces}
    estimator = train("siamese", data, folder / "f_pre", **FEW, **siamese)
    file = estimator / "siamese.safetensors"
    first = train("wplus", data, folder / "wplus", **FEW, **SMALL, estimator=file)
    wplus = first / "wplus.safetensors"
    later = {"start": wplus, "adversarial": 0.1, "mixed_precision": "no"}
    second = train("wplus", data, folder / "wplus2", **FEW, **later)
    wplus = second / "wplus.safetensors"
    networks = {"wplus": wplus, "estimator": file, "neutral_weight": 1.0}
    editor = train("aueditnet", data, folder / "editor", **FEW, **networks, **EDITOR_SIZES)
    return {"estimator": estimator, "first": first, "wplus": second, "editor": editor}


def test_what_the_recipes_leave_can_be_loaded(runs: dict[str, Path]) -> None:
    wplus = load_wplus(runs["wplus"] / "wplus.safetensors")
    editor = load_aueditnet(runs["editor"] / "aueditnet.safetensors")
    assert wplus.framing == Framing(0.72, 0.35) and wplus.licence == ""
    assert editor.space == wplus.space and editor.network.config.levels == tuple(range(6))
    assert load_siamese(runs["estimator"] / "siamese.safetensors").config.size == 32
    codes = wplus.invert(torch.rand(1, 3, 32, 32))
    assert wplus.generator(codes).shape == (1, 3, 16, 16)


def test_a_start_keeps_sizes_and_learns_on(runs: dict[str, Path]) -> None:
    first, second = (load_wplus(runs[n] / "wplus.safetensors") for n in ("first", "wplus"))
    assert first.generator.config == second.generator.config
    assert first.space != second.space
    assert not torch.equal(first.encoder.latlayer1.weight, second.encoder.latlayer1.weight)


def test_the_editor_knows_the_codes_it_was_trained_on(runs: dict[str, Path]) -> None:
    editor = load_aueditnet(runs["editor"] / "aueditnet.safetensors").network
    assert editor.mean.any() and (editor.deviation > 0).all()


def named_faces(names: str) -> AlignedFaces:
    aus = torch.arange(len(names) * 12.0).reshape(-1, 12)
    return AlignedFaces(torch.zeros(len(names), 4, 4, 3, dtype=torch.uint8), aus, tuple(names))


def test_pairs_are_of_one_person_and_the_other_of_somebody_else() -> None:
    names = "abacbbad"
    source, target, other = SubjectRows(named_faces(names)).draw(
        400, torch.Generator().manual_seed(0)
    )
    for s, t, o in zip(source.tolist(), target.tolist(), other.tolist(), strict=True):
        assert names[s] == names[t] and s != t and names[o] != names[s]
    assert set(source.tolist()) == {0, 1, 2, 4, 5, 6}  # c and d have one picture only
    assert set(other.tolist()) == set(range(8))


def test_the_most_neutral_picture_is_the_persons_own() -> None:
    rows = SubjectRows(named_faces("abab"))
    assert rows.most_neutral(torch.tensor([[2.0], [0], [1], [3]])).tolist() == [2, 1, 2, 1]


def test_statistics_are_those_of_the_weights_that_are_kept(tmp_path: Path) -> None:
    faces = load_aligned([few_faces(tmp_path / "faces")], 32, Framing(0.72, 0.35))
    encoder = random_encoder().train()
    settle_statistics(encoder, faces, 32)
    assert encoder.training
    stem = encoder.input_layer[1]
    seen = torch.nn.functional.conv2d(
        faces.pictures(torch.arange(8)), encoder.input_layer[0].weight, padding=1
    )
    torch.testing.assert_close(stem.running_mean, seen.mean((0, 2, 3)), atol=5e-3, rtol=0)


@pytest.mark.parametrize("names", ["aaa", "abc"])
def test_too_few_people_or_pictures_are_refused(names: str) -> None:
    with pytest.raises(ValueError, match="take two people or more"):
        SubjectRows(named_faces(names))


def test_faces_that_do_not_say_who_they_are_are_refused() -> None:
    faces = replace(named_faces("aab"), subjects=("a", "", ""))
    with pytest.raises(ValueError, match="2 of 3 faces do not say who they are"):
        SubjectRows(faces)


def test_pictures_of_one_scene_are_cut_out_at_one_place() -> None:
    labels = [{"scene": 4}, {"scene": 4}, {}, {"scene": 5}, {"scene": 4}]
    aus = np.array([[3.0], [0], [0], [2], [1]])
    assert still_rows(labels, aus) == [1, 1, 2, 3, 1]


def write_disfa_of_renders(folder: Path) -> Path:
    """DISFA's folders, with renders as frames: subjects of the folds 1, 2 and 3, four frames of
    each."""
    faces = load(SAMPLE, 12)
    for number, name in enumerate(("SN001", "SN013", "SN003")):
        (folder / "labels" / name).mkdir(parents=True)
        (folder / "frames" / name).mkdir(parents=True)
        rows = range(4 * number, 4 * number + 4)
        for column, unit in enumerate(SET_A):
            values = [round(float(faces.aus[row, column])) for row in rows]
            lines = [f"{i},{value}" for i, value in enumerate(values, 1)]
            file = folder / "labels" / name / f"{name}_au{unit}.txt"
            file.write_text("\n".join(lines))
        for i, row in enumerate(rows):
            Image.fromarray(faces.images[row]).resize((256, 256)).save(
                folder / "frames" / name / f"{i:05d}.jpg"
            )
    return folder


def test_disfa_trains_by_its_folds(tmp_path: Path) -> None:
    disfa = write_disfa_of_renders(tmp_path / "disfa")
    shards = tmp_path / "shards"
    prepare("disfa", disfa / "frames", disfa / "labels", shards, folds=(1, 2))
    faces = load_aligned([shards], 32, Framing(0.72, 0.35), landmarker=TASK)
    assert len(faces) > 4 and set(faces.subjects) == {"SN001", "SN013"}
    again = load_aligned([shards], 32, Framing(0.72, 0.35), landmarker=TASK)
    assert torch.equal(again.images, faces.images)
    result = train(
        "siamese", [shards], tmp_path / "run", **FEW, size=32, share=0.05, hidden=8, landmarker=TASK
    )
    assert (result / "siamese.safetensors").is_file()


def test_pictures_without_a_face_are_left_out_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    grey = write_faces(tmp_path / "grey", [2])
    with pytest.raises(ValueError, match="no face was found in the pictures"):
        load_aligned([grey], 32, Framing(), landmarker=TASK)
    assert "2 of 2 pictures of" in caplog.text
    rendered = load(SAMPLE, 1).images[0]
    Image.fromarray(rendered).resize((200, 200)).save(tmp_path / "face.png")
    label = make_label({"12": 2.0}, "", {"subject": "her"})
    content = (tmp_path / "face.png").read_bytes()
    (tmp_path / "one").mkdir()
    write_shard(shard_path(tmp_path / "one", 0), [("0", "png", content, label)])
    found = load_aligned([tmp_path / "one"], 32, Framing(0.72, 0.35), landmarker=TASK)
    assert found.subjects == ("her",) and found.aus[0, SET_A.index(12)] == 2


def test_codes_are_made_once(tmp_path: Path) -> None:
    wplus = load_wplus(write_ours(tmp_path)[0])
    faces = load_aligned([few_faces(tmp_path / "faces", 5)], 32, wplus.framing)
    codes = cached_codes(faces, wplus, tmp_path / "cache")
    torch.testing.assert_close(codes, wplus.invert(faces.pictures(torch.arange(5))))
    (kept,) = (tmp_path / "cache").iterdir()
    written = kept.stat().st_mtime_ns
    assert torch.equal(cached_codes(faces, wplus, tmp_path / "cache"), codes)
    assert kept.stat().st_mtime_ns == written
    other = replace(wplus, mean=wplus.mean + 1)
    assert not torch.equal(cached_codes(faces, other, tmp_path / "cache"), codes)


def test_a_loss_without_its_network_is_left_out_and_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "au_adapter"):
        weights = AUEditNetOptions(wplus="a", estimator="b").weights()
    assert weights == {
        **{"reconstruction": 8.0, "perceptual": 0.0, "pretrained": 0.5},
        **{"identity": 0.0, "label": 1.0, "neutral": 0.0},
    }
    assert "perceptual loss is left out: set vgg=FILE" in caplog.text


@pytest.mark.parametrize(
    "wrong",
    [{"branch": "triple"}, {"label_weight": -1.0}, {"hidden": 0}, {"hard": "yes"}],
)
def test_options_that_cannot_be_are_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        AUEditNetOptions(wplus="a", **wrong)
    with pytest.raises(ValueError, match="four numbers each"):
        WPlusOptions(stages=(32, 32, 64, 96))


def test_losses_by_hand() -> None:
    one, two = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.6, 0.8]])
    assert float(identity_loss((one, two), one)) == pytest.approx(0.4)
    assert arcface_view(torch.rand(1, 3, 256, 256), Framing()).shape == (1, 3, 112, 112)
    features = torch.rand(2, 3, 4, 4)
    assert float(feature_distance(features, 5 * features)) < 1e-6
    assert float(feature_distance(features, -features)) == pytest.approx(4, rel=1e-4)
    weights = face_weights(64)
    assert weights.mean() == pytest.approx(1) and weights[32, 32] == pytest.approx(
        3 * float(weights[0, 0])
    )
    pictures = torch.rand(4, 3, 8, 8) * 2 - 1
    changed = augmented(pictures, torch.Generator().manual_seed(0))
    assert changed.abs().max() <= 1 and not torch.equal(changed, pictures)


def test_the_critic_and_who_deceives_it_do_not_teach_each_other() -> None:
    critic = PatchCritic(8)
    real, drawn = torch.rand(2, 3, 16, 16), torch.rand(2, 3, 16, 16, requires_grad=True)
    critic_loss(critic, real, drawn).backward()
    assert drawn.grad is None and critic.layers[0].weight.grad.any()
    critic.zero_grad()
    deceiving_loss(critic, drawn).backward()
    assert drawn.grad.any() and critic.layers[0].weight.grad is None


def test_the_perceptual_loss_takes_torchvisions_file(tmp_path: Path) -> None:
    torch.manual_seed(0)
    torch.save(VGG16Trunk().state_dict(), tmp_path / "vgg16.pth")  # torchvision's names, see there
    loss, pictures = PerceptualLoss(tmp_path / "vgg16.pth"), torch.rand(1, 3, 32, 32)
    assert loss(pictures, pictures) == 0 and loss(pictures, -pictures) > 0
    torch.save({"features.0.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match="does not hold torchvision's vgg16"):
        PerceptualLoss(tmp_path / "other.pth")


def batch_of(size: int, generator: torch.Generator, world: tuple[Tensor, Tensor]) -> dict:
    """Pairs in a world where a person is an offset in W+ and each AU a direction."""
    people, directions = world
    who = torch.randint(len(people), (3, size), generator=generator)
    aus = torch.randint(0, 6, (3, size, 12), generator=generator).float()
    aus = aus * (torch.arange(12) < 2)  # two AUs live
    codes = [people[w] + torch.einsum("nk,kms->nms", a / 5, directions) for w, a in zip(
        (who[0], who[0], who[1]), aus, strict=True)]  # fmt: skip
    return {
        "codes": codes[0], "other_codes": codes[2], "aus": aus[0], "target_aus": aus[1],
        "wanted": codes[1], "neutral": people[who[0]],
    }  # fmt: skip


def learned(dual: bool, steps: int = 80) -> tuple[float, float]:
    """Errors of target and neutral pictures, in shares of those of doing nothing, on people that
    were not trained on, after some steps in a world of codes."""
    torch.manual_seed(0)
    generator = random_generator()
    editor = random_editor(replace(EDITOR, hidden=48, width=24)).requires_grad_(True)
    for name, parameter in editor.named_parameters():
        if name.startswith("decoder.layers.1"):
            torch.nn.init.normal_(parameter, std=0.01)
    directions = torch.zeros(12, 6, 16)
    directions[:2] = 1.2 * torch.randn(2, 6, 16)
    world = 0.3 * torch.randn(40, 6, 16), directions
    weights = {**dict.fromkeys(LOSSES, 0.0), "reconstruction": 1.0, "label": 1.0}
    loss = AUEditNetLoss(editor, generator, None, None, None, Framing(), weights, dual)
    optimizer = torch.optim.Adam(editor.parameters(), 3e-3)
    random = torch.Generator().manual_seed(1)
    for _ in range(steps):
        batch = batch_of(16, random, (world[0][:30], directions))
        with torch.no_grad():
            batch["target"] = generator(batch["wanted"])
        batch["source"] = batch["target"]
        optimizer.zero_grad()
        loss(batch).backward()
        optimizer.step()
    with torch.no_grad():
        batch = batch_of(64, random, (world[0][30:], directions))
        seen = editor.embed(batch["codes"])
        target = with_intensities(editor, seen, batch["target_aus"])
        pictures = {
            name: generator(codes)
            for name, codes in (
                ("source", batch["codes"]), ("wanted", batch["wanted"]),
                ("neutral", batch["neutral"]),
                ("moved", editor.moved(batch["codes"], seen, target)),
                ("relaxed", editor.neutral(batch["codes"], seen)),
            )
        }  # fmt: skip

    def error(one: str, other: str) -> float:
        return float((pictures[one] - pictures[other]).square().mean())

    return (
        error("moved", "wanted") / error("source", "wanted"),
        error("relaxed", "neutral") / error("source", "neutral"),
    )


def test_it_learns_to_edit_people_it_has_not_seen_and_only_two_branches_relax_them() -> None:
    """Table 4's contrast: with one branch W_N may be anything, as the same residual comes back."""
    (target, relaxed), (single_target, single_relaxed) = learned(dual=True), learned(dual=False)
    assert target < 0.4 and single_target < 0.4
    assert relaxed < 0.5 and single_relaxed > 2 * relaxed
