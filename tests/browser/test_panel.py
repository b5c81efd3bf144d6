"""The AU panel as a person uses it, in the classic canvas and in Nodes 2.0."""

from __future__ import annotations

import json

import pytest
from panel_page import (
    AU_VECTOR,
    DRAWN,
    RENDERERS,
    SAVED,
    drag,
    open_panel,
    panel_of,
    press_run,
    slider,
    values,
    write,
)
from playwright.sync_api import Locator, Page, expect
from shipped import KEPT, api_graph

from tools.server import ComfyServer

SMILE = api_graph("au_generate")[AU_VECTOR]["inputs"]  # what the template opens with
ADD_ESTIMATOR = """() => {
  const [read, reader] = ['AUA_AUEstimator', 'AUA_LoadFaceReader'].map(
    (kind) => LiteGraph.createNode(kind))
  const shown = LiteGraph.createNode('PreviewImage')
  for (const node of [read, reader, shown]) app.graph.add(node)
  reader.widgets[0].value = 'demo regressor'
  app.graph.nodes.find(({ subgraph }) => subgraph).connect(0, read, 0)
  reader.connect(0, read, 1)
  read.connect(3, shown, 0)
}"""
NEWEST = "() => Math.max(...app.graph.nodes.map(({ id }) => Number(id)))"
COUNT = "() => app.graph.nodes.filter(({ type }) => type === 'AUA_AUVector').length"


@pytest.fixture(params=RENDERERS)
def panel(page: Page, request: pytest.FixtureRequest) -> Locator:
    return open_panel(page, request.param)


def test_it_opens_with_the_values_of_the_sliders(page: Page, panel: Locator) -> None:
    assert values(page) == SMILE
    expect(panel.locator(".aua-text")).to_have_value("6B+12:2.5+25B")
    expect(slider(panel, 12)).to_have_value("2.5")
    expect(panel.locator(".aua-face")).to_have_attribute(
        "aria-label", "Drawing of the face: 6B+12:2.5+25B"
    )


def test_a_dragged_slider_moves_the_face_and_the_queue(page: Page, panel: Locator) -> None:
    before = panel.evaluate(DRAWN)
    place = slider(panel, 4)
    box = place.bounding_box()
    page.mouse.click(box["x"] + 0.6 * box["width"], box["y"] + box["height"] / 2)
    assert values(page)["au4"] == pytest.approx(3, abs=0.2)
    assert panel.evaluate(DRAWN) != before
    drag(page, place, box["width"], 0)
    assert values(page) == {**SMILE, "au4": 5}


def test_a_slider_follows_the_keyboard(page: Page, panel: Locator) -> None:
    slider(panel, 12).focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert values(page)["au12"] == 2.7
    panel.locator('[data-unit="12"] input[type="number"]').first.fill("4.2")
    assert values(page)["au12"] == 4.2


def test_a_clicked_brow_rises_and_a_dragged_corner_smiles(page: Page, panel: Locator) -> None:
    panel.locator('[data-zone="InnerBrow"][data-side="0"]').click()
    assert values(page) == {**SMILE, "au1": 1}
    drag(page, panel.locator('[data-zone="InnerBrow"][data-side="1"]'), 0, 40)
    frown = values(page)
    assert "au1" not in frown and frown["au4"] > 1
    drag(page, panel.locator('[data-zone="Corner"][data-side="0"]'), 0, -300)
    assert values(page)["au12"] == 5


def test_a_look_is_found_by_another_name_and_set(page: Page, panel: Locator) -> None:
    panel.get_by_role("tab", name="Looks").click()
    panel.get_by_placeholder("Search looks").fill("sad")
    names = panel.locator(".aua-look span").all_text_contents()
    assert names[0] == "sadness" and "sad" not in names
    panel.locator(".aua-look").first.click()
    assert values(page) == {"au1": 3, "au4": 3, "au15": 3}
    write(panel, "happy")
    assert values(page) == {"au6": 3, "au12": 3}


