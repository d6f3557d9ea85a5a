"""The site: it builds without a warning, leads nowhere wrong, and asks no other host when it is opened."""

from __future__ import annotations

import re
import shlex
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).parents[2]
BUILDER = ROOT / "build/docs-venv/bin/sphinx-build"

# Few who run tests have made it: it is there after `make docs`.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not BUILDER.exists(), reason="there is no Sphinx here: make docs"),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the Makefile's own command builds, elsewhere."""
    command = re.search(r"^\t@(build/docs-venv/bin/sphinx-build .*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert command is not None
    folder = tmp_path_factory.mktemp("site")
    words = [
        str(folder / word.removeprefix("build/")) if word in {"build/docs", "build/docs-doctrees"} else word
        for word in shlex.split(command[1])
    ]
    assert {"-W", "--keep-going"} <= set(words)
    ran = subprocess.run(words, cwd=ROOT, check=False, capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (0, "")
    return folder / "docs"


class Page(HTMLParser):
    """What a page defines, leads to, and loads."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if name := found.get("id"):
            self.ids.add(name)
        if tag == "a" and (target := found.get("href")):
            self.links.append(target)
        if tag in {"script", "img", "iframe", "source", "object"}:
            self.loaded += [target for name in ("src", "data") if (target := found.get(name))]
        if tag == "link" and (target := found.get("href")):
            self.loaded.append(target)


def test_every_page_is_there_and_every_link_leads_to_a_place_on_one(site: Path) -> None:
    pages = {path.resolve(): Page(path) for path in site.rglob("*.html") if "_static" not in path.parts}
    sources = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    built = [(site / path.relative_to(ROOT)).with_suffix(".html") for path in sources]
    assert len(built) > 30
    assert [path for path in built if path.resolve() not in pages] == []
    dead = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme in {"http", "https"}:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            known = pages[target].ids | {""} if target in pages else {""}
            if not target.exists() or unquote(parts.fragment) not in known:
                dead.append(f"{path.name}: {link}")
    assert dead == []


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    pages = [path for path in site.rglob("*.html") if "_static" not in path.parts]
    loaded = {target for path in pages for target in Page(path).loaded}
    assert any(".css" in target for target in loaded)
    assert [target for target in loaded if re.match(r"(https?:)?//", target)] == []
    styles = "".join(path.read_text() for path in site.rglob("*.css"))
    assert re.findall(r"""(?:@import\s+["']|url\(["']?)(?:https?:)?//[^)"']*""", styles) == []


def test_its_first_page_and_its_search_need_no_server(site: Path) -> None:
    assert (site / "index.html").read_bytes() == (site / "README.html").read_bytes()
    assert "searchtools.js" in (site / "search.html").read_text()
    # A script rather than JSON: a browser loads no JSON from a folder.
    index = (site / "searchindex.js").read_text()
    assert index.startswith("Search.setIndex(")
    assert "docs/reference/postgres" in index
