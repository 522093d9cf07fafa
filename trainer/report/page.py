"""Pages from templates: what is put into them is text, whatever is in it."""

import os
from pathlib import Path

import jinja2

PLACE = Path(__file__).parent
TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(PLACE),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
TEMPLATES.filters["percent"] = lambda share: "unknown" if share is None else f"{100 * share:.1f}%"
TEMPLATES.filters["number"] = "{:,}".format


def write(file, template, **content):
    """Writes a page, so that readers see all of it or none.

    Args:
      file: Path of the HTML file.
      template: Name of one in this directory.
      **content: What the template asks for.
    """
    partial = Path(f"{file}.partial")
    partial.parent.mkdir(parents=True, exist_ok=True)
    partial.write_text(TEMPLATES.get_template(template).render(content), encoding="utf-8")
    os.replace(partial, file)
