"""Write the page that `dvc plots show` fills, with Vega in it, which DVC's own page fetches from a CDN.

`python tools/offline_plots.py page.html` needs requirements-plots.txt, whose vl-convert brings Vega along.
"""

import sys
from pathlib import Path

import vl_convert
from dvc_render.html import PAGE_HTML

VEGA_LITE = "5.21"  # the newest of the version 5 that the templates of DVC and of .dvc/plots are in


def main(page: str) -> None:
    """Write the page to the path `page`."""
    Path(page).write_text(
        PAGE_HTML.replace(
            "{scripts}", f"<script>{vl_convert.javascript_bundle('window.vegaEmbed = vegaEmbed;', VEGA_LITE)}</script>"
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
