"""Adapters written to and read from safetensors."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_unet import SD15, SD21, tiny_adapter, tiny_unet

from au_adapter.models.adapter import AUAdapter
from au_adapter.weights.adapter_files import (
    adapter_hash,
    load_adapter,
    read_known_units,
    read_metadata,
    save_adapter,
)


@pytest.fixture(scope="module")
def adapter() -> AUAdapter:
    return tiny_adapter(tiny_unet(SD21))


@pytest.fixture
def saved(adapter: AUAdapter, tmp_path: Path) -> Path:
    return save_adapter(adapter, tmp_path / "deep" / "a.safetensors", {"note": "smiles"})


def rewrite(path: Path, change: object) -> Path:
    """The same file with its tensors changed."""
    tensors, metadata = load_file(path), read_metadata(path)
    change(tensors)
    save_file(tensors, path, metadata=metadata)
    return path


@pytest.mark.parametrize("encoder", ["res_mlp64", "res_3mlp", "individual", "none"])
@pytest.mark.parametrize("shape", [SD21, SD15], ids=["sd21", "sd15"])
def test_round_trip_is_bit_equal(tmp_path: Path, shape: dict, encoder: str) -> None:
    adapter = tiny_adapter(tiny_unet(shape), encoder)
    read = load_adapter(save_adapter(adapter, tmp_path / "a.safetensors"))
    assert read.config == adapter.config
    for name, tensor in adapter.state_dict().items():
        assert torch.equal(read.state_dict()[name], tensor)
    for path, pair in adapter.lora.items():
        assert all(torch.equal(a, b) for a, b in zip(read.lora[path], pair, strict=True))
    assert adapter_hash(read) == adapter_hash(adapter)


def test_an_untrained_lora_round_trips_as_none(tmp_path: Path) -> None:
    adapter = AUAdapter.for_unet(tiny_unet(SD21))
    read = load_adapter(save_adapter(adapter, tmp_path / "a.safetensors"))
    assert read.lora == {} and read.config.lora_rank == 32


def test_what_it_knows_is_told_without_its_weights(tmp_path: Path) -> None:
    adapter = AUAdapter.for_unet(tiny_unet(SD21), units=(4, 12, 14), sides=True)
    path = save_adapter(adapter, tmp_path / "a.safetensors")
    assert read_known_units(path) == ((4, 12, 14), True)
    with pytest.raises(FileNotFoundError):
        read_known_units(tmp_path / "b.safetensors")


def test_names_are_finefaces_and_metadata_is_kept(saved: Path) -> None:
    names = set(load_file(saved))
    block = "down_blocks.0.attentions.0.transformer_blocks.0"
    assert f"{block}.attn2.processor.au_to_v.weight" in names
    assert f"unet.{block}.attn1.to_out.0.lora_A.weight" in names
    assert read_metadata(saved)["note"] == "smiles"


def test_hash_follows_the_weights(adapter: AUAdapter, saved: Path) -> None:
    assert adapter_hash(saved) == adapter_hash(adapter)
    other = rewrite(saved, lambda t: next(iter(t.values())).view(-1)[:1].add_(1e-3))
    assert adapter_hash(other) != adapter_hash(adapter)


def test_the_file_is_as_readable_as_any_other(saved: Path, tmp_path: Path) -> None:
    (other := tmp_path / "other").touch()
    assert saved.stat().st_mode == other.stat().st_mode


def test_nothing_is_left_of_a_failed_write(adapter: AUAdapter, tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        save_adapter(adapter, tmp_path / "a.safetensors", {"note": object()})
    assert list(tmp_path.iterdir()) == []


def test_missing_file() -> None:
    with pytest.raises(FileNotFoundError, match="no file of weights nowhere.safetensors"):
        load_adapter("nowhere.safetensors")


@pytest.mark.parametrize("tenth", range(10))
def test_truncated_file_is_said_so(saved: Path, tenth: int) -> None:
    whole = saved.read_bytes()
    saved.write_bytes(whole[: len(whole) * tenth // 10])
    with pytest.raises(ValueError, match="truncated or of another kind; copy or download it again"):
        load_adapter(saved)


def test_file_cut_by_one_byte_is_refused(saved: Path) -> None:
    saved.write_bytes(saved.read_bytes()[:-1])
    with pytest.raises(ValueError, match="truncated"):
        load_adapter(saved)


def test_a_header_that_begins_like_a_pickle(saved: Path) -> None:
    """The length of the header comes first, and 0x0280 of it are the bytes of a pickle."""
    metadata, tensors = read_metadata(saved), load_file(saved)
    save_file(tensors, saved, metadata={**metadata, "pad": ""})
    short = 0x0280 - int.from_bytes(saved.read_bytes()[:8], "little") % 0x10000
    save_file(tensors, saved, metadata={**metadata, "pad": "x" * (short % 0x10000)})
    assert saved.read_bytes()[:2] == b"\x80\x02"
    assert load_adapter(saved).config.width == 128


def test_another_safetensors_file_is_no_adapter(tmp_path: Path) -> None:
    save_file({"x": torch.zeros(1)}, tmp_path / "lora.safetensors")
    with pytest.raises(ValueError, match="not an AU-Adapter .*au-adapter convert"):
        load_adapter(tmp_path / "lora.safetensors")


def test_a_missing_layer_is_named(saved: Path) -> None:
    name = "mid_block.attentions.0.transformer_blocks.0.attn2.processor.au_to_v.weight"
    with pytest.raises(ValueError, match=f"lacks 1 of 16 weights: {name}"):
        load_adapter(rewrite(saved, lambda t: t.pop(name)))


def test_a_missing_lora_layer_is_named(saved: Path) -> None:
    layer = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q"

    def drop(tensors: dict) -> None:
        del tensors[f"unet.{layer}.lora_A.weight"], tensors[f"unet.{layer}.lora_B.weight"]

    with pytest.raises(ValueError, match=f"lacks the LoRA of 1 layers: {layer}"):
        load_adapter(rewrite(saved, drop))


def test_an_unknown_weight_is_named(saved: Path) -> None:
    with pytest.raises(ValueError, match="does not explain: extra"):
        load_adapter(rewrite(saved, lambda t: t.update(extra=torch.zeros(1))))


def test_a_wrong_shape_is_named_with_both(saved: Path) -> None:
    wrong = {"au_encoder.mlp.weight": torch.zeros(64, 5)}
    with pytest.raises(ValueError, match=r"au_encoder.mlp.weight is \[64, 5\], .* \[64, 12\]"):
        load_adapter(rewrite(saved, lambda t: t.update(wrong)))


def test_a_lora_of_wrong_shape_is_named_with_both(saved: Path) -> None:
    layer = "mid_block.attentions.0.transformer_blocks.0.attn2.to_k"
    wrong = {f"unet.{layer}.lora_A.weight": torch.zeros(4, 96)}
    with pytest.raises(ValueError, match=rf"LoRA of {layer} has .*\(4, 96\).*\(4, 128\)"):
        load_adapter(rewrite(saved, lambda t: t.update(wrong)))


def test_a_file_in_half_precision_is_read_in_full(adapter: AUAdapter, saved: Path) -> None:
    read = load_adapter(rewrite(saved, lambda t: t.update({n: x.half() for n, x in t.items()})))
    pair = next(iter(read.lora.values()))
    assert {x.dtype for x in (*read.parameters(), *pair)} == {torch.float32}


@pytest.mark.parametrize(
    "config",
    [
        "",
        "[]",
        "{",
        '{"format": 1}',
        '{"format": 1, "units": [12], "encoder": "mlp", "width": 8, "layers": {}}',
        '{"format": 1, "units": 12, "encoder": "mlp", "width": 8, "layers": {"x.attn2": 4}}',
        '{"format": 1, "units": [12], "encoder": "mlp", "width": "8", "layers": {"x.attn2": 4}}',
        '{"format": 1, "units": [12], "encoder": "mlp", "width": 8, "layers": {}, "new": 1}',
    ],
)
def test_a_damaged_config_is_said_so(saved: Path, config: str) -> None:
    save_file(load_file(saved), saved, metadata={"au_adapter": config})
    with pytest.raises(ValueError, match="the config in its metadata is damaged"):
        load_adapter(saved)


def test_a_newer_format_asks_for_an_update(saved: Path) -> None:
    save_file(load_file(saved), saved, metadata={"au_adapter": '{"format": 2}'})
    with pytest.raises(ValueError, match="format 2, known is 1: update AU-Adapter"):
        load_adapter(saved)
