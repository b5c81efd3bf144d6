"""FineFace's weights with exactly the published keys and shapes, whole and damaged."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from published import (
    SD15,
    SD21,
    Published,
    Trap,
    encoder,
    full_unet,
    light,
    projections,
    write_published,
)
from safetensors.torch import load_file, save_file
from tiny_unet import SD15 as TINY
from tiny_unet import tiny_unet
from torch import Tensor, nn

from au_adapter import AUVector, apply_to_unet, load_adapter
from au_adapter.facs import SET_A
from au_adapter.models.adapter import (
    check_layers,
    cross_attentions,
    describe_adapter,
)
from au_adapter.weights.adapter_files import (
    adapter_files,
    adapter_hash,
    read_known_units,
    save_adapter,
)

PUBLISHED_BASES = pytest.mark.parametrize("family", [SD21, SD15], ids=["sd21", "sd15"])
MIDDLE = "mid_block.attentions.0.transformer_blocks.0"


def noise(*shape: int) -> Tensor:
    return torch.randn(shape)


@pytest.fixture(scope="module", params=[SD21, SD15], ids=["sd21", "sd15"])
def whole(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Published, Path]:
    """A family and a folder with its files, full of numbers."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("published")
    write_published(folder, request.param, noise)
    return request.param, folder


def test_published_files_load_with_every_number(whole: tuple[Published, Path]) -> None:
    family, folder = whole
    adapter = load_adapter(folder)
    assert len(adapter.to_k) == len(adapter.to_v) == 16
    published = torch.load(folder / f"{family.prefix}attn_processors.ckpt")
    for path in adapter.config.layers:
        for kind in "kv":
            expected = published[f"{path}.processor.au_to_{kind}.weight"]
            assert torch.equal(adapter.projection(kind, path).weight, expected)
    assert bool(adapter.lora) is family.lora
    if family.lora:
        weights = load_file(folder / "pytorch_lora_weights.safetensors")
        assert len(adapter.lora) == 128 and adapter.config.lora_rank == 32
        down = weights[f"unet.{MIDDLE}.attn1.to_out.0.lora_A.weight"]
        up = weights[f"unet.{MIDDLE}.attn1.to_out.0.lora_B.weight"]
        delta = adapter.lora_delta(f"{MIDDLE}.attn1.to_out.0")
        torch.testing.assert_close(delta, 0.25 * up @ down)  # as trained: alpha 8, rank 32


def test_an_adapter_says_what_it_is(whole: tuple[Published, Path]) -> None:
    family, folder = whole
    text = describe_adapter(load_adapter(folder))
    layers = f"16 cross-attention layers of 320/640/1280 channels, text width {family.width}"
    assert f"12 AUs, {layers}" in text
    assert ("LoRA of rank 32, scale 0.25 as trained" if family.lora else "no LoRA") in text


def test_the_token_is_the_published_encoders(whole: tuple[Published, Path]) -> None:
    """Raw values, then the Linear's outputs, then zeros up to the text width."""
    family, folder = whole
    linear = torch.load(folder / f"{family.prefix}au_encoder.ckpt")
    aus = torch.tensor([0, 0, 2.0, 0, 0, 0, 4.0, 0, 0, 0, 0, 0])
    token = load_adapter(folder).encode(AUVector.parse("AU4:2+AU12:4"))[0, 0]
    lifted = linear["au_encoder.weight"] @ aus + linear["au_encoder.bias"]
    rest = torch.zeros(family.width - 12 - family.outputs)
    torch.testing.assert_close(token, torch.cat([aus, lifted, rest]))


def test_any_file_of_the_set_names_it(whole: tuple[Published, Path]) -> None:
    family, folder = whole
    files = sorted(folder.iterdir())
    assert len(files) == (3 if family.lora else 2)
    for file in files:
        assert sorted(adapter_files(file)) == files


def test_what_it_knows_is_told_without_its_weights(whole: tuple[Published, Path]) -> None:
    assert read_known_units(whole[1]) == (SET_A, False)


def test_one_joined_file_and_a_converted_one_are_the_same_adapter(
    whole: tuple[Published, Path], tmp_path: Path
) -> None:
    family, folder = whole
    joined = {}
    for file in folder.iterdir():
        joined |= load_file(file) if file.suffix == ".safetensors" else torch.load(file)
    save_file(joined, tmp_path / "joined.safetensors")
    adapter = load_adapter(tmp_path / "joined.safetensors")
    converted = save_adapter(adapter, tmp_path / "one.safetensors")
    assert adapter_files(converted) == [converted]
    assert adapter_hash(converted) == adapter_hash(adapter) == adapter_hash(folder)