def test_plain_words_are_read_and_what_the_adapter_lacks_is_left_out(
    page: Page, panel: Locator
) -> None:
    write(panel, "sceptical smile")
    expect(panel.get_by_role("alert")).to_contain_text("AU14")
    assert values(page) == {"au12": 3, "notation": "R2C+L4B"}
    write(panel, "jaw strongly dropped")
    expect(panel.get_by_role("alert")).to_be_hidden()
    assert values(page) == {"au26": 4}


def test_pasted_notation_is_set(page: Page, panel: Locator) -> None:
    panel.locator(".aua-text").click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text("1+2+5B+26")
    page.keyboard.press("Enter")
    assert values(page) == {"au1": 3, "au2": 3, "au5": 2, "au26": 3}
    write(panel, "12Q")
    expect(panel.get_by_role("alert")).to_contain_text("12Q")
    assert values(page) == {"au1": 3, "au2": 3, "au5": 2, "au26": 3}


def test_a_click_selects_the_face_that_is_typed_over(page: Page, panel: Locator) -> None:
    write(panel, "1+2+5B+26")
    panel.get_by_role("tab").first.click()
    panel.locator(".aua-text").click()
    page.keyboard.type("4D")
    page.keyboard.press("Enter")
    expect(slider(panel, 4)).to_have_value("4")
    assert values(page) == {"au4": 4}
    panel.locator(".aua-text").click()  # with the focus, a click sets the cursor
    page.keyboard.press("End")
    page.keyboard.type("+12")
    page.keyboard.press("Enter")
    expect(slider(panel, 12)).to_have_value("3")
    assert values(page) == {"au4": 4, "au12": 3}


def test_words_that_are_not_known_are_named(page: Page, panel: Locator) -> None:
    before = values(page)
    write(panel, "a sceptical smilde")
    expect(panel.get_by_role("alert")).to_contain_text("'smilde' is not known (did you mean smile")
    write(panel, "12:2sceptical smile")
    expect(panel.get_by_role("alert")).to_contain_text("12:2SCEPTICAL")
    assert values(page) == before


def test_what_a_slider_cannot_hold_goes_into_the_notation(page: Page, panel: Locator) -> None:
    write(panel, "L12D+R12B+5:-2+6C")
    assert values(page) == {"au6": 3, "notation": "5:-2+L12D+R12B"}
    panel.get_by_label("Mirror").click()
    assert values(page) == {"au6": 3, "notation": "5:-2+L12B+R12D"}
    expect(slider(panel, 12)).to_have_value("2")
    panel.get_by_label("Left and right apart").click()
    assert values(page) == {"au6": 3, "au12": 3, "notation": "5:-2"}


def test_apart_a_brow_moves_on_one_side(page: Page, panel: Locator) -> None:
    panel.get_by_label("Left and right apart").click()
    panel.locator('[data-zone="OuterBrow"][data-side="0"]').click()
    assert values(page) == {**SMILE, "notation": "L2A"}


def test_undo_and_redo_go_step_by_step(page: Page, panel: Locator) -> None:
    write(panel, "9E")
    panel.get_by_label("Reset").click()
    assert values(page) == {}
    panel.get_by_label("Undo").click()
    assert values(page) == {"au9": 5}
    panel.get_by_label("Undo").click()
    assert values(page) == SMILE
    expect(panel.get_by_label("Undo")).to_be_disabled()
    panel.get_by_label("Redo").click()
    assert values(page) == {"au9": 5}


def test_comfyui_undoes_a_change_of_the_panel_too(page: Page, panel: Locator) -> None:
    panel.locator('[data-zone="InnerBrow"][data-side="0"]').click()
    page.evaluate("app.extensionManager.command.execute('Comfy.Undo')")
    again = panel_of(page, AU_VECTOR)
    assert values(page) == SMILE
    expect(again.locator(".aua-text")).to_have_value("6B+12:2.5+25B")


def test_a_random_face_is_one_that_the_adapter_knows(page: Page, panel: Locator) -> None:
    panel.get_by_label("A random face").click()
    found = values(page)
    known = {f"au{unit}" for unit in (1, 2, 4, 5, 6, 9, 12, 15, 17, 20, 25, 26)}
    assert found and found.keys() <= known and all(0 < value <= 5 for value in found.values())


