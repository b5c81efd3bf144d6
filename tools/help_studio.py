"""Graphs on the bundled model for the pictures of the help pages, and how those are laid out."""

from __future__ import annotations

import textwrap
from itertools import count
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from au_adapter.bundled import AUEDITNET, GUIDANCE, MAGICFACE, SIDED_ADAPTER, WPLUS
from au_adapter.evaluation.contact_sheet import INK, MARGIN, PAPER, labelled_sheet
from tools.help_units import PEOPLE

Link = list[Any]  # a node's id and the number of its output
ACROSS = 3
WIDTH = 412  # of three pictures in a line
WOMAN, MAN = PEOPLE[0], PEOPLE[1]
EDIT_TEXT = "A close up of a person."


class Studio:
    """A graph on the bundled model that grows node by node, and the server that runs it.

    Methods that add nodes return the link to what they make.
    """

    def __init__(self, server: Any):
        self.server, self.graph, self._ids = server, {}, count(1)
        self.demo = self.add("AUA_LoadDemoModel")
        self.model, self.clip, self.vae, self.adapter = self.outputs(self.demo, 4)

    def add(self, kind: str, **inputs: Any) -> str:
        """A node; returns its id."""
        name = str(next(self._ids))
        self.graph[name] = {"class_type": kind, "inputs": inputs}
        return name

    @staticmethod
    def outputs(node: str, number: int) -> list[Link]:
        return [[node, slot] for slot in range(number)]

    def aus(self, notation: str) -> Link:
        return [self.add("AUA_AUVector", notation=notation), 0]

    def listed(self, expressions: str) -> list[Link]:
        """AU vectors of a list, and their labels."""
        sweep = {"unit": "AU12 lip corner puller", "start": 0.0, "stop": 5.0, "steps": 2}
        return self.outputs(self.add("AUA_AUSweep", **sweep, expressions=expressions), 2)

    def text(self, words: str) -> Link:
        return [self.add("CLIPTextEncode", clip=self.clip, text=words), 0]

    def applied(self, aus: Link, words: str, adapter: Link | None = None, **options: Any) -> list:
        """MODEL, positive and negative with AUs. options: of AU Encoder and Apply AU-Adapter."""
        adapter = adapter or self.adapter
        calibrated = options.pop("calibrated", False)
        tokens = self.add("AUA_AUEncoder", au_adapter=adapter, au_vector=aus, calibrated=calibrated)
        inputs = {
            **{"model": self.model, "positive": self.text(words), "negative": self.text("")},
            **{"au_adapter": adapter, "au_tokens": [tokens, 0]},
            **{"strength": 1.0, "start": 0.0, "end": 1.0},
        }
        return self.outputs(self.add("AUA_ApplyAUAdapter", **{**inputs, **options}), 3)

    def drawn(
        self, applied: list[Link], seed: int, number: int = 1, cfg: float = GUIDANCE, **sampler: Any
    ) -> Link:
        """Pictures of one noise from MODEL, positive and negative."""
        model, positive, negative = applied
        settings = {"sampler_name": "euler", "scheduler": "normal", "steps": 20, **sampler}
        drawer = self.add(
            "KSampler",
            **{"model": model, "positive": positive, "negative": negative, "seed": seed},
            **{"latent_image": self.noise(number), "cfg": cfg, "denoise": 1.0, **settings},
        )
        return [self.add("VAEDecode", samples=[drawer, 0], vae=self.vae), 0]

    def noise(self, number: int) -> Link:
        """Empty latents that get the same noise."""
        empty = self.add("EmptyLatentImage", width=128, height=128, batch_size=number)
        return [self.add("LatentBatchSeedBehavior", samples=[empty, 0], seed_behavior="fixed"), 0]

    def face(
        self, aus: Link, person: tuple[str, int] = WOMAN, number: int = 1, **options: Any
    ) -> Link:
        """Pictures of a person with AUs by the bundled adapter, or one of its options."""
        sampler = {name: options.pop(name) for name in ("cfg", "seed") if name in options}
        words, seed = person
        return self.drawn(
            self.applied(aus, words, **options), **{"seed": seed, "number": number, **sampler}
        )

    def sided(self) -> Link:
        """The bundled adapter with 17 AUs and sides."""
        return [self.add("AUA_LoadAUAdapter", file=SIDED_ADAPTER, lora_strength=1.0), 0]

    def reader(self, file: str = "demo regressor") -> Link:
        options = {"method": "trained on renders", "levels": 1}
        return [self.add("AUA_LoadFaceReader", file=file, **options), 0]

    def read(self, image: Link, reader: Link) -> list[Link]:
        """AU_VECTOR, AU_READING, FACE_LANDMARKS and the picture with what was read."""
        node = self.add(
            "AUA_AUEstimator", image=image, face_reader=reader, units="12 (set A)", face=0
        )
        return self.outputs(node, 4)

    def doubled(self, image: Link) -> Link:
        """The picture at twice its size, which leaves room for what is drawn into it."""
        how = {"upscale_method": "lanczos", "scale_by": 2.0}
        return [self.add("ImageScaleBy", image=image, **how), 0]

    def prepared(self, photo: Link, rule: str = "whole person") -> list[Link]:
        """FACE_CROP, face and background for MagicFace."""
        how = {"face": 0, "mask_rule": rule, "order": "largest first", "size": 128}
        return self.outputs(self.add("AUA_PrepareMagicFace", image=photo, **how), 3)

    def edited(self, photo: Link, change: Link, number: int = 1) -> tuple[Link, Link]:
        """A photo with a change of AUs by the bundled MagicFace: pasted, and as it was drawn."""
        loaded = self.add("AUA_LoadMagicFace", denoising_file=MAGICFACE, id_encoder_file=MAGICFACE)
        crop, face, background = self.prepared(photo)
        text = self.text(EDIT_TEXT)
        person = self.add(
            "AUA_MagicFaceIDEncoder",
            **{"id_encoder": [loaded, 1], "vae": self.vae, "image": face, "conditioning": text},
        )
        applied = self.add(
            "AUA_ApplyMagicFace",
            **{"model": [loaded, 0], "positive": text, "negative": text, "vae": self.vae},
            **{"magicface_id": [person, 0], "background": background},
            **{"au_vector": change, "face_crop": crop},
        )
        same = self.add("LatentBatchSeedBehavior", samples=[applied, 3], seed_behavior="fixed")
        drawer = self.add(
            "KSampler",
            **{"model": [applied, 0], "positive": [applied, 1], "negative": [applied, 2]},
            **{"latent_image": [same, 0], "seed": 424, "steps": 20, "cfg": 3.0, "denoise": 1.0},
            **{"sampler_name": "uni_pc", "scheduler": "normal"},
        )
        drawn = [self.add("VAEDecode", samples=[drawer, 0], vae=self.vae), 0]
        return self.pasted(photo, crop, change, drawn), drawn

    def pasted(self, photo: Link, crop: Link, change: Link, drawn: Link) -> Link:
        """A photo with a drawn face put back."""
        what = {"image": photo, "face_crop": crop, "au_vector": change, "edited": drawn}
        return [self.add("AUA_PasteFace", **what, feather=4.0), 0]

    def photo(self, name: str) -> Link:
        """One of the rendered portraits that the workflows open with."""
        return [self.add("LoadImage", image=name), 0]

    def inverted(self, photo: Link) -> list[Link]:
        """AUEDITNET, and a photo's FACE_LATENT, FACE_CROP and reconstruction."""
        files = {"generator_file": WPLUS, "encoder_file": WPLUS, "editor_file": AUEDITNET}
        model = [self.add("AUA_LoadAUEditNet", **files), 0]
        how = {"face": 0, "order": "largest first"}
        code = self.add("AUA_InvertFace", aueditnet=model, image=photo, **how)
        return [model, *self.outputs(code, 3)]

    def moved(self, photo: Link, inverted: list[Link], aus: Link, **options: Any) -> Link:
        """A photo whose code was given other AUs. options: of Apply AUEditNet."""
        model, latent, crop, _ = inverted
        face = self.add(
            "AUA_ApplyAUEditNet",
            **{"aueditnet": model, "face_latent": latent, "au_vector": aus},
            **{"mode": "intensities", "region": "all", **options},
        )
        return self.pasted(photo, crop, [face, 2], [face, 0])

    def pictures(self, *links: Link) -> list[Image.Image]:
        """Run the graph; what comes out of the links, in their order."""
        kept = [self.add("PreviewImage", images=link) for link in links]
        history = self.server.wait(self.server.post_prompt(self.graph))
        return [picture for node in kept for picture in self.server.images(history, node)]

    def texts(self, link: Link) -> list[str]:
        """Run the graph; the text that comes out of a link."""
        node = self.add("PreviewAny", source=link)
        history = self.server.wait(self.server.post_prompt(self.graph))
        return history["outputs"][node]["text"]


