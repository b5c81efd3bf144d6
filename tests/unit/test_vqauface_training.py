"""The recipes of VQ-AUFace on a few committed renders: pairs, resuming, judging, refusals."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from labelled_faces import write_picture
from safetensors.torch import load_file
from tiny_vqauface import write_codec

from au_adapter.data.references import choose_references
from au_adapter.data.rendered import SAMPLE, load
from au_adapter.data.shards import make_label, shard_path, write_shard
from au_adapter.estimators.bundled_regressor import BundledRegressor, load_regressor
from au_adapter.facs import AUVector
from au_adapter.models.vqauface import VQAUFaceConfig
from au_adapter.models.vqauface.vqauface import bundled_config
from au_adapter.training.recipes.vqauface_recipe import VQAUFaceOptions, VQAUFaceRecipe
from au_adapter.training.reference_pairs import ReferencePairs, text_of
from au_adapter.training.run import train
from au_adapter.weights.vqauface_files import load_codec, load_vqauface

TINY = {"batch_size": 4, "mixed_precision": "no", "log_every": 1, "lanes": 2, "buffer": 8}
CODEC = {
    "size": 32, "patch": 2, "widths": [8, 16], "blocks": 1, "code_width": 4, "codes": 24, "depth": 2
}  # fmt: skip
TEACHERS = {"quantised_from": 1, "judged_from": 1, "anatomy_from": 1}
NETWORK = {"width": 32, "layers": 1, "heads": 2}
REGRESSOR = Path(load.__code__.co_filename).parents[1] / "bundled" / "regressor.safetensors"


def write_people(folder: Path, people: dict[str, list[dict[str, float]]], **about: object) -> Path:
    """Shards of people's pictures, each of a grey of its own, with their AUs."""
    faces = []
    for person, rows in people.items():
        for number, aus in enumerate(rows):
            grey = 10 * len(faces)
            file = write_picture(folder / "pictures" / f"{grey}.png", grey, (32, 32))
            label = make_label(aus, "", {"identity": person, **about})
            faces.append((f"{person}-{number}", "png", file.read_bytes(), label))
    write_shard(shard_path(folder, 0), faces)
    return folder


def test_the_reference_is_a_relaxed_picture_else_the_first() -> None:
    rows = [("a", f"a{n}", {"12": 3.0 * (n % 2)}) for n in range(20)]
    rows += [("b", "b0", {"4": 2.0}), ("b", "b1", {"4": 1.0})]
    found = choose_references(rows, seed=1)
    assert int(found["a"][1:]) % 2 == 0 and found["b"] == "b0"
    assert choose_references(reversed(rows), seed=1)["a"] == found["a"]
    assert len({choose_references(rows, seed)["a"] for seed in range(8)}) > 2


def test_pairs_are_of_one_person_and_the_reference_shows_nothing() -> None:
    pairs = ReferencePairs([SAMPLE], 128, 0, 2, 32)
    faces = load(SAMPLE)
    batch = pairs.read(0, 16)
    for reference, target, label in zip(*vars(batch).values(), strict=True):
        same = faces.identity == label["identity"]
        shown = [np.array_equal(reference, picture) for picture in faces.images[same]]
        assert sum(shown) == 1 and reference.shape == target.shape
        relaxed = (faces.aus[same] < 0.5).all(1)
        assert not relaxed.any() or relaxed[shown].all()
    again = ReferencePairs([SAMPLE], 128, 0, 2, 32).read(0, 16)
    assert np.array_equal(again.targets, batch.targets)


def test_a_marked_reference_is_taken(tmp_path: Path) -> None:
    folder = write_people(tmp_path, {"a": [{"12": 3.0}, {"12": 0.0}]})
    marked = write_people(tmp_path / "marked", {"a": [{"12": 3.0}]}, reference=True)
    assert ReferencePairs([folder], 32, 0, 1, 4).references["a"].max() == 10
    assert ReferencePairs([folder, marked], 32, 0, 1, 4).references["a"].max() == 0


def test_labels_without_a_person_are_refused(tmp_path: Path) -> None:
    file = write_picture(tmp_path / "0.png", 3, (8, 8))
    faces = [("one", "png", file.read_bytes(), make_label({"12": 1.0}, ""))]
    write_shard(shard_path(tmp_path, 0), faces)
    with pytest.raises(ValueError, match="does not say whose it is"):
        ReferencePairs([tmp_path], 8, 0, 1, 4)


def test_texts_say_what_labels_say_and_no_more() -> None:
    config = bundled_config()
    label = make_label({"12": 4.0, "16": 3.0}, "")
    text = text_of(label, config, seed=3)
    assert AUVector.from_text(text).dict() == {"12": 4.0}  # AU16 is not among its units
    assert len({text_of(label, config, seed) for seed in range(30)}) == 5
    occurs = text_of({**label, "occurrence": True}, config, seed=3)
    assert "strongly" in text and "strongly" not in occurs
    sided = make_label({"L12": 4.0}, "")
    assert "left" not in text_of(sided, config, 1)
    apart = VQAUFaceConfig(words=config.words, sides=True)
    assert "left" in text_of(sided, apart, 1)


