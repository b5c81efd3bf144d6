"""What is rendered and trained for the bundled models: the one place with sizes and seeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from au_adapter.bundled import demo_folder

SET_A = (1, 2, 4, 5, 6, 9, 12, 15, 17, 20, 25, 26)
SET_A_AND_B = (*SET_A, 7, 10, 14, 23, 24)
POSE_SPREAD = 0.4  # heads that look at the camera, or nearly
SIZE = 128  # pixels of a side
LATENT_CHANNELS = 16
DECODER = (192, 96, 32)  # channels of the autoencoder's stages, from coarse to fine
WIDTHS = (96, 128, 128)  # of the UNet, from fine to coarse


@dataclass(frozen=True)
class Draw:
    """One folder of renders. first_identity .. : people that no other draw shows. one_scene: a
    person's pictures differ in their AUs alone, and with neutral_first the first has none."""

    expressions: str
    count: int
    seed: int
    first_identity: int
    images_per_identity: int = 1
    units: tuple[int, ...] = ()
    neutral_first: bool = False
    one_scene: bool = False


@dataclass(frozen=True)
class Stage:
    """One training. draws: its renders. settings: fields of training's Settings. needs: keyword of
    the recipe -> the stage whose result it takes. options: keywords of the recipe. checked_on:
    renders of people that no stage sees."""

    recipe: str
    draws: tuple[str, ...]
    settings: Mapping[str, Any]
    needs: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    checked_on: tuple[str, ...] = ("held_out",)


DRAWS = {
    # Any expression, one picture of each person: what the autoencoder keeps, and part of the base.
    "expressive": Draw("expressive", 5000, seed=101, first_identity=0),
    # Half relaxed, a fifth smiles, the rest makes a face, which its caption says.
    "base": Draw("base", 14_000, seed=102, first_identity=10_000, images_per_identity=2),
    # Left and right apart, of 17 AUs.
    "sided": Draw("sided", 8000, 104, 30_000, images_per_identity=2, units=SET_A_AND_B),
    # As frames of a video, both sides alike: for the first adapter, MagicFace and AUEditNet.
    "scenes": Draw(
        "au", 12_000, 109, 40_000, images_per_identity=8, neutral_first=True, one_scene=True
    ),
    "regressor": Draw("au", 8000, seed=105, first_identity=2_000_000),
    # A relaxed face, then others of the person in the same light: what VQ-AUFace draws from what.
    "references": Draw(
        "au", 8000, 111, 50_000, images_per_identity=4, units=SET_A_AND_B,
        neutral_first=True, one_scene=True,
    ),
    # Seen by no stage: the checks at the end of each.
    "held_out": Draw("expressive", 500, seed=106, first_identity=3_000_000),
    "held_out_base": Draw("base", 1000, seed=108, first_identity=3_200_000),
    "held_out_scenes": Draw(
        "au", 400, 110, 3_300_000, images_per_identity=8, neutral_first=True, one_scene=True
    ),
    "held_out_references": Draw(
        "au", 400, 112, 3_400_000, images_per_identity=4, units=SET_A_AND_B,
        neutral_first=True, one_scene=True,
    ),
}  # fmt: skip
FRAMING = {"zoom": 0.72, "lower": 0.35}  # of aligned faces: tighter and lower than FFHQ's

