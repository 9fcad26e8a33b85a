"""A taxonomy folder and a growth folder in, one self-contained HTML page out: no script, no address outside itself."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from policy.growth.page.sunburst import sunburst
from policy.growth.page.tally import samples_by_type, some_shown, stage_totals, tree_of
from policy.growth.samples.referee import agreement
from policy.growth.samples.showing import jpeg_url
from policy.growth.taxonomy.folder import read_taxonomy, read_version
from policy.kept import write_text

_HERE = Path(__file__).parent
SHOWN = 24


def write_page(types: Path, home: Path | None, path: Path) -> None:
    """Write the page of a taxonomy, with what was made for it in `home`, where something was.

    Whatever a model wrote is escaped. Raises `BadInputError` where a folder is damaged.
    """
    taxonomy, version = read_taxonomy(types), read_version(types)
    samples = {} if home is None else samples_by_type(home)
    roots = tree_of(taxonomy, samples)
    environment = Environment(
        loader=FileSystemLoader(_HERE, encoding="utf-8"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("page.html.j2").render(
        style=Markup((_HERE / "page.css").read_text(encoding="utf-8")),
        version=version,
        covered=sum(1 for node in taxonomy.leaves if samples.get(node.node_id)),
        stages={} if home is None else stage_totals(home),
        agreed=None if home is None else agreement(home),
        sunburst=Markup(sunburst(roots)),
        shown=[] if home is None else some_shown(home, taxonomy, SHOWN),
        roots=roots,
        url=jpeg_url,
    )
    write_text(path, page)
