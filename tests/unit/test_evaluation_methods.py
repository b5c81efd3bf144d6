"""`evaluate` and `calibrate` on a small model: protocols, edits, folders of pictures, resume."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image
from tiny_demo import write_demo

from au_adapter import AUVector, load_adapter
from au_adapter.bundled import FOLDER_VARIABLE
from au_adapter.cli import main
from au_adapter.data.pictures import read_picture
from au_adapter.data.rendered import SAMPLE
from au_adapter.estimators.reading import Reading
from au_adapter.evaluation.calibration_run import SEED, calibrate, read_sweep
from au_adapter.evaluation.evaluate_protocol import PhotoPictures, _labels, limited
from au_adapter.evaluation.evaluation_run import estimator_of
from au_adapter.evaluation.fit_calibration import sweep_vectors
from au_adapter.evaluation.protocol_run import read_rows
from au_adapter.evaluation.protocols import load_protocol
from au_adapter.evaluation.records import Request
from au_adapter.facs import SET_A
from au_adapter.methods import open_generator
from au_adapter.methods.adapter_generator import AdapterGenerator
from au_adapter.methods.adapter_sdedit import AdapterSDEdit
from au_adapter.models.calibration import Calibration, ResponseCurve

SMALL = {
    "schema": 1, "name": "small", "title": "Small", "scale": "absolute", "units": [4, 12],
    "levels": [3], "seed": 7, "prompts": ["a young man", "an old woman"],
    "combinations": ["4B+12C"],
}  # fmt: skip
EDITS = {
    "schema": 1, "name": "edits", "title": "Edits", "scale": "change", "units": [12],
    "levels": [2], "seed": 0, "photos": 2, "combinations": [],
}  # fmt: skip


class Brightness:
    """Reads all AUs as the mean of a picture, 0..5: it answers every change of the picture."""

    name, units = "brightness", SET_A

    def estimate(self, images: torch.Tensor) -> list[Reading]:
        rows = 5 * images.mean((1, 2, 3))[:, None].expand(-1, len(SET_A))
        return [
            Reading(i, 0, (0, 0, 9, 9), 1.0, AUVector(SET_A, r[None])) for i, r in enumerate(rows)
        ]


READER = f"{__name__}:Brightness"


@pytest.fixture(scope="module", autouse=True)
def demo(tmp_path_factory: pytest.TempPathFactory):
    """The bundled model with random weights, and no cache with networks in it."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv(FOLDER_VARIABLE, str(write_demo(tmp_path_factory.mktemp("demo"))))
        environment.setenv("AU_ADAPTER_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def generator() -> AdapterGenerator:
    return open_generator("au-adapter", steps=2, batch=2)


@pytest.fixture(scope="module")
def editor(generator: AdapterGenerator) -> AdapterSDEdit:
    return AdapterSDEdit(generator=generator, prompt="a face")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_photos(tmp_path / "photos")


def write_photos(folder: Path) -> Path:
    folder.mkdir()
    for i in range(2):
        pixels = torch.rand(96, 96, 3, generator=torch.Generator().manual_seed(i)) * 255
        Image.fromarray(pixels.byte().numpy()).save(folder / f"person{i}.png")
    return folder


def run(verb: str, *arguments: object) -> Result:
    options = ["--steps", 2, "--estimator", READER]
    return CliRunner().invoke(main, [str(a) for a in [verb, *arguments, *options]])


def protocol_file(folder: Path, data: dict) -> Path:
    path = folder / f"{data['name']}.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    return path


def test_a_batch_starts_from_one_noise_and_leaves_the_unet_as_it_was(
    generator: AdapterGenerator,
) -> None:
    aus = AUVector((12,), torch.tensor([[0.0], [5.0], [5.0]]))
    plain = generator.plain("a man", 3)
    images = generator.draw("a man", 3, aus)
    assert images.shape == (3, 128, 128, 3) and images.min() >= 0 and images.max() <= 1
    assert torch.allclose(images[1], images[2], atol=1e-4)
    assert not torch.allclose(images[0], images[1], atol=1e-2)
    assert torch.equal(generator.plain("a man", 3), plain)
    assert not torch.allclose(generator.draw("a man", 4, aus)[0], images[0], atol=1e-2)


def test_guidance_of_one_takes_the_positive_alone(generator: AdapterGenerator) -> None:
    aus = AUVector.parse("12E")
    alone = generator.changed(guidance=1.0).draw("a man", 3, aus)
    assert alone.shape == (1, 128, 128, 3)
    assert not torch.allclose(alone, generator.draw("a man", 3, aus), atol=1e-2)


def test_calibrated_it_asks_by_the_curves(generator: AdapterGenerator) -> None:
    curve = ResponseCurve((0, 4), (0, 2))
    adapter = generator.adapter.with_calibration(Calibration("x", {12: curve}))
    calibrated = generator.changed(adapter=adapter, calibrated=True)
    smile = calibrated.draw("a man", 3, AUVector.parse("12A"))
    assert torch.equal(smile, generator.draw("a man", 3, AUVector.parse("12B")))
    assert calibrated.settings()["calibration"] == adapter.calibration.name()
    assert generator.settings()["calibration"] == "off"


def test_a_sweep_says_how_far_each_picture_is_from_its_face_at_rest(
    generator: AdapterGenerator,
) -> None:
    prompts = ("a man", "a woman")
    sweep = sweep_vectors((12,), (0, 5))
    asked, readings, changes = read_sweep(generator, Brightness(), sweep, prompts)
    assert asked.values.flatten().tolist() == [0, 5, 0, 5] and readings.pictures == 4
    assert changes[[0, 2]].tolist() == [0, 0]
    woman = generator.draw("a woman", SEED + 1, AUVector((12,), torch.tensor([[0.0], [5.0]])))
    expected = (woman[1] - woman[0]).square().mean().sqrt().item()
    assert changes[3].item() == pytest.approx(expected, rel=1e-4)


def test_an_edit_begins_at_the_photo(editor: AdapterSDEdit, photos: Path) -> None:
    photo = read_picture(photos / "person0.png")
    aus = AUVector((12,), torch.tensor([[0.0], [5.0], [5.0]]))
    edited = editor.open(photo).edit(aus, 1)
    assert edited.shape == (3, 96, 96, 3) and torch.allclose(edited[1], edited[2], atol=1e-4)
    other = editor.open(read_picture(photos / "person1.png")).edit(aus, 1)
    assert not torch.allclose(edited, other, atol=1e-2)


def test_a_change_is_added_to_what_the_photo_shows(editor: AdapterSDEdit, photos: Path) -> None:
    file = photos / "person0.png"
    drawing = PhotoPictures(editor, Brightness(), "change")
    photo = drawing.photo(file)
    row = Request("a", "single", {"12": 2.0}, 1, "r", source=str(file))
    shown = Brightness().estimate(photo)[0].aus
    expected = editor.open(photo).edit((shown + AUVector.parse("12B")).clamp(), 1)
    assert torch.equal(drawing([row]), expected)
    assert torch.equal(drawing([Request("r", "reference", {}, 1, "r", source=str(file))]), photo)


def test_the_loop_takes_a_face_that_is_not_symmetric(editor: AdapterSDEdit, photos: Path) -> None:
    class OneSided(Brightness):
        def estimate(self, images: torch.Tensor) -> list[Reading]:
            both = super().estimate(images)
            return [
                replace(r, aus=AUVector(SET_A, r.aus.values, r.aus.values, 0 * r.aus.values))
                for r in both
            ]

    drawing = PhotoPictures(editor, OneSided(), "change", rounds=2)
    row = Request("a", "single", {"12": 2.0}, 1, "r", source=str(photos / "person0.png"))
    assert drawing([row]).shape == (1, 128, 128, 3)
    with pytest.raises(ValueError, match="ask for both sides alike"):
        drawing([replace(row, requested={"L12": 2.0})])


def test_a_target_is_what_an_edit_is_compared_with(editor: AdapterSDEdit, photos: Path) -> None:
    drawing = PhotoPictures(editor, Brightness(), "absolute")
    file = str(photos / "person1.png")
    rows = [Request("a", "target", {}, 0, "r", target=file), Request("b", "removal", {}, 0, "r")]
    given = torch.zeros(2, 128, 128, 3)
    shown = drawing.references(rows, given)
    assert torch.equal(shown[:1], drawing.photo(file)) and not shown[1].any()
    assert drawing.references(rows[1:], given) is given


def test_a_protocol_goes_on_where_it_stopped(tmp_path: Path) -> None:
    protocol, output = protocol_file(tmp_path, SMALL), tmp_path / "run"
    result = run("evaluate", protocol, "--output", output)
    assert result.exit_code == 0, result.output
    assert f"{output / 'report.md'}" in result.output
    rows = (output / "rows-0.jsonl").read_text().splitlines(keepends=True)
    assert len(rows) == 2 + 6
    (output / "rows-0.jsonl").write_text("".join(rows[:-3]))
    assert run("evaluate", protocol, "--output", output).exit_code == 0
    assert (output / "rows-0.jsonl").read_text() == "".join(rows)
    report = json.loads((output / "report.json").read_text())
    assert report["estimator"] == "brightness" and report["counts"]["scored for AUs"] == 6
    assert report["settings"]["steps"] == 2 and "lpips" in report["not_measured"]
    assert {"report.csv", "plot_1.png", "plot_2.png"} <= {f.name for f in output.iterdir()}
    other = CliRunner().invoke(
        main, ["evaluate", str(protocol), "--output", str(output), "--estimator", READER]
    )
    assert other.exit_code == 1 and "holds another run: its settings" in other.output


def test_a_table_of_requests_needs_a_folder(tmp_path: Path) -> None:
    table = tmp_path / "asked.csv"
    table.touch()
    found = run("evaluate", "fineface", "--requested", table, "--output", tmp_path / "run")
    assert found.exit_code == 1 and "belongs to a folder of pictures" in found.output


def test_other_weights_of_the_same_name_are_other_settings(generator: AdapterGenerator) -> None:
    before = generator.settings()
    bias = generator.pipeline.unet.conv_out.bias
    with torch.no_grad():
        bias += 1
        after = generator.settings()
        bias -= 1
    assert before["weights"] != after["weights"] and before["adapter"] == after["adapter"]
    assert generator.conditions().endswith("steps 2, guidance 7.5, strength 1.0")


def test_aus_that_begin_later_change_less(generator: AdapterGenerator) -> None:
    smile = AUVector((12,), torch.tensor([[0.0], [5.0]]))
    whole, late, never = (
        generator.changed(steps=4, start=share).draw("a man", 3, smile) for share in (0.0, 0.5, 1.0)
    )
    changes = [float((b - a).abs().mean()) for a, b in (whole, late, never)]
    assert changes[0] > changes[1] > 1e-3 and changes[2] < 1e-6
    assert "start 0.5" in generator.changed(start=0.5).conditions()


def test_in_a_photo_start_counts_the_steps_that_draw_it_anew(
    generator: AdapterGenerator, photos: Path
) -> None:
    smile, photo = (
        AUVector((12,), torch.tensor([[0.0], [5.0]])),
        read_picture(photos / "person0.png"),
    )

    def change(start: float) -> float:
        late = generator.changed(steps=10, start=start)
        edited = AdapterSDEdit(generator=late, edit_noise=0.4, prompt="a face")
        relaxed, smiling = edited.open(photo).edit(smile, 1)
        return float((smiling - relaxed).abs().mean())

    changes = [change(start) for start in (0.0, 0.5, 0.75, 1.0)]  # 4, 2, 1 and 0 of 4 steps
    assert changes[0] > changes[1] > changes[2] > 1e-4 and changes[3] < 1e-6


def test_the_closed_loop_is_part_of_the_settings(tmp_path: Path) -> None:
    # Far from what is read in these pictures, so that the first round is not near enough already.
    protocol = protocol_file(tmp_path, {**SMALL, "prompts": ["a man"], "levels": [1, 5]})
    once, more = tmp_path / "once", tmp_path / "more"
    assert run("evaluate", protocol, "--output", once).exit_code == 0
    assert run("evaluate", protocol, "--output", more, "--rounds", 3).exit_code == 0
    reports = [json.loads((f / "report.json").read_text()) for f in (once, more)]
    first, looped = (report["lines"][0]["value"] for report in reports)
    assert looped < first and reports[1]["settings"]["rounds"] == 3
    assert "closed loop" in reports[1]["method"]


def test_edits_of_photos(tmp_path: Path, photos: Path) -> None:
    protocol, output = protocol_file(tmp_path, EDITS), tmp_path / "run"
    result = run("evaluate", protocol, "--photos", photos, "--output", output)
    assert result.exit_code == 0, result.output
    report = json.loads((output / "report.json").read_text())
    assert report["counts"]["made"] == 2 and report["settings"]["edit_noise"] == 0.6
    Image.new("RGB", (96, 96), "grey").save(photos / "person1.png")
    other = run("evaluate", protocol, "--photos", photos, "--output", output)
    assert other.exit_code == 1 and "holds another run: its settings" in other.output
    missing = run("evaluate", protocol, "--output", tmp_path / "other")
    assert missing.exit_code == 1 and "edits 2 different photos" in missing.output


def test_a_render_of_one_side_is_asked_for_on_that_side() -> None:
    label = {"identity": 7, "left": {"12": 2.0, "6": 1.0, "43": 5.0}, "right": {"6": 1.0}}
    assert _labels(label) == {"6": 1.0, "L12": 2.0}


@pytest.mark.parametrize("kind", ["renders", "table"])
def test_labelled_frames(tmp_path: Path, photos: Path, kind: str) -> None:
    table = photos / "frames.csv"
    table.write_text("file,subject,aus\nperson0.png,anna,12C\nperson1.png,anna,4B\n")
    frames = SAMPLE if kind == "renders" else table
    output = tmp_path / "run"
    result = run("evaluate", "aueditnet", "--frames", frames, "--output", output, "--limit", 2)
    assert result.exit_code == 0, result.output
    records = [row.json() for row in read_rows(output)]
    assert sum(record["group"] != "reference" for record in records) == 2
    assert all(Path(record["source"]).is_file() for record in records)


def test_a_trial_is_scattered_and_grows() -> None:
    protocol = load_protocol("fineface")
    small, large = limited(protocol, 20), limited(protocol, 40)
    ids = [[row.id for row in one.rows] for one in (small, large, protocol)]
    assert len(ids[0]) == 20 and set(ids[0]) < set(ids[1]) < set(ids[2])
    assert ids[0] == sorted(ids[0], key=ids[2].index)
    assert {row.reference for row in small.rows} == {row.id for row in small.references}
    assert len({row.prompt for row in small.rows}) > 5 and "a trial of 20" in small.title
    assert limited(protocol, None) is protocol is limited(protocol, 9999)


def test_calibrate_writes_the_adapter_with_its_curves(
    tmp_path: Path, generator: AdapterGenerator
) -> None:
    path, plot = calibrate(
        None,
        tmp_path / "calibrated.safetensors",
        options={"steps": 2},
        estimator=READER,
        prompts=["a man"],
        levels=(0, 5),
    )
    calibration = load_adapter(path).calibration
    assert set(calibration.curves) == set(SET_A) and calibration.estimator == "brightness"
    assert calibration.curves[12].requested == (0, 5) and "steps 2" in calibration.conditions
    assert "price 25" in calibration.conditions and calibration.curves[12].cost[1] > 0
    with Image.open(plot) as picture:
        assert picture.size == (960, 600)


def test_calibrate_of_what_is_no_adapter(tmp_path: Path) -> None:
    result = run("calibrate", tmp_path / "none.safetensors", tmp_path / "out.safetensors")
    assert result.exit_code == 1 and "no file of weights" in result.output


def test_other_models_and_estimators(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"is no base.*model_index\.json"):
        open_generator(model=tmp_path, adapter=tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match="no estimator 'libreface'"):
        estimator_of("libreface", bundled=True)


def test_a_diffusers_folder_is_a_model(tmp_path: Path, generator: AdapterGenerator) -> None:
    from diffusers import StableDiffusionPipeline

    adapter = tmp_path / "adapter.safetensors"
    from au_adapter import save_adapter

    save_adapter(generator.adapter, adapter)
    parts = {**generator.pipeline.components, "vae": _tiny_vae(), "requires_safety_checker": False}
    StableDiffusionPipeline(**parts).save_pretrained(tmp_path / "model")
    with pytest.raises(ValueError, match="needs the file of an adapter"):
        open_generator(model=tmp_path / "model")
    loaded = open_generator(model=tmp_path / "model", adapter=adapter, steps=2)
    assert loaded.draw("a man", 1, AUVector.parse("12E")).shape == (1, 128, 128, 3)


def _tiny_vae() -> torch.nn.Module:
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=4,
        norm_num_groups=4,
    )
