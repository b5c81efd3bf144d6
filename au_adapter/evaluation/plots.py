"""Plots of reports and calibrations as pictures, by matplotlib (extra `eval`)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ..metrics import checks
from ..models.calibration import Calibration
from . import sides
from .fit_calibration import Observations
from .report import Report

SIZE = (8.0, 5.0)  # inches
RESOLUTION = 120  # dots an inch
ASKED, SEEN, REST, INK = "#c9ccd3", "#2f6fb0", "#d98c3f", "#33363d"


def report_plots(report: Report) -> Tensor:
    """Pictures [P, H, W, 3] of a report: bars of every AU, a scatter of the batch, and, where
    single AUs were asked for, a map of what each did to the others."""
    plots, (rows, values) = [bar_chart(report), scatter(report)], cross_talk(report)
    if len(rows) > 1:
        plots.append(cross_talk_map(report, rows, values))
    return torch.cat(plots)


def bar_chart(report: Report) -> Tensor:
    """Requested and measured intensity of each AU, over the pictures that ask: [1, H, W, 3]."""
    asked, seen = _both(report)
    # An AU that nobody asks for is shown over all pictures, the others where they are asked for.
    seen = np.where(np.isfinite(asked) | np.isnan(asked).all(0), seen, np.nan)
    axes = _axes("Asked for and measured", report)
    names = [sides.label(column) for column in report.columns]
    place = np.arange(len(names))
    axes.bar(place - 0.2, _means(asked), 0.4, color=ASKED, label="asked for")
    spread = {"yerr": _spread(seen), "ecolor": INK, "capsize": 2, "error_kw": {"lw": 0.8}}
    axes.bar(place + 0.2, _means(seen), 0.4, color=SEEN, label="measured", **spread)
    axes.set_xticks(place, names, rotation=45 if len(names) > 9 else 0)
    axes.set_ylim(min(0.0, np.nanmin([0.0, *_means(asked)])), 5.2)
    axes.set_ylabel("intensity (0..5), mean of pictures")
    axes.legend(frameon=False, ncols=2, loc="upper right")
    return _pixels(axes.figure)


def scatter(report: Report) -> Tensor:
    """Every AU that a picture asks for: requested against measured. [1, H, W, 3]."""
    (asked, seen), axes = _both(report), _axes("Each picture", report)
    axes.plot([0, 5], [0, 5], color=ASKED, lw=1.5, zorder=0, label="as asked for")
    shown = [i for i in range(asked.shape[1]) if np.isfinite(asked[:, i] + seen[:, i]).any()]
    for order, column in enumerate(shown):
        colour, marker = f"C{order % 10}", "osD^"[order // 10 % 4]
        label = sides.label(report.columns[column])
        axes.scatter(asked[:, column], seen[:, column], s=26, marker=marker, alpha=0.8,
                     color=colour, linewidths=0, label=label)  # fmt: skip
    axes.set_xlabel("asked for")
    axes.set_ylabel("measured")
    axes.set_ylim(-0.2, 5.2)
    axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return _pixels(axes.figure)


def cross_talk(report: Report) -> tuple[list[sides.Column], np.ndarray]:
    """What asking for one AU does to all: the columns that were asked for alone, U of them, and the
    change [U, K] of every AU for each intensity asked for, by least squares through all pictures
    (a line with an intercept); NaN where an AU was asked for at one intensity only."""
    asked, seen = _both(report)
    read = [bool(row.measured) for row in report.scored()]
    rows, found = [], []
    for i, column in enumerate(report.columns):
        others = np.delete(np.nan_to_num(asked), i, 1)
        own = read & np.isfinite(asked[:, i]) & ~others.any(1)
        levels = asked[own, i]
        if len(set(levels)) > 1:
            centred, change = levels - levels.mean(), seen[own] - seen[own].mean(0)
            found.append((centred[:, None] * change).sum(0) / (centred**2).sum())
            rows.append(column)
    return rows, np.array(found)


def cross_talk_map(report: Report, rows: list[sides.Column], values: np.ndarray) -> Tensor:
    """`cross_talk` as a heat map; a perfect adapter is 1 on the diagonal and 0 beside it."""
    axes = _axes("What asking for one AU does to the others", report)
    names = [sides.label(column) for column in report.columns]
    image = axes.imshow(values, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
    axes.set_xticks(range(len(names)), names, rotation=45)
    axes.set_yticks(range(len(rows)), [sides.label(column) for column in rows])
    axes.set_xlabel("measured")
    axes.set_ylabel("asked for")
    for (row, column), value in np.ndenumerate(values):
        colour = "white" if abs(value) > 0.6 else INK
        axes.text(column, row, f"{value:.1f}".replace("-0.0", "0.0"), ha="center",
                  va="center", fontsize=7, color=colour)  # fmt: skip
    axes.figure.colorbar(image, ax=axes, label="change for each intensity asked for")
    return _pixels(axes.figure)


def calibration_plot(calibration: Calibration, seen: list[Observations]) -> Tensor:
    """The response curves and the readings that they were fitted to, a panel each. [1, H, W, 3]."""
    figure, columns = _figure(), min(4, len(seen))
    panels = figure.subplots(-(-len(seen) // columns), columns, squeeze=False, sharey=True)
    for axes in panels.flat[len(seen) :]:
        axes.set_axis_off()
    for axes, one in zip(panels.flat, seen, strict=False):
        curve = calibration.curves[one.unit]
        axes.plot([0, 5], [0, 5], color=ASKED, lw=1.5)
        axes.scatter(one.requested, one.measured, s=9, color=REST, alpha=0.6, linewidths=0)
        axes.plot(curve.requested, curve.measured, color=SEEN, lw=2)
        silent = "" if curve.responds else ": does not answer"
        axes.set_title(f"AU{one.unit}{silent}", fontsize=9)
        axes.set_xlim(min(0.0, curve.requested[0]), max(5.0, curve.requested[-1]))
        axes.set_ylim(-0.2, 5.2)
    figure.supxlabel("asked for", fontsize=9)
    figure.supylabel(f"measured, by {calibration.estimator}", fontsize=9)
    return _pixels(figure)


def sentence_picture(text: str) -> Tensor:
    """A picture [1, H, W, 3] that says `text`, where there can be no plot."""
    image = Image.new("RGB", (960, 120), "white")
    font = ImageFont.load_default(16)
    lines, line = [], ""
    for word in text.split():
        if font.getlength(f"{line} {word}") > image.width - 40:
            lines, line = [*lines, line], word
        else:
            line = f"{line} {word}".strip()
    ImageDraw.Draw(image).multiline_text((20, 20), "\n".join([*lines, line]), INK, font)
    return _tensor(np.asarray(image))


def _figure() -> Any:
    """A figure without a window."""
    module = checks.optional("A plot", "matplotlib.figure")
    return module.Figure(figsize=SIZE, dpi=RESOLUTION, layout="constrained")


def _axes(title: str, report: Report) -> Any:
    axes = _figure().subplots()
    axes.set_title(f"{title}, by {report.header.estimator}", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def _pixels(figure: Any) -> Tensor:
    canvas = checks.optional("A plot", "matplotlib.backends.backend_agg").FigureCanvasAgg(figure)
    canvas.draw()
    return _tensor(np.asarray(canvas.buffer_rgba())[..., :3])


def _tensor(pixels: np.ndarray) -> Tensor:
    return torch.from_numpy(pixels.astype(np.float32) / 255)[None]


def _both(report: Report) -> tuple[np.ndarray, np.ndarray]:
    """What was asked for [N, K], NaN where a column was not, and measured, NaN without a face."""
    rows, shape = report.scored(), (-1, len(report.columns))
    asked = [sides.asked(row.requested, column) for row in rows for column in report.columns]
    seen = [(row.measured or {}).get(str(column)) for row in rows for column in report.columns]
    return tuple(np.array(values, float).reshape(shape) for values in (asked, seen))


def _means(values: np.ndarray) -> np.ndarray:
    """The mean of each column over what is there; 0 where nothing is."""
    count = np.isfinite(values).sum(0)
    return np.nansum(values, 0) / np.maximum(count, 1)


def _spread(values: np.ndarray) -> np.ndarray:
    """The standard deviation of each column over what is there."""
    count = np.maximum(np.isfinite(values).sum(0), 1)
    return np.sqrt(np.nansum((values - _means(values)) ** 2, 0) / count)
