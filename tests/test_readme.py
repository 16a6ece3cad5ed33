"""The Python of the README and of the documentation runs as it stands.

Blocks marked `py` are parts of a program; the tutorials are run when the site is built.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PAGES = {
    str(path.relative_to(ROOT)): re.findall(r"```python\n(.*?)```", path.read_text(), re.DOTALL)
    for path in sorted((ROOT / "docs").rglob("*.md"))
    if "generated" not in path.parts
}
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_readme_has_examples() -> None:
    assert len(BLOCKS) >= 3


@pytest.mark.parametrize("block", range(len(BLOCKS)))
def test_an_example_of_the_readme_runs(block: int) -> None:
    exec(compile(BLOCKS[block], f"README example {block + 1}", "exec"), {"__name__": "__main__"})


@pytest.mark.parametrize(
    ("page", "block"),
    [(page, i) for page, blocks in PAGES.items() for i in range(len(blocks))],
)
def test_an_example_of_the_documentation_runs(page: str, block: int) -> None:
    exec(compile(PAGES[page][block], page, "exec"), {"__name__": "__main__"})


def test_every_file_that_the_readme_links_to_exists() -> None:
    root = Path(__file__).parents[1]
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert [link for link in links if "://" not in link and not (root / link).exists()] == []
