"""Load and Sample VQ-AUFace: files, texts and vectors, batches, previews, what does not fit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from au_adapter_pack.nodes import picture_record, sample_vqauface
from au_adapter_pack.nodes.compat import folder_paths
from face_pictures import TASK, picture
from sampling import NODE, run
from tiny_vqauface import write_codec, write_vqauface
from torch import Tensor

from au_adapter import AUVector, describe
from au_adapter.bundled import VQAUFACE, vqauface_folder
from au_adapter.methods import open_editor

ASTRONAUT = "astronaut.png"
SETTINGS = {"seed": 5, "steps": 3, "guidance": 3.0, "temperature": 1.0}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A person's models/vq_auface with a model of random weights in it."""
    monkeypatch.setenv("AU_ADAPTER_FACE_LANDMARKER", str(TASK))
    places = ([str(tmp_path)], {".safetensors"})
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "vq_auface", places)
    write_vqauface(tmp_path)
    return tmp_path


def sample(reference: Tensor, text: str = "", **inputs: object) -> Tensor:
    (loaded,) = run("AUA_LoadVQAUFace", file=VQAUFACE)
    told = {**SETTINGS, **inputs}
    return run("AUA_SampleVQAUFace", vq_auface=loaded, reference=reference, text=text, **told)[0]


def test_the_entry_puts_the_bundled_folder_behind_models_vq_auface() -> None:
    first, *others = folder_paths.get_folder_paths("vq_auface")
    assert Path(first) == Path(folder_paths.models_dir, "vq_auface")
    assert Path(others[-1]) == vqauface_folder()


def test_a_vector_and_its_text_draw_the_same(folder: Path) -> None:
    photo, smile = picture(ASTRONAUT), AUVector.parse("6C+12E")
    drawn = sample(photo, au_vector=smile)
    assert drawn.shape == photo.shape and drawn.min() >= 0 and drawn.max() <= 1
    assert torch.equal(drawn, sample(photo, describe(smile)))
    assert not torch.equal(drawn, sample(photo, describe(AUVector.parse("4E"))))
    expected = open_editor("vq-auface", file=folder / VQAUFACE, device="cpu", steps=3)
    torch.testing.assert_close(drawn, expected.open(photo).edit(smile, 5), atol=1e-4, rtol=0)


def test_batches_of_vectors_and_of_pictures(folder: Path) -> None:
    photo = picture(ASTRONAUT)
    two = AUVector.stack([AUVector.parse("12E"), AUVector.parse("4E")])
    drawn = sample(photo, au_vector=two)
    assert drawn.shape == (2, *photo.shape[1:])
    both = photo.repeat(2, 1, 1, 1)
    each = sample(both, au_vector=two)
    torch.testing.assert_close(each, drawn, atol=1e-3, rtol=0)
    assert torch.equal(*sample(both, au_vector=two.face(0)))
    with pytest.raises(ValueError, match="^Sample VQ-AUFace: 2 AU vectors for 3 pictures"):
        sample(photo.repeat(3, 1, 1, 1), au_vector=two)


def test_every_step_is_shown(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import comfy.utils

    seen = []

    def hook(value: int, total: int, preview: tuple, node_id: object = None) -> None:
        seen.append((value, total, preview[0], preview[1].size))

    monkeypatch.setattr(comfy.utils, "PROGRESS_BAR_HOOK", hook)
    sample(picture(ASTRONAUT), au_vector=AUVector.parse("12C"))
    assert seen == [(step, 3, "JPEG", (128, 128)) for step in (1, 2, 3)]


def test_what_does_not_fit_is_a_sentence(folder: Path) -> None:
    photo = picture(ASTRONAUT)
    start = "^Sample VQ-AUFace: "
    for text, vector in (("", None), ("The cheeks are raised.", AUVector.parse("6C"))):
        with pytest.raises(ValueError, match=start + "give a text or connect an AU vector"):
            sample(photo, text, au_vector=vector)
    with pytest.raises(ValueError, match=start + "Face 0 was asked for and the picture shows no"):
        sample(photo * 0, au_vector=AUVector.parse("12C"))
    with pytest.raises(ValueError, match=start + "this model does not know 3 of the 3 words"):
        sample(photo, "Ein breites L\u00e4cheln")
    with pytest.raises(ValueError, match=start + ".* both sides alike"):
        sample(photo, au_vector=AUVector.parse("L12C"))
    with pytest.raises(ValueError, match=start + "AU43 set, but only"):
        sample(photo, au_vector=AUVector.from_dict({"43": 2.0}))


def test_files_that_are_none_are_a_sentence(folder: Path) -> None:
    write_codec(folder)
    with pytest.raises(ValueError, match="^Load VQ-AUFace: .*codec of VQ-AUFace, not a VQ-AUFace"):
        run("AUA_LoadVQAUFace", file="codec.safetensors")
    (folder / VQAUFACE).write_bytes((folder / VQAUFACE).read_bytes()[:5000])
    with pytest.raises(ValueError, match="^Load VQ-AUFace: .*not a whole file of weights"):
        run("AUA_LoadVQAUFace", file=VQAUFACE)
    (folder / VQAUFACE).unlink()
    assert VQAUFACE in NODE["AUA_LoadVQAUFace"].define_schema().inputs[0].options
    with pytest.raises(FileNotFoundError, match="^Load VQ-AUFace: there is no VQ-AUFace .*train"):
        run("AUA_LoadVQAUFace", file=VQAUFACE)


def test_a_saved_picture_says_what_made_it(folder: Path) -> None:
    graph = {
        "1": {"class_type": "AUA_LoadVQAUFace", "inputs": {"file": VQAUFACE}},
        "2": {"class_type": "AUA_AUVector", "inputs": {"notation": "12C"}},
        "3": {"class_type": "AUA_SampleVQAUFace", "inputs": {
            "vq_auface": ["1", 0], "au_vector": ["2", 0], "text": "", **SETTINGS}},
    }  # fmt: skip
    (found,) = picture_record.graph_records(graph)
    assert found["node"] == "3" and found["guidance"] == 3.0
    assert AUVector.from_json(found["aus"]).dict() == {"12": 3.0}
    assert found["vq_auface"] == sample_vqauface.sha256(folder / VQAUFACE)[:16]
