"""Sphinx configuration. Builds offline: `sphinx-build -W docs docs/_build/html`."""

import warnings

from docutils.parsers.rst.states import Inliner

import numopt

project = "numopt"
author = "The numopt developers"
copyright = "2026, the numopt developers"
version = release = numopt.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
    "myst_parser",
    "sphinx_gallery.gen_gallery",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "gallery/**/*.ipynb", "gallery/**/*.py", "gallery/**/*.md5"]
suppress_warnings = ["config.cache"]
default_role = "py:obj"

# ---- reference -----------------------------------------------------------------------------------
# The tables list what a module offers, lazily loaded names included: there is no list to keep.
autosummary_generate = True
autosummary_imported_members = True
autosummary_ignore_module_all = False
# Methods that only kernels call have no docstrings of their own, and so no entries.
autodoc_inherit_docstrings = False
autodoc_typehints = "none"
numpydoc_show_class_members = False


def bar(self, match, lineno):
    """A bar is a bar: docstrings are full of norms, and substitutions are not used."""
    end = match.end("start")
    return match.string[:end], [], match.string[end:], []


Inliner.dispatch["|"] = bar

# ---- pages ---------------------------------------------------------------------------------------
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

# ---- gallery -------------------------------------------------------------------------------------
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "download_all_examples": False,
    "show_signature": False,
    "min_reported_time": 1000,
    "abort_on_example_error": True,
}
warnings.filterwarnings("error", category=numopt.ConvergenceWarning)

# ---- HTML ----------------------------------------------------------------------------------------
html_theme = "pydata_sphinx_theme"
html_title = "numopt"
html_static_path = ["_static"]
html_show_sourcelink = False
html_theme_options = {
    "logo": {"text": "numopt"},
    "navbar_end": ["theme-switcher"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
    "show_prev_next": False,
}
