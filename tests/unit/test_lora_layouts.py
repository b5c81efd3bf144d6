"""A LoRA beside FineFace's files, in the layouts of diffusers, peft and kohya."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers.utils import convert_state_dict_to_kohya
from peft import LoraConfig, get_peft_model
from published import SD21, lora, write_published
from safetensors.torch import load_file, save_file
from tiny_unet import SD15 as TINY
from tiny_unet import tiny_unet

from au_adapter import load_adapter
from au_adapter.models.adapter import LORA_TARGETS, cross_attentions, lora_paths
from au_adapter.weights.fineface_files import LAYERS
from au_adapter.weights.lora_layouts import peft_alpha, read_lora_name

MIDDLE = "mid_block.attentions.0.transformer_blocks.0"

SPELLINGS: dict[str, Callable[[str], str]] = {
    "without unet": lambda n: n.removeprefix("unet."),
    "down and up": lambda n: n.replace("lora_A", "lora.down").replace("lora_B", "lora.up"),
    "processor": lambda n: re.sub(
        r"\.to_(\w+)(?:\.0)?\.lora_([AB])",
        lambda m: f".processor.to_{m[1]}_lora.{'down' if m[2] == 'A' else 'up'}",
        n,
    ),
    "processor and peft": lambda n: n.replace(".to_", ".processor.to_"),
    "peft": lambda n: n.replace("unet.", "base_model.model."),
    "peft with the adapter's name": lambda n: n.replace(".weight", ".default.weight"),
    "peft around a pipeline's unet": lambda n: f"base_model.model.{n}",
    "kohya": lambda n: (
        "lora_unet_"
        + re.sub(r"\.(?!lora|weight)", "_", n.removeprefix("unet."))
        .replace("lora_A", "lora_down")
        .replace("lora_B", "lora_up")
    ),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_of_a_lora_is_read(tmp_path: Path, spelling: str) -> None:
    path = write_published(tmp_path, SD21)
    weights = {SPELLINGS[spelling](n): t for n, t in lora(SD21, torch.ones).items()}
    save_file(weights, tmp_path / "pytorch_lora_weights.safetensors")
    adapter = load_adapter(path)
    assert len(adapter.lora) == 128 and adapter.config.lora_scale == 0.25
    assert all(down.all() and up.all() for down, up in adapter.lora.values())


def test_a_loras_own_alpha_replaces_the_default(tmp_path: Path) -> None:
    path, weights = write_published(tmp_path, SD21), lora(SD21)
    alphas = {n.replace("lora_A.weight", "alpha"): torch.tensor(16.0) for n in weights}
    save_file({**alphas, **weights}, tmp_path / "pytorch_lora_weights.safetensors")
    assert load_adapter(path).config.lora_scale == 0.5


def test_what_peft_itself_writes_is_read(tmp_path: Path) -> None:
    unet, settings = tiny_unet(TINY), {"r": 4, "target_modules": list(LORA_TARGETS)}
    peft = get_peft_model(unet, LoraConfig(lora_alpha=6, use_rslora=True, **settings))
    peft.save_pretrained(tmp_path)
    names = load_file(tmp_path / "adapter_model.safetensors")
    found = {read_lora_name(name) for name in names}
    layers = cross_attentions(unet)
    assert found == {(path, side) for path in lora_paths(layers) for side in "AB"}
    assert peft_alpha(tmp_path / "adapter_model.safetensors") == 12.0  # 6 sqrt(4)
    assert peft_alpha(tmp_path / "other.safetensors") is None


def test_what_diffusers_writes_for_kohya_is_read() -> None:
    names = convert_state_dict_to_kohya(lora(SD21, torch.zeros))
    found = {read_lora_name(name.replace("lora_unet_unet_", "lora_unet_")) for name in names}
    paths = lora_paths(LAYERS)
    assert found == {(path, side) for path in paths for side in ("A", "B", "alpha")}


def test_pefts_alpha_is_read_from_its_config(tmp_path: Path) -> None:
    path = write_published(tmp_path, SD21)
    weights = {SPELLINGS["peft"](n): t for n, t in lora(SD21).items()}
    save_file(weights, tmp_path / "adapter_model.safetensors")
    (tmp_path / "pytorch_lora_weights.safetensors").unlink()
    config = {"r": 32, "lora_alpha": 16}
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    assert load_adapter(path).config.lora_scale == 0.5
    for change, words in (
        ({"alpha_pattern": {"to_q": 1}}, "of its own for some layers: .'to_q': 1"),
        ({"r": "many"}, "no numbers lora_alpha and r"),
    ):
        (tmp_path / "adapter_config.json").write_text(json.dumps({**config, **change}))
        with pytest.raises(ValueError, match=f"adapter_config.json .*{words}"):
            load_adapter(path)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: {"lora_unet_x.hada_w1_a": torch.zeros(2)}, "such as lora_unet_x.hada_w1_a, have"),
        (lambda: {n: torch.zeros(t.shape[0], 3) for n, t in lora(SD21).items()}, "base is another"),
    ],
    ids=["strange", "for another base"],
)
def test_a_lora_that_was_not_taken_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, make: Callable, words: str
) -> None:
    path = write_published(tmp_path, SD21)
    save_file(make(), tmp_path / "pytorch_lora_weights.safetensors")
    with caplog.at_level("WARNING", "au_adapter"):
        assert not load_adapter(path).lora
    (said,) = (record.getMessage() for record in caplog.records)
    assert "pytorch_lora_weights.safetensors: the LoRA beside this adapter for" in said
    assert words in said


def test_a_lora_beside_a_joined_file_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_published(tmp_path, SD21)
    joined = {**torch.load(path), **torch.load(tmp_path / "au_encoder.ckpt")}
    for file in (path, tmp_path / "au_encoder.ckpt"):
        file.unlink()
    torch.save(joined, tmp_path / "joined.ckpt")
    with caplog.at_level("WARNING", "au_adapter"):
        assert not load_adapter(tmp_path / "joined.ckpt").lora
    assert "was not taken: the adapter's file is whole without it" in caplog.text


def test_two_loras_of_one_layer_are_refused(tmp_path: Path) -> None:
    path, weights = write_published(tmp_path, SD21), lora(SD21)
    name = next(iter(weights))
    twice = {**weights, SPELLINGS["kohya"](name): weights[name].clone()}
    save_file(twice, tmp_path / "pytorch_lora_weights.safetensors")
    with pytest.raises(ValueError, match="has two LoRAs of .*attn1.to_"):
        load_adapter(path)


def test_a_lora_of_too_few_layers_is_refused(tmp_path: Path) -> None:
    path, weights = write_published(tmp_path, SD21), lora(SD21)
    for side in "AB":
        del weights[f"unet.{MIDDLE}.attn1.to_q.lora_{side}.weight"]
    save_file(weights, tmp_path / "pytorch_lora_weights.safetensors")
    with pytest.raises(ValueError, match=f"lacks the LoRA of 1 layers: {MIDDLE}.attn1.to_q"):
        load_adapter(path)
