"""AU Change between AU Estimator, Apply MagicFace and Paste Face."""

from __future__ import annotations

import pytest
import torch
from au_adapter_pack.nodes.face_edit import changed_faces
from sampling import run

from au_adapter import AUVector
from au_adapter.models.magicface import change_of

PHOTO, SOURCE = AUVector.parse("6C+L12D+R12B"), AUVector.parse("4C+12A")


def change(kind: str, photo: AUVector = PHOTO, **inputs: object) -> AUVector:
    inputs = {"region": "all", "strength": 1.0, **inputs}
    return run("AUA_AUChange", au_vector=photo, change=kind, **inputs)[0]


def test_neutralise_takes_back_what_is_read() -> None:
    assert change("neutralise").dict() == {"6": -3, "12": -3}
    assert change("neutralise", region="lower face", strength=0.5).dict() == {"12": -1.5}
    assert change("neutralise", source=SOURCE).dict() == change("neutralise").dict()


def test_copy_goes_to_the_source() -> None:
    assert change("copy", source=SOURCE).dict() == {"4": 3, "6": -3, "12": -2}


def test_apply_magicface_takes_what_comes_out() -> None:
    assert torch.equal(change_of(change("neutralise"))[0], -change_of(AUVector.parse("6C+12C"))[0])
    with pytest.raises(ValueError, match="left and right apart"):
        change_of(change("neutralise", sides="apart"))
    left, right = run("AUA_AUSides", au_vector=change("neutralise", sides="apart"))
    assert (left.dict(), right.dict()) == ({"6": -3, "12": -4}, {"6": -3, "12": -2})


def test_the_same_expression_is_no_change_for_paste_face() -> None:
    assert not changed_faces(change("copy", source=PHOTO)).any()
    assert not changed_faces(change("neutralise", strength=0.0)).any()
    two = change("copy", AUVector.stack([PHOTO, SOURCE]), source=SOURCE)
    assert changed_faces(two).tolist() == [True, False]


def test_a_mistake_is_a_sentence() -> None:
    with pytest.raises(ValueError, match="AU Change: copy needs the AUs .* choose neutralise"):
        change("copy")
    with pytest.raises(ValueError, match="AU Change: 3 faces cannot be combined with 2"):
        change("copy", AUVector.stack([PHOTO] * 2), source=AUVector.stack([SOURCE] * 3))


def test_many_photos_and_one_source() -> None:
    photos = AUVector.stack([AUVector.parse("12C"), SOURCE])
    found = change("copy", photos, source=SOURCE)
    assert [found.dict(face) for face in (0, 1)] == [{"4": 3, "12": -2}, {}]
