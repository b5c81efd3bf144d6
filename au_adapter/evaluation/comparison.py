"""Pictures beside their references: the papers' metrics, with the networks that they need.

AU Evaluator, `au-adapter evaluate`, the demo and the benchmarks all measure through `comparison`.
The user brings the networks, or they lie where `faces.locate` looks. A metric whose network is
missing is listed with what to do; nothing takes its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from .. import metrics
from ..faces import FACE_LANDMARKER, PERSON_SEGMENTER, FaceLandmarker, PersonSegmenter, locate
from ..metrics import lpips, lpips_network
from ..metrics.embeddings import CLIP, IDENTITY, Encode, embed
from .observed import Observed, appearance_distance

LPIPS_FILES = ("alexnet-owt-7be5be79.pth", "alexnet.pth")  # torchvision's own name first
NO_CLIP = "needs CLIP Vision: in ComfyUI connect Load CLIP Vision, elsewhere give `clip`"
NO_IDENTITY = (
    "needs a face recognition network (MagicFace: dlib's), which neither ComfyUI nor this project "
    "brings; in Python give it as `identity`, a function from pictures to embeddings, and to "
    "`au-adapter evaluate` as --identity MODULE:FUNCTION"
)
NO_LPIPS = (
    f"needs torchvision's ImageNet weights of AlexNet: put {LPIPS_FILES[0]} into ComfyUI's "
    "models/face_analysis, or name the file"
)
LANDMARKER, SEGMENTER = "face landmarker", "person segmenter"

Feature = Callable[[Observed], Tensor]
Measure = Callable[[Observed, Observed], Tensor]
Network = TypeVar("Network")


@dataclass(frozen=True)
class Comparison:
    """Compares pictures with references by whatever it was given.

    measures: metric -> function of N pictures and their N references, or the one that serves all,
    to one number a picture. networks: metric -> what sees it. not_measured: metric -> why not, and
    what to do. landmarker, segmenter: None where the file is missing.
    """

    measures: Mapping[str, Measure]
    networks: Mapping[str, str] = field(default_factory=dict)
    not_measured: Mapping[str, str] = field(default_factory=dict)
    landmarker: FaceLandmarker | None = None
    segmenter: PersonSegmenter | None = None

    def __call__(
        self, images: Tensor, references: Tensor, rows: Sequence[object] = ()
    ) -> dict[str, Tensor]:
        """Metric -> [N], NaN where a face was not found. One reference serves all pictures."""
        if images.shape[1:] != references.shape[1:] or len(references) not in (1, len(images)):
            raise ValueError(
                f"Pictures {list(images.shape)} cannot be compared with {list(references.shape)}: "
                "both need one size, and one reference or as many as there are pictures"
            )
        if len(references) > 1 and references.stride(0) == 0:  # one reference, expanded
            references = references[:1]
        pair = [Observed(side, self.landmarker, self.segmenter) for side in (images, references)]
        return {name: measure(*pair) for name, measure in self.measures.items()}

    def beside_base(self, images: Tensor, base: Tensor) -> dict[str, Tensor]:
        """`clip_i_base` [N]: CLIP-I against the base's picture [1, H, W, 3] of the same prompt and
        seed without the method. Nothing where no CLIP was given."""
        if "clip_i" not in self.measures:
            return {}
        pair = [Observed(side, None, None) for side in (images, base)]
        return {"clip_i_base": self.measures["clip_i"](*pair)}


def comparison(
    folders: Iterable[str | Path] = (),
    *,
    clip: Encode | None = None,
    clip_name: str = "CLIP Vision",
    identity: Encode | None = None,
    identity_name: str = "face recognition network",
    lpips_backbone: str | Path | None = None,
) -> Comparison:
    """All metrics whose networks are at hand.

    folders: where model files may lie besides the usual places (ComfyUI's models/face_analysis).
    clip, identity: functions from pictures to embeddings. lpips_backbone: see `lpips_network`.
    """
    folders, missing = list(folders), {}

    def opened(names: Sequence[str], load: Callable[[], Network]) -> Network | None:
        try:
            return load()
        except (FileNotFoundError, RuntimeError) as error:  # no file, or no package
            missing.update({name: str(error) for name in names if name not in missing})
            return None

    if clip is None:
        missing["clip_i"] = NO_CLIP
    if identity is None:
        missing["identity_l2"] = NO_IDENTITY
    landmarker = opened(
        ("background_rmse", "head_pose_rmse", "look"),
        lambda: FaceLandmarker(locate(FACE_LANDMARKER, folders=folders)),
    )
    segmenter = opened(
        ("person_rmse", "look"), lambda: PersonSegmenter(locate(PERSON_SEGMENTER, folders=folders))
    )
    distance = opened(("lpips",), lambda: lpips_network(_lpips_file(folders, lpips_backbone)))
    known = {
        "picture_rmse": ("", _pairwise(metrics.picture_rmse, "pixels")),
        "clip_i": (clip_name, _embedded(metrics.clip_i, clip, CLIP)),
        "identity_l2": (identity_name, _embedded(metrics.identity_l2, identity, IDENTITY)),
        "identity_cosine": (identity_name, _embedded(metrics.identity_cosine, identity, IDENTITY)),
        "background_rmse": (LANDMARKER, _pairwise(metrics.background_rmse, "pixels", "ovals")),
        "person_rmse": (SEGMENTER, _pairwise(metrics.person_rmse, "pixels", "people")),
        "head_pose_rmse": (LANDMARKER, _pairwise(metrics.head_pose_rmse, "angles")),
        "look": (f"{LANDMARKER} and {SEGMENTER}", _pairwise(appearance_distance, "appearance")),
        "lpips": ("LPIPS 0.1 on AlexNet", _pairwise(lambda a, b: lpips(a, b, distance), "pixels")),
    }
    if identity is None:
        del known["identity_cosine"]
    found = {name: of for name, of in known.items() if name not in missing}
    return Comparison(
        {name: measure for name, (_, measure) in found.items()},
        {name: network for name, (network, _) in found.items() if network},
        missing,
        landmarker,
        segmenter,
    )


def _pairwise(metric: Callable[..., Tensor], *features: str | Feature) -> Measure:
    """A metric of features of the pictures and of the references, in turn; NaN where one is NaN,
    as of a face that was not found. features: attributes of `Observed`, or functions of it."""
    looks = [attrgetter(each) if isinstance(each, str) else each for each in features]

    def measure(ours: Observed, theirs: Observed) -> Tensor:
        pairs = [(look(ours), look(theirs)) for look in looks]
        values = [side for mine, other in pairs for side in (mine, other.expand_as(mine))]
        known = torch.stack([v.isfinite().flatten(1).all(1) for v in values]).all(0)
        result = torch.full((len(ours.images),), torch.nan)
        if known.any():
            result[known] = metric(*(value[known] for value in values))
        return result

    return measure


def _embedded(metric: Callable[..., Tensor], encode: Encode | None, network: str) -> Measure:
    return _pairwise(metric, lambda seen: embed(metric.__name__, seen.images, encode, network))


def _lpips_file(folders: list[str | Path], backbone: str | Path | None) -> Path:
    places = [Path(backbone)] if backbone else [Path(f, n) for f in folders for n in LPIPS_FILES]
    file = next((place for place in places if place.is_file()), None)
    if file is None:
        raise FileNotFoundError(
            f"there is no {backbone}; lpips {NO_LPIPS}" if backbone else NO_LPIPS
        )
    return file
