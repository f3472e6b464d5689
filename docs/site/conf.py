"""What Sphinx is told of the documentation site.

tools/docs starts it, with a copy of the documents and of the package below this file's directory.
"""

import sys
from pathlib import Path

from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx

SOURCE = Path(__file__).resolve().parent
sys.path.insert(0, str(SOURCE / "src"))

project = "dropin-cache"
author = "the dropin-cache developers"
copyright = f"2026, {author}"
release = version = (SOURCE / "version").read_text(encoding="utf-8").strip()

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["src", "docs/examples", "hooks/ansible/CHANGELOG.md"]

myst_enable_extensions = ["deflist"]
myst_heading_anchors = 4

default_role = "code"  # of docstrings, which are written for who reads them in the source
autodoc_member_order = "groupwise"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"

html_theme = "furo"
html_title = f"dropin-cache {version}"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False
toc_object_entries_show_parents = "hide"

# For `make docs ARGS=--external` alone.
linkcheck_ignore = [r"https://example\.org/.*"]
linkcheck_timeout = 20


def setup(app: Sphinx) -> None:
    """Let code blocks name a language that Pygments does not know."""
    app.add_lexer("icinga", TextLexer)
