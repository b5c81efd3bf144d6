"""How the workflows look on ComfyUI's page: their titles, what is folded away, where nodes stand.

A template is the workflow of `workflows/api/` for a person: what a script saves is previewed, its
machinery is one node that opens (a subgraph), and sweeps carry their labels in the picture. Its
file name is its title in the template browser, which finds it by the words in it; the number puts
the templates in the order of what people want to do.
"""

from __future__ import annotations

import json
from pathlib import Path

from tools.template_parts import (
    AT_REST,
    CODE,
    DRAW,
    DRAW_BOTH,
    DRAW_EDIT,
    EDIT,
    SEED,
    STRENGTH,
    App,
    Cell,
    Graph,
    Part,
    Template,
    labelled,
    node,
)

ROOT = Path(__file__).resolve().parent.parent
WORKFLOWS = ROOT / "workflows"


def _editor(title: str, models: tuple[Cell, ...], app: App | None = None, *more: str) -> Template:
    """A photo, sliders, the photo with another expression."""
    part = Part(DRAW_EDIT.title, (*DRAW_EDIT.nodes, *more), EDIT)
    columns = (
        (300, (("3", 250), *models)),
        (560, (("4", 470), ("note", 130))),
        (430, ("draw", ("12", 400))),
    )
    return Template(title, columns, {"draw": part}, app=app)


def _edits(title: str) -> Template:
    """Many edits of one photo, labelled on one sheet."""
    columns = (
        (300, (("3", 250), "1", "2")),
        (400, (("4", 340), ("note", 220))),
        (600, ("draw", ("12", 420))),
    )
    part = Part(DRAW_EDIT.title, (*DRAW_EDIT.nodes, "19", "30"), EDIT)
    return Template(title, columns, {"draw": part}, labelled("11", "12"), without=("18",))


def _generator(title: str, models: tuple[Cell, ...], part: Part = DRAW) -> Template:
    """A prompt, sliders, a face."""
    columns = (
        (300, (*models, ("2", 130))),
        (560, (("4", 470), ("note", 130))),
        (430, ("draw", ("10", 400))),
    )
    return Template(title, columns, {"draw": part})


def _portrait(title: str, models: int = 280) -> Template:
    """A person of a portrait, kept by an IP-Adapter. models: width of the models and the note."""
    part = Part(
        DRAW.title, (*DRAW.nodes, "13", "14"), SEED | STRENGTH | {"person": (("14", "weight"),)}
    )
    columns = (
        (280, (("12", 250), ("2", 130))),
        (models, ("1", "11", ("note", 240))),
        (540, (("4", 600),)),
        (380, ("draw", ("10", 360))),
    )
    return Template(title, columns, {"draw": part})


_MEASURE = Part("Read and measure", ("14", "15", "16", "17"), {"reader": (("14", "file"),)})
_FACES = labelled("9", "31")