def weights(result: Path, name: str) -> dict[str, torch.Tensor]:
    return load_file(result / name)


def test_a_codec_resumes_to_the_same_weights_and_codes(tmp_path: Path) -> None:
    """Codes are moving averages, which no optimizer keeps."""
    told = {**TINY, **CODEC, **TEACHERS, "anatomy": str(REGRESSOR)}
    whole = train("vq-auface-codec", [SAMPLE], tmp_path / "whole", steps=4, **told)
    train("vq-auface-codec", [SAMPLE], tmp_path / "parts", steps=2, **told)
    parts = train("vq-auface-codec", [SAMPLE], tmp_path / "parts", steps=4, **told)
    found, expected = (weights(r, "codec.safetensors") for r in (parts, whole))
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, atol=0, rtol=0, msg=name)
    assert expected["codes.codebook"].any()
    assert load_codec(whole / "codec.safetensors").config.size == 32


def test_a_codec_learns_pictures(tmp_path: Path) -> None:
    told = {**TINY, **CODEC, "adversarial": 0.0, "learning_rate": 3e-3, "quantised_from": 0}
    train("vq-auface-codec", [SAMPLE], tmp_path, steps=60, **{**told, "log_every": 10})
    rows = [json.loads(line)["loss"] for line in (tmp_path / "log.jsonl").open()]
    assert rows[-1] < 0.8 * rows[0]


@pytest.mark.parametrize("driver", ["text", "vector"])
def test_stage_two_resumes_and_draws(driver: str, tmp_path: Path) -> None:
    codec = write_codec(tmp_path / "codec")
    told = {**TINY, **NETWORK, "codec": str(codec), "driver": driver}
    whole = train("vq-auface", [SAMPLE], tmp_path / "whole", steps=3, **told)
    train("vq-auface", [SAMPLE], tmp_path / "parts", steps=1, **told)
    parts = train("vq-auface", [SAMPLE], tmp_path / "parts", steps=3, **told)
    found, expected = (weights(r, "vqauface.safetensors") for r in (parts, whole))
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, atol=0, rtol=0, msg=name)
    network = load_vqauface(whole / "vqauface.safetensors")
    assert network.config.driver == driver
    before = load_file(codec / "codec.safetensors")
    assert all(torch.equal(expected[f"codec.{name}"], t) for name, t in before.items())


def test_a_judgement_holds_the_reference_beside(tmp_path: Path) -> None:
    codec = write_codec(tmp_path / "codec")
    reader = BundledRegressor(load_regressor(REGRESSOR))
    told = {**TINY, **NETWORK, "codec": str(codec), "validate_every": 1, "held_out": str(SAMPLE)}
    train("vq-auface", [SAMPLE], tmp_path / "run", estimate=reader, steps=1, **told)
    (row,) = map(json.loads, (tmp_path / "run" / "validation.jsonl").open())
    assert row["estimator"] == reader.name and row["faces"] == 1.0
    assert row["au_error"] > 0 and row["au_error_of_references"] > 0
    assert (tmp_path / "run" / "validation" / "step-0000001" / "pictures.png").is_file()
    with pytest.raises(ValueError, match="validate_every needs something that reads AUs"):
        train("vq-auface", [SAMPLE], tmp_path / "other", steps=1, **told)


def test_a_codec_of_another_size_is_refused(tmp_path: Path) -> None:
    codec = write_codec(tmp_path / "codec")
    told = {**TINY, **NETWORK, "codec": str(codec)}
    result = train("vq-auface", [SAMPLE], tmp_path / "run", steps=1, **told)
    other = train("vq-auface-codec", [SAMPLE], tmp_path / "other", steps=1,
                  **{**TINY, **CODEC, "codes": 30, "adversarial": 0.0})  # fmt: skip
    options = VQAUFaceOptions(codec=other, start=result / "vqauface.safetensors")
    with pytest.raises(ValueError, match="name the codec that it was trained on"):
        VQAUFaceRecipe([SAMPLE], options)
    with pytest.raises(FileNotFoundError, match="no file of weights"):
        VQAUFaceRecipe([SAMPLE], VQAUFaceOptions(codec=tmp_path / "none"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sizes": "huge"}, "sizes is 'huge', expected full or bundled"),
        ({"structure": "no"}, "structure is true or false"),
        ({"untold": 2}, "untold is a number from 0 to 1"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        VQAUFaceOptions(codec="codec", **options)


def test_a_run_learns_on_from_a_file(tmp_path: Path) -> None:
    codec = write_codec(tmp_path / "codec")
    told = {**TINY, "codec": str(codec)}
    first = train("vq-auface", [SAMPLE], tmp_path / "first", steps=1, **{**told, **NETWORK})
    shutil.copytree(first, tmp_path / "kept")
    start = tmp_path / "kept" / "vqauface.safetensors"
    more = train("vq-auface", [SAMPLE], tmp_path / "more", steps=1, start=str(start), **told)
    found, before = (load_file(f) for f in (more / "vqauface.safetensors", start))
    name = "transformer.norm.weight"
    assert not torch.equal(found[name], before[name])
    assert torch.equal(found["codec.codes.codebook"], before["codec.codes.codebook"])