def test_units_that_the_adapter_lacks_are_grey(page: Page, panel: Locator) -> None:
    expect(slider(panel, 14)).to_be_disabled()
    expect(slider(panel, 12)).to_be_enabled()
    expect(panel.locator(".aua-remarks")).to_contain_text("does not know AU7, 14, 10, 23, 24")
    write(panel, "14C")
    row = panel.locator('[data-unit="14"]')
    expect(row).to_contain_text("set it to 0")
    expect(slider(panel, 14)).to_be_enabled()


def test_conflicts_are_said_beside_the_sliders(panel: Locator) -> None:
    write(panel, "12C+15C")
    expect(panel.locator('[data-unit="15"] .aua-notes')).to_contain_text("AU12+15 make a new look")
    expect(panel.locator('[data-unit="12"] .aua-mark')).to_be_visible()
    write(panel, "12C")
    expect(panel.locator('[data-unit="12"] .aua-mark')).to_be_hidden()


def test_saved_and_opened_again_it_is_the_same(page: Page, panel: Locator) -> None:
    write(panel, "1+2+5B+26+L12D")
    saved = page.evaluate("() => JSON.stringify(app.graph.serialize())")
    node = next(n for n in json.loads(saved)["nodes"] if str(n["id"]) == AU_VECTOR)
    assert node["widgets_values"] == [3, 3, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, "L12D"]
    assert not any("face_panel" in str(slot) for slot in node["inputs"] if slot.get("link"))
    page.evaluate("(saved) => app.loadGraphData(JSON.parse(saved))", saved)
    again = panel_of(page, AU_VECTOR)
    expect(again.locator(".aua-text")).to_have_value("1C+2C+5B+L12D+26C")
    assert values(page)["notation"] == "L12D"


def test_a_copied_node_has_the_values_and_a_panel_of_its_own(page: Page, panel: Locator) -> None:
    write(panel, "4D+L12C")
    page.locator("#graph-canvas").focus()
    page.keyboard.press("Control+c")
    page.keyboard.press("Control+v")
    page.wait_for_function(f"({COUNT})() === 2")
    copy = str(page.evaluate(NEWEST))
    assert page.evaluate(SAVED, copy) == page.evaluate(SAVED, AU_VECTOR)
    write(panel_of(page, copy), "9C")
    assert page.evaluate(SAVED, copy) != page.evaluate(SAVED, AU_VECTOR)


def test_in_a_subgraph_it_keeps_its_values(page: Page, panel: Locator) -> None:
    write(panel, "6C+L12D")
    page.evaluate("() => app.canvas.selectItems([4, 2].map((id) => app.graph.getNodeById(id)))")
    page.evaluate("app.extensionManager.command.execute('Comfy.Graph.ConvertToSubgraph')")
    page.wait_for_function(f"({COUNT})() === 0")
    assert values(page) == {"au6": 3, "notation": "L12D"}


def test_a_panel_of_a_subgraph_that_is_gone_takes_no_place(page: Page) -> None:
    open_panel(page, "classic")
    page.evaluate("() => app.canvas.selectItems([4, 2].map((id) => app.graph.getNodeById(id)))")
    page.evaluate("app.extensionManager.command.execute('Comfy.Graph.ConvertToSubgraph')")
    page.wait_for_function(f"({COUNT})() === 0")
    panel = open_panel(page, "nodes_2")
    owns = """(panel) => new Promise((done) => {
      const seen = []
      const look = () => {
        if (seen.push(panel.isConnected) < 20) requestAnimationFrame(look)
        else done(seen)
      }
      look()
    })"""
    assert all(panel.evaluate(owns))
    write(panel, "6C+12D")
    assert values(page) == {"au6": 3, "au12": 4}