TEMPLATES: dict[str, Template] = {
    "au_generate": Template(
        "01_smile_or_frown_face_from_text",
        (
            (300, ("1", ("2", 120), ("25", 250))),
            (560, (("4", 470), ("note", 130))),
            (430, ("draw", ("10", 400))),
        ),
        {"draw": DRAW_BOTH},
        AT_REST,
        App(
            (
                ("4", "face_panel"),
                ("2", "text"),
                ("draw", "seed"),
            ),
            "10",
        ),
    ),
    "magicface_edit": _editor(
        "02_photo_change_expression",
        ("1", "2"),
        App(
            (
                ("3", "image"),
                ("4", "face_panel"),
                ("draw", "seed"),
            ),
            "12",
        ),
    ),
    "magicface_edit_demo": _editor("03_photo_try_without_downloads", ("1", "2")),
    "magicface_looks": _edits("04_photo_many_expressions_with_labels"),
    "magicface_sweep": _edits("05_photo_one_muscle_step_by_step"),
    "magicface_copy_expression": Template(
        "06_photo_copy_expression_of_another",
        (
            (280, (("3", 250), ("13", 250))),
            (300, ("1", "2", ("note", 220))),
            (320, ("read", "4")),
            (430, ("draw", ("12", 400))),
        ),
        {"read": Part("Read both faces", ("19", "20", "21")), "draw": DRAW_EDIT},
    ),
    "magicface_sides": _editor(
        "07_photo_left_and_right_wink", ("1", "2"), None, "19", "20", "21", "22", "23", "24", "25"
    ),
    "magicface_words": Template(
        "08_photo_change_expression_in_words",
        (
            (300, (("3", 250), "1", "2")),
            (400, (("4", 240), ("note", 300))),
            (500, ("draw", ("12", 420))),
        ),
        {"draw": DRAW_EDIT},
    ),
    "au_sweep": Template(
        "09_many_expressions_with_labels",
        (
            (260, ("1", ("2", 150), "11")),
            (330, (("4", 300), ("note", 240))),
            (290, ("draw",)),
            (540, (("10", 540),)),
        ),
        {"draw": Part(DRAW.title, (*DRAW.nodes, "12", "30"), SEED | STRENGTH)},
        labelled("9", "10"),
        without=("13",),
    ),
    "au_left_right": _generator("10_sceptical_smile_left_and_right_apart", ("1", "11")),
    "au_sides": _generator(
        "11_left_and_right_by_masks",
        ("1",),
        Part(DRAW.title, (*DRAW.nodes, "11", "12", "13", "14"), SEED),
    ),
    "au_two_faces": Template(
        "12_two_people_two_expressions",
        (
            (320, ("1", ("2", 130), ("11", 130))),
            (360, (("4", 190), ("12", 190), ("note", 150))),
            (520, ("draw", ("10", 330))),
        ),
        {
            "draw": Part(
                "Draw both",
                ("3", "5", "6", "7", "8", "9", "13", "14", *map(str, range(15, 21))),
                SEED,
            )
        },
    ),
    "au_animation": Template(
        "13_animation_expression_over_time",
        (
            (280, ("1", ("2", 150), "11")),
            (360, (("4", 260), ("note", 210))),
            (290, ("draw",)),
            (430, (("10", 540),)),
        ),
        {"draw": Part(DRAW.title, (*DRAW.nodes, "12"), SEED | STRENGTH)},
        without=("13",),
    ),
    "au_text": Template(
        "14_prompt_words_for_any_model_flux_sdxl",
        (
            (280, ("1", ("note", 420))),
            (330, (("4", 210), ("5", 330))),
            (340, (("11", 260), ("12", 220))),
            (400, ("draw", ("10", 380))),
        ),
        {"draw": Part(DRAW.title, ("2", "3", "7", "8", "9"), SEED)},
    ),
    "au_sd15": _generator("15_stable_diffusion_15_smile_or_frown", ("1", "11")),
    "au_sd21": _generator("16_stable_diffusion_21_smile_or_frown", ("1", "11")),
    "au_sd15_ipadapter": _portrait("17_stable_diffusion_15_keep_a_person_ipadapter"),
    "au_evaluate": Template(
        "18_measure_expression",
        (
            (280, ("1", ("2", 120), ("note", 230))),
            (320, (("4", 290), "11", "draw")),
            (420, ("measure", ("31", 340))),
            (380, (("10", 250), ("13", 180), "18")),
        ),
        {"draw": Part(DRAW.title, (*DRAW.nodes, "12", "30"), SEED), "measure": _MEASURE},
        _FACES,
    ),
    "au_target": Template(
        "19_measure_and_correct_expression",
        (
            (280, ("1", ("2", 120), "11", ("note", 150))),
            (540, (("4", 600),)),
            (270, ("draw", "correct", "again")),
            (370, (("10", 270), ("21", 120), ("22", 120))),
        ),
        {
            "draw": Part("Draw and read", (*DRAW.nodes, "12"), SEED),
            "correct": Part("Correct the request", ("13",), {"gain": (("13", "gain"),)}),
            "again": Part("Draw and read again", ("14", "15", "16", "17", "18", "19", "20")),
        },
    ),
    "au_protocol": Template(
        "20_measure_by_the_test_of_a_paper",
        (
            (280, ("1", ("note", 330))),
            (320, (("4", 220), "draw")),
            (420, ("measure", ("31", 340))),
            (380, (("10", 250), ("13", 180), "18")),
        ),
        {
            "draw": Part(DRAW.title, ("2", *DRAW.nodes, "12", "30"), {"steps": SEED["steps"]}),
            "measure": _MEASURE,
        },
        labelled("9", "31", label=4),
    ),
    "aueditnet_edit": Template(
        "21_photo_by_numbers_at_once_aueditnet",
        (
            (300, (("3", 250), "2")),
            (560, (("4", 470), ("note", 150))),
            (430, ("draw", ("8", 240), ("9", 130))),
        ),
        {"draw": Part("Change the face", ("5", "6", "7"), CODE)},
    ),
    "aueditnet_transfer": Template(
        "22_photo_expression_of_another_aueditnet",
        (
            (300, (("3", 250), ("13", 250))),
            (560, (("4", 470), ("note", 150))),
            (430, ("2", "draw", ("8", 250))),
        ),
        {"draw": Part("Take the expression", ("5", "6", "7", "10"), CODE)},
        without=("9",),
    ),
    "vq_auface": Template(
        "23_photo_drawn_from_words_vq_auface",
        (
            (280, (("3", 250), "2")),
            (400, (("4", 620),)),
            (330, ("5", ("note", 260))),
            (400, ("6", ("7", 300))),
        ),
    ),
    "au_train": Template(
        "24_train_your_own_adapter",
        (
            (320, (("1", 560),)),
            (300, (("4", 150), ("2", 190), ("3", 190))),
            (540, (("8", 470), ("note", 130))),
            (330, ("5", "draw", ("14", 330))),
        ),
        {"draw": Part("Draw with it", ("6", "7", "9", "10", "11", "12", "13"))},
    ),
    "au_sd15_faceid": _portrait("25_stable_diffusion_15_keep_a_face_faceid", 340),
    "ipadapter_magicface": Template(
        "26_person_drawn_then_edited_and_measured",
        (
            (280, (("3", 250), ("13", 130))),
            (280, ("1", "2", ("22", 220))),
            (560, (("4", 420), ("note", 200))),
            (380, ("draw", ("12", 300))),
        ),
        {
            "draw": Part(
                "Draw the person, change the face, measure",
                (*DRAW_EDIT.nodes, *map(str, range(14, 22))),
                EDIT | {"person": (("16", "weight"),), "person's seed": (("18", "seed"),)},
            )
        },
        without=("23", "24"),
    ),
}
TITLES = {template.title: name for name, template in TEMPLATES.items()}


def read_graph(name: str) -> Graph:
    """A shipped workflow in API format, for scripts."""
    return json.loads((WORKFLOWS / "api" / f"{name}.json").read_text(encoding="utf-8"))


def page_graph(name: str) -> Graph:
    """The same for the page: saved pictures are previewed, and what only eyes need is added."""
    graph = read_graph(name)
    for drawn in graph.values():
        if drawn["class_type"] == "SaveImage":
            title = drawn.get("_meta", {}).get("title", "The picture")
            drawn.update(node("PreviewImage", title, images=drawn["inputs"]["images"]))
    template = TEMPLATES[name]
    return {key: graph[key] for key in graph if key not in template.without} | template.more


def part_of(name: str, node: str) -> str | None:
    """The part of a template that a node is folded into."""
    parts = TEMPLATES[name].parts
    return next((key for key, part in parts.items() if node in part.nodes), None)
