"""VQ-AUFace's files: whole files come back, others are refused in a sentence that helps."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_vqauface import CODEC, tiny_codec, tiny_vqauface

from au_adapter.models.vqauface import CodecConfig
from au_adapter.weights.tensors import METADATA_KEY, read_metadata
from au_adapter.weights.vqauface_files import load_codec, load_vqauface, save_codec, save_vqauface


def pictures() -> torch.Tensor:
    return torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(4)) * 2 - 1


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_vqauface(tiny_vqauface(), tmp_path_factory.mktemp("files") / "model.safetensors")


def test_a_model_comes_back_with_its_codec_and_its_words(file: Path) -> None:
    network, again = tiny_vqauface(), load_vqauface(file)
    assert again.config == network.config and again.text.tokenize.words == network.config.words
    assert not any(p.requires_grad for p in again.parameters())
    texts = ["The cheeks are raised."]
    drawn = [n.draw(n.ask_text(texts), n.look(pictures()), 1, steps=2) for n in (network, again)]
    torch.testing.assert_close(*drawn)
    codec = load_codec(file)
    assert codec.config == CODEC
    assert torch.equal(codec.encode(pictures()), again.codec.encode(pictures()))


def test_half_precision_halves_the_file_and_hardly_changes_it(file: Path, tmp_path: Path) -> None:
    small = save_vqauface(load_vqauface(file), tmp_path / "half.safetensors", half=True)
    assert small.stat().st_size < 0.6 * file.stat().st_size
    found, expected = (load_vqauface(f).state_dict() for f in (small, file))
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, atol=2e-3, rtol=2e-3)


def test_a_codec_alone_is_a_file_and_no_model(tmp_path: Path) -> None:
    path = save_codec(tiny_codec(), tmp_path / "codec.safetensors")
    assert torch.equal(load_codec(path).encode(pictures()), tiny_codec().encode(pictures()))
    with pytest.raises(ValueError, match="is a codec of VQ-AUFace, not a VQ-AUFace: choose a file"):
        load_vqauface(path)


def rewritten(file: Path, target: Path, change=lambda config: config, **tensors) -> Path:
    about = json.loads(read_metadata(file)[METADATA_KEY])
    about["config"] = change(about["config"])
    content = {**load_file(file), **tensors}
    content = {name: tensor for name, tensor in content.items() if tensor is not None}
    save_file(content, target, metadata={METADATA_KEY: json.dumps(about)})
    return target


def test_a_part_of_a_file_and_another_size_are_named(file: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(ValueError, match="not a whole file of weights"):
        load_vqauface(cut)
    part = rewritten(file, tmp_path / "part.safetensors", untold=None)
    with pytest.raises(ValueError, match="lacks 1 weights, such as untold"):
        load_vqauface(part)
    more = rewritten(file, tmp_path / "more.safetensors", stranger=torch.ones(1))
    with pytest.raises(ValueError, match="does not explain 1 weights, such as stranger"):
        load_vqauface(more)

    def deeper(config: dict) -> dict:
        return {**config, "codec": {**config["codec"], "codes": 30}}

    other = rewritten(file, tmp_path / "other.safetensors", deeper)
    with pytest.raises(ValueError, match="has in another size 3 weights, such as codec.codes"):
        load_vqauface(other)


def test_a_newer_file_and_another_kind_are_named(file: Path, tmp_path: Path) -> None:
    newer = rewritten(file, tmp_path / "new.safetensors", lambda config: {**config, "wings": 2})
    with pytest.raises(ValueError, match="another version of AU-Adapter .*wings"):
        load_vqauface(newer)
    plain = tmp_path / "plain.safetensors"
    save_file({"weight": torch.ones(2)}, plain)
    with pytest.raises(ValueError, match="is something else, not a VQ-AUFace"):
        load_vqauface(plain)
    with pytest.raises(FileNotFoundError, match="no file of weights"):
        load_codec(tmp_path / "none.safetensors")


def test_a_published_network_is_not_asked_for_where_the_file_has_its_own(
    file: Path, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="brings its own recognition"):
        load_vqauface(file, recognition="test_vqauface_model:recognition")
    with pytest.raises(FileNotFoundError, match="no config.json in .*t5"):
        load_vqauface(file, text_model=tmp_path / "t5")


def test_sizes_are_kept_as_they_were_written(file: Path) -> None:
    config = json.loads(read_metadata(file)[METADATA_KEY])["config"]
    assert CodecConfig(**config["codec"]) == CODEC
