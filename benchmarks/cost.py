"""What the adapter costs: time of one sampling with it over time without, in interleaved pairs.

On a real ComfyUI: its own sampler, bundled model, 128 px, batch 1, guidance on. The pairs alternate
which comes first, so that a machine that slows down slows both.

    python -m benchmarks cost
"""

from __future__ import annotations

import json
import statistics
import time
from pathlib import Path

import numpy as np

from tools.demo_graphs import Graph, face_graph, node_of
from tools.server import ComfyServer

RESULTS = Path(__file__).parent / "results"
PAIRS = 40
WARM_UP = 3
PROMPT = "a portrait of a young woman with light skin and short brown hair, blue background"
BOUND = 1.05


def main() -> None:
    """Measure and write results/cost.{json,md}."""
    with_adapter, without = measure()
    ratios = [a / b for a, b in zip(with_adapter, without, strict=True)]
    median, low, high = median_interval(ratios)
    text = (
        "# Cost of the adapter\n\n"
        f"`python -m benchmarks cost`: {len(ratios)} interleaved pairs of one graph, bundled "
        "model, 128 px, batch 1, guidance on, ComfyUI's own execution time, server caches on for "
        "loaders.\n\n"
        "| | seconds, median |\n|---|---|\n"
        f"| with AU-Adapter | {statistics.median(with_adapter):.3f} |\n"
        f"| without | {statistics.median(without):.3f} |\n\n"
        f"Ratio, median of pairs: {median:.3f} (95% interval {low:.3f} to {high:.3f}); "
        f"aim: upper end at most {BOUND}.\n"
    )
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "cost.md").write_text(text, encoding="utf-8")
    content = {"with": with_adapter, "without": without, "ratio": [median, low, high]}
    (RESULTS / "cost.json").write_text(json.dumps(content, indent=1), encoding="utf-8")
    print(text)


def measure() -> tuple[list[float], list[float]]:
    """Seconds of each sampling with and without adapter, pair by pair."""
    times: dict[float, list[float]] = {1.0: [], 0.0: []}
    with ComfyServer(extra_arguments=()) as server:
        for pair in range(-WARM_UP, PAIRS):
            order = (1.0, 0.0) if pair % 2 else (0.0, 1.0)
            for strength in order:
                seconds = _run(server, _graph(pair + WARM_UP, strength))
                if pair >= 0:
                    times[strength].append(seconds)
    return times[1.0], times[0.0]


def _graph(seed: int, strength: float) -> Graph:
    graph = face_graph("12D+25C", PROMPT, seed, "cost", strength=strength)
    node_of(graph, "KSampler")["steps"] = 40
    return graph


def _run(server: ComfyServer, graph: Graph) -> float:
    started = time.perf_counter()
    history = server.wait(server.post_prompt(graph))
    messages = dict(history["status"]["messages"])
    if "execution_success" in messages:  # milliseconds by the server's own clock
        first, last = messages["execution_start"], messages["execution_success"]
        return (last["timestamp"] - first["timestamp"]) / 1000
    return time.perf_counter() - started


def median_interval(values: list[float], draws: int = 10_000) -> tuple[float, float, float]:
    """Median and its 95% bootstrap interval, seed 0."""
    generator = np.random.default_rng(0)
    samples = generator.choice(values, (draws, len(values)))
    low, high = np.percentile(np.median(samples, axis=1), [2.5, 97.5])
    return float(np.median(values)), float(low), float(high)


if __name__ == "__main__":
    main()
