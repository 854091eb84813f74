"""How Sphinx builds the site: `make docs`.

Nothing is fetched while building or reading: no inventories of other projects, no fonts, no scripts from elsewhere.
What is made on the way (reference/generated, gallery, results) is not committed.
"""

import re
import sys
from pathlib import Path

import pyleaky

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS / "_ext"))

# Where the repository can be read, such as "https://example.org/pyleaky/blob/main"; with None, links to its files are
# downloads, and the site needs nothing outside itself.
repository = None

project = "pyleaky"
author = "The pyleaky developers"
project_copyright = author
version = release = pyleaky.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "adapters",
    "figures",
    "kernels",
    "mathml",
    "repository",
]
templates_path = ["_templates"]
exclude_patterns = ["_templates"]
nitpicky = True
default_role = "autolink"  # `relu` in a docstring is a link, `x` is not
root_doc = "index"

# ---- Markdown
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 4

# ---- the reference
autodoc_typehints = "none"  # the compiled functions have none; those of all functions are in the .pyi files
autosummary_generate_overwrite = True
numpydoc_show_class_members = False  # the template for classes has them
# What docstrings name of other projects, whose inventories are not fetched; and an argument with a module's name.
nitpick_ignore_regex = [("py:obj", r"(jax|json|keras|numpy|tf|torch)\..+"), ("py:obj", "training")]

# ---- the gallery
sphinx_gallery_conf = {
    "examples_dirs": "../examples/gallery",
    "gallery_dirs": "gallery",
    "backreferences_dir": "gallery/used",
    "doc_module": ("pyleaky",),
    "image_scrapers": ("figures.scraper", "matplotlib"),
    "remove_config_comments": True,
    "write_computation_times": False,
    "plot_gallery": "True",
    "abort_on_example_error": False,
    "only_warn_on_example_error": False,
}

# ---- HTML
html_math_renderer = "mathml"
html_theme = "pydata_sphinx_theme"
html_title = f"pyleaky {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "header_links_before_dropdown": 5,
    "navigation_with_keys": False,
    "show_toc_level": 2,
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
# Pages without others below them need no list of these.
ALONE = ("quickstart", "semantics", "performance", "porting", "contributing", "changelog")
html_sidebars = {name: [] for name in ALONE}

# ---- links to other sites, by `make docs-links`
linkcheck_timeout = 20
linkcheck_retries = 2


def break_at_dots(app, pagename, templatename, context, doctree):
    """Let a heading such as pyleaky.diagnostics.UnitMonitor break where it has a dot."""
    if "body" in context:
        context["body"] = re.sub(
            r"(?<=<h1>)[\w.]+", lambda name: name[0].replace(".", ".<wbr>"), context["body"], count=1
        )


def setup(app):
    app.connect("html-page-context", break_at_dots)
