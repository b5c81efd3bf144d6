"""Every reader of files, with a whole file of its kind and the damage that suits it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from face_pictures import SEGMENTER, TASK
from tiny_clip import write_clip

from au_adapter.bases import find_family
from au_adapter.bundled import demo_folder
from au_adapter.bundled.pipeline import load_pipeline
from au_adapter.data.card import CARD
from au_adapter.data.rendered import load
from au_adapter.data.rendering.head import HeadModel
from au_adapter.data.rendering.ict import read_obj
from au_adapter.estimators.bundled_regressor import load_regressor
from au_adapter.estimators.mesh_network import SHIPPED, MeshMeasure
from au_adapter.evaluation.picture_batch import picture_requests
from au_adapter.evaluation.protocols import FOLDER, load_protocol
from au_adapter.faces import FaceLandmarker, PersonSegmenter
from au_adapter.facs.presets import read_presets
from au_adapter.metrics import lpips_network
from au_adapter.weights.adapter_files import load_adapter
from au_adapter.weights.aueditnet_files import load_aueditnet, load_siamese
from au_adapter.weights.clip_vision import load_image_encoder
from au_adapter.weights.vqauface_files import load_codec, load_vqauface
from au_adapter.weights.wplus_files import load_wplus

from .files import (
    FORMS,
    adapter,
    affectnet,
    autoencoder,
    batch,
    copied,
    demo,
    diffusers_folder,
    disfa,
    face_model,
    faces,
    json_lines,
    labels,
    latents,
    magicface,
    mesh,
    pickled_adapter,
    picture,
    preparation,
    prepared,
    read_adapter,
    read_autoencoder,
    read_batch,
    read_both,
    read_disfa,
    read_faces,
    read_latents,
    read_magicface,
    read_result,
    read_run,
    readings,
    refused,
    renders,
    resume,
    run_of_a_protocol,
    table,
    trained,
)
from .method_files import (
    aueditnet,
    codec,
    e4e,
    expressions,
    nvidia,
    read_generator,
    rosinality,
    siamese,
    vqauface,
    wplus,
)
from .mutations import (
    Mutate,
    damaged,
    damaged_json,
    damaged_safetensors,
    damaged_tar,
    damaged_text,
    damaged_zip,
)


@dataclass(frozen=True)
class Reader:
    """make: writes a whole file, and what belongs beside it, into a folder. read: reads the file as
    the product does. share: of all files, for readers that are slow. up: so many folders above the
    file may be named in place of it."""

    name: str
    make: Callable[[Path], Path]
    read: Callable[[Path], object]
    mutate: Mutate
    share: float = 1.0
    up: int = 0


READERS = (
    *(
        Reader(
            f"labels-{form}",
            partial(table, columns=FORMS[form]),
            partial(labels, form),
            damaged_text,
        )
        for form in FORMS
    ),
    *(
        Reader(f"readings-{form}", partial(table, columns=FORMS[form]), readings, damaged_text)
        for form in ("libreface", "openface", "py-feat")
    ),
    Reader("affectnet", partial(table, columns=FORMS["fineface"]), affectnet, damaged_text),
    Reader("labels-json", json_lines, partial(labels, "plain"), damaged_json),
    Reader(
        "disfa-labels",
        partial(disfa, which="labels/SN001/SN001_au12.txt"),
        lambda p: read_disfa(p.parents[2]),
        damaged_text,
        up=2,
    ),
    Reader(
        "disfa-captions",
        partial(disfa, which="captions.csv"),
        lambda p: read_disfa(p.parent),
        damaged_text,
    ),
    Reader(
        "requests",
        partial(table, columns={"prompt": "a man", "aus": "12C+4B", "seed": "{}"}),
        lambda p: picture_requests("prompt", (), (), (1,), p),
        damaged_text,
    ),
    *(
        Reader(f"picture-{name}", partial(picture, name=f"picture.{name}"), read_both, damaged)
        for name in ("png", "jpg", "webp", "bmp", "tif", "gif", "ppm", "jp2")
    ),
    Reader("picture-grey16", partial(picture, name="grey.png", mode="I;16"), read_both, damaged),
    Reader("shard", faces, read_faces, damaged_tar, 2.0),
    Reader("rendered-shard", renders, lambda p: load(p.parent), damaged_tar, up=1),
    Reader(
        "card",
        partial(faces, which=CARD),
        lambda p: read_faces(p.with_name("shard-00000.tar")),
        damaged_json,
    ),
    *(
        Reader(
            f"preparation-{name}",
            partial(preparation, which=f"{name}.json"),
            lambda p: prepared(p.parents[2]),
            damaged_json,
            up=2,
        )
        for name in ("settings", "verdicts-00000", "counts-00000")
    ),
    Reader(
        "protocol",
        lambda folder: copied(FOLDER / "fineface.json", folder),
        load_protocol,
        damaged_json,
    ),
    Reader(
        "run-header",
        partial(run_of_a_protocol, which="protocol.json"),
        read_run,
        damaged_json,
        up=1,
    ),
    Reader(
        "run-rows", partial(run_of_a_protocol, which="rows-0.jsonl"), read_run, damaged_json, up=1
    ),
    Reader("pictures-json", batch, read_batch, damaged_json),
    Reader("adapter", adapter, read_adapter, damaged_safetensors, 2.0),
    Reader("adapter-pickle", pickled_adapter, partial(refused, load_adapter), damaged_zip),
    Reader("magicface", magicface, read_magicface, damaged_safetensors),
    Reader("mesh-estimator", partial(copied, SHIPPED), MeshMeasure, damaged_safetensors),
    Reader(
        "regressor",
        partial(copied, demo_folder() / "regressor.safetensors"),
        load_regressor,
        damaged_safetensors,
    ),
    *(
        Reader(
            f"autoencoder-{name}", partial(autoencoder, which=name), read_autoencoder, change, 0.5
        )
        for name, change in (
            ("vae.json", damaged_json),
            ("vae.safetensors", damaged_safetensors),
            ("latent_colours.json", damaged_json),
        )
    ),
    Reader(
        "clip-config",
        lambda folder: write_clip(folder) / "config.json",
        lambda p: load_image_encoder(p.parent),
        damaged_json,
        0.3,
        up=1,
    ),
    Reader("landmarker", partial(copied, TASK), FaceLandmarker, damaged_zip, 0.2),
    Reader("segmenter", partial(copied, SEGMENTER), PersonSegmenter, damaged, 0.5),
    Reader("lpips-backbone", pickled_adapter, partial(refused, lpips_network), damaged_zip, 0.2),
    Reader("checkpoint", partial(trained, which="state.pt"), resume, damaged_zip, 0.5),
    Reader(
        "training-json",
        partial(trained, which="result/training.json"),
        read_result,
        damaged_json,
        0.5,
    ),
    Reader("training-log", partial(trained, which="log.jsonl"), read_result, damaged_json, 0.5),
    Reader("kept-latents", latents, lambda p: read_latents(p.parent), damaged_safetensors, 0.3),
    Reader(
        "diffusers-config", diffusers_folder, lambda p: find_family(p.parents[1]), damaged_json, 0.5
    ),
    *(
        Reader(
            f"bundled-{name}",
            partial(demo, which=name),
            lambda p: load_pipeline(p.parent),
            change,
            0.1,
        )
        for name, change in (
            ("unet.json", damaged_json),
            ("text_encoder.json", damaged_json),
            ("unet.safetensors", damaged_safetensors),
        )
    ),
    Reader("vqauface-codec", codec, load_codec, damaged_safetensors),
    Reader("vqauface", vqauface, load_vqauface, damaged_safetensors),
    Reader("wplus", wplus, load_wplus, damaged_safetensors),
    Reader("e4e", e4e, load_wplus, damaged_zip, 0.5),
    Reader("stylegan2", rosinality, read_generator, damaged_zip, 0.5),
    Reader("stylegan2-pickle", nvidia, read_generator, damaged, 0.5),
    Reader("aueditnet", aueditnet, load_aueditnet, damaged_safetensors),
    Reader("siamese", siamese, load_siamese, damaged_safetensors, 0.5),
    Reader("expressions", expressions, read_presets, damaged_json),
    Reader("face-model-obj", mesh, read_obj, damaged_text),
    Reader("face-model", face_model, HeadModel, damaged_zip, 0.2),
)
