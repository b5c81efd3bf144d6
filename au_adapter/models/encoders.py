"""AU encoders: AU intensities become tokens of the text embedding's width.

The six encoders compared in FineFace (arXiv 2407.20175) Table 2, defined in its supplement under
"AU Encoders". `res_mlp64` is the published one; its "MLP" is a single Linear without a
nonlinearity, and so it is here. The supplement does not say whether the individual MLPs give a
token each or one together: both are here. `SidedEncoder`, for left and right apart, is ours.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import pad


class TokenEncoder(nn.Module):
    """Maps AU intensities float [N, K] (usually 0..5) to tokens float [N, T, width]."""

    tokens = 1  # T, for each AU vector

    def __init__(self, unit_count: int, width: int, columns: int = 0) -> None:
        """columns: the least width that holds what it gives. ValueError for a smaller one."""
        super().__init__()
        self.unit_count, self.width = unit_count, width
        if columns > width:
            raise ValueError(
                f"{type(self).__name__} of {unit_count} AUs needs a width of at least {columns}, "
                f"the cross-attention is {width} wide: choose another encoder or fewer AUs"
            )

    def _one_token(self, *parts: Tensor) -> Tensor:
        """Parts [N, *] concatenated and padded with zeros to one token [N, 1, width]."""
        row = torch.cat(parts, dim=-1)
        return pad(row, (0, self.width - row.shape[-1])).unsqueeze(1)


class NoEncoding(TokenEncoder):
    """The raw values, then zeros."""

    def __init__(self, unit_count: int, width: int) -> None:
        super().__init__(unit_count, width, unit_count)

    def forward(self, values: Tensor) -> Tensor:
        return self._one_token(values)


class MLPEncoder(TokenEncoder):
    """A Linear to the whole width, without the raw values."""

    def __init__(self, unit_count: int, width: int) -> None:
        super().__init__(unit_count, width)
        self.mlp = nn.Linear(unit_count, width)

    def forward(self, values: Tensor) -> Tensor:
        return self._one_token(self.mlp(values))


class ResidualEncoder(TokenEncoder):
    """The raw values, then their MLP, then zeros."""

    def __init__(self, unit_count: int, width: int, mlp: nn.Module, columns: int) -> None:
        super().__init__(unit_count, width, unit_count + columns)
        self.mlp = mlp

    def forward(self, values: Tensor) -> Tensor:
        return self._one_token(values, self.mlp(values))


class ResMLPEncoder(ResidualEncoder):
    """The raw values, then a Linear that fills the rest of the width (FineFace's SD 1.5 file)."""

    def __init__(self, unit_count: int, width: int) -> None:
        columns = max(width - unit_count, 1)
        super().__init__(unit_count, width, nn.Linear(unit_count, columns), columns)


class ResMLP64Encoder(ResidualEncoder):
    """The raw values, a Linear of 64 outputs, zeros (FineFace's SD 2.1 file, "Ours" in Table 2)."""

    def __init__(self, unit_count: int, width: int) -> None:
        super().__init__(unit_count, width, nn.Linear(unit_count, 64), 64)


class Res3MLPEncoder(ResidualEncoder):
    """The raw values, a three layer MLP with normalisation and leaky ReLUs, zeros.

    The supplement leaves the widths open; here 64 throughout, as in the encoder that it extends.
    """

    def __init__(self, unit_count: int, width: int) -> None:
        mlp = nn.Sequential(
            nn.Linear(unit_count, 64), nn.LayerNorm(64), nn.LeakyReLU(),
            nn.Linear(64, 64), nn.LayerNorm(64), nn.LeakyReLU(),
            nn.Linear(64, 64),
        )  # fmt: skip
        super().__init__(unit_count, width, mlp, 64)


class IndividualEncoder(TokenEncoder):
    """One MLP for each AU and one for their interactions: K + 1 tokens, the interactions last."""

    def __init__(self, unit_count: int, width: int) -> None:
        super().__init__(unit_count, width)
        self.individual = nn.ModuleList(nn.Linear(1, width) for _ in range(unit_count))
        self.interactions = nn.Linear(unit_count, width)

    @property
    def tokens(self) -> int:
        return self.unit_count + 1

    def forward(self, values: Tensor) -> Tensor:
        each = [mlp(values[:, i : i + 1]) for i, mlp in enumerate(self.individual)]
        return torch.stack([*each, self.interactions(values)], dim=1)


class SummedEncoder(IndividualEncoder):
    """The same MLPs, whose answers add to one token: the other reading of the supplement."""

    tokens = 1

    def forward(self, values: Tensor) -> Tensor:
        return super().forward(values).sum(1, keepdim=True)


class SidedEncoder(TokenEncoder):
    """Tokens of the left side, then of the right, by one encoder for both. Not in the paper.

    FineFace's single token adds the same at every position, so left and right can hardly be
    learned apart. With one token per side, the query of each position attends to its own side. The
    last column marks the side, so that keys differ where the intensities do not.
    """

    MARK = 4.0  # + left, - right: the size of an intensity, so that keys learn it as fast

    def __init__(self, one_side: TokenEncoder) -> None:
        """one_side: an encoder of K AUs. Values are [N, 2 K]: left of every AU, then right."""
        super().__init__(2 * one_side.unit_count, one_side.width)
        self.one_side = one_side

    @property
    def tokens(self) -> int:
        return 2 * self.one_side.tokens

    def forward(self, values: Tensor) -> Tensor:
        left, right = map(self.one_side, values.chunk(2, dim=1))
        mark = pad(left.new_tensor([self.MARK]), (self.width - 1, 0))
        return torch.cat([left + mark, right - mark], dim=1)


TOKEN_ENCODERS: dict[str, type[TokenEncoder]] = {
    "none": NoEncoding,
    "mlp": MLPEncoder,
    "res_mlp": ResMLPEncoder,
    "res_mlp64": ResMLP64Encoder,
    "res_3mlp": Res3MLPEncoder,
    "individual": IndividualEncoder,
    "individual_sum": SummedEncoder,
}


def build_encoder(name: str, unit_count: int, width: int, sides: bool = False) -> TokenEncoder:
    """The encoder `name` of TOKEN_ENCODERS, for `unit_count` AUs and tokens of `width`; with
    `sides`, its inputs are the left of every AU, then the right."""
    if name not in TOKEN_ENCODERS:
        raise ValueError(
            f"unknown AU encoder {name!r}, expected one of {', '.join(TOKEN_ENCODERS)}"
        )
    encoder = TOKEN_ENCODERS[name](unit_count, width)
    return SidedEncoder(encoder) if sides else encoder
