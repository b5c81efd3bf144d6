"""Pictures and tables as files: the command `estimate`, and CSV of LibreFace, OpenFace, py-feat."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from face_pictures import TASK
from PIL import Image

from au_adapter import AUVector
from au_adapter.cli import main
from au_adapter.data.pictures import read_picture
from au_adapter.estimators import read_table
from au_adapter.estimators.reading import codes
from au_adapter.facs import SET_A
from tools import face_files

ASTRONAUT, LANDSCAPE = (
    face_files.PHOTOS / name for name in ("astronaut.png", "free-mountain-vector-01.jpg")
)


def run(*arguments: str | Path) -> Result:
    command = ["estimate", *map(str, arguments), "--landmarker", str(TASK)]
    return CliRunner().invoke(main, command)


# The command


def test_the_json_is_the_one_that_scripts_read(caplog: pytest.LogCaptureFixture) -> None:
    result = run(ASTRONAUT, LANDSCAPE, "--json", "--estimator", "blendshapes")
    assert result.exit_code == 0
    content = json.loads(result.stdout)
    assert content.keys() == {"schema", "estimator", "turned", "images"}
    assert content["schema"] == 1 and content["turned"] == 0
    assert content["estimator"] == "au-adapter blendshape map"
    first, second = content["images"]
    assert first["file"] == str(ASTRONAUT) and second == {"file": str(LANDSCAPE), "faces": []}
    (face,) = first["faces"]
    assert face.keys() == {"index", "box", "confidence", "aus"} and face["index"] == 0
    assert len(face["box"]) == 4 and 0.8 < face["confidence"] <= 1
    assert AUVector.from_dict(face["aus"], SET_A).dict()["12"] > 4
    assert {code.lstrip("LR") for code in face["aus"]} == {str(unit) for unit in SET_A}
    assert "1 of 2 pictures show no face" in caplog.text


def test_a_neutral_photo_makes_it_a_difference() -> None:
    result = run(ASTRONAUT, "--json", "--neutral", ASTRONAUT, "--estimator", "blendshapes")
    content = json.loads(result.stdout)
    assert content["estimator"].endswith("relative to a neutral photo")
    assert set(content["images"][0]["faces"][0]["aus"].values()) == {0.0}


def test_files_that_are_no_pictures_are_named_and_the_rest_is_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text, cut = tmp_path / "notes.txt", tmp_path / "cut.png"
    text.write_text("no picture")
    cut.write_bytes(ASTRONAUT.read_bytes()[:2000])
    result = run(text, tmp_path / "none.png", cut, ASTRONAUT, "--json")
    assert result.exit_code == 1
    images = json.loads(result.stdout)["images"]
    assert [len(image["faces"]) for image in images] == [0, 0, 0, 1]
    assert "no picture" in images[0]["error"] and "there is no such file" in images[1]["error"]
    assert str(cut) in images[2]["error"] and "error" not in images[3]
    assert "notes.txt cannot be read" in caplog.text


def test_a_broken_chunk_is_a_line_and_the_rest_is_read(tmp_path: Path) -> None:
    chunk = struct.pack(">I", 4) + b"\x00\x01\x02\x03" + bytes(8)  # no chunk has such a name
    whole = ASTRONAUT.read_bytes()
    middle = whole.index(b"IDAT", len(whole) // 2) - 4
    broken = tmp_path / "broken.png"
    broken.write_bytes(whole[:middle] + chunk + whole[middle:])
    result = run(broken, ASTRONAUT, "--json")
    assert result.exit_code == 1 and isinstance(result.exception, SystemExit)
    first, second = json.loads(result.stdout)["images"]
    assert f"{broken} cannot be read: no picture" in first["error"] and len(second["faces"]) == 1


@pytest.mark.parametrize("kind", ["I;16.png", "I;16.tif", "I;16B.tif", "I.tif", "I.pgm"])
def test_grey_of_16_bits_is_scaled(tmp_path: Path, kind: str) -> None:
    path = tmp_path / kind.replace(";", "")
    grey = np.asarray(Image.open(ASTRONAUT).convert("L"))
    deep = grey.astype({"I;16": "<u2", "I;16B": ">u2", "I": "<i4"}[kind.partition(".")[0]]) * 257
    if path.suffix == ".pgm":
        height, width = deep.shape
        path.write_bytes(b"P5 %d %d 65535 " % (width, height) + deep.astype(">u2").tobytes())
    else:
        Image.fromarray(deep).save(path)
    found = read_picture(path)
    assert found.shape == (1, *grey.shape, 3) and torch.equal(found[..., 0], found[..., 2])
    assert (found[0, ..., 0] - torch.tensor(grey) / 255).abs().max() < 1e-6


def test_pixels_whose_white_nobody_knows_are_refused(tmp_path: Path) -> None:
    floats, wide = tmp_path / "floats.tif", tmp_path / "wide.tif"
    Image.fromarray(np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)).save(floats)
    Image.fromarray(np.full((8, 8), 70000, np.int32)).save(wide)
    with pytest.raises(ValueError, match="floats from 0 to 1,.*expected 8 or 16 bits.*save it as"):
        read_picture(floats)
    with pytest.raises(ValueError, match="wide.tif cannot be read: .* integers from 70000 to"):
        read_picture(wide)
    result = run(floats, ASTRONAUT, "--json")
    first, second = json.loads(result.stdout)["images"]
    assert result.exit_code == 1 and "32-bit floats" in first["error"] and second["faces"]


def test_the_table_names_the_strongest_first() -> None:
    result = run(ASTRONAUT, LANDSCAPE)
    assert result.exit_code == 0 and f"{LANDSCAPE}: no face" in result.stdout
    line = next(line for line in result.stdout.splitlines() if "face 1" in line)
    assert "lip corner puller" in line.partition("): ")[2].split(",")[0]


def test_a_face_turned_far_away_is_counted_and_said_to_be_a_guess(tmp_path: Path) -> None:
    """A half profile, narrowed: no photo or render at hand is turned so far."""
    photo = Image.open(face_files.PHOTOS / "45-m7-di-ph.jpg").convert("RGB")
    photo.resize((290, photo.height)).save(tmp_path / "turned.png")
    content = json.loads(run(tmp_path / "turned.png", ASTRONAUT, "--json").stdout)
    turned, straight = (image["faces"][0] for image in content["images"])
    assert content["turned"] == 1 and 40 < turned["turn"] < 90 and "turn" not in straight
    table = run(tmp_path / "turned.png").stdout
    assert f"turned by {turned['turn']:.0f} degrees, a guess" in table


def test_an_animated_picture_gives_its_first_frame_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "moving.gif"
    head = Image.open(ASTRONAUT).convert("RGB")
    head.save(path, save_all=True, append_images=[Image.new("RGB", head.size)])
    assert len(json.loads(run(path, "--json").stdout)["images"][0]["faces"]) == 1
    assert f"{path} holds 2 frames: the first was read" in caplog.text
    caplog.clear()
    read_picture(ASTRONAUT)
    assert "frames" not in caplog.text


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--estimator", "smile"), "no estimator 'smile'"),
        (("--estimator", "demo", "--neutral", ASTRONAUT), "cannot use a neutral photo"),
        (("--neutral", LANDSCAPE), "neutral photo must show one face, found none"),
        (("--neutral", "none.png"), "none.png cannot be read: there is no such file"),
    ],
)
def test_mistakes_are_a_sentence(arguments: tuple[str, ...], sentence: str) -> None:
    result = run(ASTRONAUT, *arguments)
    assert result.exit_code == 1 and isinstance(result.exception, SystemExit)
    assert sentence in result.stderr and not result.stdout


def test_sides_stand_apart_from_a_grade_on() -> None:
    left, right = torch.tensor([[1.0, 4.0, 0.0]]), torch.tensor([[1.9, 1.5, 0.0]])
    aus = AUVector((4, 12, 26), left, left, right)
    assert codes(aus) == {"4": 1.45, "L12": 4.0, "R12": 1.5, "26": 0.0}


# Tables of other tools


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_libreface(tmp_path: Path) -> None:
    path = write(
        tmp_path / "libreface.csv",
        "frame_idx,au_1,au_1_intensity,au_12_intensity,pitch",
        "0,1,0.5,3.25,1.0",
        "1,0,0.0,5.0,2.0",
    )
    found = read_table(path)
    assert found.estimator == "LibreFace" and found.pictures == 2
    assert [reading.aus.dict() for reading in found.readings] == [
        {"1": 0.5, "12": 3.25},
        {"12": 5.0},
    ]
    assert found.readings[1].image == 1 and found.readings[1].confidence == 1


def test_openface_leaves_out_presence_blinks_and_frames_without_a_face(tmp_path: Path) -> None:
    path = write(
        tmp_path / "openface.csv",
        "frame, face_id, timestamp, confidence, success, AU04_r, AU12_r, AU45_r, AU12_c",
        "1, 0, 0.0, 0.98, 1, 0.30, 2.10, 4.0, 1.0",
        "1, 1, 0.0, 0.80, 1, 0.00, 0.00, 0.0, 0.0",
        "2, 0, 0.1, 0.02, 0, 0.00, 0.00, 0.0, 0.0",
    )
    found = read_table(path)
    assert found.estimator == "OpenFace" and found.pictures == 2
    assert [(r.image, r.face, r.confidence) for r in found.readings] == [(0, 0, 0.98), (0, 1, 0.8)]
    assert found.readings[0].aus.units == (4, 12)
    assert found.readings[0].aus.dict() == {"4": 0.3, "12": 2.1} and found.of(1) == []


def test_py_feat_gives_probabilities_and_says_so(tmp_path: Path) -> None:
    path = write(
        tmp_path / "feat.csv",
        "FaceRectX,FaceRectY,FaceRectWidth,FaceRectHeight,FaceScore,AU06,AU12,happiness,input",
        "10,20,30,40,0.9,0.2,0.9,1.0,a.jpg",
        ",,,,,,,,b.jpg",
        "1,2,3,4,0.8,1.0,0.0,0.0,a.jpg",
    )
    found = read_table(path)
    assert found.estimator == "py-feat (probability x 5)" and found.pictures == 2
    first, second = found.of(0)
    assert first.box == (10.0, 20.0, 40.0, 60.0) and first.confidence == 0.9
    assert first.aus.dict() == pytest.approx({"6": 1.0, "12": 4.5})
    assert second.face == 1 and found.of(1) == []


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (("a,b", "1,2"), "no columns of AUs .* found a, b"),
        (("frame,AU12_r", "1,much"), "line 2 of .*other.csv: AU12 is 'much', expected a number"),
        (("frame,AU12_r", "1,2", "2,7"), r"line 3 of .*: AU12 is 7; OpenFace gives 0\.\.5"),
        (("frame,AU12", "1,3"), r"AU12 is 3; py-feat \(probability x 5\) gives 0\.\.1"),
        (
            ("FaceScore,AU12,input", "0.9,1,a.jpg", "x,1,b.jpg"),
            "line 3 of .*: FaceScore is 'x', expected a n",
        ),
        (
            ("frame,confidence,AU12_r", "1,sure,2"),
            "line 2 of .*: confidence is 'sure', expected a number",
        ),
        (
            ("FaceRectX,FaceRectY,FaceRectWidth,FaceRectHeight,AU12,frame", "1,top,3,4,1,0"),
            "line 2 of .*other.csv: FaceRectY is 'top', expected a number",
        ),
        (("frame,AU99_r", "1,2"), "no Action Unit|describes|There is no"),
    ],
)
def test_other_tables_are_refused(tmp_path: Path, lines: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        read_table(write(tmp_path / "other.csv", *lines))


def numbers(path: Path) -> list[list[float]]:
    """AU12 of the faces of each picture."""
    found = read_table(path)
    return [[r.aus.dict(zeros=True)["12"] for r in found.of(i)] for i in range(found.pictures)]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (("frame,AU12_r", "3,3", "1,1", "2,2"), [[1], [2], [3]]),  # in another order
        (("frame,AU12_r", "5,1", "7,3"), [[1], [], [3]]),  # a frame that is not there
        (("frame,face_id,AU12_r", "1,0,1", "1,1,2", "2,0,3"), [[1, 2], [3]]),
        (("frame,success,AU12_r", "1,1.0,1", "2,0.0,0", "3,True,3"), [[1], [], [3]]),
        (("frame,success,AU12_r", "1,TRUE,1", "2,False,0", "3,1,3"), [[1], [], [3]]),
        (("input,frame,AU12", "p1.png,0,0.2", "p2.png,0,0.4", "p1.png,0,1"), [[1, 5], [2]]),
        (("frame,input,AU12", "1,clip.mp4,0.4", "0,clip.mp4,0.2"), [[1], [2]]),
        (("frame_idx,path,au_12_intensity", "9,b.jpg,2", "0,a.jpg,1"), [[2], [1]]),
        (("input_image_path,au_12_intensity", "C:\\x\\b.PNG,2", "a.jpg,1"), [[2], [1]]),
        (("input,frame,AU12", "b.TIF,0,0.4", "a.tif,0,0.2"), [[2], [1]]),
        (("FileName;AU12_r", "b.png;2", "a.png;1"), [[2], [1]]),
        (("image,AU12_r", "2,2", "1,1"), [[1], [2]]),  # a name that is a number
        (("image,frame,AU12_r", "7,2,2", "7,1,1"), [[1], [2]]),
        ((",frame,AU12_r,", "0,1,2,", "1,2,3,"), [[2], [3]]),
        (("frame,AU12_r", "1,5.0005"), [[5.0005]]),
    ],
)  # fmt: skip
def test_a_row_is_of_the_picture_that_it_names_or_numbers(
    tmp_path: Path, lines: tuple[str, ...], expected: list
) -> None:
    found = numbers(write(tmp_path / "t.csv", *lines))
    assert found == [pytest.approx(faces) for faces in expected]


@pytest.mark.parametrize(
    "bad", ["-nan(ind),1", "NA,1", "None,1", "-0.02,1", "5.01,1", "inf,1", "1,", "1,nan"]
)
def test_a_bad_number_leaves_out_its_row_and_is_counted(
    tmp_path: Path, bad: str, caplog: pytest.LogCaptureFixture
) -> None:
    lines = ("frame,AU12_r,confidence", "1,1,1", f"2,{bad}", "3,3,1")
    assert numbers(write(tmp_path / "t.csv", *lines)) == [[1], [], [3]]
    assert "1 rows of" in caplog.text and "such as line 3 of" in caplog.text


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (("AU12_r,confidence", "1,1"), "no column that names the picture"),
        (("input,frame,AU12", "a.png,0,1", "a.png,1,1"), "line 3 .* gives a.png to two pictures"),
        (("frame,input,AU12", "0,a,1", "0,b,1"), "gives 0 to two pictures, input a and b"),
        (("frame,AU12_r", "1.5,1"), "line 2 .*frame is '1.5', expected the whole number"),
        (("frame,AU12_r", ",1"), "line 2 .* names no picture"),
        (("frame,AU12_l,AU12_r", "1,1,2"), "columns of the left side, which OpenFace does not"),
        (("frame,AU01_r,AU02_r,AU03_r", "1,1,1,1"), "the column 'AU03_r', .* no Action Unit 3"),
        (("frame,AU12_r", "1,1", "4000000000,1"), "has frames from 1 to 4000000000: are they"),
        (("frame,AU12_r,AU012_r", "1,1,2"), "gives AU12 twice"),
    ],
)
def test_readings_of_no_picture_or_no_unit_are_refused(
    tmp_path: Path, lines: tuple[str, ...], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        read_table(write(tmp_path / "t.csv", *lines))
