"""MagicFace on Stable Diffusion 1.5 and photographs: from folders of people to edits."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from face_pictures import SEGMENTER, TASK, landmarker, segmenter
from labelled_faces import write_disfa
from pair_pictures import LABELS, PEOPLE, write_people
from PIL import Image
from tiny_stable_diffusion import write_stable_diffusion
from torch import Tensor

from au_adapter import AUVector, open_editor
from au_adapter.cli import main
from au_adapter.data.face_cutter import place_of
from au_adapter.data.face_source import LabelledFace
from au_adapter.data.pictures import read_picture
from au_adapter.data.prepare_shards import prepare
from au_adapter.data.rendered import RenderedSet, load
from au_adapter.estimators.reading import Reading
from au_adapter.faces.jaw_background import prepare_faces
from au_adapter.models.magicface import MAGICFACE_UNITS
from au_adapter.training.pairs import resized, with_jaw
from au_adapter.training.recipes import choose
from au_adapter.training.run import train
from au_adapter.weights.magicface_files import load_magicface
from tools import face_files

SIDE = 256
TINY = {"batch_size": 4, "log_every": 1, "mixed_precision": "no", "learning_rate": 2e-3}


@pytest.fixture(scope="module", autouse=True)
def model_files() -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AU_ADAPTER_FACE_LANDMARKER", str(TASK))
        patch.setenv("AU_ADAPTER_PERSON_SEGMENTER", str(SEGMENTER))
        yield patch


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_people(tmp_path_factory.mktemp("people"))
    Image.new("RGB", (64, 64)).save(folder / "black.png")
    with (folder / "labels.csv").open("a") as table:
        table.write("black.png,1,1\n")
    return folder


@pytest.fixture(scope="module")
def shards(people: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The faces of `people`, cut out on the command line."""
    output = tmp_path_factory.mktemp("shards")
    words = ["prepare", "folder", people, people / "labels.csv", "--output", output, "--faces"]
    answer = CliRunner().invoke(main, [*map(str, words), "--size", str(SIDE)])
    assert answer.exit_code == 0, answer.output
    assert "1 of 7 left out: no face to cut out" in answer.output
    return output


@pytest.fixture(scope="module")
def faces(shards: Path) -> RenderedSet:
    return load(shards)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_stable_diffusion(tmp_path_factory.mktemp("sd15"), "sd15", groups=32)


def test_faces_are_cut_out_as_renders_are(faces: RenderedSet) -> None:
    assert faces.images.shape == (6, SIDE, SIDE, 3) and faces.masks.shape == (6, SIDE, SIDE)
    assert len({*faces.identity[:3]}) == len({*faces.identity[3:]}) == 1
    assert faces.identity[0] != faces.identity[3]
    assert [label["subject"] for label in faces.labels] == [n for n in PEOPLE for _ in LABELS]
    assert [label["frame"] for label in faces.labels] == [0, 10, 20] * 2
    wanted = [[row[f"AU{u}"] for u in (4, 12)] for row in LABELS] * 2
    columns = [faces.units.index(unit) for unit in (4, 12)]
    assert faces.aus[:, columns].tolist() == wanted
    middle = SIDE // 2
    assert (faces.masks[:, middle, middle] > 200).all()  # the face, and nobody in a corner above
    assert faces.masks[:, 4, 4].max() < 100
    for boxes, label in zip(faces.boxes, faces.labels, strict=True):
        left, right, brows, mouth = boxes
        assert left[0] > right[2] and brows[1] < left[1] < mouth[1]  # the person's own left
        chin = np.array(label["jaw"])[8]
        assert chin[1] > mouth[3] and right[0] < chin[0] < left[2]


def test_the_condition_is_that_of_the_editor(faces: RenderedSet, people: Path) -> None:
    """What training shows as background is what Prepare MagicFace and `open_editor` show."""
    photo = read_picture(people / "anna" / "frame_0010.jpg")
    ((face,),) = landmarker().detect(photo)
    _, square, behind = prepare_faces(photo, [(0, face)], SIDE, segmenter().mask)
    ours = with_jaw(faces).images[1] / 255
    assert np.abs(ours - behind[0].numpy()).mean() < 0.01  # a JPEG, and a mask of 8 bits
    assert np.abs(faces.images[1] / 255 - square[0].numpy()).mean() < 0.01
    small = resized(faces, 64)
    assert small.images.shape == (6, 64, 64, 3)
    assert np.allclose(small.boxes, faces.boxes / 4)
    assert np.abs(with_jaw(small).images[1].mean() - 255 * ours.mean()) < 4


def test_disfas_own_subject_and_frame_hold(tmp_path: Path) -> None:
    face = LabelledFace(tmp_path / "x" / "007.jpg", {}, "", {"subject": "SN001", "frame": 3})
    other = LabelledFace(tmp_path / "y" / "8.jpg", {}, "", {"subject": "SN001", "frame": 4})
    assert place_of(face) == {**place_of(other), "frame": 3}
    alone = place_of(LabelledFace(tmp_path / "anna" / "smile.jpg", {}))
    assert alone["subject"] == "anna" and "frame" not in alone
    with pytest.raises(ValueError, match="x.jpg has the frame 'late', expected a number"):
        place_of(LabelledFace(tmp_path / "x.jpg", {}, "", {"frame": "late"}))
    frames = write_disfa(tmp_path / "disfa", {"SN001": [{12: 1}, {12: 2}]})
    photo = Image.open(face_files.PHOTOS / "astronaut.png").convert("RGB")
    for file in (frames / "frames" / "SN001").iterdir():
        photo.save(file)
    output = tmp_path / "out"
    prepare("disfa", frames / "frames", frames / "labels", output, cut=64)
    labels = load(output).labels
    assert [(label["subject"], label["frame"]) for label in labels] == [("SN001", 0), ("SN001", 1)]
    assert labels[0]["identity"] == labels[1]["identity"] and labels[1]["units"]["12"] == 2


