"""Load MagicFace, MagicFace ID Encoder and Apply MagicFace."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from au_adapter.bundled import MAGICFACE
from au_adapter.faces.squares import FaceCrop
from au_adapter.facs import AUVector
from au_adapter.models.magicface import ID_TIMESTEP, PROMPT, change_of, collect_features
from au_adapter.weights.magicface_files import DENOISING, ID_ENCODER, magicface_hash, read_unet_file

from .compat import (
    VAE,
    CONDRegular,
    ModelPatcher,
    WrappersMP,
    folder_paths,
    io,
    is_dynamic,
    model_management,
)
from .conditioning import Conditioning, with_conds
from .magicface_identity import CHANGE, KEY, PHOTO, Identity, IdentityWrappers, PerPicture
from .magicface_model import MagicFaceUNet, load_unet
from .node import Node
from .picture_record import write_record
from .queued_graph import QueuedGraph, file_times
from .sockets import AUVectorSocket, FaceCropSocket, MagicFaceIDEncoderSocket, MagicFaceIDSocket

MAGICFACE_FOLDER = "magicface"
DEMO_WIDTH = 128  # text width of the bundled model
TEXT_TOOLTIP = f"The text that MagicFace was trained with: {PROMPT!r}"
VAE_TOOLTIP = "Of the base: Load Demo Model for the bundled MagicFace, else Stable Diffusion 1.5."


class LoadMagicFace(Node):
    """Loads MagicFace's two UNets: those of the bundled model, or from models/magicface as
    published, or as one file made of both by `au-adapter convert`.

    id_encoder_file: Of the same MagicFace: the same file again, or
        ID_enc/diffusion_pytorch_model.safetensors, or the converted file.
    """

    @classmethod
    def define_schema(cls) -> io.Schema:
        # The bundled file is among them even if it is missing: the node then says so.
        files = [*dict.fromkeys([*folder_paths.get_filename_list(MAGICFACE_FOLDER), MAGICFACE])]
        return cls.schema(
            "Load MagicFace",
            family="models and training",
            aliases=["FACS", "action units", "face edit weights"],
            inputs=[
                io.Combo.Input(
                    "denoising_file",
                    options=files,
                    default=MAGICFACE,
                    tooltip=f"{MAGICFACE} belongs to Load Demo Model. For Stable Diffusion 1.5: "
                    "denoising_unet/diffusion_pytorch_model.safetensors, or the converted file.",
                ),
                io.Combo.Input("id_encoder_file", options=files, default=MAGICFACE),
            ],
            outputs=[io.Model.Output(), MagicFaceIDEncoderSocket.Output()],
        )

    @classmethod
    def weight_files(cls, denoising_file: str, id_encoder_file: str) -> tuple[Path, ...]:
        return magicface_path(denoising_file), magicface_path(id_encoder_file)

    @classmethod
    def fingerprint_inputs(cls, denoising_file: str, id_encoder_file: str) -> tuple:
        files = (denoising_file, id_encoder_file)
        return *files, *(path.stat().st_mtime for path in cls.weight_files(*files))

    @classmethod
    def execute(cls, denoising_file: str, id_encoder_file: str) -> io.NodeOutput:
        denoising, id_encoder = cls.weight_files(denoising_file, id_encoder_file)
        return io.NodeOutput(load_unet(denoising, DENOISING), load_unet(id_encoder, ID_ENCODER))


class MagicFaceIDEncoder(Node):
    """Looks at a face once and keeps what MagicFace needs to know of the person. Moving a slider
    does not run it again.

    image: The face, from Prepare MagicFace.
    """

    @classmethod
    def define_schema(cls) -> io.Schema:
        return cls.schema(
            "MagicFace ID Encoder",
            family="edit a photo",
            aliases=["FACS", "face edit", "identity", "keep person"],
            inputs=[
                MagicFaceIDEncoderSocket.Input("id_encoder"),
                io.Vae.Input("vae", tooltip=VAE_TOOLTIP),
                io.Image.Input("image"),
                io.Conditioning.Input("conditioning", tooltip=TEXT_TOOLTIP),
            ],
            outputs=[MagicFaceIDSocket.Output()],
        )

    @classmethod
    def execute(
        cls, id_encoder: ModelPatcher, vae: VAE, image: Tensor, conditioning: Conditioning
    ) -> io.NodeOutput:
        photo, text = vae.encode(image[..., :3]), conditioning[0][0]
        _check_text(id_encoder, text)
        _check_latents(id_encoder, photo)
        memory = id_encoder.memory_required([*photo.shape])
        model_management.load_models_gpu([id_encoder], memory)
        return io.NodeOutput(Identity(_look(id_encoder, photo, text), photo))


class ApplyMagicFace(Node):
    """Makes a sampler draw the face of a photo with other Action Units. Connect its outputs to a
    sampler with CFG 3, and the picture to Paste Face.

    model: From Load MagicFace.
    negative: The same text: guidance (CFG) strengthens the change of AUs and nothing else.
    background: Background and jaw, of Prepare MagicFace.
    au_vector: The change, not the result: AU12 +3 is three more than in the photo, -3 three less.
        Trained within -5..5, useful to about -10..10. One for all faces, one for each, or many for
        one face.
    face_crop: Of Prepare MagicFace: what Paste Face will not show is held to the photo while the
        sampler draws. Without it all is drawn anew, as published.
    """

    @classmethod
    def define_schema(cls) -> io.Schema:
        return cls.schema(
            "Apply MagicFace",
            family="edit a photo",
            aliases=["FACS", "action units", "change expression", "face edit", "edit photo"],
            inputs=[
                io.Model.Input("model"),
                io.Conditioning.Input("positive", tooltip=TEXT_TOOLTIP),
                io.Conditioning.Input("negative"),
                MagicFaceIDSocket.Input("magicface_id"),
                io.Vae.Input("vae", tooltip=VAE_TOOLTIP),
                io.Image.Input("background"),
                AUVectorSocket.Input("au_vector"),
                FaceCropSocket.Input("face_crop", optional=True),
            ],
            outputs=[
                io.Model.Output(),
                io.Conditioning.Output(display_name="positive"),
                io.Conditioning.Output(display_name="negative"),
                io.Latent.Output(),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, **_: Any) -> str:
        write_record()  # core asks every node when a graph begins to run, cached ones too
        return ""

    @classmethod
    def record(cls, graph: QueuedGraph, key: str) -> dict[str, Any]:
        change, guidance = graph.vector(key, "au_vector"), _guidance(graph, key)
        # Past LoRAs and the like, but not past another pack's loader.
        before = graph.upstream(key, "model")
        loader = next((node for node in before if graph.kind(node) is LoadMagicFace), None)
        files = graph.weight_files(loader)
        return {
            "magicface": _hash(*files, file_times(files)) if files else None,
            "change": change and json.loads(change.to_json()),
            "guidance": guidance.pop() if len(guidance) == 1 else None,
        }

    @classmethod
    def execute(
        cls,
        model: ModelPatcher,
        positive: Conditioning,
        negative: Conditioning,
        magicface_id: Identity,
        vae: VAE,
        background: Tensor,
        au_vector: AUVector,
        face_crop: FaceCrop | None = None,
    ) -> io.NodeOutput:
        write_record()  # where core keeps no cache, it has not asked
        if not isinstance(network := model.model.diffusion_model, MagicFaceUNet):
            raise ValueError(
                f"the connected MODEL is a {type(network).__name__} of another model. "
                "Connect the MODEL of Load MagicFace; LoRAs may lie between."
            )
        if model.get_wrappers(WrappersMP.DIFFUSION_MODEL, KEY):
            raise ValueError(
                "this MODEL carries an identity already. Connect the MODEL of Load "
                "MagicFace itself to each Apply MagicFace."
            )
        for text in (positive, negative):
            _check_text(model, text[0][0])
        change = change_of(au_vector)
        latents = magicface_id.background(vae, background)
        for found in (magicface_id.latents, latents):
            _check_latents(model, found)
        batch = _batch(magicface_id, latents, len(change))
        patched = model.clone()
        IdentityWrappers(magicface_id).attach(patched)
        shared = {PHOTO: PerPicture(torch.arange(magicface_id.photos)[:, None])}
        return io.NodeOutput(
            patched,
            _with_background(positive, latents, {**shared, CHANGE: PerPicture(change)}),
            _with_background(negative, latents, {**shared, CHANGE: PerPicture(change[:1] * 0)}),
            _latent(magicface_id, batch, face_crop),
        )


@lru_cache(maxsize=16)
def _hash(denoising: Path, id_encoder: Path, changed: tuple[int, ...]) -> str:
    """Hash of a MagicFace; `changed` are its files' times, for the cache."""
    return magicface_hash(
        (read_unet_file(denoising, DENOISING), read_unet_file(id_encoder, ID_ENCODER))
    )


