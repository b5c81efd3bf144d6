"""A whole file of every kind, and how the product reads it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from labelled_faces import FixedSource, write_disfa, write_faces, write_picture, write_table
from PIL import Image
from tiny_demo import write_demo
from tiny_magicface import random_unets
from tiny_unet import SD15, tiny_adapter, tiny_unet
from toy_training import SETTINGS, ToyRecipe

from au_adapter.bundled import demo_folder
from au_adapter.data.affectnet import AffectNetSource
from au_adapter.data.card import CARD, describe_folder
from au_adapter.data.disfa import DISFASource
from au_adapter.data.face_source import LABEL_STEPS, PICTURE_STEPS, LabelledFace
from au_adapter.data.labelled_folder import LabelledFolder
from au_adapter.data.pictures import read_picture, read_rgb
from au_adapter.data.preparation import Preparation
from au_adapter.data.rendered import SAMPLE, load
from au_adapter.data.shards import decode_picture, label_of, picture_of, read_shard
from au_adapter.data.stream import FaceStream
from au_adapter.estimators.reading_tables import FileReadings, read_table
from au_adapter.evaluation.picture_batch import PictureBatch
from au_adapter.evaluation.report import report_run
from au_adapter.models.autoencoder import DemoAutoencoder
from au_adapter.training.face_tensors import cached_latents
from au_adapter.training.loop import Trainer
from au_adapter.training.results import find_result, read_losses, training_report
from au_adapter.weights.adapter_files import load_adapter, read_known_units, save_adapter
from au_adapter.weights.autoencoder_files import load_autoencoder, read_colours, save_colours
from au_adapter.weights.magicface_files import find_unets, load_magicface, magicface_hash


def pictures(folder: Path) -> Path:
    for number in range(3):
        write_picture(folder / "pictures" / f"p{number}.png", 40 * number)
    return folder / "pictures"


def table(folder: Path, columns: dict[str, str], rows: int = 3) -> Path:
    """A CSV; {} in a column's text becomes the number of the row."""
    pictures(folder)
    lines = [{k: text.format(n) for k, text in columns.items()} for n in range(rows)]
    return write_table(folder / "table.csv", lines)


FORMS = {
    "plain": {"file": "p{}.png", "caption": "a man", "AU12": "{}", "AU4_L": "1.5", "AU4_R": "0"},
    "libreface": {"frame_idx": "{}", "au_12_intensity": "{}.5", "au_4_intensity": "0", "au_4": "0"},
    "openface": {
        "frame": "{}", "success": "1", "confidence": "0.9", "AU12_r": "2.{}", "AU12_c": "1",
    },
    "py-feat": {
        "frame": "{}", "FaceScore": "0.9", "FaceRectX": "1", "FaceRectY": "1",
        "FaceRectWidth": "9", "FaceRectHeight": "9", "AU12": "0.{}", "AU04": "0.5",
    },
    "fineface": {
        "input": "p{}.png", "au12_rec": "0.{}", "au4_rec": "0.9", "isphoto": "True",
        "isreal": "True", "hasface": "1", "imageresolutionx": "600", "imageresolutiony": "600",
    },
}  # fmt: skip


def labels(form: str, path: Path) -> None:
    list(LabelledFolder(path.parent / "pictures", path, form).faces())


def readings(path: Path) -> None:
    read_table(path)
    FileReadings.open(path, path.parent / "pictures")


def affectnet(path: Path) -> None:
    source = AffectNetSource(path.parent / "pictures", path, variant="released")
    faces = list(source.faces())
    for step in source.steps[1:]:
        kept = step.keeps(faces)
        faces = [face for face, stays in zip(faces, kept, strict=True) if stays]


def disfa(folder: Path, which: str) -> Path:
    write_disfa(folder, {"SN001": [{12: 3}, {}, {4: 1}], "SN002": [{}, {12: 1}, {}]})
    write_table(folder / "captions.csv", [{"caption": f"frame {n}"} for n in range(6)])
    return folder / which


def read_disfa(folder: Path) -> None:
    list(
        DISFASource(folder / "frames", folder / "labels", captions=folder / "captions.csv").faces()
    )


def json_lines(folder: Path) -> Path:
    pictures(folder)
    rows = [{"file": "p0.png", "aus": {"12": 3, "L4": 1}, "caption": "a", "subject": 1},
            {"file": "p1.png", "notation": "6C+12D"}]  # fmt: skip
    path = folder / "labels.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)) + "\n")
    return path


