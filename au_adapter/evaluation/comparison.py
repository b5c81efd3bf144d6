"""Pictures beside the ones they are compared with: what of the papers' metrics can be computed.

Every network is brought by the user or lies where `faces.locate` looks. One that is not there is
named with what to do; nothing takes its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from ..faces import (
    FACE_LANDMARKER,
    PERSON_SEGMENTER,
    FaceLandmarker,
    PersonSegmenter,
    head_angles,
    locate,
)
from ..metrics import (
    background_rmse,
    clip_i,
    head_pose_rmse,
    identity_cosine,
    identity_l2,
    lpips,
    lpips_network,
)
from ..metrics.embeddings import Encode
from ..metrics.perceptual import Network

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


@dataclass(frozen=True)
class Comparison:
    """Compares pictures with references by whatever it was given.

    measures: metric -> function of pictures and references [N, H, W, 3] to one number a picture.
    networks: metric -> what sees it. not_measured: metric -> why not, and what to do.
    """

    measures: Mapping[str, Callable[[Tensor, Tensor], Tensor]]
    networks: Mapping[str, str] = field(default_factory=dict)
    not_measured: Mapping[str, str] = field(default_factory=dict)

    def __call__(
        self, images: Tensor, references: Tensor, rows: Sequence[object] = ()
    ) -> dict[str, Tensor]:
        """Metric -> [N], NaN where a face was not found. One reference serves all pictures."""
        if images.shape[1:] != references.shape[1:] or len(references) not in (1, len(images)):
            raise ValueError(
                f"Pictures {list(images.shape)} cannot be compared with {list(references.shape)}: "
                "both need one size, and one reference or as many as there are pictures"
            )
        references = references.expand_as(images)
        return {name: measure(images, references) for name, measure in self.measures.items()}


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
    folders = list(folders)
    found = _Found({"picture_rmse": _picture_rmse}, {}, {})
    found.add_given("clip_i", clip_i, clip, clip_name, NO_CLIP)
    found.add_given("identity_l2", identity_l2, identity, identity_name, NO_IDENTITY)
    if identity is not None:
        found.add_given("identity_cosine", identity_cosine, identity, identity_name, NO_IDENTITY)
    found.add("background_rmse", "person segmenter", lambda: _background(folders))
    found.add("head_pose_rmse", "face landmarker", lambda: _head_pose(folders))
    found.add("lpips", "LPIPS 0.1 on AlexNet", lambda: _lpips(folders, lpips_backbone))
    return Comparison(found.measures, found.networks, found.not_measured)


@dataclass
class _Found:
    measures: dict
    networks: dict
    not_measured: dict

    def add(self, metric: str, network: str, open_measure: Callable) -> None:
        try:
            self.measures[metric] = open_measure()
            self.networks[metric] = network
        except (FileNotFoundError, RuntimeError) as error:  # no file, or no package
            self.not_measured[metric] = str(error)

    def add_given(
        self, metric: str, measure: Callable, encode: Encode | None, network: str, missing: str
    ) -> None:
        if encode is None:
            self.not_measured[metric] = missing
        else:
            self.measures[metric] = lambda a, b: measure(_seen(encode, a), _seen(encode, b))
            self.networks[metric] = network


def _seen(encode: Encode, images: Tensor) -> Tensor:
    """Embeddings [N, D]; of one picture that is N times the same, only once."""
    return _once(lambda pictures: torch.cat([encode(part) for part in pictures.split(16)]), images)


def _once(see: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    if len(images) > 1 and images.stride(0) == 0:
        seen = see(images[:1])
        return seen.expand(len(images), *seen.shape[1:])
    return see(images)


def _picture_rmse(images: Tensor, references: Tensor) -> Tensor:
    return background_rmse(images, references, torch.zeros(images.shape[:3]))


def _background(folders: list[str | Path]) -> Callable[[Tensor, Tensor], Tensor]:
    segmenter = PersonSegmenter(locate(PERSON_SEGMENTER, folders=folders))

    def person(images: Tensor) -> Tensor:
        return _once(lambda pictures: (segmenter.mask(pictures) > 0.5).float(), images)

    return lambda a, b: background_rmse(a.cpu(), b.cpu(), person(a), person(b))


def _head_pose(folders: list[str | Path]) -> Callable[[Tensor, Tensor], Tensor]:
    landmarker = FaceLandmarker(locate(FACE_LANDMARKER, folders=folders))

    def angles(images: Tensor) -> Tensor:
        def see(pictures: Tensor) -> Tensor:
            nothing = torch.full((3,), torch.nan)
            faces = landmarker.detect(pictures, maximum_faces=1)
            return torch.stack([head_angles(f[0].pose).deg2rad() if f else nothing for f in faces])

        return _once(see, images)

    def measure(images: Tensor, references: Tensor) -> Tensor:
        ours, theirs = angles(images), angles(references)
        both = (ours + theirs).isfinite().all(1)
        result = torch.full((len(images),), torch.nan)
        if both.any():
            result[both] = head_pose_rmse(ours[both], theirs[both])
        return result

    return measure


def _lpips(
    folders: list[str | Path], backbone: str | Path | None
) -> Callable[[Tensor, Tensor], Tensor]:
    places = [Path(backbone)] if backbone else [Path(f, n) for f in folders for n in LPIPS_FILES]
    file = next((place for place in places if place.is_file()), None)
    if file is None:
        raise FileNotFoundError(
            f"there is no {backbone}; lpips {NO_LPIPS}" if backbone else NO_LPIPS
        )
    network: Network = lpips_network(file)
    return lambda a, b: lpips(a, b, network)
