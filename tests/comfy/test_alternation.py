"""Prompts with an adapter, without, and with another one, in turn on one server."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from shipped import shipped_server

from benchmarks.alternation import alternate, graph, picture

PROMPTS = 16  # the benchmark does 200


def test_pictures_without_adapter_stay_a_fresh_servers(tmp_path: Path) -> None:
    with shipped_server(tmp_path) as server:
        fresh = picture(server, graph("off"))
        seen = alternate(server, fresh, PROMPTS)
        others = [picture(server, graph(kind)) for kind in ("on", "other")]
    assert seen.kinds.count("off") == PROMPTS // 2 and seen.different == []
    assert seen.sampled == PROMPTS
    assert seen.memory[-1] - seen.memory[PROMPTS // 2] < 50  # MB
    assert not np.array_equal(others[0], fresh) and not np.array_equal(*others)
