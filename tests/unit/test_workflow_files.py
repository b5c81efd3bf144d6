"""The shipped workflows as files: both forms of each agree, and each has a note and a picture."""

from __future__ import annotations

import re
from typing import Any

import pytest
from PIL import Image
from shipped import (
    DRAWN,
    FOREIGN,
    NAMES,
    NODE_IDS,
    TRAINING,
    WORKFLOWS,
    api_graph,
    is_link,
    ui_graph,
    ui_nodes,
)

from tools.server import ROOT
from tools.templates import TEMPLATES, TITLES, page_graph

TITLE = 30  # height of a node's title, above its place
AFTER_SEED = "control_after_generate"  # a widget of the page that is no input of the node
COUNTED_ON = {("PrimitiveInt", "value"), ("AUA_AUProtocol", "number")}  # numbers with that as well


def test_each_is_there_in_both_forms_with_a_picture() -> None:
    assert {*DRAWN} < {*NAMES} == {*TEMPLATES}
    assert sorted(path.stem for path in WORKFLOWS.glob("*.json")) == sorted(TITLES)
    assert sorted(path.stem for path in WORKFLOWS.glob("*.jpg")) == sorted(TITLES)


def test_titles_are_in_order_and_can_be_opened_by_address() -> None:
    numbers = [int(template.title[:2]) for template in TEMPLATES.values()]
    assert numbers == list(range(1, len(TEMPLATES) + 1))
    assert all(re.fullmatch(r"\d\d(_[a-z0-9]+)+", title) for title in TITLES)


@pytest.mark.parametrize("words", ["smile", "frown", "photo", "left_and_right", "wink", "sdxl"])
def test_a_title_has_the_words_that_people_search(words: str) -> None:
    assert any(words in title for title in TITLES)


@pytest.mark.parametrize("name", NAMES)
def test_the_template_holds_the_workflow(name: str) -> None:
    """Nodes and values; that it queues the same links is tested on the page."""
    nodes = ui_nodes(name)
    notes = {key for key, node in nodes.items() if node["type"] == "MarkdownNote"}
    expected = page_graph(name)
    assert nodes.keys() - notes == expected.keys()
    for key, node in expected.items():
        assert nodes[key]["type"] == node["class_type"]
        assert nodes[key].get("title") == node.get("_meta", {}).get("title")
        linked = {slot["name"] for slot in nodes[key]["inputs"] if slot.get("link") is not None}
        assert linked >= {kind for kind, value in node["inputs"].items() if is_link(value)}
        found = _values(nodes[key])
        assert (
            found.items()
            >= {kind: value for kind, value in node["inputs"].items() if not is_link(value)}.items()
        )


@pytest.mark.parametrize("name", NAMES)
def test_pictures_are_previewed_and_not_saved(name: str) -> None:
    kinds = {node["type"] for node in ui_nodes(name).values()}
    assert "SaveImage" not in kinds and kinds & {"PreviewImage", "SaveAnimatedWEBP"}


@pytest.mark.parametrize("name", NAMES)
def test_it_is_small_enough_to_be_read_on_a_laptop(name: str) -> None:
    """The page shows a new template at three quarters of its canvas, and letters from a scale of
    0.57 on: 1366 x 680 pixels, of which a newer page leaves about 1300 x 590 to the canvas."""
    boxes = [(*node["pos"], *node["size"]) for node in ui_graph(name)["nodes"]]
    width = max(x + w for x, _, w, _ in boxes) - min(x for x, *_ in boxes)
    height = max(y + h for _, y, _, h in boxes) - min(y for _, y, *_ in boxes) + TITLE
    assert min(0.75 * 1366 / width, 0.75 * 680 / height) > 0.6
    assert min(0.75 * 1300 / width, 0.75 * 680 / height) > 0.58


@pytest.mark.parametrize("name", [name for name in NAMES if TEMPLATES[name].app])
def test_an_app_shows_sliders_a_prompt_or_photo_and_the_picture(name: str) -> None:
    graph = ui_graph(name)
    shown = graph["extra"]["linearData"]
    nodes = {node["id"]: node for node in graph["nodes"]}
    assert graph["extra"]["linearMode"] is True
    assert [nodes[key]["type"] for key in shown["outputs"]] == ["PreviewImage"]
    assert all(key in nodes for key, _ in shown["inputs"])
    assert {"face_panel", "seed"} <= {widget for _, widget in shown["inputs"]}


def test_missing_models_are_offered_with_folder_and_hash() -> None:
    loader = next(n for n in ui_nodes("au_sd15").values() if n["type"] == "CheckpointLoaderSimple")
    (link,) = loader["properties"]["models"]
    assert link["directory"] == "checkpoints" and len(link["hash"]) == 64
    for name in ("au_sd15", "au_sd21", "au_sd15_ipadapter"):
        nodes = ui_nodes(name).values()
        adapter = next(node for node in nodes if node["type"] == "AUA_LoadAUAdapter")
        for link in adapter["properties"]["models"]:
            assert link["directory"] == "au_adapter"
            assert link["url"].startswith("https://huggingface.co/Tvaranka/fineface/")
            assert link["url"].endswith(link["name"])


@pytest.mark.parametrize("name", NAMES)
def test_every_node_of_ours_exists(name: str) -> None:
    for node in page_graph(name).values():
        if node["class_type"].startswith("AUA_"):
            assert node["class_type"] in NODE_IDS
            page = ROOT / "web" / "docs" / f"{node['class_type']}.md"
            assert page.is_file()


@pytest.mark.parametrize("name", NAMES)
def test_the_seed_stays(name: str) -> None:
    drawn = {"KSampler", "AUA_SampleVQAUFace"}
    samplers = [node for node in ui_nodes(name).values() if node["type"] in drawn]
    assert bool(samplers) != name.startswith("aueditnet")  # which needs no seed
    assert all(_values(node)[AFTER_SEED] == "fixed" for node in samplers)


@pytest.mark.parametrize("name", NAMES)
def test_the_note_names_the_models(name: str) -> None:
    (note,) = (node for node in ui_graph(name)["nodes"] if node["type"] == "MarkdownNote")
    text = note["widgets_values"][0]
    assert text == (WORKFLOWS / "notes" / f"{name}.md").read_text(encoding="utf-8").strip()
    assert "**Models**" in text and "Apache-2.0" in text
    assert "`" not in text  # Nodes 2.0 shows code as blue on blue
    kinds = {node["class_type"] for node in api_graph(name).values()}
    if name in (*DRAWN, *TRAINING) and kinds & {"AUA_LoadDemoModel", "AUA_TrainAUAdapter"}:
        for said in ("AU-Adapter demo model", "au_adapter/bundled/", "MIT", "**Try next**"):
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
        line = next(line for line in lines if line.startswith(f"- *{file}*"))
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
    path = WORKFLOWS / f"{TEMPLATES[name].title}.jpg"
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


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    x, y, width, height = one
    other_x, other_y, other_width, other_height = other
    apart_x = x + width <= other_x or other_x + other_width <= x
    return not apart_x and not (y + height <= other_y or other_y + other_height <= y)
