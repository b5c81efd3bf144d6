"""The closed loop: converges on a face that answers too little, keeps the best, says failures."""

from __future__ import annotations

import pytest
import torch

from au_adapter.estimators import read_set
from au_adapter.estimators.reading import Reading, ReadingSet
from au_adapter.evaluation.closed_loop import closed_loop, correct
from au_adapter.facs import AUVector

UNITS = (4, 12)


class Face:
    """Pictures whose first two values are the AUs over 10; it shows `gain` of what is asked."""

    name, units = "by hand", UNITS

    def __init__(self, gain: float, most: float = 5.0) -> None:
        self.gain, self.most, self.asked = gain, most, []

    def draw(self, aus: AUVector) -> torch.Tensor:
        self.asked.append(aus)
        images = torch.zeros(len(aus), 1, 1, 3)
        images[:, 0, 0, :2] = (self.gain * aus.values).clamp(0, self.most) / 10
        return images

    def estimate(self, images: torch.Tensor) -> list[Reading]:
        """A third value of 1 hides the face."""
        return [
            Reading(i, 0, (0, 0, 1, 1), 1.0, AUVector(UNITS, 10 * image[0, :, :2]))
            for i, image in enumerate(images)
            if image[0, 0, 2] < 1
        ]


def wanted(*rows: tuple[float, float]) -> AUVector:
    return AUVector(UNITS, torch.tensor(rows))


def test_it_asks_for_more_until_it_agrees() -> None:
    face = Face(0.5)
    reached = closed_loop(face.draw, face, wanted((0, 3), (2, 0)), rounds=6, tolerance=0.2)
    assert reached.agrees.all() and 1 < reached.rounds <= 6
    # 3 needs 6 and 2 needs 4; what was not asked for stays at 0.
    assert torch.allclose(reached.request.values, torch.tensor([[0.0, 6], [4, 0]]), atol=0.4)
    assert torch.allclose(10 * reached.images[:, 0, 0, :2], reached.measured)
    assert "2 of 2 pictures agree" in reached.sentence()


def test_it_stops_as_soon_as_it_agrees() -> None:
    face = Face(1.0)
    assert closed_loop(face.draw, face, wanted((0, 3))).rounds == 1 and len(face.asked) == 1


def test_a_start_is_where_it_begins() -> None:
    face = Face(0.5)
    reached = closed_loop(face.draw, face, wanted((0, 2)), start=wanted((0, 4)))
    assert reached.rounds == 1 and face.asked[0].values.tolist() == [[0, 4]]


def test_it_never_asks_beyond_the_strongest_and_says_that_it_failed() -> None:
    face = Face(0.5, most=1.0)
    reached = closed_loop(face.draw, face, wanted((0, 4)), rounds=5, strongest=8.0)
    assert reached.rounds == 5 and not reached.agrees.any()
    assert max(aus.values.max().item() for aus in face.asked) <= 8
    assert reached.error.tolist() == [3.0] and "0 of 1 pictures agree" in reached.sentence()


def test_a_later_round_makes_nothing_worse() -> None:
    """This face swings: asked for 1, 0 and 3 it shows 4, 0 and 10; nearest to 1 was the second."""
    face = Face(4.0, most=10.0)
    reached = closed_loop(face.draw, face, wanted((0, 1)), rounds=3, gain=3.0, tolerance=0.1)
    assert [aus.values[0, 1].item() for aus in face.asked] == [1, 0, 3]
    assert reached.error.item() == pytest.approx(1.0) and reached.rounds == 3
    assert reached.request.values.tolist() == [[0, 0]]
    assert not reached.images.any()


def test_a_face_that_is_not_found_is_said() -> None:
    face = Face(1.0)
    reached = closed_loop(lambda aus: torch.ones(len(aus), 1, 1, 3), face, wanted((0, 1)), rounds=2)
    assert reached.error.isinf().all() and reached.measured.isnan().all()
    assert "no face found" in reached.sentence()


def test_an_au_that_the_estimator_does_not_read() -> None:
    face = Face(1.0)
    with pytest.raises(ValueError, match="by hand does not read AU10"):
        closed_loop(face.draw, face, AUVector.parse("10C+12C"))


def test_sides_that_differ_are_refused_before_anything_is_drawn() -> None:
    face, wink = Face(1.0), AUVector.parse("L12E")
    for vectors in ({"wanted": wink}, {"wanted": wanted((0, 3)), "start": wink}):
        with pytest.raises(ValueError, match="ask for both sides alike"):
            closed_loop(face.draw, face, **vectors)
    assert face.asked == []


def test_one_correction_is_one_step_of_the_loop() -> None:
    face = Face(0.5)
    images = face.draw(wanted((0, 3), (2, 0)))
    request = correct(wanted((0, 3), (2, 0)), wanted((0, 3), (2, 0)), read_set(face, images), 1.0)
    assert torch.allclose(request.values, torch.tensor([[0, 4.5], [3, 0]]))


def test_a_second_correction_knows_what_was_wanted_and_what_was_asked() -> None:
    face, aim = Face(0.5), wanted((0, 3))
    request = wanted((0, 4.5))
    seen = read_set(face, face.draw(request))
    assert correct(request, aim, seen, 1.0).values[0, 1] == pytest.approx(5.25)
    assert correct(request, aim, seen, 1.0, strongest=5.0).values[0, 1] == 5


def test_one_request_is_corrected_for_each_picture_and_kept_where_no_face_is() -> None:
    reading = Reading(0, 0, (0, 0, 1, 1), 1.0, AUVector(UNITS, torch.tensor([[1.0, 2.0]])))
    request = correct(wanted((0, 3)), wanted((0, 3)), ReadingSet("by hand", 2, (reading,)), 1.0)
    assert request.values.tolist() == [[0, 4], [0, 3]]


def test_no_pictures_need_no_request() -> None:
    aim = wanted((0, 3))
    assert correct(aim, aim, ReadingSet("by hand", 0, ())).values.shape == (0, len(UNITS))


@pytest.mark.parametrize(
    ("vector", "sentence"),
    [
        (AUVector.parse("10C"), "by hand does not read AU10"),
        (AUVector.parse("L12C"), "both sides alike"),
        (AUVector.stack([AUVector.parse("12C")] * 3), "3 AU vectors for 1 pictures"),
    ],
)
def test_what_a_correction_refuses(vector: AUVector, sentence: str) -> None:
    reading = Reading(0, 0, (0, 0, 1, 1), 1.0, AUVector(UNITS, torch.tensor([[1.0, 2.0]])))
    with pytest.raises(ValueError, match=sentence):
        correct(vector, vector, ReadingSet("by hand", 1, (reading,)))
