"""`make comfyui` that is asked to end takes its ComfyUI along."""

from __future__ import annotations

import subprocess
import sys

import psutil

from tools.server import ROOT


def test_a_launcher_that_is_terminated_leaves_no_comfyui_running() -> None:
    command = [sys.executable, "-m", "tools.server", "--no-browser"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as launcher:
        said = next(line for line in launcher.stdout if "Ctrl-C" in line)
        servers = psutil.Process(launcher.pid).children()
        launcher.terminate()
    assert said and len(servers) == 1
    _, alive = psutil.wait_procs(servers, timeout=120)
    assert not alive
