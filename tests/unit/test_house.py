"""The rules of the house: what may import what, how long a file may be, what a package holds."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path

import pytest

import au_adapter

ROOT = Path(au_adapter.__file__).parent.parent
LIBRARY = sorted((ROOT / "au_adapter").rglob("*.py"))
NODES = sorted((ROOT / "nodes").rglob("*.py"))
TOOLS = sorted((ROOT / "tools").rglob("*.py"))
BENCHMARKS = sorted((ROOT / "benchmarks").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
ENTRY = ROOT / "__init__.py"
OURS = [ENTRY, *LIBRARY, *NODES, *TOOLS, *TESTS]
CACHES = {"__pycache__", "cache"}  # what Python and a training keep beside their files
# ComfyUI's top-level modules, which exist in its own process only.
COMFYUI = (
    "comfy",
    "comfy_api",
    "comfy_api_nodes",
    "comfy_config",
    "comfy_execution",
    "comfy_extras",
    "execution",
    "folder_paths",
    "latent_preview",
    "node_helpers",
    "nodes",
    "server",
)
# Which room may import which. The library's rooms from the ground up; every arrow points down.
GROUND = {"disk", "load_object", "processes"}
ARROWS: dict[str, set[str]] = {
    "disk": set(),
    "load_object": set(),
    "processes": set(),
    "facs": set(),
    "metrics": set(),
    "models": {"facs"},
    "weights": {"models", "facs", *GROUND},
    "faces": {"weights", *GROUND},
    "bundled": {"weights", "models", *GROUND},
    "data": {"faces", "weights", "models", "facs", *GROUND},
    "bases": {"bundled", "weights", "models", "facs", *GROUND},
    "estimators": {"data", "bundled", "faces", "weights", "models", "facs", *GROUND},
}
ARROWS["methods"] = {"bases", "estimators", *ARROWS["bases"], *ARROWS["estimators"]}
ARROWS["evaluation"] = {"methods", "metrics", *ARROWS["methods"]}
ARROWS["training"] = {"evaluation", *ARROWS["evaluation"]}
ARROWS["cli"] = {"entry", "training", *ARROWS["training"]}
ARROWS["entry"] = set()
ARROWS["nodes"] = {"entry", "training", *ARROWS["training"]}
ARROWS["tools"] = {"entry", "cli", "training", *ARROWS["training"]}
ARROWS["benchmarks"] = {"tools", *ARROWS["tools"]}
# The one import in a function that closes a circle: AUVector.from_text is part of the contract.
LATE = [("au_adapter.facs.vector", "au_adapter.facs.understanding")]
IMPORT_ALL = f"""
import importlib, pkgutil, sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in {COMFYUI!r}:
            raise ImportError('the library asked for ' + name)
sys.meta_path.insert(0, Refuse())
import au_adapter
for module in pkgutil.walk_packages(au_adapter.__path__, 'au_adapter.'):
    if not module.name.endswith('__main__'):
        importlib.import_module(module.name)
for name in au_adapter.__all__:
    getattr(au_adapter, name)
