"""Files that are damaged or hostile: refused by name, before they cost memory or call anybody."""

from __future__ import annotations

import json
import math
import resource
import socket
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from fuzz.__main__ import limited_memory
from fuzz.files import magicface, read_magicface
from safetensors.torch import load_file, save_file
from tiny_unet import SD15, tiny_adapter, tiny_unet

from au_adapter.data.card import describe_folder
from au_adapter.disk import damage_named
from au_adapter.evaluation.report import report_run
from au_adapter.weights.adapter_files import METADATA_KEY, load_adapter, save_adapter
from au_adapter.weights.magicface_files import MAGICFACE_KEY
from au_adapter.weights.tensors import read_metadata, read_tensors


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    return save_adapter(tiny_adapter(tiny_unet(SD15), rank=2), tmp_path / "a.safetensors")


@pytest.fixture
def small_memory() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_DATA)
    with limited_memory():
        yield
    assert resource.getrlimit(resource.RLIMIT_DATA) == before


def rewrite(
    path: Path, tensors: Callable[[dict], object], config: Callable[[dict], object]
) -> None:
    """The same file with its tensors and its config changed."""
    found, metadata = load_file(path), read_metadata(path)
    key = METADATA_KEY if METADATA_KEY in metadata else MAGICFACE_KEY
    described = json.loads(metadata[key])
    tensors(found), config(described)
    save_file(found, path, {**metadata, key: json.dumps(described)})


def nothing(_: dict) -> None:
    pass


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("kind", ["au_encoder.", "au_to_v", "lora_B"])
def test_an_adapter_of_no_numbers_is_refused_by_its_tensor(
    adapter: Path, number: float, kind: str
) -> None:
    def spoil(tensors: dict) -> None:
        name = next(name for name in tensors if kind in name and name.endswith("weight"))
        tensors[name].flatten()[-1] = number

    rewrite(adapter, spoil, nothing)
    with pytest.raises(ValueError, match=f"a.safetensors: .*{kind}.* has NaN or infinite numbers"):
        load_adapter(adapter)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("lora_alpha", "8", "lora_alpha is '8', expected a number"),
        ("lora_rank", "2", "lora_rank is '2', expected a whole number"),
        ("lora_rank", 10**9, "its config says"),
        ("width", 96.0, "width is 96.0, expected a whole number"),
        ("width", 10**9, "its config says"),
        ("tokens", 10**9, "a.safetensors"),
        ("layers", [1], "the config in its metadata is damaged"),
        ("units", [999], "a.safetensors"),
        ("encoder", ["x"], "encoder"),
        ("encoder", "8", "unknown AU encoder '8'"),
        ("sides", "no", "sides is 'no'"),
    ],
)
def test_a_config_of_other_kinds_is_refused(
    adapter: Path, small_memory: None, name: str, value: object, message: str
) -> None:
    rewrite(adapter, nothing, lambda config: config.update({name: value}))
    with pytest.raises(ValueError, match=message) as caught:
        load_adapter(adapter)
    assert "a.safetensors" in str(caught.value)


def test_a_tensor_that_repeats_one_number_is_no_small_file(
    tmp_path: Path, small_memory: None
) -> None:
    path = tmp_path / "lora.bin"
    torch.save({"unet.x.attn1.to_q.lora_A.weight": torch.zeros(1).expand(2**15, 2**15)}, path)
    assert path.stat().st_size < 4096
    with pytest.raises(ValueError, match=r"lora.bin: .*lora_A.weight is \[32768, 32768\] of fewer"):
        load_adapter(path)


def test_a_compressed_pickle_is_not_unpacked(tmp_path: Path, small_memory: None) -> None:
    plain, packed = tmp_path / "plain.pt", tmp_path / "packed.pt"
    torch.save({"a": torch.zeros(1000)}, plain)
    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    with pytest.raises(ValueError, match="packed.pt is a compressed archive"):
        read_tensors(packed)


@pytest.mark.parametrize("config", ["someone/repo", ["someone/repo"], None, 7])
def test_magicface_fetches_nothing_that_a_config_names(
    tmp_path: Path, config: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a file made the library call somebody")

    path = magicface(tmp_path)
    rewrite(path, nothing, lambda described: described["config"].update(denoising_unet=config))
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    with pytest.raises(ValueError, match="the config of denoising_unet is .*, expected an object"):
        read_magicface(path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("layers_per_block", 10**6),
        ("block_out_channels", [10**6, 10**6]),
        ("cross_attention_dim", 10**9),
        ("transformer_layers_per_block", 10**6),
        ("in_channels", "8"),
    ],
)
def test_magicface_is_not_built_larger_than_its_weights(
    tmp_path: Path, small_memory: None, name: str, value: object
) -> None:
    path = magicface(tmp_path)
    rewrite(path, nothing, lambda d: d["config"]["denoising_unet"].update({name: value}))
    with pytest.raises(ValueError, match=f"magicface.safetensors: the config .* says {name}"):
        read_magicface(path)


def test_magicface_of_no_numbers_is_refused(tmp_path: Path) -> None:
    path = magicface(tmp_path)
    rewrite(path, lambda t: t["denoising_unet.conv_in.bias"].fill_(math.nan), nothing)
    with pytest.raises(ValueError, match="denoising_unet.conv_in.bias has NaN or infinite numbers"):
        read_magicface(path)


def test_an_error_names_the_file_once(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    message = "a.json is damaged.*KeyError: 'rows'.*Delete it"
    with pytest.raises(ValueError, match=message), damage_named(path, "Delete it"):
        {}["rows"]
    with pytest.raises(ValueError) as caught, damage_named(tmp_path), damage_named(path):
        raise TypeError("x")
    assert str(caught.value).count("a.json") == 1
    with pytest.raises(MemoryError), damage_named(path):
        raise MemoryError
    with pytest.raises(RuntimeError, match="can't allocate memory"), damage_named(path):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("protocol.json", "[]"),
        ("protocol.json", '{"schema": 1, "title": 7}'),
        ("rows-0.jsonl", '{"id": "a"}\n'),
        ("rows-0.jsonl", "[1]\n"),
        ("rows-0.jsonl", '{"id": 7, "group": "g", "requested": {}, "seed": 0}\n'),
        ("rows-0.jsonl", '{"id": "a", "group": "g", "requested": {"12": "3"}, "seed": 0}\n'),
        ("rows-0.jsonl", '{"id": "a", "group": "g", "requested": {"12": NaN}, "seed": 0}\n'),
    ],
)
def test_a_run_that_is_damaged_is_named(tmp_path: Path, file: str, content: str) -> None:
    from fuzz.files import run_of_a_protocol

    run_of_a_protocol(tmp_path, file).write_text(content)
    with pytest.raises(ValueError, match=f"{file} is damaged"):
        report_run(tmp_path)


@pytest.mark.parametrize("key", ["faces", "uneven", "units", "steps", "shards"])
def test_a_card_that_lacks_something_is_named(tmp_path: Path, key: str) -> None:
    from fuzz.files import faces

    path = faces(tmp_path, "card.json")
    card = json.loads(path.read_text())
    path.write_text(json.dumps({name: value for name, value in card.items() if name != key}))
    with pytest.raises(ValueError, match="card.json is damaged"):
        describe_folder(tmp_path)