def picture(folder: Path, name: str, mode: str = "RGB", **options: object) -> Path:
    pixels = np.random.default_rng(0).integers(0, 255, (24, 32, 3), np.uint8)
    image = Image.fromarray(pixels)
    if mode == "I;16":
        image = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)
    image.save(folder / name, **options)
    return folder / name


def read_both(path: Path) -> None:
    read_picture(path)
    read_rgb(path)


def faces(folder: Path, which: str = "shard-00000.tar") -> Path:
    write_faces(folder, (4, 4))
    if which == CARD:
        (folder / CARD).write_text(json.dumps(describe_folder(folder)))
    return folder / which


def read_faces(path: Path) -> None:
    for parts in read_shard(path):
        label_of(parts, path)
        decode_picture(picture_of(parts, path), 8, f"a picture of {path}")
    describe_folder(path.parent)
    FaceStream([path.parent], size=8, lanes=2, buffer=2).read(0, 4)


def renders(folder: Path) -> Path:
    shard = sorted(SAMPLE.glob("*.tar"))[0]
    import tarfile

    with tarfile.open(shard) as old, tarfile.open(folder / shard.name, "w") as new:
        for member in list(old)[:6]:
            new.addfile(member, old.extractfile(member))
    return folder / shard.name


def preparation(folder: Path, which: str) -> Path:
    prepared(folder)
    return folder / "out" / "work" / which


def prepared(folder: Path) -> None:
    files = [folder / f"{n}.png" for n in range(3)]
    for number, file in enumerate(files):
        if not file.exists():
            write_picture(file, number)
    rows = [LabelledFace(file, {"12": float(number)}) for number, file in enumerate(files)]
    Preparation(FixedSource(rows, (*LABEL_STEPS, *PICTURE_STEPS)), folder / "out").run()


def run_of_a_protocol(folder: Path, which: str) -> Path:
    header = {
        "schema": 1, "protocol": "p", "title": "P", "fingerprint": "0", "scale": "absolute",
        "units": [4, 12], "rows": 2, "references": 1, "published": {"single": {"au_mse": 4.7}},
        "ours": ["x"], "estimator": "e", "method": "m", "settings": {"a": 1}, "sides": [],
    }  # fmt: skip
    row = {"id": "a", "group": "single", "requested": {"12": 3.0}, "seed": 0, "reference": "r",
           "faces": 1, "measured": {"4": 0.1, "12": 2.5}, "metrics": {"clip_i": 0.9}}  # fmt: skip
    reference = {**row, "id": "r", "group": "reference", "requested": {}, "metrics": None}
    (folder / "protocol.json").write_text(json.dumps(header))
    lines = map(json.dumps, (reference, row, {**row, "id": "b"}))
    (folder / "rows-0.jsonl").write_text("\n".join(lines) + "\n")
    return folder / which


def read_run(path: Path) -> None:
    report = report_run(path.parent)
    report.json(), report.csv(), report.markdown()


def batch(folder: Path) -> Path:
    shutil.copy(write_picture(folder / "a.png"), folder / "b.png")
    rows = [{"file": "a.png", "sha256": "0", "faces": 1, "measured": {"12": 1.0}}]
    path = folder / "pictures.json"
    path.write_text(json.dumps({"schema": 1, "estimator": "e", "rows": rows}))
    return path


def read_batch(path: Path) -> None:
    method = SimpleNamespace(scale="absolute", settings=dict, name="m", units=(12,), sides=True)
    PictureBatch(method, SimpleNamespace(name="e"), path.parent).run([])


def adapter(folder: Path) -> Path:
    from au_adapter.models.calibration import Calibration, ResponseCurve

    made = tiny_adapter(tiny_unet(SD15), rank=2)
    numbers = (0.0, 2.0, 5.0)
    curve = ResponseCurve(numbers, numbers, numbers, numbers)
    made = made.with_calibration(Calibration("e", {12: curve}, "x"))
    made.provenance = {"step": 3}
    return save_adapter(made, folder / "adapter.safetensors")


def read_adapter(path: Path) -> None:
    read_known_units(path)
    load_adapter(path)


