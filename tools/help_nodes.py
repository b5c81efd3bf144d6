"""Pictures of what each node does, for its help page, drawn by the nodes themselves.

One function a node: it builds a graph, has a ComfyUI run it, and lays the pictures out at most
three in a line, so that they stay legible in ComfyUI's narrow help panel.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from PIL import Image

from au_adapter import AUVector, describe
from au_adapter.bases.family import to_unit_range
from au_adapter.bundled import SIDED_GUIDANCE, VQAUFACE, vqauface_folder
from au_adapter.data.pictures import as_picture
from au_adapter.weights.vqauface_files import load_codec
from tools.help_studio import ACROSS, MAN, WOMAN, Link, Studio, halves, labelled, narrow, with_text
from tools.help_units import PEOPLE

SMILE = "6C+12D+25C"
PHOTOS = ("au_adapter_person.png", "au_adapter_smile.png")  # in workflows/photos
Painter = Callable[[Studio], Image.Image]
PICTURES: dict[str, Painter] = {}


def shows(node: str) -> Callable[[Painter], Painter]:
    """Marks the function that makes the picture of a node."""

    def mark(function: Painter) -> Painter:
        PICTURES[node] = function
        return function

    return mark


def _each(studio: Studio, notations: list[str], **options: Any) -> list[Link]:
    return [studio.face(studio.aus(notation), **options) for notation in notations]


@shows("AUA_AUSweep")
def sweep(studio: Studio) -> Image.Image:
    node = studio.add("AUA_AUSweep", unit="AU12 lip corner puller", start=0.0, stop=5.0, steps=6)
    return labelled(
        [f"AU12 at {level}" for level in range(6)],
        studio.pictures(studio.face([node, 0], number=6)),
    )


@shows("AUA_AUExpression")
def expression(studio: Studio) -> Image.Image:
    names = ["enjoyment smile", "surprise", "sadness", "anger", "disgust", "doubt"]
    vectors = [
        [studio.add("AUA_AUExpression", expression=name, strength=1.3, units="set A"), 0]
        for name in names
    ]
    return labelled(names, studio.pictures(*(studio.face(vector) for vector in vectors)))


@shows("AUA_AUFromText")
def from_text(studio: Studio) -> Image.Image:
    phrases = ["a broad smile", "jaw dropped", "very sad"]
    vectors = [[studio.add("AUA_AUFromText", text=phrase), 0] for phrase in phrases]
    return labelled(phrases, studio.pictures(*(studio.face(vector) for vector in vectors)))


@shows("AUA_AUText")
def text(studio: Studio) -> Image.Image:
    (face,) = studio.pictures(studio.face(studio.aus(SMILE)))
    return with_text(labelled([SMILE], [face]), describe(AUVector.parse(SMILE)))


@shows("AUA_AUKeyframes")
def keyframes(studio: Studio) -> Image.Image:
    node = studio.add(
        "AUA_AUKeyframes",
        frames=6,
        keyframes="0:\n3: 6C+12D+25C ease-out\n5: 4D+15C",
        easing="ease-in-out",
    )
    faces = studio.pictures(studio.face([node, 0], number=6))
    return labelled([f"frame {number}" for number in range(6)], faces)


@shows("AUA_AUSides")
def sides(studio: Studio) -> Image.Image:
    both = studio.aus("L12E+L6C+R12A")
    parted = studio.add("AUA_AUSides", au_vector=both)
    masks = studio.outputs(studio.add("AUA_FaceHalfMasks", midline=0.5, softness=0.1), 2)
    words, seed = WOMAN
    model, positive, negative = studio.applied([parted, 0], words, mask=masks[0])
    second = studio.applied([parted, 1], words, mask=masks[1], model=model,
                            positive=positive, negative=negative)  # fmt: skip
    links = [studio.face([parted, 0]), studio.face([parted, 1]), studio.drawn(second, seed)]
    return labelled(["left: 6C+12E", "right: 12A", "each on its half"], studio.pictures(*links))


@shows("AUA_FaceHalfMasks")
def half_masks(studio: Studio) -> Image.Image:
    photo = studio.face(studio.aus(""))
    landmarks = studio.read(photo, studio.reader("face_landmarker.task"))[2]
    node = studio.add("AUA_FaceHalfMasks", midline=0.5, softness=0.1, face_landmarks=landmarks)
    masks = [[studio.add("MaskToImage", mask=link), 0] for link in studio.outputs(node, 2)]
    return labelled(["the picture", "left", "right"], studio.pictures(photo, *masks))


@shows("AUA_AUEncoder")
def encoder(studio: Studio) -> Image.Image:
    links = [studio.face(studio.aus(""), strength=0.0), *_each(studio, ["", SMILE])]
    return labelled(["no adapter", "all AUs at 0", SMILE], studio.pictures(*links))


@shows("AUA_LoadAUAdapter")
def load_adapter(studio: Studio) -> Image.Image:
    options = {"adapter": studio.sided(), "cfg": SIDED_GUIDANCE}
    links = _each(studio, ["", "L12C+L6B", "R2C+L4B"], **options)
    return labelled(["at rest", "L6B+L12C", "L4B+R2C"], studio.pictures(*links))


@shows("AUA_LoadDemoModel")
def load_demo(studio: Studio) -> Image.Image:
    vectors = [studio.aus(""), studio.aus(SMILE)]
    links = [studio.face(vector, person) for vector in vectors for person in PEOPLE[:ACROSS]]
    return labelled(["at rest"] * ACROSS + [SMILE] * ACROSS, studio.pictures(*links))


@shows("AUA_ApplyAUAdapter")
def apply(studio: Studio) -> Image.Image:
    strengths = (0.0, 0.5, 1.0)
    asked = studio.aus(SMILE)
    links = [studio.face(asked, strength=strength) for strength in strengths]
    return labelled([f"strength {strength:g}" for strength in strengths], studio.pictures(*links))


@shows("AUA_AUGuider")
def guider(studio: Studio) -> Image.Image:
    words, seed = WOMAN
    scales = (0.0, 3.0, 6.0)
    model, positive, negative = studio.applied(studio.aus(SMILE), words)
    applied = {"model": model, "positive": positive, "negative": negative}
    noise = studio.add("RandomNoise", noise_seed=seed)
    sampler = studio.add("KSamplerSelect", sampler_name="euler")
    sigmas = studio.add("BasicScheduler", model=model, scheduler="normal", steps=20, denoise=1.0)
    links = []
    for scale in scales:
        guide = studio.add("AUA_AUGuider", **applied, text_cfg=5.0, au_cfg=scale)
        drawer = studio.add(
            "SamplerCustomAdvanced",
            **{"noise": [noise, 0], "guider": [guide, 0], "sampler": [sampler, 0]},
            **{"sigmas": [sigmas, 0], "latent_image": studio.noise(1)},
        )
        links.append([studio.add("VAEDecode", samples=[drawer, 0], vae=studio.vae), 0])
    return labelled([f"AU CFG {scale:g}" for scale in scales], studio.pictures(*links))


@shows("AUA_SaveAUAdapter")
def save(studio: Studio) -> Image.Image:
    asked = studio.aus(SMILE)
    folder = studio.server.base / "models" / "au_adapter"
    name = "help_picture"
    studio.add("AUA_SaveAUAdapter", au_adapter=studio.adapter, name=name)
    before = studio.pictures(studio.face(asked))
    files = sorted(folder.glob(f"{name}*.safetensors"))
    again = Studio(studio.server)
    loaded = [again.add("AUA_LoadAUAdapter", file=files[-1].name, lora_strength=1.0), 0]
    after = again.pictures(again.face(again.aus(SMILE), adapter=loaded))
    for file in files:
        file.unlink()
    return labelled(["in the graph", "its file, loaded"], before + after)


@shows("AUA_LoadFaceReader")
def load_reader(studio: Studio) -> Image.Image:
    photo = studio.doubled(studio.face(studio.aus(SMILE)))
    files = ("face_landmarker.task", "demo regressor")
    links = [studio.read(photo, studio.reader(file))[3] for file in files]
    return labelled(list(files), halves(studio.pictures(*links)))


@shows("AUA_AUEstimator")
def estimator(studio: Studio) -> Image.Image:
    notations = [SMILE, "1C+2D+5C+26D"]
    people = zip(notations, PEOPLE, strict=False)
    photos = [studio.doubled(studio.face(studio.aus(aus), person)) for aus, person in people]
    reader = studio.reader("face_landmarker.task")
    links = [studio.read(photo, reader)[3] for photo in photos]
    return labelled([f"drawn with {aus}" for aus in notations], halves(studio.pictures(*links)))


@shows("AUA_AUChange")
def change(studio: Studio) -> Image.Image:
    smiling = studio.face(studio.aus("6B+12C"), MAN)
    photo = studio.face(studio.aus(""))
    reader = studio.reader()
    aus, other = (studio.read(image, reader)[0] for image in (photo, smiling))
    how = {"region": "all", "strength": 1.0, "sides": "alike"}
    copy = studio.add("AUA_AUChange", au_vector=aus, change="copy", source=other, **how)
    links = [photo, smiling, studio.edited(photo, [copy, 0])[0]]
    return labelled(["the photo", "the source", "copied"], studio.pictures(*links))


@shows("AUA_LoadMagicFace")
def load_magicface(studio: Studio) -> Image.Image:
    photo, changes = studio.face(studio.aus(""), MAN), ["6B+12D", "4D+15C"]
    links = [studio.edited(photo, studio.aus(notation))[0] for notation in changes]
    return labelled(["the photo", *changes], studio.pictures(photo, *links))


@shows("AUA_PrepareMagicFace")
def prepare(studio: Studio) -> Image.Image:
    photo = studio.face(studio.aus(""))
    _, face, background = studio.prepared(photo)
    alone = studio.prepared(photo, "face only")[2]
    names = ["face", "background", "face only"]
    return labelled(names, studio.pictures(face, background, alone))


@shows("AUA_MagicFaceIDEncoder")
def id_encoder(studio: Studio) -> Image.Image:
    notations = ["6B+12D", "1C+2C+5B", "4D", "15D+17C", "25C+26C"]
    photo = studio.face(studio.aus(""))
    frames = "\n".join(f"{number}: {notation}" for number, notation in enumerate(notations))
    vectors = studio.add("AUA_AUKeyframes", frames=len(notations), keyframes=frames, easing="hold")
    edited = studio.edited(photo, [vectors, 0])[0]
    return labelled(["seen once", *notations], studio.pictures(photo, edited))


@shows("AUA_ApplyMagicFace")
def apply_magicface(studio: Studio) -> Image.Image:
    photo, changes = studio.face(studio.aus("")), ["6B+12D+25B", "1D+2D+26C"]
    links = [studio.edited(photo, studio.aus(notation))[0] for notation in changes]
    return labelled(["the photo", *changes], studio.pictures(photo, *links))


@shows("AUA_PasteFace")
def paste(studio: Studio) -> Image.Image:
    photo = studio.face(studio.aus(""), MAN)
    pasted, drawn = studio.edited(photo, studio.aus("6B+12D"))
    return labelled(["the photo", "drawn", "pasted"], studio.pictures(photo, drawn, pasted))


def _swept(studio: Studio, unit: str = "AU12 lip corner puller") -> tuple[Link, Link]:
    """A sweep of six pictures: what was asked for, and the pictures."""
    node = studio.add("AUA_AUSweep", unit=unit, start=0.0, stop=5.0, steps=6)
    return [node, 0], studio.face([node, 0], number=6)


@shows("AUA_AUEvaluator")
def evaluator(studio: Studio) -> Image.Image:
    asked, images = _swept(studio)
    reader = studio.reader()
    node = studio.add(
        "AUA_AUEvaluator",
        **{"images": images, "au_vector": asked, "face_reader": reader},
        **{"au_reading": studio.read(images, reader)[1], "request": "intensities"},
    )
    return narrow(studio.pictures([node, 1])[0])


@shows("AUA_AUProtocol")
def protocol(studio: Studio) -> Image.Image:
    node = studio.add("AUA_AUProtocol", protocol="fineface", number=1, first=58, rows=5)
    aus, words, seed = studio.outputs(node, 3)
    labels = studio.texts([node, 4])[0].splitlines()
    return labelled(labels, studio.pictures(studio.face(aus, (words, seed), number=6)))


@shows("AUA_SaveAUReport")
def report(studio: Studio) -> Image.Image:
    notations = ["12C", "1C+2C+5B", "15D+17B"]
    names = ["AU12C_0001", "AU01C+02C+05B_0001", "AU15D+17B_0001"]
    return labelled(names, studio.pictures(*_each(studio, notations)))


@shows("AUA_CalibrateAUAdapter")
def calibrate(studio: Studio) -> Image.Image:
    asked, images = _swept(studio)
    node = studio.add(
        "AUA_CalibrateAUAdapter",
        **{"au_adapter": studio.adapter, "au_vector": asked, "images": images},
        au_reading=studio.read(images, studio.reader())[1],
    )
    return narrow(studio.pictures([node, 1])[0])


@shows("AUA_AUCorrection")
def correction(studio: Studio) -> Image.Image:
    asked = studio.aus("12C")
    first = studio.face(asked)
    reader = studio.reader()
    node = studio.add(
        "AUA_AUCorrection",
        **{"au_vector": asked, "au_reading": studio.read(first, reader)[1]},
        **{"gain": 0.5, "strongest": 8.0},
    )
    faces = [first, studio.face([node, 0])]
    links = [studio.read(studio.doubled(face), reader)[3] for face in faces]
    return labelled(["asked for AU12 at 3", "asked again"], halves(studio.pictures(*links)))


@shows("AUA_TrainAUAdapter")
def train(studio: Studio) -> Image.Image:
    """The bundled adapter against its base: what a training is for."""
    asked = studio.aus("12D+25C")
    links = [studio.face(asked, strength=0.0), studio.face(asked)]
    return labelled(["base", "with a trained adapter"], studio.pictures(*links))


@shows("AUA_LoadAUEditNet")
def load_aueditnet(studio: Studio) -> Image.Image:
    photo, asked = studio.photo(PHOTOS[0]), ["6C+12D", "4D+15C"]
    code = studio.inverted(photo)
    links = [studio.moved(photo, code, studio.aus(notation)) for notation in asked]
    return labelled(["the photo", *asked], studio.pictures(photo, *links))


@shows("AUA_InvertFace")
def invert_face(studio: Studio) -> Image.Image:
    photos = [studio.photo(name) for name in PHOTOS]
    links = [link for photo in photos for link in (photo, studio.inverted(photo)[3])]
    return labelled(["the photo", "as its code says it"] * 2, studio.pictures(*links), across=2)


@shows("AUA_ApplyAUEditNet")
def apply_aueditnet(studio: Studio) -> Image.Image:
    photo, other = (studio.photo(name) for name in PHOTOS)
    code, taken = studio.inverted(photo), studio.inverted(other)[1]
    links = [
        studio.moved(photo, code, studio.aus("6C+12D")),
        studio.moved(photo, code, studio.aus("1D+2D+26C")),
        studio.moved(photo, code, studio.aus("")),
        other,
        studio.moved(photo, code, studio.aus(""), expression=taken),
    ]
    names = ["the photo", "6C+12D", "1D+2D+26C", "all at 0", "another face", "its expression"]
    return labelled(names, studio.pictures(photo, *links))


@shows("AUA_LoadVQAUFace")
def load_vqauface(studio: Studio) -> Image.Image:
    (photo,) = studio.pictures(studio.face(studio.aus(""), MAN))
    return labelled(["the picture", "first codes", "all codes"], through_codec(photo))


@shows("AUA_SampleVQAUFace")
def sample_vqauface(studio: Studio) -> Image.Image:
    reference, asked = studio.face(studio.aus(""), MAN), ["6C+12D", "12C+15C"]
    model = [studio.add("AUA_LoadVQAUFace", file=VQAUFACE), 0]
    options = {"seed": 7, "steps": 12, "guidance": 3.0, "temperature": 1.0, "reference": reference}
    texts = [describe(AUVector.parse(notation)) for notation in asked]
    links = [
        [studio.add("AUA_SampleVQAUFace", vq_auface=model, text=t, **options), 0] for t in texts
    ]
    return labelled(["the reference", *asked], studio.pictures(reference, *links))


@torch.no_grad()
def through_codec(photo: Image.Image) -> list[Image.Image]:
    """A picture, and what the bundled VQ-AUFace's codec makes of it from the first code of each
    cell and from all."""
    codec = load_codec(vqauface_folder() / VQAUFACE)
    side = codec.config.size
    pixels = torch.from_numpy(np.asarray(photo.convert("RGB").resize((side, side))).copy())
    ids = codec.encode(to_unit_range(pixels[None]))
    parts = [codec.decode_vectors(codec.codes.codebook[ids[..., 0]]), codec.decode(ids)]
    shown = [as_picture((part[0].movedim(0, -1) / 2 + 0.5).clamp(0, 1)) for part in parts]
    return [photo, *(part.resize(photo.size) for part in shown)]


@shows("AUA_LabelPictures")
def label_pictures(studio: Studio) -> Image.Image:
    looks = "\n".join(["enjoyment smile", "surprise", "sadness", "anger", "disgust", "doubt"])
    asked, labels = studio.listed(looks)
    images = studio.face(asked, number=6)
    node = studio.add("AUA_LabelPictures", images=images, labels=labels, columns=ACROSS)
    return studio.pictures([node, 0])[0]


@shows("AUA_CountAUVectors")
def count_vectors(studio: Studio) -> Image.Image:
    asked, _ = studio.listed("12A\n12C\n12E")
    count = studio.add("AUA_CountAUVectors", au_vector=asked)
    return labelled(["1", "2", "3"], studio.pictures(studio.face(asked, number=[count, 0])))


@shows("AUA_AUReadingJSON")
def reading_json(studio: Studio) -> Image.Image:
    face = studio.face(studio.aus(SMILE))
    reading = studio.read(face, studio.reader())[1]
    text = studio.texts([studio.add("AUA_AUReadingJSON", au_reading=reading), 0])[0]
    return with_text(labelled([SMILE], studio.pictures(face)), text)
