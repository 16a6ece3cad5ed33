"""How Sphinx builds the site: `make docs`. Every warning is an error, and nothing is loaded from
another server."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import pages  # noqa: E402
import references  # noqa: E402

import mos_agents  # noqa: E402

project = "MOS Agents"
author = "the MOS Agents authors"
copyright = author
version = release = mos_agents.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "myst_nb",
    "sphinx_copybutton",
]
templates_path: list[str] = []
exclude_patterns = ["_build"]
nitpicky = True
nitpick_ignore_regex = references.OUTSIDE
suppress_warnings = ["ref.python"]  # a short name in a type hint that two classes have

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

# Tutorials are run at every build: a cell that raises ends it.
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 240
nb_merge_streams = True
nb_output_stderr = "remove"  # libraries say there what they miss on this machine
nb_ipywidgets_js: dict[str, dict[str, str]] = {}  # the default is a script of another server

autosummary_generate = False
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
autodoc_type_aliases = {name: name for name in ("Array", "IntArray", "ArrayLike", "BoolArray")}
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
default_role = "literal"
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_title = "MOS Agents"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
copybutton_exclude = ".linenos, .gp, .go"


def setup(app) -> dict[str, bool]:  # type: ignore[no-untyped-def]
    pages.write(HERE / "generated")
    references.connect(app)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
