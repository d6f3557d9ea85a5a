"""The site: Sphinx, MyST and Furo, built by `make docs` from the pages as they stand.

The pages are plain Markdown, so that they read the same in the repository. What only the site needs is here: which
pages stand where in its navigation, and an index.html.
"""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]

project = "rotators"
author = "the contributors of rotators"
project_copyright = author
version = release = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

extensions = ["myst_parser"]
# Sources are read from the repository's root: links from a page to README, CHANGELOG or rotations.yaml lead there.
root_doc = "README"
include_patterns = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "docs/**.md"]
exclude_patterns = [".*", "build", "cdk.out", "dist"]
source_suffix = {".md": "markdown"}
myst_heading_anchors = 4
# What is indented is a command, an answer or JSON: not Python.
highlight_language = "none"
nitpicky = True
# Pygments reads less of Terraform's language than Terraform does.
suppress_warnings = ["misc.highlighting_failure"]

html_theme = "furo"
html_title = f"rotators {version}"
html_copy_source = False
html_show_sphinx = False
html_use_index = False

# The first pages of each part. All others of its folders follow by name, so that a new page is never left out.
PARTS = {
    "Start": [
        "docs/README",
        "docs/tutorial/*",
        "docs/how-to/choose-a-strategy",
        "docs/explanation/comparison",
        "docs/reference/glossary",
    ],
    "Guides": [
        "docs/how-to/rotate-postgres",
        "docs/how-to/rotate-mysql",
        "docs/how-to/rotate-sqlserver",
        "docs/how-to/rotate-oracle",
        "docs/how-to/rotate-db2",
        "docs/how-to/rotate-documentdb",
        "docs/how-to/rotate-redshift",
        "docs/how-to/prepare-your-application",
        "docs/how-to/deploy",
        "docs/how-to/use-in-a-cdk-app",
        "docs/how-to/deploy-with-other-tools",
        "docs/how-to/replace-awss-template",
        "docs/how-to/*",
    ],
    "Databases": [
        "docs/reference/postgres",
        "docs/reference/mysql",
        "docs/reference/sqlserver",
        "docs/reference/oracle",
        "docs/reference/db2",
        "docs/reference/mongo",
        "docs/reference/redshift",
        "docs/reference/conformance",
        "docs/reference/chaos",
        "docs/reference/beliefs",
    ],
    "Reference": [
        "docs/reference/strategies",
        "docs/reference/secret",
        "docs/reference/settings",
        "docs/reference/rotations",
        "docs/reference/cli",
        "docs/reference/*",
    ],
    "Explanation": ["docs/explanation/how-a-rotation-works", "docs/explanation/security", "docs/explanation/*"],
    "Project": ["CHANGELOG", "CONTRIBUTING", "SECURITY"],
}


def _add_navigation(_app: Any, docname: str, source: list[str]) -> None:
    """Append the navigation to the first page, where the repository's readers never see it."""
    if docname == root_doc:
        for caption, pages in PARTS.items():
            source[0] += f"\n\n```{{toctree}}\n:hidden:\n:glob:\n:caption: {caption}\n\n" + "\n".join(pages) + "\n```\n"


def _add_index(app: Any, failure: Exception | None) -> None:
    """Have the folder open on the first page: a web server and a file browser look for index.html."""
    if failure is None and app.builder.name == "html":
        shutil.copyfile(app.outdir / f"{root_doc}.html", app.outdir / "index.html")


def setup(app: Any) -> dict[str, bool]:
    """Have Sphinx call the two above."""
    app.connect("source-read", _add_navigation)
    app.connect("build-finished", _add_index)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
