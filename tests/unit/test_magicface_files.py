"""MagicFace's files: told by what is in them, converted whole, and every wrong one named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file, save_file
from tiny_magicface import TINY, random_unets, write_published

from au_adapter.cli import main
from au_adapter.cli.convert import convert_files as convert
from au_adapter.weights.magicface_files import (
    DENOISING,
    ID_ENCODER,
    RELEASED,
    describe_unet,
    find_unets,
    is_magicface,
    load_magicface,
    read_unet_file,
)

FILE = "diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_published(tmp_path_factory.mktemp("published"))


@pytest.fixture(scope="module")
def converted(published: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return convert(published, tmp_path_factory.mktemp("converted") / "magicface.safetensors")


def test_the_published_shape_is_read_off_its_tensors() -> None:
    with torch.device("meta"):
        unet = UNet2DConditionModel(
            sample_size=64, in_channels=8, cross_attention_dim=768, attention_head_dim=8
        )
    shapes = {name: tuple(t.shape) for name, t in unet.state_dict().items()}
    config = describe_unet(shapes, Path("published"))
    for name, value in config.items():
        expected = unet.config[name]
        found = list(value) if isinstance(value, list | tuple) else value
        assert found == (list(expected) if isinstance(expected, list | tuple) else expected), name
    assert len(shapes) + 2 == 688  # with the AU encoder: as many tensors as published


def test_both_parts_are_found_in_folder_and_file(published: Path, converted: Path) -> None:
    for source in (published, converted):
        denoising, id_encoder = find_unets(source)
        assert (denoising.name, id_encoder.name) == (DENOISING, ID_ENCODER)
        assert (denoising.config["in_channels"], id_encoder.config["in_channels"]) == (8, 4)
        assert denoising.options == RELEASED
        for part, tensors in zip((denoising, id_encoder), random_unets().values(), strict=True):
            found = part.tensors()
            assert found.keys() == tensors.keys()
            assert all(torch.equal(found[name], tensors[name]) for name in tensors)


def test_the_converted_file_says_what_it_is(converted: Path) -> None:
    names = load_file(converted)
    assert f"{DENOISING}.au_aug_mlp.weight" in names and f"{ID_ENCODER}.conv_in.weight" in names
    assert is_magicface(converted) and not list(converted.parent.glob(".*"))
    assert read_unet_file(converted, DENOISING).config["block_out_channels"] == [64, 128]


def test_the_command_line_converts(published: Path, tmp_path: Path) -> None:
    output = tmp_path / "new" / "magicface.safetensors"
    result = CliRunner().invoke(main, ["convert", str(published), str(output)])
    assert result.exit_code == 0 and f"Wrote {output}" in result.output
    assert load_magicface(output).options == RELEASED


def test_a_pickle_of_tensors_is_read_and_one_of_code_is_not(tmp_path: Path) -> None:
    for name, tensors in random_unets().items():
        (tmp_path / name).mkdir()
        torch.save(tensors, tmp_path / name / "diffusion_pytorch_model.bin")
    assert len(find_unets(tmp_path)[0].tensors()) == len(random_unets()[DENOISING])
    torch.save({"weights": Path}, tmp_path / DENOISING / "diffusion_pytorch_model.bin")
    with pytest.raises(ValueError, match="more than tensors and could run code"):
        find_unets(tmp_path)


def save(path: Path, tensors: dict, metadata: dict | None = None) -> Path:
    save_file(tensors, path, metadata)
    return path


def test_wrong_files_are_named(published: Path, tmp_path: Path) -> None:
    denoising, id_encoder = (published / name / FILE for name in (DENOISING, ID_ENCODER))
    unets = random_unets()
    without = {k: v for k, v in unets[DENOISING].items() if not k.startswith("au_aug_mlp")}
    fewer = {**unets[DENOISING], "au_aug_mlp.weight": torch.zeros(256, 5)}
    layout = {"model.diffusion_model.input_blocks.0.0.weight": torch.zeros(1)}
    cases = {
        id_encoder: "holds MagicFace's ID encoder, not MagicFace's denoising UNet",
        save(tmp_path / "a.safetensors", without): "UNet of 8 input channels .* of 0 units",
        save(tmp_path / "b.safetensors", fewer): "UNet of 8 input channels .* of 5 units",
        save(tmp_path / "c.safetensors", layout): "a checkpoint in Stable Diffusion's own layout",
        save(tmp_path / "d.safetensors", {"x": torch.zeros(1)}): "a file without a diffusers UNet",
    }
    for path, sentence in cases.items():
        with pytest.raises(ValueError, match=sentence):
            read_unet_file(path, DENOISING)
    with pytest.raises(
        ValueError, match="denoising UNet, not MagicFace's ID encoder: choose ID_enc"
    ):
        read_unet_file(denoising, ID_ENCODER)


def test_missing_and_damaged_files_are_sentences(published: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="give the folder that holds denoising_unet/"):
        find_unets(tmp_path)
    (tmp_path / "cut.safetensors").write_bytes((published / DENOISING / FILE).read_bytes()[:5000])
    with pytest.raises(ValueError, match="truncated"):
        read_unet_file(tmp_path / "cut.safetensors", DENOISING)
    tensors = random_unets()[DENOISING]
    headless = {k: v for k, v in tensors.items() if not k.startswith("down_blocks.0")}
    path = save(tmp_path / "part.safetensors", headless)
    with pytest.raises(ValueError, match="part.safetensors: the UNet is incomplete"):
        read_unet_file(path, DENOISING)
    newer = save(tmp_path / "new.safetensors", tensors, {"magicface": json.dumps({"format": 9})})
    with pytest.raises(ValueError, match="MagicFace format 9, known is 1"):
        read_unet_file(newer, DENOISING)


def test_weights_too_many_or_too_few_are_counted(tmp_path: Path) -> None:
    unets = random_unets(TINY)
    del unets[ID_ENCODER]["conv_norm_out.weight"]
    write_published(tmp_path / "few", unets)
    with pytest.raises(ValueError, match="lacks 1 weights .*: ID_enc.conv_norm_out.weight"):
        load_magicface(tmp_path / "few")
    unets = random_unets(TINY)
    unets[DENOISING]["extra.weight"] = torch.zeros(1)
    write_published(tmp_path / "many", unets)
    with pytest.raises(ValueError, match="has 1 weights .* not have: denoising_unet.extra.weight"):
        load_magicface(tmp_path / "many")


def test_a_file_of_one_part_does_not_look_like_both(published: Path) -> None:
    assert is_magicface(published)
    assert not is_magicface(published / DENOISING / FILE)
    assert not is_magicface(published / DENOISING)
