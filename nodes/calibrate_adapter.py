"""Calibrate AU-Adapter: from the readings of a sweep to sliders that measure what they say."""

from __future__ import annotations

from torch import Tensor

from au_adapter.estimators.reading import ReadingSet
from au_adapter.evaluation.fit_calibration import PRICE, changes, fit_calibration, observations
from au_adapter.evaluation.plots import calibration_plot
from au_adapter.facs import AUVector
from au_adapter.models.adapter import AUAdapter

from .au_evaluator import plot_or_reason
from .compat import io, show_text
from .node import Node
from .sockets import AUAdapterSocket, AUReadingSocket, AUVectorSocket


class CalibrateAUAdapter(Node):
    """Gives an AU-Adapter the response curves that a sweep measured, so that a requested 3 measures
    3 where AU Encoder has `calibrated` on.

    au_adapter: The adapter that drew the sweep.
    au_vector: What the sweep asked for, from AU Sweep: one vector for each picture. Each AU that
        varies alone gets a curve.
    au_reading: What AU Estimator read in the pictures of the sweep.
    AU_ADAPTER: The same adapter with the curves added to those it had. Chain one node for each
        sweep; Save AU-Adapter keeps them.
    plot: Readings and curves.
    """

    passes = "au_adapter"

    @classmethod
    def define_schema(cls) -> io.Schema:
        return cls.schema(
            "Calibrate AU-Adapter",
            family="read and measure",
            aliases=["FACS", "action units", "response", "linear", "slider", "isotonic"],
            inputs=[
                AUAdapterSocket.Input("au_adapter"),
                AUVectorSocket.Input("au_vector"),
                AUReadingSocket.Input("au_reading"),
                io.Image.Input(
                    "images",
                    optional=True,
                    tooltip="The pictures of the sweep, which begins at 0. With them it counts how "
                    f"much a picture changes: {1 / PRICE:g} (RMSE, 0..1) is as bad as to miss by "
                    "one intensity.",
                ),
            ],
            outputs=[AUAdapterSocket.Output(), io.Image.Output(display_name="plot")],
            shows_text=True,
        )

    @classmethod
    def execute(
        cls,
        au_adapter: AUAdapter,
        au_vector: AUVector,
        au_reading: ReadingSet,
        images: Tensor | None = None,
    ) -> io.NodeOutput:
        costs = None if images is None else PRICE * changes(au_vector, images)
        newer = fit_calibration(au_vector, au_reading, costs=costs)
        older = au_adapter.calibration
        calibration = newer if older is None else older.joined(newer)
        seen = observations(au_vector, au_reading)
        plot = plot_or_reason(lambda: calibration_plot(newer, seen))
        silent = ", ".join(f"AU{unit}" for unit in newer.unresponsive())
        told = f"{silent} did not answer and stays as asked for" if silent else ""
        adapter = au_adapter.with_calibration(calibration)
        return io.NodeOutput(adapter, plot, ui=show_text(cls, told))