def _guidance(graph: QueuedGraph, key: str) -> set[float | None]:
    """The CFGs of the samplers and guiders that a node's outputs reach first."""
    found, reached, ahead = set(), {key}, [key]
    while ahead:
        for name in graph.followers(ahead.pop()):
            if "cfg" in graph.nodes[name]["inputs"]:
                found.add(graph.constant(name, "cfg"))
            elif name not in reached:
                reached.add(name)
                ahead.append(name)
    return found


@torch.no_grad()
def _look(id_encoder: ModelPatcher, photo: Tensor, text: Tensor) -> dict[str, Tensor]:
    """The features of photos [P, 4, H, W]: one run at timestep 0, without noise or scaling."""
    model, device = id_encoder.model, id_encoder.load_device
    kind = {"device": device, "dtype": model.manual_cast_dtype or model.get_dtype()}
    store = model_management.intermediate_device()
    with collect_features(model.diffusion_model) as features:
        model.diffusion_model(
            photo.to(**kind),
            torch.full((len(photo),), ID_TIMESTEP, device=device),
            context=text.to(**kind).expand(len(photo), -1, -1),
            transformer_options={"prefetch_dynamic_vbars": is_dynamic(id_encoder)},
        )
    return {path: feature.to(store) for path, feature in features.items()}


