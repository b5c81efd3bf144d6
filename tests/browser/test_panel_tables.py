"""What the panel computes in the page agrees with the library: notation, conflicts, the drawing."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page
from shipped import shipped_server

from au_adapter.facs import ALL_UNITS, PRESETS, UNITS, AUVector, check, parse_notation
from tools import frontend

JS = "/extensions/au-adapter/js"
CONFLICTS = f"""async (faces) => {{
  const {{ findConflicts }} = await import('{JS}/panel/conflicts.js')
  const {{ loadTables }} = await import('{JS}/panel/tables.js')
  const tables = await loadTables()
  return faces.map((face) =>
    findConflicts(face, tables).map(({{ units, sides }}) => [units, sides]))
}}"""
PARSE = f"""async (texts) => {{
  const {{ NotationError, formatNotation, parseNotation }} = await import('{JS}/panel/notation.js')
  const {{ loadTables }} = await import('{JS}/panel/tables.js')
  const tables = await loadTables()
  return texts.map((text) => {{
    try {{
      const face = parseNotation(text, tables)
      return [face, formatNotation(face, tables)]
    }} catch (error) {{
      if (!(error instanceof NotationError)) throw error
      return null
    }}
  }})
}}"""
# The "d" of every path and ellipse of one drawing, its wrinkles included.
DRAW = f"""async (faces) => {{
  const {{ FaceDrawing }} = await import('{JS}/face/drawing.js')
  return faces.map((face) => {{
    const drawing = new FaceDrawing()
    drawing.show(face)
    const drawn = (part, names) => names.map((name) => part.getAttribute(name)).join(' ')
    return Object.fromEntries(Object.entries(drawing.parts).map(([name, part]) =>
      [name, drawn(part, ['d', 'cx', 'cy'])]))
  }})
}}"""
# Where parts of the drawing lie, in its own units.
BOXES = f"""async (faces) => {{
  const {{ FaceDrawing }} = await import('{JS}/face/drawing.js')
  return faces.map((face) => {{
    const drawing = new FaceDrawing()
    drawing.show(face)
    document.body.append(drawing.element)
    const boxes = Object.entries(drawing.parts).map(([name, part]) => {{
      const {{ x, y, width, height }} = part.getBBox()
      return [name, {{ top: y, bottom: y + height, width, height }}]
    }})
    drawing.element.remove()
    return Object.fromEntries(boxes)
  }})
}}"""
RANDOM = f"""async (usable) => {{
  const {{ randomFace }} = await import('{JS}/panel/random_face.js')
  const {{ loadTables }} = await import('{JS}/panel/tables.js')
  const tables = await loadTables()
  return Array.from({{ length: 200 }}, () => randomFace(tables, new Set(usable)))
}}"""
TEXTS = [
    "",
    "6C+12D",
    "1+2+5B+26",
    "R12A+L14C",
    "AU6:3.5, au12=4",
    "AU 12 ; 25/26",
    "12:-5",
    "12 : 2.5",
    "43E",
    "L12B+R12D",
    "12C+12D",
    "L12+12",
    "12Q",
    "T23",
    "B25",
    "45",
    "41",
    "61",
    "3",
    "99",
    "12C/D",
    "1 OR 2",
    "1@2",
    "12:3,5",
    "12X",
    "12*",
    "V12",
    "smile",
    "12:1e9",
    "12:.5",
    "12:5.",
]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with (
        shipped_server(tmp_path_factory.mktemp("comfyui")) as server,
        frontend.open_page(server) as page,
    ):
        yield page


def _vector(text: str) -> AUVector | None:
    """What AU Vector makes of a notation, None where it refuses it."""
    try:
        return AUVector.parse(text)
    except ValueError:
        return None


def _face(vector: AUVector) -> dict[str, list[float]]:
    left, right = (side[0].tolist() for side in vector.sides())
    sides = zip(vector.units, left, right, strict=True)
    return {str(u): [round(a, 4), round(b, 4)] for u, a, b in sides if a or b}


def test_notation_is_read_as_the_node_reads_it(page: Page) -> None:
    recipes = [preset.full for preset in PRESETS.values()]
    texts = [*TEXTS, *recipes]
    for text, found in zip(texts, page.evaluate(PARSE, texts), strict=True):
        expected = _vector(text)
        assert (found is None) == (expected is None), text
        if expected is None:
            continue
        face = {unit: sides for unit, sides in found[0].items() if any(sides)}
        assert face == _face(expected), text
        assert _face(AUVector.parse(found[1])) == face, text


def test_conflicts_are_those_of_the_library(page: Page) -> None:
    chance = random.Random(12)
    faces = []
    for _ in range(300):
        units = chance.sample(ALL_UNITS, chance.randint(1, 8))
        faces.append({str(u): chance.choice([[3, 3], [3, 0], [0, 2]]) for u in units})
    names = {"left": [0], "right": [1], "both": [0, 1]}
    for face, found in zip(faces, page.evaluate(CONFLICTS, faces), strict=True):
        codes = {
            f"{s}{u}": v for u, sides in face.items() for s, v in zip("LR", sides, strict=True)
        }
        expected = [[list(c.units), names[c.side]] for c in check(AUVector.from_dict(codes))]
        assert found == expected, face


def _changed(before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    return {name for name in before if before[name] != after[name]}


def test_every_unit_moves_the_drawing_in_a_way_of_its_own(page: Page) -> None:
    faces = [{}, *({str(unit): [5, 5]} for unit in ALL_UNITS)]
    rest, *drawn = page.evaluate(DRAW, faces)
    seen = []
    for unit, parts in zip(ALL_UNITS, drawn, strict=True):
        assert _changed(rest, parts), unit
        assert parts not in seen, unit
        seen.append(parts)


def test_a_unit_moves_what_its_muscle_moves(page: Page) -> None:
    places = {
        ("brow0", "brow1"): (1, 2, 4),
        ("upperLid0", "lowerLid0"): (5, 6, 7),
        ("wing0", "wing1"): (9, 10),
        ("upperLip", "lowerLip"): (12, 14, 15, 20, 23),
        ("head",): (26, 17),
    }
    rest = page.evaluate(DRAW, [{}])[0]
    for parts, units in places.items():
        for unit in units:
            (drawn,) = page.evaluate(DRAW, [{str(unit): [5, 5]}])
            assert set(parts) <= _changed(rest, drawn), unit


def test_lips_and_lids_take_the_shapes_of_facs(page: Page) -> None:
    """Units without a slider: pucker (18), funnel (22), mouth stretch (27), eyes closed (43)."""
    faces = [{}, *({str(unit): [5, 5]} for unit in (18, 22, 26, 27, 43))]
    rest, pucker, funnel, drop, stretch, closed = page.evaluate(BOXES, faces)
    assert pucker["upperLip"]["width"] < 0.6 * rest["upperLip"]["width"]
    assert pucker["upperLip"]["height"] > rest["upperLip"]["height"]
    assert pucker["gap"]["height"] < 2
    assert funnel["upperLip"]["width"] < 0.75 * rest["upperLip"]["width"]
    assert funnel["gap"]["height"] > 8
    assert funnel["lowerLip"]["bottom"] > rest["lowerLip"]["bottom"] + 4
    assert stretch["gap"]["height"] > 0.9 * stretch["gap"]["width"]
    assert stretch["gap"]["width"] < drop["gap"]["width"]
    assert stretch["head"]["bottom"] > drop["head"]["bottom"]
    assert closed["eye0"]["top"] > rest["eye0"]["top"] + 4
    assert closed["crease0"]["bottom"] < closed["upperLid0"]["top"]


def test_one_side_leaves_the_other_alone(page: Page) -> None:
    """The person's left (0) is on the right of the drawing."""
    for unit in (1, 2, 4, 5, 6, 7, 9):
        rest, left, right = page.evaluate(DRAW, [{}, {str(unit): [5, 0]}, {str(unit): [0, 5]}])
        for drawn, moved, still in ((left, "0", "1"), (right, "1", "0")):
            changed = _changed(rest, drawn)
            assert any(name.endswith(moved) for name in changed), unit
            assert not any(name.endswith(still) for name in changed), unit


def test_random_faces_are_plausible(page: Page) -> None:
    faces = page.evaluate(RANDOM, [*ALL_UNITS])
    assert len({str(face) for face in faces}) > 50
    for face in faces:
        assert face and {int(unit) for unit in face} <= {*ALL_UNITS}
        assert all(0.5 <= value <= 4.5 for sides in face.values() for value in sides if value)
        found = check(AUVector.from_dict({u: sides[0] for u, sides in face.items()}))
        assert not [conflict for conflict in found if conflict.kind == "X"], face


def test_the_tables_name_every_unit(page: Page) -> None:
    tables = page.evaluate("async () => (await fetch('/au_adapter/facs')).json()")
    assert {int(number) for number in tables["units"]} == {*UNITS}
    assert sorted(u for place in tables["places"] for u in place["units"]) == list(ALL_UNITS)
    recipes = {look["name"]: look["forms"] for look in tables["looks"]}
    assert recipes["surprise"]["full"] == parse_notation("1+2+5B+26")
    for name, forms in recipes.items():
        assert forms["full"] == parse_notation(PRESETS[name].full)
