"""The shipped workflows on a real server that passes nothing from one prompt to the next."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from shipped import MODEL_SIZE, NAMES, PICTURES, SIZES, api_graph, shipped_server, ui_graph

from tools.server import ComfyServer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComfyServer]:
    with shipped_server(tmp_path_factory.mktemp("comfyui")) as server:
        yield server


@pytest.fixture(scope="module")
def drawn(server: ComfyServer) -> dict[str, np.ndarray]:
    return {name: _draw(server, name) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_it_draws_what_it_says_and_the_same_again(
    server: ComfyServer, drawn: dict[str, np.ndarray], name: str
) -> None:
    assert drawn[name].shape == (PICTURES[name], *SIZES.get(name, MODEL_SIZE), 3)
    for number, picture in enumerate(drawn[name]):
        assert picture.std() > 5, f"picture {number} is empty"
    assert np.array_equal(drawn[name], _draw(server, name))


def test_a_sweep_goes_away_from_where_it_starts(drawn: dict[str, np.ndarray]) -> None:
    pictures = drawn["au_sweep"].astype(int)
    _, second, *_, last = (np.abs(picture - pictures[0]).mean() for picture in pictures)
    assert 0 < second < last


@pytest.mark.parametrize("name", NAMES)
def test_the_server_knows_every_node_of_it(server: ComfyServer, name: str) -> None:
    known = server.get("/object_info")
    page_alone = {"MarkdownNote"}
    kinds = {node["type"] for node in ui_graph(name)["nodes"]} - page_alone
    assert kinds <= known.keys()
    for node in api_graph(name).values():
        inputs = known[node["class_type"]]["input"]
        names = {*inputs.get("required", {}), *inputs.get("optional", {})}
        assert node["inputs"].keys() <= names, node["class_type"]


def test_the_page_lists_them_with_pictures(server: ComfyServer) -> None:
    assert server.get("/workflow_templates") == {"au-adapter": NAMES}
    for name in NAMES:
        assert server._request(f"/api/workflow_templates/au-adapter/{name}.jpg")[:2] == b"\xff\xd8"


def _draw(server: ComfyServer, name: str) -> np.ndarray:
    """Pictures uint8 [N, H, W, 3]."""
    pictures = server.run(api_graph(name))
    return np.stack([np.asarray(picture.convert("RGB")) for picture in pictures])