@pytest.fixture(scope="module")
def result(people: Path, base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run straight from the folder of people and its table."""
    output = tmp_path_factory.mktemp("run")
    options = {"base": str(base), "steps": 30, "gradient_checkpointing": False, **TINY}
    return train("magicface-sd15", [people], output, validate_every=30, estimate=grey, **options)


def grey(images: Tensor) -> list[Reading]:
    """Reads AU12 off the light of a picture, and all others as 0."""
    found = []
    for number, image in enumerate(images):
        values = torch.zeros(1, len(MAGICFACE_UNITS))
        values[0, MAGICFACE_UNITS.index(12)] = 5 * image.mean()
        found.append(Reading(number, 0, (0, 0, 8, 8), 1.0, AUVector(MAGICFACE_UNITS, values)))
    return found


def test_it_learns_on_stable_diffusion_15(result: Path, people: Path, base: Path) -> None:
    options = {"base": str(base), "steps": 30, **TINY}
    recipe = choose("magicface-sd15", options).open([next(result.parent.glob("faces-*"))])
    batch = recipe.batch(16, torch.Generator().manual_seed(5))
    assert batch["photo"].shape == (16, 4, 8, 8) and batch["photo"].dtype == torch.float32
    with torch.no_grad():
        before = recipe.module.eval()(batch)
        recipe.module.network.load_state_dict(
            load_magicface(result / "magicface.safetensors").state_dict()
        )
        after = recipe.module(batch)
    assert after < 0.9 * before
    assert recipe.module.plain  # the paper's loss, on its own base


def test_it_is_judged_by_edits(result: Path) -> None:
    (row,) = map(json.loads, (result.parent / "validation.jsonl").read_text().splitlines())
    # Changes of the photo without one, whose own reading is no change.
    assert row["response"]["12"]["0"] == 0.0 and set(row["response"]["12"]) == {"0", "2", "4"}
    assert row["faces"] == 1.0 and row["au_error"] > 0
    sheet = Image.open(result.parent / "validation" / "step-0000030" / "pictures.png")
    assert sheet.width > 13 * 64


def test_gradient_checkpointing_changes_no_number(shards: Path, base: Path, tmp_path: Path) -> None:
    losses = []
    for switch in (False, True):
        options = {"base": str(base), "steps": 3, "gradient_checkpointing": switch, **TINY}
        train("magicface-sd15", [shards], tmp_path / str(switch), **options)
        rows = (tmp_path / str(switch) / "log.jsonl").read_text().splitlines()
        losses.append([json.loads(row)["loss"] for row in rows])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4) and losses[0][0] != losses[0][1]


def test_the_result_edits_photos(result: Path, base: Path) -> None:
    files = {"model": base, "magicface": result / "magicface.safetensors"}
    editor = open_editor("magicface", steps=2, **files)
    photo = read_picture(face_files.PHOTOS / "astronaut.png")
    edited = editor.open(photo).edit(AUVector.parse("AU12:4"), seed=1)
    assert edited.shape == photo.shape and (edited - photo).abs().max() > 0.05


@pytest.mark.parametrize(
    ("dropout", "share"), [(0.0, 0.0), (1.0, 1.0)], ids=["without AU dropout", "always"]
)
def test_dropout_is_an_option(dropout: float, share: float, shards: Path, base: Path) -> None:
    options = {"base": str(base), "dropout": dropout, "unchanged": 0.0, "frame_distance": 20}
    recipe = choose("magicface-sd15", options).open([shards])
    batch = recipe.batch(40, torch.Generator().manual_seed(0))
    assert (batch["change"] == 0).all(-1).float().mean() == share
    assert set(recipe.pairs.partners.rows) == {0, 2, 3, 5}  # frame 10 is too near to both


def test_what_cannot_be_trained_on_is_said(people: Path, base: Path, tmp_path: Path) -> None:
    prepare("folder", people, people / "labels.csv", tmp_path / "whole")
    with pytest.raises(ValueError, match="holds whole pictures.*`au-adapter prepare ... --faces`"):
        choose("magicface-sd15", {"base": str(base)}).open([tmp_path / "whole"])
    other = write_stable_diffusion(tmp_path / "sd21", "sd21")
    with pytest.raises(ValueError, match="is Stable Diffusion 2.1: MagicFace trains on Stable"):
        choose("magicface", {"base": str(other)}).open([tmp_path / "whole"])


def write_video(file: Path, count: int = 3) -> Path:
    """The first frames of a real video."""
    with av.open(str(face_files.PHOTOS / "single_face.mp4")) as source:
        pictures = [f.to_image() for f in islice(source.decode(video=0), count)]
    with av.open(str(file), "w") as output:
        stream = output.add_stream("mpeg4", rate=5)
        stream.width, stream.height = pictures[0].size
        for picture in pictures:
            output.mux(stream.encode(av.VideoFrame.from_image(picture)))
        output.mux(stream.encode())
    return file


def test_a_video_is_read_by_our_estimator(tmp_path: Path) -> None:
    video = write_video(tmp_path / "carla.mp4")
    words = ["prepare", "folder", video, "mesh", "--output", tmp_path / "out", "--faces"]
    answer = CliRunner().invoke(main, [*map(str, words), "--size", "64"])
    assert answer.exit_code == 0, answer.output
    found = load(tmp_path / "out")
    assert {label["subject"] for label in found.labels} == {"carla"}
    frames = [label["frame"] for label in found.labels]
    assert frames == [0, 1, 2]
    assert found.aus.max() > 0 and (tmp_path / "out" / "labels.jsonl").is_file()
