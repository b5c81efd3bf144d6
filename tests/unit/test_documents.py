"""README, docs/ and help pages: links lead somewhere, commands exist, the README stays short."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path

import click
import pytest

from au_adapter.bundled import AUEDITNET, VQAUFACE, aueditnet_folder, vqauface_folder
from au_adapter.cli import main
from au_adapter.facs.units import PLACES
from au_adapter.weights.downloads import DOWNLOADS
from tools.templates import TEMPLATES

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
HELP = ROOT / "web" / "docs"
PICTURES = HELP / "pictures"
PAGES = (ROOT / "README.md", *sorted(DOCS.glob("*.md")), *sorted(HELP.glob("*.md")))
README_WORDS = 900
WEIGHTS = {  # nodes whose weights may be missing in the box
    **dict.fromkeys(
        ("AUA_LoadAUEditNet", "AUA_InvertFace", "AUA_ApplyAUEditNet"),
        aueditnet_folder() / AUEDITNET,
    ),
    **dict.fromkeys(("AUA_LoadVQAUFace", "AUA_SampleVQAUFace"), vqauface_folder() / VQAUFACE),
}
PICTURES_SIZE = 3e6  # bytes of all pictures of the help pages
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
COMMAND = re.compile(r"(?<!\S)(?:`| {4})(?:au-adapter|python -m au_adapter) ([^`\n]+)")
TEMPLATE = re.compile(r"`(\d\d_[a-z0-9_]+)`")


def _name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def _anchors(page: Path) -> set[str]:
    """The names by which GitHub finds a page's headings."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if target.startswith(("https://", "http://")):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), f"{_name(page)} links to {target}"
        assert not anchor or anchor in _anchors(found), f"{_name(page)} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_commands_exist_with_their_options(page: Path) -> None:
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")  # lines that go on
    for line in COMMAND.findall(text):
        words = shlex.split(line.replace("...", ""), comments=True)
        command = main.get_command(click.Context(main), words[0].strip("`"))
        assert command is not None, f"{_name(page)}: au-adapter {line}"
        known = {text for option in command.params for text in option.opts}
        known |= {text for option in command.params for text in option.secondary_opts}
        asked = {word.partition("=")[0] for word in words[1:] if word.startswith("--")}
        assert asked <= known | {"--help"}, f"{_name(page)}: au-adapter {line}"
        if words[0] == "download" and len(words) > 1 and words[1].islower():
            assert words[1] in DOWNLOADS, f"{_name(page)}: au-adapter {line}"


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_templates_exist(page: Path) -> None:
    named = {*TEMPLATE.findall(page.read_text(encoding="utf-8"))}
    assert named <= {template.title for template in TEMPLATES.values()}, _name(page)


def test_every_template_has_its_place() -> None:
    text = (DOCS / "nodes.md").read_text(encoding="utf-8")
    assert [t.title for t in TEMPLATES.values() if f"`{t.title}`" not in text] == []


def test_the_readme_is_short_and_shows_the_first_steps() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.split()) <= README_WORDS
    install, first, clone = (text.index(f"\n## {title}\n") for title in STEPS)
    assert install < first < clone
    assert text.index("ComfyUI Manager") < text.index("git clone")
    assert clone < text.index("make demo") < text.index("make test")


STEPS = ("Install", "Your first face", "From a clone")


def test_the_readme_leads_to_every_page_of_docs() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [page.name for page in DOCS.glob("*.md") if f"(docs/{page.name}" not in text] == []


@pytest.mark.parametrize("unit", sum(PLACES.values(), ()))
def test_every_unit_has_its_picture(unit: int) -> None:
    for page in (DOCS / "facs.md", HELP / "AUA_AUVector.md"):
        assert f"pictures/au{unit}.jpg)" in page.read_text(encoding="utf-8"), _name(page)


@pytest.mark.parametrize("page", sorted(HELP.glob("*.md")), ids=_name)
def test_every_help_page_shows_a_picture(page: Path) -> None:
    if not WEIGHTS.get(page.stem, page).is_file():
        return  # nothing can be shown yet
    assert re.search(r"!\[[^\]]+\]\([\w/]+\.\w+\)", page.read_text(encoding="utf-8"))


def test_the_pictures_of_the_help_pages_stay_small() -> None:
    files = [*PICTURES.iterdir(), *HELP.glob("*.jpg")]
    assert sum(file.stat().st_size for file in files) < PICTURES_SIZE
    shown = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert [file.name for file in files if file.name not in shown] == []


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_python_parses_and_its_imports_exist(page: Path) -> None:
    for block in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        for statement in ast.parse(block).body:
            if isinstance(statement, ast.Import | ast.ImportFrom):
                exec(ast.unparse(statement), {})
