"""Sphinx: nothing but what ships with it, and nothing from the network."""

from wmesh import __version__

project = "wmesh"
version = release = __version__

extensions: list[str] = []
exclude_patterns = ["_build"]
html_theme = "alabaster"
html_theme_options = {
    "description": "Service discovery, load balancing and proxying from one gateway",
    "fixed_sidebar": True,
    "page_width": "1080px",
}
html_show_sourcelink = False
html_show_copyright = False
smartquotes = False
highlight_language = "none"
