"""What the page's AU panel asks the server: the tables of FACS, and what an adapter knows.

The panel (web/js/) is drawn over AU Vector's plain widgets, which stay the values of the node.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from aiohttp import web

from au_adapter import facs
from au_adapter.bundled import demo_folder
from au_adapter.facs.conflicts import KINDS
from au_adapter.facs.presets import looks
from au_adapter.facs.units import PLACES, REFUSED, SET_B
from au_adapter.weights.adapter_files import read_known_units

from .au_adapter import adapter_path
from .compat import PromptServer

DEMO = "AUA_LoadDemoModel"  # the node whose adapter is in the box


def register() -> None:
    """Answer the panel; without a server there is nothing to do."""
    server = getattr(PromptServer, "instance", None)
    if server is None:
        return

    @server.routes.get("/au_adapter/facs")
    async def tables(request: web.Request) -> web.Response:
        return web.json_response(facs_tables())

    @server.routes.get("/au_adapter/words")
    async def words(request: web.Request) -> web.Response:
        try:
            return web.json_response(facs.AUVector.from_text(request.query.get("text", "")).dict())
        except ValueError as error:
            return web.json_response({"error": str(error)}, status=404)

    @server.routes.get("/au_adapter/known_units")
    async def known_units(request: web.Request) -> web.Response:
        try:
            return web.json_response(known_by(request.query))
        except (OSError, ValueError) as error:
            return web.json_response({"error": str(error)}, status=404)


def facs_tables() -> dict[str, Any]:
    """Units, places, notation, conflicts and looks, as the panel reads them."""
    return {
        "units": {
            number: {
                "name": unit.name,
                "plain": unit.plain or unit.name,
                "seen": unit.seen,
                "bilateral": unit.bilateral,
                "lip": number in facs.LIP_UNITS,
            }
            for number, unit in facs.UNITS.items()
        },
        "places": [{"name": name, "units": units} for name, units in PLACES.items()],
        "letters": facs.LETTERS,
        "default_intensity": facs.DEFAULT_INTENSITY,
        "refused": REFUSED,
        "kinds": KINDS,
        "conflicts": [asdict(rule) for rule in facs.CONFLICTS],
        "sets": {"set_a": facs.SET_A, "set_b": SET_B},
        "looks": [
            {
                "name": look.name,
                "other_names": other_names,
                "group": look.group,
                "source": look.source,
                "forms": _forms(look),
            }
            for look, other_names in looks()
        ],
    }


def known_by(query: Any) -> dict[str, Any]:
    """The units that a loader's adapter knows, and whether it keeps left and right apart.

    query: "node", the class of the loader, and "file" of Load AU-Adapter. OSError without the file,
    ValueError where it is no adapter.
    """
    bundled = query.get("node") == DEMO
    path = demo_folder() / "adapter.safetensors" if bundled else adapter_path(query.get("file", ""))
    units, sides = read_known_units(path)
    return {"units": units, "sides": sides}


def _forms(preset: facs.Preset) -> dict[str, dict[str, float]]:
    """The recipe in each form that it has, as {form: {code: intensity}}."""
    written = {form: getattr(preset, form) for form in ("full", "set_a", "set_b")}
    return {form: facs.parse_notation(text) for form, text in written.items() if text is not None}
