"""AU Expression, AU Keyframes, AU Sides and Face Half Masks as nodes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from au_adapter_pack.nodes import expression
from face_pictures import landmarker, picture
from sampling import NODE, Scene, demo_scene, run

from au_adapter import AUVector
from au_adapter.faces import to_face_landmarks
from au_adapter.facs import ALL_UNITS, PRESETS, Keyframes
from au_adapter.models.widening import widen_adapter


def expressed(name: str, strength: float = 1.0, units: str = "set A", **inputs: object) -> tuple:
    return run("AUA_AUExpression", expression=name, strength=strength, units=units, **inputs)


@pytest.mark.parametrize("units", list(expression.FORMS))
@pytest.mark.parametrize("name", list(PRESETS))
def test_every_recipe_is_its_vector_or_says_what_is_missing(name: str, units: str) -> None:
    notation = getattr(PRESETS[name], expression.FORMS[units])
    if notation is None:
        with pytest.raises(ValueError, match=f"AU Expression: '{name}' cannot be made"):
            expressed(name, units=units)
        return
    vector, notes = expressed(name, units=units)
    assert vector == AUVector.parse(notation)
    assert notes.startswith(f"{name}: {notation} ({PRESETS[name].source}")
    assert {"set A": "set B", "set B": "set A", "all": " set "}[units] not in notes.split("\n")[0]


def test_what_is_lost_with_the_units_is_said() -> None:
    assert "(EMFACS, quick list; set A lacks 7 and 23)" in expressed("anger")[1]
    assert "(EMFACS, quick list)" in expressed("anger", units="set B")[1]


def test_strength_scales_and_a_vector_is_added() -> None:
    vector, _ = expressed("polite smile", 0.5, au_vector=AUVector.parse("4B"))
    assert vector.dict() == {"4": 2.0, "12": 1.5}
    many, _ = expressed("polite smile", 1.0, au_vector=AUVector((4,), torch.ones(3, 1)))
    assert len(many) == 3 and many.dict(2) == {"4": 1.0, "12": 3.0}


def test_conflicts_are_said_and_nothing_is_blocked() -> None:
    vector, notes = expressed("polite smile", au_vector=AUVector.parse("18C+24B+25A"))
    assert vector.dict() == {"12": 3.0, "18": 3.0, "24": 2.0, "25": 1.0}
    lines = notes.splitlines()[1:]
    assert lines[0] == (
        "exclude each other: 12+18: the mouth cannot grow narrow and long: keep one of them"
    )
    assert [line.split(":")[0] for line in lines] == ["exclude each other"] * 2 + [
        "make a new look"
    ]


def test_at_strength_0_it_comments_what_comes_in() -> None:
    given = AUVector.parse("15C+17C")
    vector, notes = expressed("happiness", 0.0, au_vector=given)
    assert vector.select(given.units, strict=False) == given
    assert notes.splitlines()[1].startswith("make a new look: 15+17: corners down")


def test_conflicts_of_some_frames_are_counted() -> None:
    clip, *_ = run("AUA_AUKeyframes", frames=[4], keyframes=["0: 15C\n1: 15C+17C"], easing=["hold"])
    _, notes = expressed("happiness", 0.0, au_vector=clip)
    assert notes.endswith("(3 of 4 faces)")


def keyframes(text: str, frames: int = 3, **inputs: object) -> tuple:
    lists = {name: [value] for name, value in inputs.items()}
    return run("AUA_AUKeyframes", frames=[frames], keyframes=[text], easing=["linear"], **lists)


def test_keyframes_with_labels_and_json() -> None:
    vector, labels, json = keyframes("0:\n2: 12C+L4:0.5")
    assert len(vector) == 3 and vector.dict(1)["12"] == 1.5
    assert labels == "0: neutral\n1: L4:0.25+12:1.5\n2: L4:0.5+12C"
    again, *_ = keyframes(json)
    assert again == vector and Keyframes.parse(json).to_json() == json


def test_a_vector_is_added_to_every_frame() -> None:
    vector, *_ = keyframes("0: 12A", au_vector=AUVector.parse("6B"))
    assert [vector.dict(i) for i in range(3)] == [{"6": 2.0, "12": 1.0}] * 3
    clip = AUVector((6,), torch.tensor([[0.0], [1], [2]]))
    assert keyframes("0: 12A", au_vector=clip)[0].dict(2) == {"6": 2.0, "12": 1.0}


@pytest.mark.parametrize("weights", [[[0.0, 0.5, 2.0]], [0.0, 0.5, 2.0], [[0, 0.5], [2]]])
def test_lists_of_numbers_drive_it(weights: list) -> None:
    """One output that is a list, as scheduling packs put out, or a list of outputs."""
    vector, *_ = run(
        "AUA_AUKeyframes",
        frames=[3],
        keyframes=["0: 12B"],
        easing=["linear"],
        weights=weights,
        au_vector=[AUVector.parse("6A")],
    )
    assert [vector.dict(i).get("12", 0) for i in range(3)] == [0, 1, 4]
    assert [vector.dict(i)["6"] for i in range(3)] == [1, 1, 1]


def test_another_number_of_weights_is_a_sentence() -> None:
    with pytest.raises(ValueError, match="AU Keyframes: 2 weights for 3 frames"):
        keyframes("0: 12A", weights=[1.0, 1.0])


def test_sides_come_apart() -> None:
    left, right = run("AUA_AUSides", au_vector=AUVector.parse("L12D+R12A+1B"))
    assert left.dict() == {"1": 2.0, "12": 4.0} and left.left is None
    assert right.dict() == {"1": 2.0, "12": 1.0}
    both = run("AUA_AUSides", au_vector=AUVector.parse("12C"))
    assert both[0] == both[1] == AUVector.parse("12C")


def half_masks(**inputs: object) -> tuple:
    return run("AUA_FaceHalfMasks", **{"midline": 0.5, "softness": 0.1, **inputs})


def test_halves_of_a_photo() -> None:
    photo = picture("astronaut.png")
    frames = [*landmarker().detect(photo), []]
    landmarks = to_face_landmarks(frames, photo.shape[1:3], landmarker().geometry.triangles)
    left, right = half_masks(face_landmarks=landmarks, midline=0.25)
    assert left.shape == right.shape == (2, 512, 512)
    x, y = frames[0][0].points[263, :2].long().tolist()  # outer corner of her left eye
    assert left[0, y, x] == 1 and right[0, y, x] == 0
    assert left[1, 0, [60, 200]].tolist() == [0, 1]


def test_what_is_no_landmarks_is_a_sentence() -> None:
    with pytest.raises(ValueError, match="Face Half Masks: .*not FACE_LANDMARKS"):
        half_masks(face_landmarks={"faces": []})


@pytest.fixture(scope="module")
def scene(demo_files) -> Scene:
    return demo_scene(demo_files)


def sided(scene: Scene, notation: str) -> torch.Tensor:
    """The graph of the help page."""
    left, right = run("AUA_AUSides", au_vector=AUVector.parse(notation))
    left_mask, right_mask = half_masks()
    return scene.apply(left, mask=left_mask).apply(right, mask=right_mask).sample()


def test_one_side_moves_more_than_the_other(scene: Scene) -> None:
    """In a random network, and after all steps, in which the halves see each other."""
    neutral, plain = sided(scene, "12:0"), scene.apply("12:0").sample()
    torch.testing.assert_close(neutral, plain, atol=2e-3, rtol=0)
    both = scene.apply("12E").sample()
    torch.testing.assert_close(sided(scene, "12E"), both, atol=2e-3, rtol=0)
    change = (sided(scene, "L12E") - neutral).abs().mean((0, 1, 2))
    width = len(change) // 2
    assert change[width:].mean() > 1.2 * change[:width].mean()


def test_an_adapter_with_sides_follows_them_and_another_says_that_it_does_not(scene: Scene) -> None:
    sided = replace(scene, adapter=widen_adapter(scene.adapter, ALL_UNITS, True))
    smile, crooked = AUVector.parse("12C"), AUVector.parse("L12E+R12A")
    both = scene.apply(smile).sample()
    assert torch.allclose(sided.apply(smile).sample(), both, atol=1e-3)
    assert torch.equal(scene.apply(crooked).sample(), both), "the mean of both sides"
    assert torch.allclose(sided.apply(crooked).sample(), both, atol=1e-3), "not yet learnt"
    with torch.no_grad():
        for keys in sided.adapter.to_k.values():
            keys.weight[:, -1].normal_()  # as if it had learnt
    assert not torch.allclose(sided.apply(crooked).sample(), both, atol=1e-2)
    node = NODE["AUA_AUEncoder"]
    told = node.execute(au_adapter=scene.adapter, au_vector=crooked).ui
    assert "moves both sides of a face alike" in told.value
    for adapter, vector in ((scene.adapter, smile), (sided.adapter, crooked)):
        assert node.execute(au_adapter=adapter, au_vector=vector).ui is None