def pickled_adapter(folder: Path) -> Path:
    layer = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.processor"
    tensors = {f"{layer}.au_to_{k}.weight": torch.zeros(4, 8) for k in "kv"}
    tensors |= {
        "au_encoder.weight": torch.zeros(64, 12),
        "unet.x.attn1.to_q.lora_A.weight": torch.zeros(2, 4),
    }
    torch.save({"state_dict": tensors}, folder / "adapter.bin")
    return folder / "adapter.bin"


def refused(read: Callable[[Path], object], path: Path) -> None:
    """For files of which even the whole one is refused."""
    whole = getattr(refused, "seen", set())
    refused.seen = whole | {path}
    try:
        read(path)
    except ValueError as error:
        if path not in whole and path.name in str(error):
            return
        raise


def magicface(folder: Path) -> Path:
    from safetensors.torch import save_file

    from au_adapter.weights.magicface_files import MAGICFACE_KEY, describe_unet

    shape = {"sample_size": 8, "block_out_channels": (32, 32), "layers_per_block": 1,
             "cross_attention_dim": 16, "attention_head_dim": 8,
             "down_block_types": ("CrossAttnDownBlock2D",) * 2,
             "up_block_types": ("CrossAttnUpBlock2D",) * 2}  # fmt: skip
    weights, path = random_unets(shape), folder / "magicface.safetensors"
    configs = {
        name: describe_unet({k: tuple(t.shape) for k, t in own.items()}, path)
        for name, own in weights.items()
    }
    described = {
        "format": 1,
        "config": configs,
        "options": {"au_encoder": "linear_time", "controller": "released"},
    }
    tensors = {f"{name}.{key}": t for name, own in weights.items() for key, t in own.items()}
    save_file(tensors, path, {MAGICFACE_KEY: json.dumps(described)})
    return path


def read_magicface(path: Path) -> None:
    magicface_hash(find_unets(path))
    load_magicface(path)


def copied(source: Path, folder: Path) -> Path:
    return Path(shutil.copy(source, folder))


def autoencoder(folder: Path, which: str) -> Path:
    for name in ("vae.json", "vae.safetensors"):
        shutil.copy(demo_folder() / name, folder)
    save_colours(folder, torch.zeros(4, 3), torch.zeros(3))
    return folder / which


def read_autoencoder(path: Path) -> None:
    load_autoencoder(path.parent)
    colours = read_colours(path.parent)
    torch.tensor(colours[0]), torch.tensor(colours[1])


def trained(folder: Path, which: str) -> Path:
    Trainer(ToyRecipe(), SETTINGS, folder).run()
    return folder / which


def resume(path: Path) -> None:
    trainer = Trainer(ToyRecipe(), SETTINGS, path.parent)
    trainer.checkpoint.restore(path)


def read_result(path: Path) -> None:
    folder = path.parent if path.suffix == ".jsonl" else path.parent.parent
    read_losses(folder)
    training_report(folder, find_result(folder))


def demo(folder: Path, which: str) -> Path:
    return write_demo(folder) / which


def latents(folder: Path) -> Path:
    read_latents(folder)
    return next(folder.glob("latents-*.safetensors"))


def read_latents(folder: Path) -> None:
    torch.manual_seed(0)
    cached_latents(load(SAMPLE, limit=2), DemoAutoencoder(), folder)


def diffusers_folder(folder: Path) -> Path:
    (folder / "unet").mkdir()
    (folder / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')
    path = folder / "unet" / "config.json"
    path.write_text(json.dumps({"cross_attention_dim": 768, "in_channels": 4, "out_channels": 4}))
    return path


def mesh(folder: Path) -> Path:
    path = folder / "mesh.obj"
    path.write_text("v 0 0 0\nv 1 0 0\nv 1 1 0\nvt 0 0\nvt 1 0\nvt 1 1\nf 1/1 2/2 3/3\n")
    return path


def face_model(folder: Path) -> Path:
    names = np.array(["jawOpen"])
    arrays = {
        "neutral": np.zeros((26719, 3), np.float32), "triangles": np.zeros((4, 3), np.int32),
        "expression_names": names, "expression": np.zeros((1, 26719, 3), np.int16),
        "expression_scale": np.ones(1, np.float32), "identity": np.zeros((1, 26719, 3), np.int16),
        "identity_scale": np.ones(1, np.float32),
    }  # fmt: skip
    np.savez_compressed(folder / "model.npz", **arrays)
    return folder / "model.npz"
