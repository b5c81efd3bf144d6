"""The shipped workflows as files: both forms of each agree, and each has a note and a picture."""

from __future__ import annotations

import re
from typing import Any

import pytest
from PIL import Image
from shipped import DRAWN, FOREIGN, NAMES, TRAINING, WORKFLOWS, api_graph, is_link, ui_graph

from tools.server import ROOT

OWN_NODES = {
    "AUA_" + re.sub(r"\W", "", name)
    for path in (ROOT / "nodes").glob("*.py")
    for name in re.findall(r'cls\.schema\(\s*"(.+?)"', path.read_text(encoding="utf-8"))
}
AFTER_SEED = "control_after_generate"  # a widget of the page that is no input of the node
COUNTED_ON = {("PrimitiveInt", "value"), ("AUA_AUProtocol", "number")}  # numbers with that as well


def test_each_is_there_in_both_forms_with_a_picture() -> None:
    assert {*DRAWN} < {*NAMES}
    assert sorted(path.stem for path in WORKFLOWS.glob("*.json")) == NAMES
    assert sorted(path.stem for path in WORKFLOWS.glob("*.jpg")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_both_forms_hold_the_same_nodes_values_and_links(name: str) -> None:
    nodes = {str(node["id"]): node for node in ui_graph(name)["nodes"]}
    notes = {key for key, node in nodes.items() if node["type"] == "MarkdownNote"}
    api = api_graph(name)
    assert nodes.keys() - notes == api.keys()
    for key, expected in api.items():
        node = nodes[key]
        assert node["type"] == expected["class_type"]
        title = expected.get("_meta", {}).get("title")
        assert node.get("title") == title
        found = {**_values(node), **_links(name, node)}
        assert {kind: found[kind] for kind in expected["inputs"]} == expected["inputs"]
        assert {kind for kind in found if is_link(found[kind])} <= expected["inputs"].keys()


@pytest.mark.parametrize("name", NAMES)
def test_every_node_of_ours_exists(name: str) -> None:
    for node in api_graph(name).values():
        if node["class_type"].startswith("AUA_"):
            assert node["class_type"] in OWN_NODES
            page = ROOT / "web" / "docs" / f"{node['class_type']}.md"
            assert page.is_file()


@pytest.mark.parametrize("name", NAMES)
def test_the_seed_stays(name: str) -> None:
    samplers = [node for node in ui_graph(name)["nodes"] if node["type"] == "KSampler"]
    assert samplers and all(_values(node)[AFTER_SEED] == "fixed" for node in samplers)


@pytest.mark.parametrize("name", NAMES)
def test_the_note_names_the_models(name: str) -> None:
    (note,) = (node for node in ui_graph(name)["nodes"] if node["type"] == "MarkdownNote")
    text = note["widgets_values"][0]
    assert text == (WORKFLOWS / "notes" / f"{name}.md").read_text(encoding="utf-8").strip()
    assert "### Models" in text and "Apache-2.0" in text
    if name in (*DRAWN, *TRAINING):
        for said in ("AU-Adapter demo model", "au_adapter/bundled/", "MIT", "### Try next"):
            assert said in text


@pytest.mark.parametrize("name", FOREIGN)
def test_the_note_names_every_file_with_folder_and_licence(name: str) -> None:
    text = (WORKFLOWS / "notes" / f"{name}.md").read_text(encoding="utf-8")
    files = {
        "ckpt_name": ("models/checkpoints/", "CreativeML Open RAIL"),
        "file": ("models/au_adapter/", "Apache-2.0"),
        "denoising_file": ("models/magicface/", "Apache-2.0"),
        "id_encoder_file": ("models/magicface/", "Apache-2.0"),
    }
    faces = ("models/face_analysis/", "Apache-2.0")
    lines = text.splitlines()
    named = [(k, v) for n in api_graph(name).values() for k, v in n["inputs"].items() if k in files]
    assert "ckpt_name" in dict(named) and len(named) > 1
    for key, file in named:
        line = next(line for line in lines if line.startswith(f"- `{file}`"))
        assert all(word in line for word in (faces if file.endswith(".task") else files[key]))
    if any(node["class_type"].startswith("IPAdapter") for node in api_graph(name).values()):
        for said in (
            "ComfyUI_IPAdapter_plus",
            "GPL-3.0",
            "models/ipadapter/",
            "models/clip_vision/",
        ):
            assert said in text


@pytest.mark.parametrize("name", NAMES)
def test_nodes_and_groups_lie_apart(name: str) -> None:
    graph = ui_graph(name)
    for boxes in (
        [(*node["pos"], *node["size"]) for node in graph["nodes"]],
        [group["bounding"] for group in graph["groups"]],
    ):
        for index, one in enumerate(boxes):
            assert not any(_overlap(one, other) for other in boxes[:index])


@pytest.mark.parametrize("name", NAMES)
def test_the_picture_suits_a_card(name: str) -> None:
    path = WORKFLOWS / f"{name}.jpg"
    with Image.open(path) as picture:
        assert picture.size == (384, 384)
    assert path.stat().st_size < 100_000


def _values(node: dict[str, Any]) -> dict[str, Any]:
    """Values of a saved node's widgets by name; the page saves them in the order of its inputs."""
    names = []
    for slot in node.get("inputs", []):
        if "widget" in slot:
            names.append(slot["widget"]["name"])
            follows = names[-1] == "seed" or (node["type"], names[-1]) in COUNTED_ON
            names += [AFTER_SEED] if follows else []
    return dict(zip(names, node.get("widgets_values", []), strict=True))


def _links(name: str, node: dict[str, Any]) -> dict[str, list[Any]]:
    """Where each connected input of a saved node comes from, as the API form says it."""
    sources = {link[0]: [str(link[1]), link[2]] for link in ui_graph(name)["links"]}
    slots = [slot for slot in node.get("inputs", []) if slot.get("link") is not None]
    return {slot["name"]: sources[slot["link"]] for slot in slots}


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    x, y, width, height = one
    other_x, other_y, other_width, other_height = other
    apart_x = x + width <= other_x or other_x + other_width <= x
    return not apart_x and not (y + height <= other_y or other_y + other_height <= y)