def test_the_plain_sliders_come_back_and_are_remembered(page: Page, panel: Locator) -> None:
    hidden = "(id) => app.graph.getNodeById(id).widgets.map(({ hidden }) => Boolean(hidden))"
    assert page.evaluate(hidden, AU_VECTOR) == [True] * 18 + [False]
    panel.get_by_label("Plain sliders").click()
    assert page.evaluate(hidden, AU_VECTOR) == [False] * 19
    expect(panel).to_be_hidden()
    saved = page.evaluate("() => JSON.stringify(app.graph.serialize())")
    page.evaluate("(saved) => app.loadGraphData(JSON.parse(saved))", saved)
    assert page.evaluate(hidden, AU_VECTOR) == [False] * 19


def test_what_an_app_shows_is_not_hidden(page: Page) -> None:
    open_panel(page, "classic")
    saved = json.loads(page.evaluate("() => JSON.stringify(app.graph.serialize())"))
    saved["extra"] = {**saved["extra"], "linearData": {"inputs": [[4, "au12"]], "outputs": [10]}}
    page.evaluate("(saved) => app.loadGraphData(saved)", saved)
    panel_of(page, AU_VECTOR)
    shown = "(id) => app.graph.getNodeById(id).widgets.filter((w) => !w.hidden).map((w) => w.name)"
    assert page.evaluate(shown, AU_VECTOR) == ["au12", "face_panel"]


def test_a_plain_widget_set_elsewhere_moves_the_face(page: Page, panel: Locator) -> None:
    page.evaluate(
        """(id) => {
          const widget = app.graph.getNodeById(id).widgets.find(({ name }) => name === 'au9')
          widget.value = 4
          widget.callback(4)
        }""",
        AU_VECTOR,
    )
    expect(slider(panel, 9)).to_have_value("4")
    expect(panel.locator(".aua-text")).to_have_value("6B+9D+12:2.5+25B")


@pytest.mark.parametrize("renderer", RENDERERS)
def test_after_a_run_it_shows_what_was_measured(
    page: Page, server: ComfyServer, renderer: str
) -> None:
    panel = open_panel(page, renderer)
    page.evaluate(ADD_ESTIMATOR)
    write(panel, "6C+12D")
    history = press_run(page, server)
    queued = history["prompt"][2][AU_VECTOR]["inputs"]
    assert {name: value for name, value in queued.items() if value} == {"au6": 3, "au12": 4}
    read = next(
        out["au_readings"][0] for out in history["outputs"].values() if "au_readings" in out
    )
    smile = read["images"][0]["faces"][0]["aus"]["12"]
    tick = panel.locator('[data-unit="12"] .aua-tick').first
    expect(tick).to_have_attribute("title", f"Measured {smile:.1f} by {read['estimator']}")
    expect(panel.locator(".aua-picture img")).to_be_visible()


@pytest.mark.parametrize("renderer", RENDERERS)
def test_a_text_is_kept_until_it_is_applied(page: Page, renderer: str) -> None:
    """Even in a field without the focus, as after the page has moved it, or by dictation."""
    panel = open_panel(page, renderer)
    field = panel.locator(".aua-text")
    field.evaluate("(field) => { field.value = '4D'; field.dispatchEvent(new Event('input')) }")
    page.evaluate("() => app.api.dispatchCustomEvent('graphChanged', app.graph.serialize())")
    expect(field).to_have_value("4D")
    field.press("Enter")
    expect(slider(panel, 4)).to_have_value("4")
    assert values(page) == {"au4": 4}


@pytest.mark.parametrize("version", sorted(path.name for path in KEPT.iterdir()))
@pytest.mark.parametrize("renderer", RENDERERS)
def test_an_old_workflow_is_saved_as_it_was(page: Page, renderer: str, version: str) -> None:
    open_panel(page, renderer)
    kept = json.loads((KEPT / version / "every_node.json").read_text(encoding="utf-8"))
    page.evaluate("(kept) => app.loadGraphData(kept)", kept)
    nodes = [node for node in kept["nodes"] if node["type"] == "AUA_AUVector"]
    assert nodes
    for node in nodes:
        panel_of(page, str(node["id"]))
        found = page.evaluate(SAVED, str(node["id"]))
        assert found[: len(node["widgets_values"])] == node["widgets_values"]
