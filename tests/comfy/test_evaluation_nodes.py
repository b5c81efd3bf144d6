"""AU Evaluator, Save AU Report and Calibrate AU-Adapter: in this process, and on a real server."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from au_adapter_pack.nodes import au_evaluator
from au_adapter_pack.nodes.compat import folder_paths
from comfy.clip_vision import ClipVisionModel
from face_pictures import SEGMENTER, TASK
from PIL import Image
from sampling import run

from au_adapter import AUVector, load_adapter
from au_adapter.estimators.reading import Reading, ReadingSet
from au_adapter.facs import SET_A
from au_adapter.metrics import checks
from tools.server import ComfyServer, PromptError

# What AU Estimator's branch of a graph does, for pictures without faces: AUs are brightness.
READER_PACK = '''
"""A FACE_READER that reads every AU as the brightness of a picture, and a node that uses it.

The library is imported when it is needed: au-adapter brings it, and may be loaded later.
"""


class Brightness:
    name, units = "brightness", (1, 2, 4, 5, 6, 9, 12, 15, 17, 20, 25, 26)

    def estimate(self, images):
        from au_adapter.evaluation.reading import Reading
        from au_adapter.facs import AUVector

        rows = 5 * images.mean((1, 2, 3))[:, None, None].expand(-1, 1, len(self.units))
        return [
            Reading(i, 0, (0, 0, 9, 9), 1.0, AUVector(self.units, row))
            for i, row in enumerate(rows)
        ]


class BrightnessReader:
    RETURN_TYPES, FUNCTION, CATEGORY = ("FACE_READER",), "load", "test"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}}

    def load(self):
        return (Brightness(),)


class ReadAUs:
    RETURN_TYPES, FUNCTION, CATEGORY = ("AU_READING",), "read", "test"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"images": ("IMAGE",), "reader": ("FACE_READER",)}}

    def read(self, images, reader):
        from au_adapter.estimators import read_set

        return (read_set(reader, images),)


NODE_CLASS_MAPPINGS = {"BrightnessReader": BrightnessReader, "ReadAUs": ReadAUs}
'''
CLIP_CONFIG = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64,
    "image_size": 28, "patch_size": 14, "projection_dim": 16, "hidden_act": "gelu",
    "num_channels": 3, "model_type": "clip_vision_model",
}  # fmt: skip


def sweep(*levels: float) -> AUVector:
    return AUVector((12,), torch.tensor(levels)[:, None])


def read(*levels: float | None) -> ReadingSet:
    """AU12 as given in each picture, None without a face; all other AUs 0."""
    faces = [
        Reading(i, 0, (0, 0, 9, 9), 0.9, AUVector.from_dict({12: level}, SET_A))
        for i, level in enumerate(levels)
        if level is not None
    ]
    return ReadingSet("by hand", len(levels), tuple(faces))


class Reader:
    """Reads AU12 as five times the brightness."""

    name, units = "by hand", SET_A

    def estimate(self, images: torch.Tensor) -> list[Reading]:
        return list(read(*(5 * images.mean((1, 2, 3))).tolist()).readings)


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """models/face_analysis of this test, empty, and no cache."""
    folder = ([str(tmp_path)], {".task", ".tflite"})
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "face_analysis", folder)
    monkeypatch.setenv("AU_ADAPTER_CACHE", str(tmp_path / "cache"))
    return tmp_path


def values(report: object) -> dict[str, tuple[float, int]]:
    return {line.metric: (pytest.approx(line.value, abs=1e-5), line.count) for line in report.lines}


def test_readings_are_held_against_requests() -> None:
    report, plots, table = run(
        "AUA_AUEvaluator",
        images=torch.rand(3, 16, 16, 3),
        au_vector=sweep(0, 2, 4),
        au_reading=read(0, 1, None),
    )
    assert values(report)["au_mse"] == (0.5, 2) and report.counts["face not found"] == 1
    assert plots.shape == (2, 600, 960, 3) and "| all | au_mse | 0.500 |" in table
    assert "by hand" in table


def test_a_reader_reads_pictures_and_source(models: Path) -> None:
    images, source = torch.full((1, 16, 16, 3), 0.6), torch.full((1, 16, 16, 3), 0.2)
    report, _, table = run(
        "AUA_AUEvaluator",
        images=images,
        au_vector=sweep(2),
        source=source,
        face_reader=Reader(),
        request="changes of the source",
    )
    # The source shows 1, so 3 was wanted, and 3 is shown.
    assert values(report)["au_mse"] == (0.0, 1)
    assert values(report)["picture_rmse"] == (0.4, 1)
    for missing in ("clip_i", "identity_l2", "background_rmse", "head_pose_rmse", "lpips"):
        assert f"- {missing}: " in table


def test_a_reading_goes_before_the_reader() -> None:
    images = torch.full((1, 16, 16, 3), 0.6)
    report, *_ = run(
        "AUA_AUEvaluator",
        images=images,
        au_vector=sweep(2),
        au_reading=read(2),
        face_reader=Reader(),
    )
    assert values(report)["au_mse"] == (0.0, 1)


def test_networks_that_are_there_are_used(models: Path, tmp_path: Path) -> None:
    for file in (TASK, SEGMENTER):
        (models / file.name).write_bytes(file.read_bytes())
    torch.manual_seed(0)
    (tmp_path / "clip.json").write_text(json.dumps(CLIP_CONFIG), encoding="utf-8")
    clip = ClipVisionModel(str(tmp_path / "clip.json"))
    for parameter in clip.model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    images = torch.rand(2, 64, 64, 3)
    report, *_ = run(
        "AUA_AUEvaluator",
        images=images,
        au_vector=sweep(1),
        source=images[:1],
        clip_vision=clip,
        au_reading=read(1, 1),
    )
    found = {line.metric: line for line in report.lines}
    size = "32 x 2" if hasattr(clip, "config") else "of 36736 weights"  # as in ComfyUI 0.4.0
    assert found["clip_i"].count == 2 and found["clip_i"].estimator == f"CLIP Vision {size}"
    assert report.records[1]["metrics"]["clip_i"] == pytest.approx(1.0)
    assert found["background_rmse"].estimator == "person segmenter"
    assert found["head_pose_rmse"].count == 0  # noise has no face


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({}, "nothing to measure: connect AU_READING or a FACE_READER"),
        ({"au_reading": read(1)}, "readings are of 1 pictures"),
        ({"au_vector": sweep(1, 2, 3), "au_reading": read(1, 1)}, "3 AU vectors"),
        ({"au_reading": read(1, 1), "request": "changes of the source"}, "source"),
        ({"source": torch.zeros(1, 8, 8, 3)}, "both need one size"),
    ],
)
def test_a_mistake_names_the_node(inputs: dict, words: str, models: Path) -> None:
    given = {"images": torch.rand(2, 16, 16, 3), "au_vector": sweep(1), **inputs}
    with pytest.raises(ValueError, match=f"AU Evaluator: .*{words}"):
        run("AUA_AUEvaluator", **given)


def test_without_matplotlib_the_rest_still_works(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name="matplotlib")

    monkeypatch.setattr(checks, "import_module", missing)
    inputs = {"images": torch.rand(1, 16, 16, 3), "au_vector": sweep(1), "au_reading": read(1)}
    report, plots, _ = run("AUA_AUEvaluator", **inputs)
    assert values(report)["au_mse"] == (0.0, 1) and plots.shape == (1, 120, 960, 3)


def test_a_report_is_saved_by_its_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_paths, "get_output_directory", lambda: str(tmp_path))
    images = torch.rand(2, 16, 16, 3)
    inputs = {"images": images, "au_vector": AUVector.parse("6C+12D"), "au_reading": read(3, 4)}
    report, *_ = run("AUA_AUEvaluator", **inputs)
    for _ in range(2):
        run("AUA_SaveAUReport", au_report=report, filename_prefix="study/%aus%")
    saved = {path.name for path in (tmp_path / "study").iterdir()}
    endings = ("md", "json", "csv")
    assert saved == {f"AU06C+12D_000{i}.{ending}" for i in (1, 2) for ending in endings}
    wrong = {"au_report": report, "images": images[:1]}
    with pytest.raises(ValueError, match="report is of 2 pictures, but 1"):
        run("AUA_SaveAUReport", **wrong)
    assert not list(tmp_path.glob("AU06*"))


def test_a_correction_asks_for_what_was_missing() -> None:
    read = AUVector.from_dict({"12": 2.0, "4": 1.0}, SET_A)
    seen = ReadingSet("by hand", 2, (Reading(0, 0, (0, 0, 9, 9), 1.0, read),))
    asked = AUVector.parse("12C")
    request, notes = run(
        "AUA_AUCorrection", au_vector=asked, au_reading=seen, gain=1.0, strongest=8.0
    )
    assert request.dict(0) == {"12": 4.0} and request.dict(1) == {"12": 3.0}
    assert notes.splitlines() == [
        "1: AU12 wanted 3, measured 2.0, next 4.0",
        "2: no face, as before",
    ]
    _, notes = run(
        "AUA_AUCorrection", au_vector=AUVector.zeros(), au_reading=seen, gain=1.0, strongest=8.0
    )
    assert notes.splitlines() == ["1: nothing wanted", "2: no face, as before"]
    with pytest.raises(ValueError, match="^AU Correction: by hand does not read AU10"):
        run(
            "AUA_AUCorrection",
            au_vector=AUVector.parse("10C"),
            au_reading=seen,
            gain=1.0,
            strongest=8.0,
        )


def test_calibrate_weighs_how_much_the_pictures_change(demo_files: Path) -> None:
    adapter = load_adapter(demo_files / "adapter.safetensors")
    swept = {"au_adapter": adapter, "au_vector": sweep(0, 2, 4), "au_reading": read(0, 1, 2)}
    images = torch.tensor([0.2, 0.22, 0.32]).reshape(3, 1, 1, 1).expand(-1, 8, 8, 3)
    weighed, _ = run("AUA_CalibrateAUAdapter", **swept, images=images)
    assert weighed.calibration.curves[12].cost == pytest.approx((0, 0.5, 3), abs=1e-3)
    with pytest.raises(ValueError, match="Calibrate AU-Adapter: .*found 2 pictures and 3 vectors"):
        run("AUA_CalibrateAUAdapter", **swept, images=images[:2])


def test_calibrate_adds_curves_and_leaves_the_adapter_alone(demo_files: Path) -> None:
    adapter = load_adapter(demo_files / "adapter.safetensors")
    first, plot = run(
        "AUA_CalibrateAUAdapter",
        au_adapter=adapter,
        au_vector=sweep(0, 2, 4),
        au_reading=read(0, 1, 2),
    )
    assert adapter.calibration is None and plot.shape == (1, 600, 960, 3)
    four = AUVector((4,), torch.tensor([[0.0], [5]]))
    second, _ = run(
        "AUA_CalibrateAUAdapter", au_adapter=first, au_vector=four, au_reading=read(0, 0)
    )
    assert set(second.calibration.curves) == {4, 12} and set(first.calibration.curves) == {12}
    assert second.calibration.unresponsive() == [4]
    (tokens,) = run(
        "AUA_AUEncoder", au_adapter=first, au_vector=AUVector.parse("12A"), calibrated=True
    )
    assert torch.equal(tokens, adapter.encode(AUVector.parse("12B")))
    (plain,) = run("AUA_AUEncoder", au_adapter=first, au_vector=AUVector.parse("12A"))
    assert torch.equal(plain, adapter.encode(AUVector.parse("12A")))
    with pytest.raises(ValueError, match="Calibrate AU-Adapter: .*needs a sweep"):
        run("AUA_CalibrateAUAdapter", au_adapter=adapter, au_vector=sweep(1), au_reading=read(1))
    with pytest.raises(ValueError, match="not calibrated: switch `calibrated` off"):
        run("AUA_AUEncoder", au_adapter=adapter, au_vector=sweep(1), calibrated=True)


def test_slots_of_one_type_bypass() -> None:
    schema = au_evaluator.AUEvaluator.define_schema()
    order = ["images", "au_vector", "source", "clip_vision", "au_reading", "face_reader", "request"]
    assert [field.id for field in schema.inputs] == order
    assert [output.io_type for output in schema.outputs] == ["AU_REPORT", "IMAGE", "STRING"]


@pytest.fixture(scope="module")
def server(demo_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComfyServer]:
    base = tmp_path_factory.mktemp("comfyui")
    server = ComfyServer(base=base)
    (base / "custom_nodes" / "reader_pack.py").write_text(READER_PACK)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AU_ADAPTER_DEMO", str(demo_files))
        with server:
            yield server


def closed_circle() -> dict:
    """Sweep -> pictures -> reading -> evaluator and its files, and -> calibrated adapter."""
    adapter, images = ["1", 3], ["9", 0]
    sampler = {"seed": 1, "steps": 2, "cfg": 3.0, "sampler_name": "euler", "scheduler": "normal"}
    nodes = {
        "1": ("AUA_LoadDemoModel", {}),
        "2": ("CLIPTextEncode", {"clip": ["1", 1], "text": "a young man"}),
        "4": ("AUA_AUSweep", {
            "unit": "AU12 lip corner puller", "start": 0.0, "stop": 5.0, "steps": 3}),
        "5": ("AUA_AUEncoder", {"au_adapter": adapter, "au_vector": ["4", 0]}),
        "6": ("AUA_ApplyAUAdapter", {
            "model": ["1", 0], "positive": ["2", 0], "negative": ["2", 0], "au_adapter": adapter,
            "au_tokens": ["5", 0], "strength": 1.0, "start": 0.0, "end": 1.0}),
        "7": ("EmptyLatentImage", {"width": 64, "height": 64, "batch_size": 3}),
        "8": ("KSampler", {"model": ["6", 0], "positive": ["6", 1], "negative": ["6", 2],
            "latent_image": ["7", 0], "denoise": 1.0, **sampler}),
        "9": ("VAEDecode", {"samples": ["8", 0], "vae": ["1", 2]}),
        "10": ("BrightnessReader", {}),
        "11": ("ReadAUs", {"images": images, "reader": ["10", 0]}),
        "12": ("AUA_AUEvaluator", {"images": images, "au_vector": ["4", 0], "source": images,
            "au_reading": ["11", 0], "face_reader": ["10", 0], "request": "intensities"}),
        "13": ("AUA_SaveAUReport", {
            "au_report": ["12", 0], "images": images, "filename_prefix": "%aus%"}),
        "14": ("PreviewImage", {"images": ["12", 1]}),
        "15": ("AUA_CalibrateAUAdapter", {
            "au_adapter": adapter, "au_vector": ["4", 0], "au_reading": ["11", 0]}),
        "16": ("AUA_SaveAUAdapter", {"au_adapter": ["15", 0], "name": "calibrated"}),
    }  # fmt: skip
    return {key: {"class_type": kind, "inputs": inputs} for key, (kind, inputs) in nodes.items()}


def test_a_graph_from_sweep_to_report_and_calibration(server: ComfyServer) -> None:
    history = server.wait(server.post_prompt(closed_circle()))
    assert len(server.images(history, "14")) == 2
    output = server.base / "output"
    rows = list(csv.DictReader((output / "AU12_0001.csv").open()))[3:]
    report = json.loads((output / "AU12_0001.json").read_text())
    assert [row["target"] for row in rows] == [
        "AU00_0001.png", "AU12=2.5_0002.png", "AU12E_0003.png",
    ]  # fmt: skip
    assert report["estimator"] == "brightness" and report["counts"]["scored for AUs"] == 3
    for row in rows:
        with Image.open(output / "AU12_0001" / row["target"]) as picture:
            shown = np.asarray(picture).mean() / 255 * 5
            assert shown == pytest.approx(float(row["measured_12"]), abs=0.02)
            assert "prompt" in picture.info and "au_adapter" in picture.info
        assert float(row["picture_rmse"]) == 0.0
    saved = load_adapter(server.base / "models" / "au_adapter" / "calibrated.safetensors")
    assert saved.calibration.estimator == "brightness" and set(saved.calibration.curves) == {12}


def test_pictures_say_whether_they_were_calibrated(server: ComfyServer) -> None:
    graph = closed_circle()
    for key in ("5", "6"):
        graph[key]["inputs"]["au_adapter"] = ["15", 0]
    graph["5"]["inputs"]["calibrated"] = True
    # The adapter is calibrated by pictures drawn without calibration.
    graph |= {f"2{key}": json.loads(json.dumps(closed_circle()[key])) for key in "56789"}
    for key in "6789":
        for name, value in graph[f"2{key}"]["inputs"].items():
            if isinstance(value, list) and value[0] in "5678":
                graph[f"2{key}"]["inputs"][name] = [f"2{value[0]}", value[1]]
    graph["11"]["inputs"]["images"] = ["29", 0]
    graph["14"]["inputs"]["images"] = ["9", 0]
    for key in ("12", "13", "16"):
        del graph[key]
    history = server.wait(server.post_prompt(graph))
    picture = server.images(history, "14")[0]
    records = {record["node"]: record for record in json.loads(picture.info["au_adapter"])}
    assert records["6"]["calibrated"] is True and records["26"]["calibrated"] is False
    assert records["6"]["adapter"] == records["26"]["adapter"] is not None


def test_a_mistake_in_a_graph_is_a_sentence(server: ComfyServer) -> None:
    graph = closed_circle()
    graph["5"]["inputs"]["calibrated"] = True
    with pytest.raises(PromptError, match=r"node 5 .*not calibrated"):
        server.run(graph)