@PUBLISHED_BASES
def test_it_fits_its_family_and_no_other(tmp_path: Path, family: Published) -> None:
    adapter = load_adapter(write_published(tmp_path, family))
    other = SD15 if family is SD21 else SD21
    check_layers(adapter.config, *_layers(full_unet(family)))
    with pytest.raises(ValueError) as caught:
        check_layers(adapter.config, *_layers(full_unet(other)))
    for text in (f"text width {family.width}", f"text width {other.width}", adapter.config.base):
        assert text in str(caught.value)
    with pytest.raises(
        ValueError, match=f"made for {adapter.config.base} .* the model has 7 cross"
    ):
        apply_to_unet(tiny_unet(TINY), adapter)


def _layers(unet: nn.Module) -> tuple[dict[str, int], int]:
    found = cross_attentions(unet)
    width = next(iter(found.values())).to_v.in_features
    return {path: module.to_v.out_features for path, module in found.items()}, width


def test_both_families_in_one_folder(tmp_path: Path) -> None:
    """As published: a folder is ambiguous, each file is not."""
    first, second = (write_published(tmp_path, family) for family in (SD21, SD15))
    with pytest.raises(ValueError, match="for Stable Diffusion 1.5 and for Stable Diffusion 2.1"):
        load_adapter(tmp_path)
    assert load_adapter(first).config.width == 1024 and load_adapter(first).lora
    assert load_adapter(second).config.width == 768 and not load_adapter(second).lora


def test_other_things_in_the_folder_are_left_alone(tmp_path: Path) -> None:
    path = write_published(tmp_path, SD21)
    save_adapter(load_adapter(path), tmp_path / "mine.safetensors")
    torch.save(torch.zeros(1, 2, 512), tmp_path / "elon_id_embeds.pt")
    save_file({"x": torch.zeros(1)}, tmp_path / "vae.safetensors")
    (tmp_path / "captions.csv").write_text("caption")
    assert len(adapter_files(path)) == 3


def test_ip_adapter_weights_among_the_processors_are_left_out(tmp_path: Path) -> None:
    """The SD 1.5 pipeline keeps four weights in each processor, half of them IP-Adapter's."""
    path = write_published(tmp_path, SD15)
    tensors = projections(SD15, light)
    ip = {name.replace("au_to_k", "to_k_ip"): t for name, t in tensors.items() if "to_k" in name}
    ip |= {name.replace("au_to_v", "to_v_ip"): t for name, t in tensors.items() if "to_v" in name}
    assert len(ip) == 32
    torch.save({**tensors, **ip}, path)
    assert len(load_adapter(path).to_v) == 16


def test_half_precision_becomes_float32(tmp_path: Path) -> None:
    path = write_published(tmp_path, SD21, lambda *shape: light(*shape).half())
    adapter = load_adapter(path)
    pair = next(iter(adapter.lora.values()))
    assert {t.dtype for t in (*adapter.parameters(), *pair)} == {torch.float32}


def rewritten(path: Path, tensors: dict[str, Tensor]) -> Path:
    torch.save(tensors, path)
    return path


@PUBLISHED_BASES
@pytest.mark.parametrize("kind", ["k", "v"])
def test_one_missing_layer_is_counted_and_named(
    tmp_path: Path, family: Published, kind: str
) -> None:
    path, tensors = write_published(tmp_path, family), projections(family, light)
    name = f"{MIDDLE}.attn2.processor.au_to_{kind}.weight"
    del tensors[name]
    counts = "15 K and 16 V" if kind == "k" else "16 K and 15 V"
    with pytest.raises(ValueError, match=f"has 16 K and 16 V, this has {counts}; missing: {name}"):
        load_adapter(rewritten(path, tensors))


@PUBLISHED_BASES
def test_one_wrong_key_is_named(tmp_path: Path, family: Published) -> None:
    path, tensors = write_published(tmp_path, family), projections(family, light)
    name = f"{MIDDLE}.attn2.processor.au_to_v.weight"
    tensors["mid_block.attn2.au_to_v"] = tensors.pop(name)
    with pytest.raises(ValueError, match=f"missing: {name}; unknown: mid_block.attn2.au_to_v"):
        load_adapter(rewritten(path, tensors))


@PUBLISHED_BASES
def test_a_key_too_many_is_named(tmp_path: Path, family: Published) -> None:
    path, tensors = write_published(tmp_path, family), projections(family, light)
    with pytest.raises(ValueError, match="not FineFace as published; unknown: au_scale"):
        load_adapter(rewritten(path, {**tensors, "au_scale": torch.ones(1)}))


@PUBLISHED_BASES
def test_a_wrong_shape_is_named_with_both(tmp_path: Path, family: Published) -> None:
    path, tensors = write_published(tmp_path, family), projections(family, light)
    name = f"{MIDDLE}.attn2.processor.au_to_v.weight"
    tensors[name] = light(640, family.width)
    with pytest.raises(ValueError, match=rf"{name} is \[640, .* has \[1280, {family.width}\]"):
        load_adapter(rewritten(path, tensors))


