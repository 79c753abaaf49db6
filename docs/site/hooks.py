"""Hooks of MkDocs: pages from outside ``docs/``, the generated reference, and a site that asks no other host.

Links that leave ``docs/`` work in the repository; here their targets join the site: the four pages for contributors
under ``project/``, every other file as it is under ``source/``, a folder with a list of its files.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "build" / "reference"
"""Written by ``python -m docs.site``, which needs the project and not MkDocs."""

PROJECT_PAGES = {
    "CHANGELOG.md": "project/changelog.md",
    "CODE_OF_CONDUCT.md": "project/code-of-conduct.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/security.md",
}
_LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)#\s]+)")
_LOADED = re.compile(
    r'<(?:script|img|iframe|source)[^>]* src="?https?:|<link[^>]*rel="?(?!canonical)[^>]*href="?https?:'
)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages and files that lie outside ``docs/``."""
    for source, place in PROJECT_PAGES.items():
        files.append(File.generated(config, place, abs_src_path=str(ROOT / source)))
    written = sorted(REFERENCE.glob("*.md"))
    if not written:
        raise PluginError(f"{REFERENCE} is empty: make docs writes it first")
    for page in written:
        files.append(File.generated(config, f"reference/{page.name}", content=page.read_text(encoding="utf-8")))
    links = {
        (link, page.src_uri) for page in files.documentation_pages() for link in _LINK.findall(page.content_string)
    }
    outside = {ROOT / path for link in links if not (path := _from_root(*link)).startswith("docs/")}
    folders = {path for path in outside if path.is_dir()}
    outside |= {file for folder in folders for file in folder.rglob("*")}
    for file in sorted(outside):
        path = file.relative_to(ROOT).as_posix()
        if file in folders:
            files.append(File.generated(config, f"source/{path}/README.md", content=_listing(file)))
        elif file.is_file() and path not in PROJECT_PAGES:
            files.append(File.generated(config, f"source/{path}", abs_src_path=str(file)))
    return files


def _listing(folder: Path) -> str:
    files = [file.relative_to(folder).as_posix() for file in sorted(folder.rglob("*")) if file.is_file()]
    return "\n".join([f"# {folder.relative_to(ROOT).as_posix()}\n", *(f"- [{file}]({file})" for file in files)])


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links to what lies outside ``docs/`` end at its place in the site."""
    del config, files
    here = page.file.src_uri

    def placed(link: re.Match[str]) -> str:
        path = _from_root(link[1], here)
        if path.startswith("docs/"):
            place = path.removeprefix("docs/")
        elif (ROOT / path).is_dir():
            place = f"source/{path}/README.md"
        else:
            place = PROJECT_PAGES.get(path, f"source/{path}")
        return posixpath.relpath(place, posixpath.dirname(here))

    return _LINK.sub(placed, markdown)


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Refuse a page that loads anything from another host: who reads how telemetry is turned off is told to nobody."""
    del config
    if found := _LOADED.search(output):
        raise PluginError(f"{page.file.src_uri} would load something from another host: {found[0]}")
    return output


def _from_root(target: str, page: str) -> str:
    """Return the path from the project's root of what a link on a page names."""
    sources = {place: source for source, place in PROJECT_PAGES.items()}
    here = page.removeprefix("source/") if page.startswith("source/") else sources.get(page, f"docs/{page}")
    return posixpath.normpath(posixpath.join(posixpath.dirname(here), target))