STAGES = {
    "autoencoder": Stage(
        "demo-autoencoder",
        draws=("expressive",),
        settings={
            "steps": 9000, "batch_size": 8, "learning_rate": 1e-3, "warmup_steps": 200,
            "decay_steps": 4500, "average_decay": 0.998, "seed": 1, "save_every": 500,
        },
        options={"latent_channels": LATENT_CHANNELS, "decoder": list(DECODER)},
    ),
    "base": Stage(
        "demo-base",
        draws=("base", "expressive"),
        settings={
            "steps": 24_000, "batch_size": 32, "learning_rate": 8e-4, "warmup_steps": 500,
            "decay_steps": 9000, "average_decay": 0.999, "seed": 2, "save_every": 250,
        },
        needs={"autoencoder": "autoencoder"},
        # A text encoder that begins anew takes longer than this.
        options={"widths": list(WIDTHS), "mirror": True, "words": str(demo_folder())},
        checked_on=("held_out_base",),
    ),
    # Learns on while latents, and so all that was trained on them, stay what they are.
    "decoder": Stage(
        "demo-autoencoder",
        draws=("expressive", "base"),
        settings={
            "steps": 12_000, "batch_size": 8, "learning_rate": 7e-4, "warmup_steps": 200,
            "decay_steps": 8000, "average_decay": 0.998, "seed": 7, "save_every": 500,
        },
        needs={"start": "autoencoder"},
    ),
    "regressor": Stage(
        "regressor",
        draws=("regressor",),
        settings={
            "steps": 8000, "batch_size": 32, "learning_rate": 1e-3, "warmup_steps": 100,
            "decay_steps": 3000, "average_decay": 0.998, "seed": 3, "save_every": 250,
        },
    ),
    "adapter": Stage(
        "fineface",
        draws=("scenes",),
        settings={
            "steps": 17_000, "batch_size": 16, "learning_rate": 1e-3, "warmup_steps": 200,
            "decay_steps": 10_000, "average_decay": 0.998, "seed": 4, "save_every": 250,
        },
        needs={"base": "base"},
    ),
    "sided": Stage(
        "fineface",
        draws=("sided",),
        settings={
            "steps": 7500, "batch_size": 16, "learning_rate": 1e-3, "warmup_steps": 200,
            "decay_steps": 4500, "average_decay": 0.998, "seed": 5, "save_every": 250,
        },
        needs={"base": "base"},
        options={"encoder": "individual", "sides": True, "units": list(SET_A_AND_B)},
    ),
    "magicface": Stage(
        "magicface",
        draws=("scenes",),
        settings={
            "steps": 4200, "batch_size": 16, "learning_rate": 4e-4, "warmup_steps": 200,
            "decay_steps": 2600, "average_decay": 0.998, "weight_decay": 0.01, "seed": 6,
            "save_every": 250,
        },
        needs={"base": "base"},
        checked_on=("held_out_scenes",),
    ),
    # AUEditNet's F_pre, which teaches generator and editor what of a face matters.
    "teacher": Stage(
        "siamese",
        draws=("scenes",),
        settings={
            "steps": 6000, "batch_size": 16, "learning_rate": 5e-4, "warmup_steps": 200,
            "decay_steps": 3000, "average_decay": 0.999, "seed": 8, "save_every": 500,
        },
        options={"size": 96, "share": 0.25, **FRAMING},
        checked_on=("held_out_scenes",),
    ),
    # H_est, which only judges.
    "judge": Stage(
        "siamese",
        draws=("scenes",),
        settings={
            "steps": 12_000, "batch_size": 16, "learning_rate": 3e-4, "warmup_steps": 200,
            "decay_steps": 6000, "average_decay": 0.999, "seed": 9, "save_every": 250,
        },
        options={"backbone": "resnet50", "size": 64, **FRAMING},
        checked_on=("held_out_scenes",),
    ),
    "wplus": Stage(
        "wplus",
        draws=("expressive", "base", "scenes"),
        settings={
            "steps": 9000, "batch_size": 8, "learning_rate": 2e-3, "warmup_steps": 200,
            "decay_steps": 3000, "average_decay": 0.998, "seed": 10, "save_every": 250,
        },
        options=dict(FRAMING),
        checked_on=("held_out_scenes",),
    ),
    # The same networks learn on, now by the teacher's features and against a critic of patches too.
    "wplus_sharp": Stage(
        "wplus",
        draws=("expressive", "base", "scenes"),
        settings={
            "steps": 9000, "batch_size": 8, "learning_rate": 5e-4, "warmup_steps": 200,
            "decay_steps": 6000, "average_decay": 0.998, "seed": 11, "save_every": 250,
        },
        needs={"estimator": "teacher", "start": "wplus"},
        options={"adversarial": 0.02},
        checked_on=("held_out_scenes",),
    ),
    "aueditnet": Stage(
        "aueditnet",
        draws=("scenes",),
        settings={
            "steps": 13_000, "batch_size": 8, "learning_rate": 1e-3, "warmup_steps": 200,
            "decay_steps": 5000, "average_decay": 0.998, "seed": 12, "save_every": 250,
        },
        needs={"wplus": "wplus_sharp", "estimator": "teacher"},
        options={"width": 96, "hidden": 192, "labels": 32, "neutral_weight": 0.5},
        checked_on=("held_out_scenes",),
    ),
    # An hour and two hours of one core. Sizes: au_adapter/models/vqauface, which fill 15 MB.
    "vqauface_codec": Stage(
        "vq-auface-codec",
        draws=("expressive", "references"),
        settings={
            "steps": 5000, "batch_size": 8, "learning_rate": 1e-3, "warmup_steps": 100,
            "decay_steps": 2500, "seed": 8, "save_every": 250,
        },
        # A discriminator makes pictures sharper and less like the original; here likeness counts.
        options={
            "adversarial": 0.0, "edges": 1.0, "anatomical": 0.02, "anatomy_from": 1000, "lanes": 2,
        },
        needs={"anatomy": "regressor"},
    ),
    "vqauface": Stage(
        "vq-auface",
        draws=("references",),
        settings={
            "steps": 6000, "batch_size": 8, "learning_rate": 6e-4, "warmup_steps": 200,
            "decay_steps": 2500, "average_decay": 0.998, "seed": 9, "save_every": 250,
        },
        needs={"codec": "vqauface_codec"},
        options={"units": list(SET_A_AND_B), "lanes": 2},
        checked_on=("held_out_references",),
    ),
}  # fmt: skip
