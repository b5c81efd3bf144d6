"""The shipped workflows on a real server that passes nothing from one prompt to the next."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image, ImageSequence
from shipped import DRAWN, FOREIGN, NAMES, PICTURES, api_graph, shipped_server, size_of

from tools.server import ComfyServer, PromptError
from tools.templates import TITLES, page_graph


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComfyServer]:
    with shipped_server(tmp_path_factory.mktemp("comfyui")) as server:
        yield server


@pytest.fixture(scope="module")
def files(server: ComfyServer) -> dict[str, list[Image.Image]]:
    return {name: server.run(api_graph(name)) for name in DRAWN}


@pytest.fixture(scope="module")
def drawn(files: dict[str, list[Image.Image]]) -> dict[str, np.ndarray]:
    return {name: _pixels(pictures) for name, pictures in files.items()}


@pytest.mark.parametrize("name", DRAWN)
def test_it_draws_what_it_says_and_the_same_again(
    server: ComfyServer, drawn: dict[str, np.ndarray], name: str
) -> None:
    width, height = size_of(name)
    assert drawn[name].shape == (PICTURES[name], height, width, 3)
    for number, picture in enumerate(drawn[name]):
        assert picture.std() > 5, f"picture {number} is empty"
    assert np.array_equal(drawn[name], _pixels(server.run(api_graph(name))))


def test_a_sweep_goes_away_from_where_it_starts(drawn: dict[str, np.ndarray]) -> None:
    pictures = drawn["au_sweep"].astype(int)
    _, second, *_, last = (np.abs(picture - pictures[0]).mean() for picture in pictures)
    assert 0 < second < last


@pytest.mark.parametrize("name", NAMES)
def test_the_server_knows_every_node_of_it(server: ComfyServer, name: str) -> None:
    known = server.get("/object_info")
    for node in (*api_graph(name).values(), *page_graph(name).values()):
        inputs = known[node["class_type"]]["input"]
        names = {*inputs.get("required", {}), *inputs.get("optional", {})}
        assert node["inputs"].keys() <= names, node["class_type"]


def test_a_clip_changes_in_time(files: dict[str, list[Image.Image]]) -> None:
    (clip,) = files["au_animation"]
    frames = [np.asarray(frame.convert("RGB"), int) for frame in ImageSequence.Iterator(clip)]
    assert 2 < len(frames) <= 12  # frames that are the same are stored once
    assert all(np.abs(frame - frames[0]).mean() > 0 for frame in frames[2:])


@pytest.mark.parametrize("name", FOREIGN)
def test_comfyui_accepts_what_needs_other_models(server: ComfyServer, name: str) -> None:
    """Its own validation: every node, input, link and value, with the models there by name. It
    then fails at the first of them, which is empty."""
    prompt = server.post_prompt(api_graph(name))
    first = "node 1 .CheckpointLoaderSimple|node 11|node 12|LoadMagicFace|PrepareMagicFace"
    with pytest.raises(PromptError, match=first):
        server.wait(prompt)
    wrong = api_graph(name)
    wrong["1"]["inputs"]["ckpt_name"] = "gone.safetensors"
    with pytest.raises(PromptError, match="node 1 .*gone.safetensors"):
        server.post_prompt(wrong)


def test_the_page_lists_them_with_pictures(server: ComfyServer) -> None:
    listed = server.get("/workflow_templates")  # in the order of the file system
    assert {pack: sorted(names) for pack, names in listed.items()} == {"au-adapter": sorted(TITLES)}
    for title in TITLES:
        assert server._request(f"/api/workflow_templates/au-adapter/{title}.jpg")[:2] == b"\xff\xd8"


def _pixels(pictures: list[Image.Image]) -> np.ndarray:
    """Pictures as uint8 [N, H, W, 3]; of a clip, its first frame."""
    return np.stack([np.asarray(picture.convert("RGB")) for picture in pictures])
