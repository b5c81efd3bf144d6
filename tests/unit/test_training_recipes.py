"""Every recipe on a few committed renders: it trains, changes what it should, the result loads."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from face_pictures import TASK
from PIL import Image
from safetensors.torch import load_file
from tiny_demo import write_demo
from tiny_sdxl import write_sdxl
from tiny_stable_diffusion import write_stable_diffusion
from tiny_vqauface import write_codec
from tiny_wplus import small_recipes

from au_adapter import AUVector, apply_to_unet, load_adapter
from au_adapter.bundled import load_diffusers_pipeline
from au_adapter.data.rendered import SAMPLE, RenderedSet, find_renders, load
from au_adapter.estimators.bundled_regressor import load_regressor, read_files
from au_adapter.facs import SET_A
from au_adapter.models.calibration import Calibration, ResponseCurve
from au_adapter.training.face_tensors import (
    cached_latents,
    to_unit_range,
)
from au_adapter.training.recipes import RECIPES
from au_adapter.training.recipes.base_recipe import BaseOptions, BaseRecipe
from au_adapter.training.recipes.fineface_recipe import (
    SIDE_WEIGHT,
    FineFaceOptions,
    FineFaceRecipe,
)
from au_adapter.training.run import train
from au_adapter.weights.adapter_files import adapter_hash, save_adapter
from au_adapter.weights.autoencoder_files import load_autoencoder

FACES = 6  # of each shard
# AUEditNet's learn from more than faces, see test_aueditnet_training.
LEARNS_FACES = [name for name in RECIPES if name not in ("aueditnet", "siamese", "wplus")]
TINY = {
    "steps": 2, "batch_size": 2, "mixed_precision": "no", "warmup_steps": 0, "decay_steps": 0,
    "log_every": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first faces of the committed sample, where a run may write its caches."""
    folder = tmp_path_factory.mktemp("faces")
    for shard in sorted(SAMPLE.glob("*.tar")):
        with tarfile.open(shard) as whole, tarfile.open(folder / shard.name, "w") as part:
            for entry in whole.getmembers()[: 3 * FACES]:
                part.addfile(entry, whole.extractfile(entry))
    return folder


