"""The demo run short of its server: graphs, contact sheets, report."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from au_adapter.evaluation.contact_sheet import CAPTION, MARGIN, PAPER, SIDE, contact_sheet
from au_adapter.evaluation.records import Row
from au_adapter.facs import SET_A
from tools.demo_graphs import SWEEP_LEVELS, Graph, face_graph, load_workflow, node_of, sweep_graph
from tools.run_demo import COMBINATIONS, PICTURES, jobs, report, table, with_baselines

NAMES = ("au_generate", "au_sweep")


def links(graph: Graph) -> list[str]:
    """The nodes that others take something from."""
    values = [value for node in graph.values() for value in node["inputs"].values()]
    return [value[0] for value in values if isinstance(value, list)]


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_workflow_is_a_whole_graph(name: str) -> None:
    graph = load_workflow(name)
    assert {*links(graph)} <= graph.keys()
    assert node_of(graph, "SaveImage")["filename_prefix"] == name


def test_a_missing_workflow_says_where_the_demo_runs() -> None:
    with pytest.raises(FileNotFoundError, match="au_nothing.json is missing: .*clone"):
        load_workflow("au_nothing")


@pytest.mark.parametrize(("kind", "count"), [("CLIPTextEncode", 2), ("KSamplerAdvanced", 0)])
def test_a_node_is_found_only_where_there_is_one(kind: str, count: int) -> None:
    with pytest.raises(ValueError, match=f"expected one {kind} in the graph, found {count}"):
        node_of(load_workflow("au_generate"), kind)


def test_a_sweep_asks_for_six_pictures_of_one_noise() -> None:
    graph = sweep_graph(12, "a man", 5, "smile")
    sweep = node_of(graph, "AUA_AUSweep")
    expected = {"unit": "AU12 lip corner puller", "start": 0.0, "stop": 5.0, "steps": 6}
    assert sweep == expected and len(SWEEP_LEVELS) == 6
    assert node_of(graph, "EmptyLatentImage")["batch_size"] == 6
    assert node_of(graph, "LatentBatchSeedBehavior")["seed_behavior"] == "fixed"
    assert node_of(graph, "KSampler")["seed"] == 5
    assert node_of(graph, "SaveImage")["filename_prefix"] == "smile"


def test_the_shipped_sweep_names_its_unit_as_ours_do() -> None:
    shipped = node_of(load_workflow("au_sweep"), "AUA_AUSweep")["unit"]
    ours = [node_of(sweep_graph(unit, "", 0, ""), "AUA_AUSweep")["unit"] for unit in SET_A]
    assert shipped in ours and len({*ours}) == 12


def test_a_face_is_asked_for_by_notation_alone() -> None:
    graph = face_graph("6D+12D", "a woman", 3, "joy", strength=0.5)
    sliders = node_of(graph, "AUA_AUVector")
    assert sliders.pop("notation") == "6D+12D"
    assert {value for value in sliders.values() if not isinstance(value, list)} == {0.0}
    assert node_of(graph, "AUA_ApplyAUAdapter")["strength"] == 0.5
    assert node_of(graph, "EmptyLatentImage")["batch_size"] == 1


def test_the_prompt_goes_to_the_positive_side_only() -> None:
    texts = [
        graph[node_of(graph, "AUA_ApplyAUAdapter")[side][0]]["inputs"]["text"]
        for graph in (face_graph("", "a woman", 3, "x"), sweep_graph(4, "a woman", 3, "x"))
        for side in ("positive", "negative")
    ]
    assert texts == ["a woman", "", "a woman", ""]


def test_the_demo_draws_the_grid_the_combinations_and_both_without() -> None:
    work = jobs()
    assert len(work) == 12 + len(COMBINATIONS) + 2 == 20
    for job in work:
        assert node_of(job.graph, "EmptyLatentImage")["batch_size"] == len(job.rows)
        assert {*links(job.graph)} <= job.graph.keys()
    prefixes = [node_of(job.graph, "SaveImage")["filename_prefix"] for job in work]
    assert len({*prefixes}) == 20
    requests = [row.requested for job in work for row in job.rows]
    assert {"12": 5.0} in requests and {"4": 3.0, "25": 3.0, "26": 3.0} in requests


@pytest.fixture
def rows(tmp_path: Path) -> list[Row]:
    """The demo's rows, as a model would answer that does what it is asked, and AU6 with AU12."""
    (tmp_path / PICTURES).mkdir()
    found = [row for job in jobs() for row in job.rows]
    for number, row in enumerate(found):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / row.target)
    answers = [{str(unit): r.requested.get(str(unit), 0.0) for unit in SET_A} for r in found]
    return [replace(row, measured=seen) for row, seen in zip(found, answers, strict=True)]


def test_every_picture_has_a_twin_without_adapter(rows: list[Row]) -> None:
    found = with_baselines(rows)
    ours, twins = found[:78], found[78:]
    assert len(ours) == len(twins) == 12 * 6 + 6
    for row, twin in zip(ours, twins, strict=True):
        assert twin.method == "none" and row.method == "adapter"
        assert all(getattr(row, k) == getattr(twin, k) for k in ("prompt", "seed", "requested"))


def test_the_report_is_pictures_rows_and_a_table(rows: list[Row], tmp_path: Path) -> None:
    report(with_baselines(rows), tmp_path)
    content = json.loads((tmp_path / "report.json").read_text())
    assert content["schema"] == 1 and len(content["rows"]) == 2 * 78
    keys = {"file", "method", "prompt", "seed", "requested", "measured"}
    assert all(row.keys() == keys for row in content["rows"])
    assert [Row.from_answer(row).answer() for row in content["rows"]] == content["rows"]
    step = 8 + MARGIN
    head = 2 * CAPTION + 2 * MARGIN
    grid, combinations = (Image.open(tmp_path / f"{n}.png") for n in ("grid", "combinations"))
    assert grid.size == (SIDE + 6 * step + MARGIN, head + 12 * step)
    assert combinations.size == (SIDE + 6 * step + MARGIN, head + 2 * step)


def test_the_table_reads_requested_against_measured(rows: list[Row]) -> None:
    text = table(with_baselines(rows))
    line = "| AU12 lip corner puller | 0.0 | 1.0 | 2.0 | 3.0 | 4.0 | 5.0 | 0.0 | 1.00 |"
    assert line in text.splitlines()
    assert "| over all 12 AUs | 0.00 |" in text


def test_a_contact_sheet_has_the_right_size_and_places() -> None:
    colours = [(200, 0, 0), (0, 200, 0), (0, 0, 200)]
    pictures = [Image.new("RGB", (16, 10), colour) for colour in colours]
    sheet = contact_sheet([("one", pictures), ("two", pictures[:2])], ["a", "b", "c"], "title")
    assert sheet.size == (SIDE + 3 * (16 + MARGIN) + MARGIN, 2 * CAPTION + 2 * MARGIN + 2 * 16)
    top = 2 * CAPTION + 2 * MARGIN
    for column, colour in enumerate(colours):
        left = SIDE + column * (16 + MARGIN)
        assert sheet.getpixel((left, top)) == sheet.getpixel((left + 15, top + 9)) == colour
        assert sheet.getpixel((left + 16, top)) == PAPER
    assert sheet.getpixel((SIDE + 2 * (16 + MARGIN), top + 10 + MARGIN)) == PAPER