def labelled(labels: list[str], pictures: list[Image.Image], across: int = ACROSS) -> Image.Image:
    """Pictures over their labels, at most so many in a line."""
    cells = list(zip(labels, (picture.convert("RGB") for picture in pictures), strict=True))
    return labelled_sheet([cells[at : at + across] for at in range(0, len(cells), across)])


def with_text(picture: Image.Image, text: str) -> Image.Image:
    """A picture of one or more cells above text in lines."""
    lines = [line for part in text.splitlines() for line in textwrap.wrap(part, 58) or [""]]
    sheet = Image.new("RGB", (WIDTH, picture.height + 18 * len(lines) + 2 * MARGIN), PAPER)
    sheet.paste(picture)
    place = (MARGIN, picture.height + MARGIN)
    ImageDraw.Draw(sheet).multiline_text(
        place, "\n".join(lines), INK, ImageFont.load_default(13), spacing=4
    )
    return sheet


def narrow(picture: Image.Image) -> Image.Image:
    """A wide picture, such as plots, at the width of the help panel, doubled for sharp text."""
    size = (2 * WIDTH, picture.height * 2 * WIDTH // picture.width)
    return picture.resize(size, Image.Resampling.LANCZOS)


def halves(pictures: list[Image.Image]) -> list[Image.Image]:
    """Two pictures, each half of a line wide."""
    side = (WIDTH - 3 * MARGIN) // 2
    return [picture.resize((side, side), Image.Resampling.LANCZOS) for picture in pictures]