@pytest.fixture(scope="module")
def faces(data: Path) -> RenderedSet:
    return load(data)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_demo(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def results(data: Path, base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The result folder of two steps of every recipe, by its name."""
    on_a_base, folder = {"base": str(base)}, tmp_path_factory.mktemp("bases")
    streamed = {"lanes": 2, "lora_rank": 4}
    needs = {
        **small_recipes(folder),
        "demo-autoencoder": {},
        "demo-base": {"autoencoder": str(base)},
        "dreambooth": {**on_a_base, "prior_count": 2},
        "estimator": {"landmarker": str(TASK)},
        "fineface-sd15": {"base": write_stable_diffusion(folder / "sd15", "sd15"), **streamed},
        "fineface-sd21": {"base": write_stable_diffusion(folder / "sd21"), **streamed},
        "fineface-sdxl": {"base": write_sdxl(folder / "sdxl"), **streamed},
        "magicface": {**on_a_base, "learning_rate": 1e-3},
        "magicface-sd15": {"base": folder / "sd15"},
        "regressor": {},
        "vq-auface": {"codec": str(write_codec(folder / "codec")), "lanes": 2, "width": 24},
        "vq-auface-codec": {"lanes": 2, "size": 32, "widths": [8, 16, 16], "codes": 16},
    }
    output = tmp_path_factory.mktemp("results")
    return {
        name: train(name, [data], output / name, **TINY, **needs.get(name, on_a_base))
        for name in LEARNS_FACES
    }


@pytest.mark.parametrize("name", LEARNS_FACES)
def test_every_recipe_trains_on_renders(results: dict[str, Path], name: str) -> None:
    rows = (results[name].parent / "log.jsonl").read_text().splitlines()
    losses = [json.loads(row)["loss"] for row in rows]
    assert len(losses) == 2 and np.isfinite(losses).all()
    described = json.loads((results[name] / "training.json").read_text())
    assert described["step"] == 2 and described["settings"]["batch_size"] == 2


def test_a_file_says_what_was_chosen_and_no_folder(results: dict[str, Path], base: Path) -> None:
    described = json.loads((results["fineface"] / "training.json").read_text())
    assert described["options"] == {"base": base.name}
    kept = load_adapter(results["fineface"] / "adapter.safetensors").provenance
    assert kept["options"] == {"base": base.name}


def test_settings_that_do_not_fit_are_named(data: Path, base: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="fineface has no setting 'rank'; it has .*lora_rank"):
        train("fineface", [data], tmp_path, base=str(base), rank=4, **TINY)
    with pytest.raises(ValueError, match="demo-base needs a folder: --set autoencoder=FOLDER"):
        train("demo-base", [data], tmp_path, **TINY)
    with pytest.raises(ValueError, match="fineface-sd15 needs a folder: --set base=FOLDER"):
        train("fineface-sd15", [data], tmp_path, **TINY)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("sides", "no", "sides is true or false, not 'no'"),
        ("stream", "off", "stream is true or false"),
        ("plain_loss", 1, "plain_loss is true or false, not 1"),
        ("caption_dropout", 7, "caption_dropout is a number from 0 to 1, not 7"),
        ("lanes", 0, "lanes is a whole number of at least 1, not 0"),
        ("buffer", 0, "buffer is a whole number of at least 1"),
        ("lora_rank", 2.5, "lora_rank is a whole number of at least 0, not 2.5"),
    ],
)
def test_settings_of_a_recipe_that_cannot_be_are_named(
    data: Path, base: Path, tmp_path: Path, name: str, value: object, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        train("fineface", [data], tmp_path / "run", base=str(base), **{name: value}, **TINY)


def test_rendered_stands_for_the_faces_at_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AU_ADAPTER_CACHE", str(tmp_path))
    assert find_renders() == SAMPLE
    shutil.copytree(SAMPLE, tmp_path / "rendered")
    assert find_renders() == tmp_path / "rendered"


def test_a_trained_base_is_a_pipeline(results: dict[str, Path]) -> None:
    pipeline = load_diffusers_pipeline(results["demo-base"])
    pipeline.set_progress_bar_config(disable=True)
    pictures = pipeline("a young man", num_inference_steps=1, output_type="np").images
    assert pictures.shape == (1, 128, 128, 3) and np.isfinite(pictures).all()


def test_a_base_keeps_the_tokenizer_that_it_learned_with(
    data: Path, base: Path, results: dict[str, Path], tmp_path: Path
) -> None:
    fresh = BaseRecipe([data], BaseOptions(base))
    again = BaseRecipe([data], BaseOptions(base, start=base))  # of a vocabulary of its own
    assert len(again.tokenizer) < len(fresh.tokenizer)
    for recipe, folder in ((fresh, results["demo-base"]), (again, base)):
        (tmp_path / folder.name).mkdir()
        recipe.save(recipe.module, tmp_path / folder.name)
        for path in (folder / "tokenizer").iterdir():
            assert (tmp_path / folder.name / "tokenizer" / path.name).read_bytes() == (
                path.read_bytes()
            )
    assert {path.name for path in data.iterdir() if path.suffix != ".tar"} == {"cache"}


def test_a_trained_autoencoder_loads(results: dict[str, Path], faces: RenderedSet) -> None:
    autoencoder = load_autoencoder(results["demo-autoencoder"])
    assert not any(p.requires_grad for p in autoencoder.parameters())
    pictures = to_unit_range(torch.from_numpy(faces.images))
    again = autoencoder.decode(autoencoder.encode(pictures))
    assert (again - pictures).abs().mean() < 0.12  # principal components already do that


@pytest.mark.parametrize("adversarial", [0.0, 0.02])
def test_a_continued_autoencoder_keeps_its_latents(
    results: dict[str, Path], data: Path, tmp_path: Path, adversarial: float
) -> None:
    start = results["demo-autoencoder"]
    options = {"start": str(start), "adversarial": adversarial}
    result = train("demo-autoencoder", [data], tmp_path / "run", **options, **TINY)
    before, after = (load_file(folder / "vae.safetensors") for folder in (start, result))
    changed = {name for name, tensor in before.items() if not torch.equal(tensor, after[name])}
    assert changed
    assert all(name.startswith(("decoder.", "patches_out.")) for name in changed)


def test_a_trained_regressor_reads_files(
    results: dict[str, Path], base: Path, tmp_path: Path, faces: RenderedSet
) -> None:
    regressor = load_regressor(results["regressor"] / "regressor.safetensors")
    Image.fromarray(faces.images[0]).save(tmp_path / "face.png")
    (reading,) = read_files(regressor, [tmp_path / "face.png"])
    assert list(reading) == [str(unit) for unit in SET_A]
    assert all(0 <= value <= 5 for value in reading.values())
    with pytest.raises(ValueError, match="is no AU regressor: .*give regressor.safetensors"):
        load_regressor(base / "vae.safetensors")


def test_a_trained_adapter_goes_on_its_base(results: dict[str, Path], base: Path) -> None:
    adapter = load_adapter(results["fineface"] / "adapter.safetensors")
    assert adapter.config.units == SET_A and adapter.config.lora_rank == 32
    assert adapter.config.base == "AU-Adapter demo"
    assert torch.isfinite(adapter.encode(AUVector.from_dict({12: 3.0}))).all()
    unet = load_diffusers_pipeline(base).unet
    apply_to_unet(unet, adapter).remove()


def test_fineface_changes_the_adapter_and_nothing_else(data: Path, base: Path) -> None:
    torch.manual_seed(0)
    recipe = FineFaceRecipe([data], FineFaceOptions(base))
    before = {k: v.clone() for k, v in recipe.module.state_dict().items()}
    _descend(recipe, recipe.batch(2, torch.Generator().manual_seed(0)), steps=2)
    after = recipe.module.state_dict()
    changed = {name for name in after if not torch.equal(after[name], before[name])}
    trained = {name for name, p in recipe.module.named_parameters() if p.requires_grad}
    assert changed == trained
    parts = ("adapter.encoder.", "adapter.to_v.", ".lora_A.", ".lora_B.")
    assert all(sum(part in name for part in parts) == 1 for name in trained)
    assert all(any(part in name for name in trained) for part in parts)
    for kind, network in (
        ("unet", recipe.module.unet),
        ("text_encoder", recipe.module.text_encoder),
    ):
        shipped = load_file(base / f"{kind}.safetensors")
        now = {k.replace(".base_layer", ""): v for k, v in network.state_dict().items()}
        assert all(torch.equal(now[name], weight) for name, weight in shipped.items())


def test_fineface_learns_one_batch(data: Path, base: Path) -> None:
    torch.manual_seed(0)
    recipe = FineFaceRecipe(
        [data], FineFaceOptions(base, lora_rank=4, smoothing="none", caption_dropout=0.0)
    )
    batch = recipe.batch(2, torch.Generator().manual_seed(0))
    losses = _descend(recipe, batch, steps=8)
    assert losses[-1] < 0.9 * losses[0]
    assert np.isfinite(losses).all()


def _descend(recipe: FineFaceRecipe, batch: dict[str, torch.Tensor], steps: int) -> list[float]:
    trained = [p for p in recipe.module.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=2e-3)
    losses = []
    for _ in range(steps):
        loss = recipe.module(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_fineface_goes_on_from_an_adapter(
    data: Path, base: Path, results: dict[str, Path], tmp_path: Path
) -> None:
    path = results["fineface"] / "adapter.safetensors"
    recipe = FineFaceRecipe([data], FineFaceOptions(base, start=str(path)))
    recipe.save(recipe.module, tmp_path)
    found, expected = load_file(tmp_path / "adapter.safetensors"), load_file(path)
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def test_a_start_keeps_its_encoder_and_loses_its_curves(
    data: Path, base: Path, results: dict[str, Path], tmp_path: Path
) -> None:
    path = results["fineface"] / "adapter.safetensors"
    for other in ({"encoder": "individual"}, {"lora_rank": 3}):
        with pytest.raises(ValueError, match=f"adapter.safetensors has the {next(iter(other))} "):
            FineFaceRecipe([data], FineFaceOptions(base, start=str(path), **other))
    calibrated = tmp_path / "calibrated.safetensors"
    curves = Calibration("somebody", {12: ResponseCurve((0.0, 5.0), (0.0, 4.0))})
    save_adapter(load_adapter(path).with_calibration(curves), calibrated)
    recipe = FineFaceRecipe([data], FineFaceOptions(base, start=str(calibrated)))
    assert load_adapter(calibrated).calibration and recipe.module.adapter.calibration is None


def test_fineface_batches_say_what_is_asked(data: Path, base: Path, faces: RenderedSet) -> None:
    recipe = FineFaceRecipe(
        [data], FineFaceOptions(base, smoothing="none", caption_dropout=0.5, plain_loss=True)
    )
    batch = recipe.batch(64, torch.Generator().manual_seed(0))
    again = recipe.batch(64, torch.Generator().manual_seed(0))
    assert all(torch.equal(batch[name], again[name]) for name in batch)
    labels = {tuple(row) for row in faces.aus.tolist()}
    assert {tuple(row) for row in batch["aus"].tolist()} <= labels
    dropped = (batch["tokens"] == recipe.faces.empty).all(1).float().mean()
    assert 0.3 < dropped < 0.7
    unweighted = {**batch, "weights": 7 * batch["weights"]}
    recipe.module.eval()
    with torch.no_grad():
        few = [{k: v[:1] for k, v in one.items()} for one in (batch, unweighted)]
        assert recipe.module(few[0]) == recipe.module(few[1])


def test_renders_stream_into_the_demo_too(data: Path, base: Path, faces: RenderedSet) -> None:
    recipe = FineFaceRecipe([data], FineFaceOptions(base, smoothing="none", stream=True, lanes=1))
    batch = recipe.batch(4, torch.Generator().manual_seed(0))
    pictures = {picture.tobytes(): i for i, picture in enumerate(faces.images)}
    shown = [pictures[picture.numpy().tobytes()] for picture in batch["pictures"]]
    assert torch.equal(batch["aus"], torch.from_numpy(faces.aus[shown]))
    assert torch.isfinite(recipe.module(batch))


def test_an_adapter_may_learn_other_units(data: Path, base: Path, tmp_path: Path) -> None:
    units = (*SET_A, 7, 10, 14, 23, 24)
    result = train("fineface", [data], tmp_path, base=str(base), units=list(units), **TINY)
    assert load_adapter(result / "adapter.safetensors").config.units == units
    with pytest.raises(ValueError, match="this run learns .*name at least those units"):
        FineFaceRecipe([data], FineFaceOptions(base, start=str(result / "adapter.safetensors")))


@pytest.mark.parametrize("stream", [False, True])
def test_an_adapter_may_learn_both_sides(
    data: Path, base: Path, faces: RenderedSet, stream: bool
) -> None:
    recipe = FineFaceRecipe(
        [data], FineFaceOptions(base, sides=True, smoothing="none", stream=stream, lanes=1)
    )
    aus = recipe.batch(4, torch.Generator().manual_seed(0))["aus"]
    both = {
        (*left, *right)
        for left, right in zip(faces.left.tolist(), faces.right.tolist(), strict=True)
    }
    assert aus.shape == (4, 24) and {tuple(row) for row in aus.tolist()} <= both
    asked = recipe.module.adapter.config.rows(AUVector.from_dict({"L1": 2.0, "12": 3.0}))
    assert asked[0].nonzero().flatten().tolist() == [0, 6, 18]
    batch = recipe.batch(4, torch.Generator().manual_seed(1))
    loss = recipe.module(batch)
    recipe.module.sides, sides = None, recipe.module.sides
    torch.testing.assert_close(loss, recipe.module(batch) + SIDE_WEIGHT * sides.mean())


def test_the_best_adapter_is_kept_by_its_faces(
    data: Path, base: Path, results: dict[str, Path], tmp_path: Path
) -> None:
    judged = shutil.copytree(base, tmp_path / "base")
    shutil.copy(results["regressor"] / "regressor.safetensors", judged)
    train(
        "fineface", [data], tmp_path / "run", base=str(judged), units=[12], validate_every=1, **TINY
    )
    rows = (tmp_path / "run" / "validation.jsonl").read_text().splitlines()
    measures = [json.loads(row) for row in rows]
    assert [row["step"] for row in measures] == [1, 2]
    described = json.loads((tmp_path / "run" / "best" / "training.json").read_text())
    assert described["measures"]["au_error"] == min(row["au_error"] for row in measures)
    best = load_adapter(tmp_path / "run" / "best" / "adapter.safetensors")
    assert best.provenance == described and described["recipe"] == "fineface"
    assert described["data"][0]["faces"] == 2 * FACES and "12" in described["data"][0]["units"]
    assert list(described["measures"]["response"]["12"]) == ["0", "2", "4"]
    assert described["measures"]["estimator"] == "au-adapter demo regressor"
    again = load_adapter(save_adapter(best, tmp_path / "again.safetensors"))
    assert again.provenance == best.provenance and adapter_hash(again) == adapter_hash(best)
    with Image.open(tmp_path / "run/validation/step-0000002/pictures.png") as sheet:
        # No AU and AU12, 2 prompts x 2 levels, 128 pixels and 6 between.
        assert sheet.size == (190 + 2 * 134 + 6, 2 * 26 + 4 * 134)


def test_a_dreambooth_of_the_demo_is_a_base(results: dict[str, Path]) -> None:
    assert load_diffusers_pipeline(results["dreambooth"]).unet.config.sample_size == 16


def test_latents_are_computed_once_and_have_unit_scale(
    base: Path, tmp_path: Path, faces: RenderedSet
) -> None:
    autoencoder = load_autoencoder(base)
    first = cached_latents(faces, autoencoder, tmp_path / "cache")
    assert first.shape == (2 * FACES, 4, 16, 16) and first.dtype == torch.float32
    (file,) = (tmp_path / "cache").iterdir()
    written = file.stat().st_mtime_ns
    assert torch.equal(cached_latents(faces, autoencoder, tmp_path / "cache"), first)
    assert file.stat().st_mtime_ns == written
    with torch.no_grad():
        autoencoder.patches_in.bias.add_(1)
    assert not torch.equal(cached_latents(faces, autoencoder, tmp_path / "cache"), first)
    assert len(list((tmp_path / "cache").iterdir())) == 2