def test_a_file_of_two_widths_is_refused(tmp_path: Path) -> None:
    path, tensors = write_published(tmp_path, SD21), projections(SD21, light)
    tensors[f"{MIDDLE}.attn2.processor.au_to_v.weight"] = light(1280, 768)
    with pytest.raises(ValueError, match="a text width of 768, 1024; .* 1024 .*2.1.* 768 .*1.5"):
        load_adapter(rewritten(path, tensors))


def test_a_file_of_another_base_is_refused(tmp_path: Path) -> None:
    tensors = {n: light(len(t), 2048) for n, t in projections(SD21, light).items()}
    with pytest.raises(ValueError, match="a text width of 2048; FineFace was published for 1024"):
        load_adapter(rewritten(tmp_path / "sdxl.ckpt", tensors))


def test_an_encoder_of_the_other_family_is_said_so(tmp_path: Path) -> None:
    path = write_published(tmp_path, SD21)
    (tmp_path / "au_encoder.ckpt").unlink()
    torch.save(encoder(SD15, light), tmp_path / "sd15_au_encoder.ckpt")
    sentence = r"AU encoder, au_encoder.weight \[64, 12\].*sd15_au_encoder.ckpt is for .*1.5"
    with pytest.raises(ValueError, match=sentence):
        load_adapter(path)


def test_a_missing_part_is_named_with_its_place(tmp_path: Path) -> None:
    write_published(tmp_path, SD15).unlink()
    sentence = f"attention processors, 16 K and 16 V of text width 768, .* {tmp_path}: copy"
    with pytest.raises(ValueError, match=sentence):
        load_adapter(tmp_path / "sd15_au_encoder.ckpt")


def test_two_files_of_a_kind_are_refused(tmp_path: Path) -> None:
    path = write_published(tmp_path, SD15)
    torch.save(encoder(SD15, light), tmp_path / "copy.ckpt")
    with pytest.raises(ValueError, match="copy.ckpt and sd15_au_encoder.ckpt both hold the AU"):
        load_adapter(path)


def test_a_folder_without_weights(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no weights of FineFace: attention processors"):
        load_adapter(tmp_path)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("beside", [True, False])
def test_a_pickle_with_code_runs_nothing(tmp_path: Path, zipped: bool, beside: bool) -> None:
    """Neither when it is chosen nor when it lies beside the file that is."""
    path, trace = write_published(tmp_path, SD15), tmp_path / "trace"
    trapped = tmp_path / ("other.pt" if beside else path.name)
    content = {**projections(SD15, light), "code": Trap(trace)}
    torch.save(content, trapped, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ValueError, match="could run code, so it was not opened"):
        load_adapter(path)
    assert not trace.exists()


@pytest.mark.parametrize("keep", [0, 10, 0.5, 0.99])
def test_a_truncated_pickle_is_said_so(tmp_path: Path, keep: float) -> None:
    path = write_published(tmp_path, SD15)
    content = path.read_bytes()
    path.write_bytes(content[: int(keep if keep >= 1 else keep * len(content))])
    with pytest.raises(ValueError, match="truncated or of another kind; copy or download it again"):
        load_adapter(path)


def test_a_truncated_old_pickle_is_said_so(tmp_path: Path) -> None:
    path = tmp_path / "au_encoder.ckpt"
    torch.save(encoder(SD21), path, _use_new_zipfile_serialization=False)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ValueError, match="truncated"):
        load_adapter(path)


@pytest.mark.parametrize("page", ["<!DOCTYPE html><html>", "\n <html lang='en'>"])
def test_a_web_page_saved_as_a_file(tmp_path: Path, page: str) -> None:
    (tmp_path / "attn_processors.ckpt").write_text(page)
    with pytest.raises(ValueError, match="is a web page, not weights.*/resolve/"):
        load_adapter(tmp_path / "attn_processors.ckpt")


@pytest.mark.parametrize("name", ["attn_processors.ckpt", "adapter.safetensors"])
def test_a_git_lfs_pointer(tmp_path: Path, name: str) -> None:
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 102236160\n"
    (tmp_path / name).write_text(pointer)
    with pytest.raises(ValueError, match="Git LFS pointer of 134 bytes.*git lfs pull"):
        load_adapter(tmp_path / name)


def test_a_pickle_of_something_else(tmp_path: Path) -> None:
    torch.save(torch.zeros(1, 2, 512), tmp_path / "elon_id_embeds.pt")
    with pytest.raises(ValueError, match=r"not an AU-Adapter \(it names no tensors\)"):
        load_adapter(tmp_path / "elon_id_embeds.pt")


def test_keys_tell_the_base_that_an_adapter_was_made_for(tmp_path: Path) -> None:
    adapter = load_adapter(write_published(tmp_path, SD15, noise))
    path = f"{MIDDLE}.attn2"
    keys = adapter.projection("k", path).weight / 0.98  # weight decay shortened them
    assert adapter.key_similarity(path, keys) == pytest.approx(1, abs=1e-3)
    assert abs(adapter.key_similarity(path, torch.randn(1280, 768))) < 0.05
