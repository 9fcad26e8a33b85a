"""An analysis in, one self-contained HTML page out: no script, and no address outside itself.

What alarms the data's checks reaches the template as `Blocked`, which holds no effect that it could show.
"""

import base64
import hashlib
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ab_tests.report import daily, plots, reading, svg, words
from ab_tests.report.reading import Blocked
from ab_tests.results import Analysis
from contracts.errors import BadInputError
from contracts.experiments import N_BUCKETS

_HERE = Path(__file__).parent


def write_html(finding: Analysis | Blocked, path: Path) -> None:
    """Write the page to `path`; raises `BadInputError` where nothing can be written."""
    page = render(finding)
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise BadInputError(f"{path}: cannot be written: {error.strerror}") from error


def render(finding: Analysis | Blocked) -> str:
    """The page as text; whatever an experiment's author wrote is escaped."""
    found = reading.checked(finding)
    style = (_HERE / "page.css").read_text(encoding="utf-8")
    shared = {
        "style": Markup(style),
        "style_hash": base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        "experiment": found.experiment,
        "through": found.through,
        "when": words.day_of(reading.days_so_far(found), reading.planned_days(found)),
        "treatments": reading.treatments_of(found.experiment),
        "level": words.percent(1.0 - found.experiment.alpha),
    }
    if isinstance(found, Blocked):
        template, definitions = "blocked.html.j2", reading.definitions_of(found.experiment)
    else:
        template, definitions = "page.html.j2", found.definitions
    return _environment().get_template(template).render(shared, found=found, definitions=definitions)


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE, encoding="utf-8"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=False,
    )
    environment.globals.update(words=words, reading=reading, plots=plots, daily=daily, svg=svg, n_buckets=N_BUCKETS)
    return environment
