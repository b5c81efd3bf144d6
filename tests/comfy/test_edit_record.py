"""The change of AUs, MagicFace's hash and the guidance in the metadata of an edited picture."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from au_adapter_pack.nodes.compat import folder_paths
from au_adapter_pack.nodes.picture_record import graph_records
from safetensors.torch import save_file
from tiny_magicface import random_unets, write_published

from au_adapter import AUVector
from au_adapter.cli.convert import convert_files as convert
from au_adapter.weights.magicface_files import find_unets, magicface_hash

FILE = "diffusion_pytorch_model.safetensors"
PUBLISHED = {"denoising_file": f"denoising_unet/{FILE}", "id_encoder_file": f"ID_enc/{FILE}"}
CONVERTED = dict.fromkeys(PUBLISHED, "magicface.safetensors")

Graph = dict[str, dict]


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A models/magicface with the published files and the converted one."""
    convert(write_published(tmp_path), tmp_path / "magicface.safetensors")
    folder = ([str(tmp_path)], {".safetensors"})
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "magicface", folder)
    return tmp_path


def graph(**files: str) -> Graph:
    nodes = {
        "2": ("AUA_LoadMagicFace", files or CONVERTED),
        "4": ("AUA_AUVector", {"au12": 4.0, "notation": "AU4:-2"}),
        "8": ("AUA_ApplyMagicFace", {"model": ["2", 0], "au_vector": ["4", 0]}),
        "9": ("KSampler", {"model": ["8", 0], "positive": ["8", 1], "cfg": 2.5}),
        "10": ("VAEDecode", {"samples": ["9", 0]}),
    }
    return {key: {"class_type": kind, "inputs": inputs} for key, (kind, inputs) in nodes.items()}


def test_the_change_the_weights_and_the_guidance(models: Path) -> None:
    (record,) = graph_records(graph())
    assert AUVector.from_json(record.pop("change")).dict() == {"4": -2.0, "12": 4.0}
    name = magicface_hash(find_unets(models))
    assert record == {"node": "8", "magicface": name, "guidance": 2.5}


def test_the_published_files_are_the_converted_one_and_no_other(models: Path) -> None:
    assert graph_records(graph(**PUBLISHED)) == graph_records(graph())
    before = graph_records(graph())[0]["magicface"]
    weights = random_unets()
    weights["ID_enc"]["mid_block.resnets.0.conv1.bias"] += 0.01
    save_file(weights["ID_enc"], models / "ID_enc" / FILE)
    after = graph_records(graph(**PUBLISHED))[0]["magicface"]
    assert after != before and len(after) == len(before) == 16


def test_a_pickle_of_the_same_weights_has_the_same_name(models: Path) -> None:
    parts = find_unets(models)
    for part in parts:
        torch.save(part.tensors(), part.path.with_suffix(".bin"))
        part.path.unlink()
    assert magicface_hash(find_unets(models)) == magicface_hash(
        find_unets(models / "magicface.safetensors")
    )


def test_the_guidance_beyond_masks_and_of_the_first_sampler_only() -> None:
    nodes = graph()
    nodes["20"] = {"class_type": "ConditioningSetMask", "inputs": {"conditioning": ["8", 1]}}
    nodes["21"] = {"class_type": "CFGGuider", "inputs": {"positive": ["20", 0], "cfg": ["22", 0]}}
    nodes["22"] = {"class_type": "PrimitiveFloat", "inputs": {"value": 1.5}}
    nodes["23"] = {"class_type": "KSampler", "inputs": {"latent_image": ["9", 0], "cfg": 7.0}}
    del nodes["9"]["inputs"]["positive"], nodes["9"]["inputs"]["model"]
    assert graph_records(nodes)[0]["guidance"] == 1.5
    nodes["9"]["inputs"]["model"] = ["8", 0]  # two samplers, two guidances: neither is the one
    assert graph_records(nodes)[0]["guidance"] is None


def test_lists_that_are_no_links_are_let_by() -> None:
    nodes = graph()
    nodes["30"] = {"class_type": "SomeNode", "inputs": {"tags": [], "sizes": [[8, 8]]}}
    assert graph_records(nodes) == graph_records(graph())
    nodes["8"]["inputs"] |= {"model": [], "au_vector": []}
    (record,) = graph_records(nodes)
    assert record["magicface"] is None and record["change"] is None


def test_a_change_that_the_graph_determines() -> None:
    nodes = graph()
    inputs = {"change": "copy", "region": "all", "strength": 0.5, "sides": "alike"}
    nodes["5"] = {"class_type": "AUA_AUVector", "inputs": {"notation": "12B"}}
    nodes["6"] = {
        "class_type": "AUA_AUChange",
        "inputs": {**inputs, "au_vector": ["4", 0], "source": ["5", 0]},
    }
    nodes["8"]["inputs"]["au_vector"] = ["6", 0]
    assert AUVector.from_json(graph_records(nodes)[0]["change"]).dict() == {"4": 1.0, "12": -1.0}
    nodes["5"] = {"class_type": "AUA_AUEstimator", "inputs": {}}  # read when it runs
    assert graph_records(nodes)[0]["change"] is None


def test_a_lora_between_and_a_loader_of_another_pack() -> None:
    nodes = graph()
    nodes["3"] = {"class_type": "LoraLoaderModelOnly", "inputs": {"model": ["2", 0]}}
    nodes["8"]["inputs"]["model"] = ["3", 0]
    assert graph_records(nodes)[0]["magicface"] == graph_records(graph())[0]["magicface"]
    nodes["2"] = {"class_type": "SomeLoader", "inputs": {}}
    assert graph_records(nodes)[0]["magicface"] is None


def test_a_ring_of_nodes_is_left_to_comfyui() -> None:
    nodes = graph()
    nodes["8"]["inputs"]["model"] = ["8", 0]
    with pytest.raises(ValueError, match="node 8 is connected to itself"):
        graph_records(nodes)
