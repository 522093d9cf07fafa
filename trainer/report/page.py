"""Pages from templates, which escape everything that is put into them."""

from pathlib import Path

import jinja2

from trainer import outputs
from trainer.errors import counted

PLACE = Path(__file__).parent


def percent(share):
    """A fraction as a percentage; a small one is not 0."""
    if share is None:
        return "unknown"
    return "<0.1%" if 0 < share < 0.0005 else f"{share:.1%}"


TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(PLACE),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
TEMPLATES.filters["percent"] = percent
TEMPLATES.filters["numeric"] = lambda value: str(value)[:1].isdigit()
TEMPLATES.filters["number"] = "{:,}".format
TEMPLATES.filters["counted"] = counted


def write_page(file, template, **content):
    """Writes a page, so that readers see all of it or none.

    Args:
      file: Path of the HTML file.
      template: Name of a template in this directory.
      **content: Values by the names that the template uses.
    """
    outputs.write_text(file, TEMPLATES.get_template(template).render(content))
