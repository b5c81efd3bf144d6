"""AUEditNet's estimators: how the AUs of two pictures of one person differ (section 4.1).

    au-adapter train --recipe siamese --data FACES --steps N --output DIR
    au-adapter train --recipe siamese --data FACES --steps N --output DIR --set backbone=resnet50

The first, on VGG-16, is F_pre, which `aueditnet` learns from; the second, on ResNet-50, is H_est,
which only judges.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from ...facs import SET_A
from ...models.siamese import TOP, SiameseAU, SiameseConfig
from ...weights.aueditnet_files import ESTIMATOR, FILES, save_siamese
from ...weights.tensors import read_tensors
from ...weights.wplus_files import Framing
from ..aligned_faces import SubjectRows, augmented, load_aligned, settle_statistics
from ..settings import ALIGNED, check_options


@dataclass(frozen=True)
class SiameseOptions:
    """Options of the estimators.

    backbone, size, share, hidden: see `models.siamese.SiameseConfig`. pretrained: torchvision's
    ImageNet weights of the backbone, as its own .pth. zoom, lower: how faces are cut out, see
    `wplus_files.Framing`. landmarker: for faces that were not rendered.
    """

    backbone: str = "vgg16"
    size: int = 224
    share: float = 1.0
    hidden: int = 256
    pretrained: str | Path | None = None
    zoom: float = 1.0
    lower: float = 0.1
    landmarker: str | Path | None = None

    def __post_init__(self) -> None:
        check_options(self, size=32, share=(0, 1), zoom=(0, 2), lower=(0, 1))
        self.config()

    def config(self) -> SiameseConfig:
        """Of the network. ValueError for a backbone that is not known."""
        return SiameseConfig(SET_A, self.backbone, self.size, self.share, self.hidden)


class SiameseLoss(nn.Module):
    """Mean squared error of the differences, in fifths of the scale, both ways round at once."""

    def __init__(self, network: SiameseAU):
        super().__init__()
        self.network = network

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        seen = self.network(batch["pictures"], batch["references"])
        return mse_loss(seen.float() / TOP, batch["change"] / TOP)


class SiameseRecipe:
    """Reads pairs of pictures of one person from folders of faces."""

    Options = SiameseOptions
    settings = replace(ALIGNED, batch_size=16, learning_rate=1e-4, weight_decay=1e-2)
    units = SET_A

    def __init__(self, data: list[Path], options: SiameseOptions):
        framing = Framing(options.zoom, options.lower)
        self.faces = load_aligned(data, options.size, framing, SET_A, options.landmarker)
        self.people = SubjectRows(self.faces)
        network = SiameseAU(options.config())
        if options.pretrained:
            _fill(network, options.pretrained)
        self.module = SiameseLoss(network)

    def batch(self, size: int, generator: torch.Generator) -> dict[str, Tensor]:
        first, second, _ = self.people.draw(size, generator)
        pictures, references = (
            augmented(self.faces.pictures(rows), generator) for rows in (first, second)
        )
        # The units are bilateral, so a mirrored pair keeps its label.
        if torch.rand((), generator=generator) < 0.5:
            pictures, references = pictures.flip(-1), references.flip(-1)
        change = self.faces.aus[first] - self.faces.aus[second]
        return {"pictures": pictures, "references": references, "change": change}

    def save(self, module: SiameseLoss, folder: Path) -> None:
        settle_statistics(module.network.trunk, self.faces, self.faces.images.shape[1])
        save_siamese(module.network, folder / FILES[ESTIMATOR])


def _fill(network: SiameseAU, file: str | Path) -> None:
    """Torchvision's weights into the trunk. ValueError for those of another network."""
    found, trunk = read_tensors(file), network.trunk
    ours = {name.removeprefix("network."): name for name in trunk.state_dict()}
    shapes = {name: t.shape for name, t in trunk.state_dict().items()}
    if wrong := [n for n, o in ours.items() if getattr(found.get(n), "shape", None) != shapes[o]]:
        raise ValueError(
            f"{file} does not hold torchvision's {network.config.backbone} of the whole width: "
            f"{len(wrong)} tensors are missing or of another shape, such as {wrong[0]}"
        )
    trunk.load_state_dict({ours[n]: found[n] for n in ours})
