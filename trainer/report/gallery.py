"""All audited examples as data for the gallery's scripts, and pictures of those looked at first.

The page has pictures up to a number of bytes; of the others a folder beside the page has
thumbnails. The browser draws a picture when it comes into view.
"""

import base64
import gzip
import io
import itertools

import numpy as np
import pandas as pd
from PIL import Image

from trainer import outputs
from trainer.audit import for_review
from trainer.data import records

PICTURES = 2000  # of the most suspicious; of rare classes a few more
OF_EACH_CLASS = 12  # at least, where there are as many
SIDE, LARGE_SIDE, TRUSTED_SIDE = 192, 512, 96  # pixels
SMALL_FILE = 4096  # bytes up to which a file is its own thumbnail
THUMBNAIL_BYTES, LARGE_BYTES, TRUSTED_BYTES = 20e6, 12e6, 8e6  # in the page
IN_A_FOLDER = 1000
AT_ONCE = 256  # images in memory


def page_data(dataset_path, audit_path, issues, csv, dataset, audit, file=None):
    """The content of the gallery; writes thumbnails beside the page where it cannot hold all.

    Args:
      dataset_path: Directory of the prepared dataset.
      audit_path: Directory of the label audit.
      issues: Table of a label audit, most suspicious first.
      csv: Bytes of the same table as a file, for download.
      dataset: Manifest of the prepared dataset.
      audit: Manifest of the label audit.
      file: The HTML file that will have the content; None if nothing can be beside it.

    Returns:
      A dictionary for JSON: facts, and pictures by id.
    """
    seen = for_review.read(audit_path, issues.id.to_numpy())
    in_page = pictures_in_page(issues)
    thumbnails, large = embedded_pictures(dataset_path, issues.id[in_page].to_numpy())
    near = seen["nearest"][in_page]
    return {
        "facts": {
            **columns(issues, seen, dataset["class_names"]),
            "nearest": dict(zip(issues.id[in_page].tolist(), near.tolist())),
            "run": audit["audit"],
            "dataset": dataset["id"],
            "trained": dataset["num_examples"]["train"],
            "folder": file and thumbnails_beside(dataset_path, issues, thumbnails, file),
            "csv": base64.b64encode(gzip.compress(csv, mtime=0)).decode(),
        },
        "pictures": {
            "thumbnails": thumbnails,
            "large": large,
            "trusted": trusted_pictures(dataset_path, near),
        },
    }


def columns(issues, seen, class_names):
    """The rows of the table as columns, with classes as numbers."""
    numbers = pd.Index(class_names)
    folder = common_folder(issues.path)
    return {
        "classes": list(class_names),
        "path_start": folder,
        "path": [path[len(folder) :] for path in issues.path],
        "id": issues.id.tolist(),
        "given": numbers.get_indexer(issues.given_label).tolist(),
        "suggested": numbers.get_indexer(issues.suggested_label).tolist(),
        "score": issues.label_score.round(4).tolist(),
        "p_suggested": issues.p_suggested.round(4).tolist(),
        "corrected": issues.corrected.astype(int).tolist(),
        "flagged": int(issues.is_label_issue.sum()),
        "top": seen["top"].tolist(),
        "p_top": (seen["p_top"] * 1000).round().astype(int).tolist(),
    }


def common_folder(paths):
    """The innermost folder that has all files, with a slash at its end; "" if there is none."""
    folders = [path.split("/")[:-1] for path in paths]
    pairs = zip(min(folders, default=[]), max(folders, default=[]))
    same = itertools.takewhile(lambda pair: pair[0] == pair[1], pairs)
    return "".join(f"{name}/" for name, _ in same)


def pictures_in_page(issues):
    """Which examples have pictures in the page, bool (N,): the first ones, also of each class.

    These are the first by label score and by expected gain, and the first of each given class.
    """
    place, place_in_class = np.arange(len(issues)), issues.groupby("given_label").cumcount()
    by_gain = np.argsort(np.argsort(-expected_gain(issues), kind="stable"))
    first = np.minimum(place, 2 * by_gain) < PICTURES
    return first | (place_in_class < OF_EACH_CLASS).to_numpy()


def expected_gain(issues):
    """Probability that a look changes the label that is kept without one, (N,).

    That label is the suggested one if the audit corrected the row, otherwise the given one.
    """
    return 1 - np.where(issues.corrected, issues.p_suggested, issues.label_score)


def embedded_pictures(dataset_path, ids):
    """Thumbnails and larger pictures by id, as data: URLs, until their bytes are used up."""
    thumbnails, large, left, left_of_large = {}, {}, THUMBNAIL_BYTES, LARGE_BYTES
    for id, file in images(dataset_path, ids):
        thumbnail = picture(file, SIDE)
        left -= len(thumbnail) * 4 / 3
        if left < 0:
            break
        thumbnails[id] = data_url(thumbnail)
        if thumbnail is not file and left_of_large > 0:
            big = picture(file, LARGE_SIDE)
            left_of_large -= len(big) * 4 / 3
            large[id] = data_url(big)
    return thumbnails, large


def trusted_pictures(dataset_path, near):
    """Pictures of trusted images by id, as data: URLs, until their bytes are used up.

    Args:
      dataset_path: Directory of the prepared dataset.
      near: int64 (n, 2, K), ids of the trusted images beside each picture, the first pictures
        first; -1 for none.
    """
    found, left = {}, TRUSTED_BYTES
    for id, file in images(dataset_path, pd.unique(near[near >= 0])):
        picture = thumbnail(file, TRUSTED_SIDE)
        left -= len(picture)
        if left < 0:
            break
        found[id] = picture
    return found


def thumbnails_beside(dataset_path, issues, in_page, file):
    """Writes thumbnails that are not in the page. Returns the name of their folder, or ""."""
    ids = issues.id[~issues.id.isin(in_page.keys())].to_numpy()
    folder = file.with_name(f"{file.stem}_pictures")
    outputs.remove(folder)
    if not len(ids):
        return ""
    for id, image in images(dataset_path, ids):
        place = folder / str(id // IN_A_FOLDER)
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{id}.jpg").write_bytes(picture(image, SIDE))
    return folder.name


def images(dataset_path, ids):
    """Pairs of id and encoded image."""
    for first in range(0, len(ids), AT_ONCE):
        some = ids[first : first + AT_ONCE]
        yield from zip(some.tolist(), records.read_encoded(dataset_path, some))


def picture(file, side):
    """An image, bytes of a JPEG or PNG file, scaled down as a JPEG file if it is large."""
    if len(file) <= SMALL_FILE:
        return file
    image = Image.open(io.BytesIO(file))
    image.draft("RGB", (side, side))
    image.thumbnail((side, side))
    output = io.BytesIO()
    image.convert("RGB").save(output, "JPEG", quality=80)
    return output.getvalue()


def thumbnail(file, side=SIDE):
    """A data: URL of an image, scaled down if it is large."""
    return data_url(picture(file, side))


def data_url(file):
    kind = "png" if file.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(file).decode()}"