"""


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _imported(path: Path) -> set[str]:
    """The top-level packages that a file imports absolutely."""
    names = set()
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module)
    return {name.partition(".")[0] for name in names}


@pytest.mark.parametrize("path", LIBRARY, ids=_name)
def test_the_library_names_no_module_of_comfyui(path: Path) -> None:
    assert not _imported(path) & set(COMFYUI)


def test_the_library_loads_without_comfyui() -> None:
    answer = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL], capture_output=True, text=True, cwd=ROOT
    )
    assert answer.returncode == 0, answer.stderr


def _module(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports_of(path: Path, modules: set[str]) -> set[str]:
    """The modules of this project that a file imports, relative imports resolved."""
    here = path.relative_to(ROOT).parent.parts
    found: set[str] = set()
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level + 1] if node.level else ()
            package = ".".join([*base, *([node.module] if node.module else [])])
            names = {f"{package}.{alias.name}" for alias in node.names}
            found |= {name if name in modules else package for name in names}
    return found & modules - {_module(path)}


def _arrows() -> dict[str, set[str]]:
    """Module -> the modules of this project that it imports."""
    paths = {_module(path): path for path in (*LIBRARY, *NODES, *TOOLS, *BENCHMARKS)}
    return {module: _imports_of(path, {*paths}) for module, path in paths.items()}


def _room(module: str) -> str:
    """The room of a module: a package of the library, or a folder beside it."""
    top, *rest = module.split(".")
    if top != "au_adapter":
        return top
    if rest == ["__main__"]:
        return "cli"
    return rest[0] if rest else "entry"


def _circle(arrows: dict[str, set[str]]) -> list[str]:
    """Some modules or rooms that import each other in a ring; empty where there are none."""
    state: dict[str, bool] = {}  # in progress: False, done: True

    def visit(name: str, trail: list[str]) -> list[str]:
        if name in state:
            return [] if state[name] else trail[trail.index(name) :]
        state[name] = False
        for other in sorted(arrows.get(name, ())):
            if ring := visit(other, [*trail, other]):
                return ring
        state[name] = True
        return []

    return next((ring for name in sorted(arrows) if (ring := visit(name, [name]))), [])


def _unexpected(arrows: dict[str, set[str]]) -> set[str]:
    """The arrows between rooms that the list below does not allow, as "from -> to"."""
    found = set()
    for module, others in arrows.items():
        here = _room(module)
        rooms = {_room(other) for other in others} - {here}
        found |= {f"{here} -> {room}" for room in rooms - ARROWS.get(here, set())}
    return found


def test_every_arrow_between_rooms_is_on_the_list() -> None:
    assert _unexpected(_arrows()) == set()


def test_the_list_of_arrows_has_no_circle_and_knows_every_room() -> None:
    assert _circle(ARROWS) == []
    assert {_room(module) for module in _arrows()} <= {*ARROWS}


def test_no_files_import_each_other_in_a_circle() -> None:
    arrows = _arrows()
    for module, late in LATE:
        assert late in arrows[module]
        arrows[module] = arrows[module] - {late}
    assert _circle(arrows) == []


def test_a_new_arrow_and_a_new_circle_are_noticed() -> None:
    up = _arrows()
    up["au_adapter.facs.vector"] = up["au_adapter.facs.vector"] | {"au_adapter.models.adapter"}
    assert _unexpected(up) == {"facs -> models"}
    assert _circle(up) != []


def test_every_file_has_a_name_of_its_own() -> None:
    names = Counter(p.name for p in (*LIBRARY, *NODES) if not p.name.startswith("__"))
    assert [name for name, times in names.items() if times > 1] == []


@pytest.mark.parametrize("path", OURS, ids=_name)
def test_a_file_can_be_held_in_mind(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= (60 if path == ENTRY else 400)


@pytest.mark.parametrize("path", [ENTRY, *LIBRARY, *NODES], ids=_name)
def test_nothing_is_printed_and_no_error_swallowed(path: Path) -> None:
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id != "print", f"line {node.lineno}: use the logger"
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"line {node.lineno}: name what is caught"
            silent = all(isinstance(statement, ast.Pass) for statement in node.body)
            assert not silent, f"line {node.lineno}: an error passes in silence"


def test_no_path_of_one_machine() -> None:
    pattern = re.compile(r"(^|[^\w.\-/])/(home|root|Users|work)/\w")
    suffixes = {".py", ".md", ".toml", ".yml", ".json", ".js", ".txt"}
    folders = ("au_adapter", "nodes", "tools", "workflows", "web", "locales", "tests", ".ci")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*")]
    for path in [*files, *ROOT.glob("*.*")]:
        if path.suffix in suffixes and path.is_file() and path.name != "tokenizer.json":
            text = path.read_text(encoding="utf-8")
            assert not pattern.search(text), _name(path)


def test_the_entry_does_nothing_outside_comfyui() -> None:
    code = "import importlib.util as u, sys; s = u.spec_from_file_location('pack', '__init__.py');\
            m = u.module_from_spec(s); s.loader.exec_module(m); print(m.WEB_DIRECTORY);\
            assert not {'torch', 'comfy', 'pack.nodes'} & sys.modules.keys()"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert answer.stdout.strip() == "./web", answer.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built from a copy of what belongs to it."""
    copy = tmp_path_factory.mktemp("project")
    ignore = shutil.ignore_patterns(*CACHES)
    shutil.copytree(ROOT / "au_adapter", copy / "au_adapter", ignore=ignore)
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, copy)
    build = "import setuptools.build_meta as b; print(b.build_wheel('.'))"
    command = [sys.executable, "-c", build]
    answer = subprocess.run(command, capture_output=True, text=True, cwd=copy)
    assert answer.returncode == 0, answer.stderr
    with zipfile.ZipFile(copy / answer.stdout.split()[-1]) as archive:
        yield archive


def test_the_wheel_holds_every_file_of_the_library(wheel: zipfile.ZipFile) -> None:
    files = (path for path in (ROOT / "au_adapter").rglob("*") if path.is_file())
    expected = {_name(path) for path in files if not CACHES & {*path.parts}}
    assert expected - {*wheel.namelist()} == set()


def test_the_wheel_says_what_it_is(wheel: zipfile.ZipFile) -> None:
    folder = f"au_adapter-{au_adapter.__version__}.dist-info"
    metadata = wheel.read(f"{folder}/METADATA").decode()
    assert f"\nVersion: {au_adapter.__version__}\n" in metadata
    for extra in ("train", "render", "eval", "demo", "test"):
        assert f"\nProvides-Extra: {extra}\n" in metadata
    assert "au-adapter = au_adapter.cli:main" in wheel.read(f"{folder}/entry_points.txt").decode()
    names = " ".join(wheel.namelist())
    assert "LICENSE" in names and "NOTICE" in names
