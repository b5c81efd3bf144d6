"""The seam of base families: which one a folder is, and one that comes from outside."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from labelled_faces import write_faces
from safetensors.torch import load_file, save_file
from tiny_demo import write_demo
from tiny_sdxl import write_sdxl
from tiny_stable_diffusion import write_stable_diffusion

from au_adapter import AUVector, load_adapter
from au_adapter.bases import FAMILIES, base_name, family_of, find_family, load_base
from au_adapter.training.modes import checkpoint_gradients
from au_adapter.training.recipes import RECIPES, choose, find_recipe
from au_adapter.training.recipes.fineface_recipe import FineFaceOptions, FineFaceRecipe
from au_adapter.training.run import train
from au_adapter.training.validation import Case, draw_cases

OUTSIDE = '''
"""A Stable Diffusion that is told the AUs of nobody, with pictures twice as bright in training."""

from pathlib import Path

from au_adapter import AUVector
from au_adapter.bases import StableDiffusionFamily, register


class Outside(StableDiffusionFamily):
    name, title = "outside", "a base from outside"
    au_encoder = "mlp"
    recipe_defaults = {"fineface": {"batch_size": 3, "lora_rank": 2, "plain_loss": True}}

    def matches(self, unet):
        return unet.get("block_out_channels") == [32, 64] and unet["sample_size"] == 4


register(Outside())
'''


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A small base of each family."""
    folder = tmp_path_factory.mktemp("bases")
    return {
        "bundled": write_demo(folder / "bundled"),
        "sd15": write_stable_diffusion(folder / "one", "sd15"),
        "sd21": write_stable_diffusion(folder / "two"),
        "sdxl": write_sdxl(folder / "three"),
    }


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_faces(tmp_path_factory.mktemp("faces"), (5, 6, 7))


@pytest.mark.parametrize("name", ["bundled", "sd15", "sd21", "sdxl"])
def test_a_folder_is_known_by_its_content(bases: dict[str, Path], name: str) -> None:
    family = find_family(bases[name])
    assert family.name == name
    assert [each.name for each in FAMILIES if each.detect(bases[name])] == [name]
    pipeline = load_base(bases[name])
    parts = [getattr(pipeline, part) for part in family.parts]
    assert not any(p.requires_grad for network in parts for p in network.parameters())
    assert family_of(pipeline) is family and base_name(bases[name]) == {
        "bundled": "AU-Adapter demo", "sd15": "one", "sd21": "two", "sdxl": "three"
    }[name]  # fmt: skip
    tokens = family.tokenize(pipeline, ["a man", ""])
    text = family.encode_text(pipeline, tokens).states
    assert text.shape == (2, 77, pipeline.unet.config.cross_attention_dim)
    asked = {"num_images_per_prompt": 1, "do_classifier_free_guidance": False, "device": "cpu"}
    encoded = pipeline.encode_prompt(prompt=["a man", ""], **asked)[0]
    torch.testing.assert_close(text, encoded, rtol=0, atol=0)
    both = family.encode_prompts(pipeline, ["a man", "a"], guided=True)
    asked = {"num_images_per_prompt": 1, "do_classifier_free_guidance": True, "device": "cpu"}
    encoded = pipeline.encode_prompt(prompt=["a man", "a"], **asked)
    assert torch.equal(both.states, torch.cat([encoded[1], encoded[0]]))
    if both.added:
        assert torch.equal(both.added["text_embeds"], torch.cat([encoded[3], encoded[2]]))


def test_what_is_no_base_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no .*nothing: name a folder"):
        find_family(tmp_path / "nothing")
    other = tmp_path / "flux"
    (other / "transformer").mkdir(parents=True)
    (other / "model_index.json").write_text("{}")
    with pytest.raises(ValueError, match="flux is no base .*Known: the bundled model, Stable"):
        find_family(other)
    file = tmp_path / "lora.safetensors"
    save_file({"weight": torch.zeros(2)}, file)
    with pytest.raises(ValueError, match="lora.safetensors is no base that is known here"):
        load_base(file)