def _with_background(
    conditioning: Conditioning, latents: Tensor, conds: dict[str, CONDRegular]
) -> Conditioning:
    """CONDITIONING with `conds`, and the background where core looks for it."""
    with_latents = [(text, {**more, "concat_latent_image": latents}) for text, more in conditioning]
    return with_conds(with_latents, conds)


def _latent(identity: Identity, batch: int, crop: FaceCrop | None) -> dict[str, Tensor]:
    """An empty LATENT; with a crop, samplers keep the photo where the edit will not show."""
    device = model_management.intermediate_device()
    if crop is None:
        return {"samples": torch.zeros(batch, *identity.latents.shape[1:], device=device)}
    if len(crop) != identity.photos:
        raise ValueError(
            f"FACE_CROP is of {len(crop)} face(s), MAGICFACE_ID of "
            f"{identity.photos}: connect both to the same Prepare MagicFace."
        )
    drawn = adaptive_avg_pool2d(crop.masks[:, None], identity.latents.shape[-2:]).to(device)
    # Empty where the face is drawn: it starts from pure noise, as published.
    held = identity.latents.to(device) * (drawn < 1)
    copies = (batch // identity.photos, 1, 1, 1)
    return {"samples": held.repeat(copies), "noise_mask": drawn.repeat(copies)}


def _batch(identity: Identity, background: Tensor, changes: int) -> int:
    """The number of pictures; ValueError unless photos, backgrounds and changes agree."""
    found, expected = (
        (len(latents), 8 * latents.shape[3], 8 * latents.shape[2])
        for latents in (background, identity.latents)
    )
    if found != expected:
        raise ValueError(
            "the background is {} picture(s) of {} x {} pixels, MAGICFACE_ID {} of {} x {}: "
            "connect both pictures of the same Prepare MagicFace.".format(*found, *expected)
        )
    if changes != identity.photos and 1 not in (changes, identity.photos):
        raise ValueError(
            f"{changes} AU vectors for {identity.photos} faces. Give one for all "
            f"of them, or {identity.photos}, or choose one face in Prepare MagicFace."
        )
    return max(changes, identity.photos)


def _check_text(model: ModelPatcher, text: Tensor) -> None:
    config: Any = model.model.model_config.unet_config
    if text.shape[-1] != config["context_dim"]:
        raise ValueError(
            f"the CONDITIONING is {text.shape[-1]} numbers wide, MagicFace needs "
            f"{config['context_dim']} here: encode the text with the CLIP of {_base(config)}, and "
            "take its VAE too."
        )


def _check_latents(model: ModelPatcher, latents: Tensor) -> None:
    config: Any = model.model.model_config.unet_config
    if latents.shape[1] != config["out_channels"]:
        raise ValueError(
            f"the VAE makes latents of {latents.shape[1]} channels, MagicFace needs "
            f"{config['out_channels']} here: take the VAE of {_base(config)}."
        )


def _base(config: dict[str, Any]) -> str:
    """The loader of the base that a MagicFace of this config was made for, in words."""
    return "Load Demo Model" if config["context_dim"] == DEMO_WIDTH else "Stable Diffusion 1.5"


def magicface_path(file: str) -> Path:
    """The path of a file that Load MagicFace offers; FileNotFoundError that says what to do."""
    if path := folder_paths.get_full_path(MAGICFACE_FOLDER, file):
        return Path(path)
    advice = f"put it into models/{MAGICFACE_FOLDER}, or choose another file"
    if file == MAGICFACE:
        advice = "it comes with AU-Adapter: install AU-Adapter again, with its weights"
    places = ", ".join(folder_paths.get_folder_paths(MAGICFACE_FOLDER))
    raise FileNotFoundError(f"Load MagicFace: there is no {file} in {places}; {advice}.")
