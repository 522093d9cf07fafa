"""The examples with the lowest label scores and their pictures, as data for `gallery.js`.

The page has the data of all of them; the browser draws a picture when it comes into view.
"""

import base64
import gzip
import io

import numpy as np
from PIL import Image

from trainer.data import records

PICTURES = 1000  # in all; of rare classes a few more
OF_EACH_CLASS = 12  # at least, where there are as many
SIDE = 112  # pixels of a thumbnail
SMALL_FILE = 4096  # bytes up to which a file is its own thumbnail


def page_data(dataset_path, issues, csv):
    """The content of the gallery.

    Args:
      dataset_path: Directory of the prepared dataset.
      issues: Table of a label audit, most suspicious first.
      csv: Bytes of the same table as a file, for download.

    Returns:
      A dictionary for JSON.
    """
    shown = issues[shown_examples(issues)]
    encoded = records.read_encoded(dataset_path, shown.id)
    columns = ["id", "path", "given_label", "suggested_label", "label_score"]
    return {
        "classes": sorted(set(issues.given_label) | set(issues.suggested_label)),
        "columns": columns,
        "rows": shown[columns].round(4).to_numpy(object).tolist(),
        "pictures": [thumbnail(file) for file in encoded],
        "audit": issues.audit.iloc[0] if len(issues) else "",
        "csv": base64.b64encode(gzip.compress(csv, mtime=0)).decode(),
    }


def shown_examples(issues):
    """Which examples are shown, bool (N,): the first ones, and the first of each given class."""
    place, place_in_class = np.arange(len(issues)), issues.groupby("given_label").cumcount()
    return (place < PICTURES) | (place_in_class < OF_EACH_CLASS).to_numpy()


def thumbnail(file):
    """A data: URL of an image, bytes of a JPEG or PNG file, scaled down if it is large."""
    if len(file) > SMALL_FILE:
        image = Image.open(io.BytesIO(file))
        image.draft("RGB", (SIDE, SIDE))
        image.thumbnail((SIDE, SIDE))
        output = io.BytesIO()
        image.convert("RGB").save(output, "JPEG", quality=80)
        file = output.getvalue()
    kind = "png" if file.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(file).decode()}"