def test_families_are_found_without_diffusers(bases: dict[str, Path]) -> None:
    """ComfyUI has no diffusers, and its nodes ask for the family of a checkpoint."""
    code = (
        "import sys; sys.modules |= dict.fromkeys(('diffusers', 'peft'))\n"
        f"from au_adapter.bases import find_family; print(find_family({str(bases['sd15'])!r}).name)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert answer.stdout.strip() == "sd15", answer.stderr


def test_defaults_are_the_bases(bases: dict[str, Path]) -> None:
    for name in ("sd15", "sd21", "sdxl"):
        chosen = choose("fineface", {"base": bases[name], "steps": 100})
        assert choose(f"fineface-{name}", {"base": bases[name], "steps": 100}) == chosen
        assert (chosen.settings.learning_rate, chosen.settings.batch_size) == (1e-4, 16)
        assert chosen.options.caption_dropout == 0 and chosen.given == {"base": bases[name]}
    bundled = choose("fineface", {"base": bases["bundled"], "steps": 100})
    assert bundled.settings.learning_rate == 1e-3 and bundled.options.caption_dropout == 0.1
    assert (
        choose("fineface", {"base": bases["sd21"], "caption_dropout": 0.3}).options.caption_dropout
        == 0.3
    )


@pytest.mark.parametrize("name", RECIPES)
def test_an_unknown_option_lists_those_of_the_recipe(name: str) -> None:
    with pytest.raises(
        ValueError, match=f"{name} has no setting 'colour'; it has .*batch_size"
    ) as e:
        choose(name, {"colour": 1})
    assert ("caption_dropout" in str(e.value)) == name.startswith(("fineface", "lora", "dream"))


@pytest.mark.parametrize("name", ["sd15", "sd21", "sdxl"])
def test_fineface_trains_without_lora_by_its_defaults(
    bases: dict[str, Path], data: Path, tmp_path: Path, name: str
) -> None:
    result = train(
        f"fineface-{name}", [data], tmp_path / "run", base=bases[name], lora_rank=0, lanes=1,
        steps=2, batch_size=2, mixed_precision="no",
    )  # fmt: skip
    adapter = load_adapter(result / "adapter.safetensors")
    assert adapter.config.lora_rank == 0 and not adapter.lora


def test_activations_are_computed_twice_without_lora_too(
    bases: dict[str, Path], data: Path
) -> None:
    gradients = []
    for twice in (False, True):
        torch.manual_seed(0)
        recipe = FineFaceRecipe([data], FineFaceOptions(bases["sd21"], lanes=1, lora_rank=0))
        if twice:
            checkpoint_gradients(recipe.module)
            assert recipe.pipeline.unet.is_gradient_checkpointing
        recipe.module(recipe.batch(2, torch.Generator().manual_seed(1))).backward()
        trained = recipe.module.adapter.to_v.named_parameters()
        gradients.append({name: p.grad for name, p in trained})
    for name, expected in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], expected, msg=name)


@pytest.mark.parametrize("encoder", ["none", "res_mlp64", "individual"])
def test_tokens_lie_where_the_adapter_is(bases: dict[str, Path], data: Path, encoder: str) -> None:
    """A device without numbers stands for a GPU."""
    options = FineFaceOptions(bases["sd21"], lanes=1, lora_rank=2, encoder=encoder)
    recipe = FineFaceRecipe([data], options)
    generator = recipe.generator(recipe.module.to("meta"))
    assert generator.adapter.encode(AUVector.parse("12C")).device.type == "meta"
    assert generator.adapter.encode_zero().device.type == "meta"


def test_a_family_from_outside_draws_and_trains(data: Path, tmp_path: Path) -> None:
    """One file, no change in the package."""
    file, before = tmp_path / "outside_family.py", list(FAMILIES)
    file.write_text(OUTSIDE)
    base = write_stable_diffusion(tmp_path / "base")
    config = json.loads((base / "unet" / "config.json").read_text())
    (base / "unet" / "config.json").write_text(json.dumps(config | {"sample_size": 4}))
    assert find_family(base).name == "sd21"
    spec = importlib.util.spec_from_file_location("outside_family", file)
    try:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
        assert find_family(base).name == "outside"
        result = train(
            "fineface", [data], tmp_path / "run", base=base, steps=3, lanes=1, mixed_precision="no",
            learning_rate=1e-2,
        )  # fmt: skip
        described = json.loads((result / "training.json").read_text())["settings"]
        assert described["batch_size"] == 3
        config = load_adapter(result / "adapter.safetensors").config
        assert (config.encoder, config.lora_rank, config.base) == ("mlp", 2, "base")
        start = str(result / "adapter.safetensors")
        recipe = choose("fineface", {"base": base, "start": start, "lora_rank": 2}).open([data])
        cases = [Case("a man", 1, {}), Case("a man", 1, {"12": 5.0})]
        with torch.no_grad():
            pictures = draw_cases(recipe.generator(recipe.module, 2), cases, recipe.units)
        assert pictures.shape == (2, 32, 32, 3) and not torch.equal(pictures[0], pictures[1])
    finally:
        FAMILIES[:] = before


def test_a_bundled_unet_is_saved_with_the_rest(bases: dict[str, Path], tmp_path: Path) -> None:
    base, family = bases["bundled"], find_family(bases["bundled"])
    pipeline = load_base(base)
    family.save_unet(pipeline.unet, base, tmp_path)
    assert find_family(tmp_path).name == "bundled"
    found = load_base(tmp_path).unet.state_dict()
    assert all(found[n].equal(t) for n, t in load_file(base / "unet.safetensors").items())


def test_an_unknown_recipe_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="'fine-face' is not known: choose .*fineface"):
        find_recipe("fine-face")


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_has_its_place_in_the_docs(name: str) -> None:
    page = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
    table = page.partition("| Recipe | Trains | Base |")[2].partition("\n\n")[0]
    assert f"`{name}`" in table
