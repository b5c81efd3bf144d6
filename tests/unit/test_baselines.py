"""FineFace's trained baselines by the method seam: what a recipe leaves draws as it drew."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from labelled_faces import write_faces
from safetensors.torch import load_file
from test_evaluation_methods import READER, SMALL
from tiny_demo import write_demo
from tiny_stable_diffusion import write_stable_diffusion

from au_adapter import AUVector
from au_adapter.bases import find_family
from au_adapter.cli import main
from au_adapter.evaluation.protocol_run import read_rows
from au_adapter.methods import open_generator
from au_adapter.training.drawing import GUIDANCE
from au_adapter.training.recipes import choose

RECIPES = {"lora-text": {}, "lora-au": {"encoder": "none"}, "dreambooth": {"prior_count": 1}}
AUS = AUVector.parse("6C+12D")


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("bases")
    return {
        "sd21": write_stable_diffusion(folder / "sd21"),
        "bundled": write_demo(folder / "bundled"),
    }


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_faces(tmp_path_factory.mktemp("faces"), [4])


@pytest.mark.parametrize("kind", ["sd21", "bundled"])
@pytest.mark.parametrize("name", RECIPES)
def test_a_result_draws_as_its_recipe_did(
    name: str, kind: str, bases: dict[str, Path], data: Path, tmp_path: Path
) -> None:
    options = {"base": str(bases[kind]), "stream": True, "lanes": 1, **RECIPES[name]}
    recipe = choose(name, options).open([data])
    torch.manual_seed(3)
    with torch.no_grad():
        for weight in (p for p in recipe.module.parameters() if p.requires_grad):
            weight.add_(0.05 * torch.randn_like(weight))
    recipe.save(recipe.module, tmp_path)
    drawn = recipe.generator(recipe.module.eval(), 2).draw("a man", 5, AUS)
    found = open_generator(
        name, trained=tmp_path, model=bases[kind], steps=2, guidance=GUIDANCE,
        schedule=recipe.generator(recipe.module, 2).schedule,
    )  # fmt: skip
    again = found.draw("a man", 5, AUS)
    assert (again - drawn).abs().max() < 1e-4
    plain = open_generator("base", model=bases[kind], steps=2, guidance=GUIDANCE)
    assert (plain.draw("a man", 5, AUS) - drawn).abs().max() > 1e-3


def test_a_baseline_is_evaluated_by_a_protocol(
    bases: dict[str, Path], data: Path, tmp_path: Path
) -> None:
    options = {"base": str(bases["sd21"]), "lanes": 1, "stream": True}
    recipe = choose("lora-au", options).open([data])
    recipe.save(recipe.module, tmp_path)
    protocol, output = tmp_path / "small.json", tmp_path / "out"
    protocol.write_text(json.dumps(SMALL))
    words = ["evaluate", protocol, "--output", output, "--method", "lora-au", "--model"]
    words += [bases["sd21"], "--set", f"trained={tmp_path}", "--steps", 1, "--limit", 2]
    answer = CliRunner().invoke(main, [*map(str, words), "--estimator", READER])
    assert answer.exit_code == 0, answer.output
    assert json.loads((output / "protocol.json").read_text())["method"] == "LoRA-AU"
    # Its pictures stay, for another tool or another estimator to measure.
    again = tmp_path / "again"
    words = ["evaluate", output / "pictures", "--requested", output / "requested.csv"]
    words += ["--output", again, "--estimator", READER]
    answer = CliRunner().invoke(main, [*map(str, words)])
    assert answer.exit_code == 0, answer.output
    first = {row.id: row for row in read_rows(output)}
    found = [row for row in read_rows(again) if row.group != "reference"]
    assert len(found) == 2
    for row in found:
        before = first[row.id.removesuffix(".png")]
        assert row.requested == before.requested
        assert row.measured == pytest.approx(before.measured, abs=0.01)  # 8 bits


def test_what_is_missing_is_said(bases: dict[str, Path], data: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="lora-au needs the option trained: the folder result"):
        open_generator("lora-au", model=bases["sd21"])
    with pytest.raises(FileNotFoundError, match=r"no .*unet/config.json: .*--recipe dreambooth"):
        open_generator("dreambooth", trained=tmp_path, model=bases["sd21"])
    recipe = choose("lora-text", {"base": str(bases["bundled"]), "stream": True}).open([data])
    recipe.save(recipe.module, tmp_path)
    with pytest.raises(ValueError, match="pytorch_lora_weights.safetensors does not fit the base"):
        open_generator("lora-text", trained=tmp_path, model=bases["sd21"])
    assert load_file(tmp_path / "pytorch_lora_weights.safetensors")


def test_stable_diffusion_has_settings_of_its_own(bases: dict[str, Path]) -> None:
    for name, rate in (("lora-text", 1e-4), ("lora-au", 1e-4), ("dreambooth", 5e-6)):
        settings = choose(name, {"base": str(bases["sd21"])}).settings
        assert (settings.learning_rate, settings.batch_size) == (rate, 16)
        assert choose(name, {"base": str(bases["bundled"])}).settings.batch_size == 32
        assert find_family(bases["sd21"]).recipe_defaults[name]["plain_loss"]
