"""The workflow magicface_edit on a real server, on tiny random weights and a real photo."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from shipped import api_graph
from test_server_nodes import OTHER_PACK
from tiny_magicface import TINY, random_unets, write_published

from au_adapter.cli.convert import convert_files as convert
from tools import face_files
from tools.server import ComfyServer, PromptError

PHOTO = face_files.PHOTOS / "astronaut.png"


@pytest.fixture(scope="module")
def server(demo_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComfyServer]:
    """A server with the photo, Google's files and a tiny MagicFace under the published names."""
    base = tmp_path_factory.mktemp("comfyui")
    server = ComfyServer(base=base)
    published = write_published(
        base / "published", random_unets({**TINY, "cross_attention_dim": 128})
    )
    magicface = base / "models" / "magicface"
    convert(published, magicface / "magicface.safetensors")
    shutil.copytree(published, magicface, dirs_exist_ok=True)
    (magicface / "broken.safetensors").write_bytes(b"no weights at all")
    for file in face_files.MODELS.iterdir():
        shutil.copy(file, base / "models" / "face_analysis")
    shutil.copy(PHOTO, base / "input" / "photo.png")
    Image.new("RGB", (90, 60), "grey").save(base / "input" / "empty.png")
    (base / "custom_nodes" / "other_pack.py").write_text(OTHER_PACK)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AU_ADAPTER_DEMO", str(demo_files))
        with server:
            yield server


def graph(**aus: float | str) -> dict:
    """The shipped workflow with the demo model's VAE and CLIP, small and short."""
    nodes = api_graph("magicface_edit")
    nodes["1"] = {"class_type": "AUA_LoadDemoModel", "inputs": {}}
    nodes["4"]["inputs"] = {"notation": "", **aus}
    nodes["6"]["inputs"]["size"] = 64
    nodes["9"]["inputs"]["steps"] = 2
    return nodes


def failing(nodes: dict) -> dict:
    """The graph with a pack before the sampler that gives up at the first step."""
    nodes["20"] = {"class_type": "FailAtStep", "inputs": {"model": ["8", 0], "step": 1}}
    nodes["9"]["inputs"]["model"] = ["20", 0]
    return nodes


def edit(server: ComfyServer, nodes: dict) -> np.ndarray:
    (picture,) = server.run(nodes)
    return np.asarray(picture.convert("RGB"))


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return np.asarray(Image.open(PHOTO).convert("RGB"))


def test_an_edit_changes_the_face_and_nothing_else(server: ComfyServer, photo: np.ndarray) -> None:
    edited = edit(server, graph(au12=4.0))
    changed = (edited != photo).any(-1)
    rows, columns = np.nonzero(changed)
    assert edited.shape == photo.shape and 2000 < changed.sum() < 30000
    assert rows.min() > 40 and rows.max() < 220 and columns.min() > 150 and columns.max() < 300
    assert np.array_equal(edited, edit(server, graph(au12=4.0)))


def test_without_a_change_the_photo_comes_out_and_the_sampler_rests(
    server: ComfyServer, photo: np.ndarray
) -> None:
    assert np.array_equal(edit(server, failing(graph())), photo)
    with pytest.raises(PromptError, match="the other pack gave up"):
        edit(server, failing(graph(au12=4.0)))


def test_a_row_of_changes_of_one_photo(server: ComfyServer, photo: np.ndarray) -> None:
    nodes = graph()
    sweep = {"unit": "AU12 lip corner puller", "start": 0.0, "stop": 4.0, "steps": 3}
    nodes["4"] = {"class_type": "AUA_AUSweep", "inputs": sweep}
    pictures = [np.asarray(p.convert("RGB")) for p in server.run(nodes)]
    assert len(pictures) == 3 and np.array_equal(pictures[0], photo)
    assert not np.array_equal(pictures[1], pictures[2])


def test_the_published_files_are_the_converted_one(server: ComfyServer) -> None:
    nodes = graph(au12=4.0)
    for name, part in (("denoising_file", "denoising_unet"), ("id_encoder_file", "ID_enc")):
        nodes["2"]["inputs"][name] = f"{part}/diffusion_pytorch_model.safetensors"
    assert np.array_equal(edit(server, nodes), edit(server, graph(au12=4.0)))


def swapped(nodes: dict) -> None:
    nodes["2"]["inputs"]["denoising_file"] = "ID_enc/diffusion_pytorch_model.safetensors"


def broken(nodes: dict) -> None:
    nodes["2"]["inputs"]["denoising_file"] = "broken.safetensors"


def no_face(nodes: dict) -> None:
    nodes["3"]["inputs"]["image"] = "empty.png"


def other_model(nodes: dict) -> None:
    nodes["8"]["inputs"]["model"] = ["1", 0]


MISTAKES = [
    (swapped, "holds MagicFace's ID encoder, not MagicFace's denoising UNet"),
    (broken, "broken.safetensors .* is not a whole file of weights"),
    (no_face, "Prepare MagicFace: no face found in picture 1"),
    (other_model, "Connect the MODEL of Load MagicFace"),
]


@pytest.mark.parametrize(("spoil", "sentence"), MISTAKES)
def test_a_mistake_is_a_sentence(server: ComfyServer, spoil: object, sentence: str) -> None:
    nodes = graph(au12=4.0)
    spoil(nodes)
    with pytest.raises(PromptError, match=sentence):
        edit(server, nodes)
