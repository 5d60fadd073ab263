"""Write an HTML template for `dvc plots show` that contains Vega, because DVC's default loads it from a CDN.

Usage: `python tools/offline_plots.py page.html`, with requirements-plots.txt installed (vl-convert contains Vega).
"""

import sys
from pathlib import Path

import vl_convert
from dvc_render.html import PAGE_HTML

VEGA_LITE = "5.21"  # the latest version 5, which the templates of DVC and .dvc/plots use


def main(page: str) -> None:
    """Write the template to the path `page`."""
    Path(page).write_text(
        PAGE_HTML.replace(
            "{scripts}", f"<script>{vl_convert.javascript_bundle('window.vegaEmbed = vegaEmbed;', VEGA_LITE)}</script>"
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
