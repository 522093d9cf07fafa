"""Label issues as other tools import them, if the images are files.

<label_audit>/
  label_studio.json   tasks with predictions, in the format of labelstud.io/guide/predictions; its
                      local files have / as their document root
  label_studio.xml    labelling interface for these tasks
  fiftyone.csv        `fiftyone.types.CSVDataset`, with paths in the column filepath
"""

import json
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

from trainer.artifacts import MADE_BY

# Not id: both programs have ids of their own by that name, and drop ours.
ID = "example_id"
FIFTYONE = ["filepath", "given_label", "suggested_label", "label_score", "p_suggested", ID]


def write(directory, issues, class_names):
    """Writes the files.

    Args:
      directory: Directory of the label audit.
      issues: The table for people, most suspicious first.
      class_names: C names.
    """
    if not issues.path.any():
        return
    with open(directory / "label_studio.json", "w", encoding="utf-8") as file:
        json.dump([task(row) for row in issues.itertuples()], file, ensure_ascii=False)
    (directory / "label_studio.xml").write_text(interface(class_names), encoding="utf-8")
    rows = issues.rename(columns={"path": "filepath", "id": ID})[[*FIFTYONE, "is_label_issue"]]
    rows.to_csv(directory / "fiftyone.csv", index=False, float_format="%.6f")


def task(row):
    """A task of Label Studio: an image with its given label, and the suggestion as prediction."""
    choice = {
        "from_name": "label",
        "to_name": "image",
        "type": "choices",
        "value": {"choices": [row.suggested_label]},
    }
    return {
        "data": {
            "image": address(row.path),
            ID: row.id,
            "path": row.path,
            "given_label": row.given_label,
            "label_score": round(row.label_score, 6),
        },
        "predictions": [
            {"model_version": MADE_BY, "score": round(row.p_suggested, 6), "result": [choice]}
        ],
    }


def address(path):
    """Where Label Studio finds a file: in a bucket, or on its own machine."""
    remote = "://" in path
    return path if remote else f"/data/local-files/?d={quote(path.lstrip('/'))}"


def interface(class_names):
    choices = "".join(f"    {choice(str(name))}\n" for name in class_names)
    return (
        '<View>\n  <Image name="image" value="$image"/>\n  <Header value="$given_label"/>\n'
        f'  <Choices name="label" toName="image" choice="single">\n{choices}  </Choices>\n</View>\n'
    )


def choice(name):
    """A class. Label Studio replaces $word by data, except in the alias, which it exports."""
    if "$" not in name:
        return f"<Choice value={quoteattr(name)}/>"
    shown = name.replace("$", "$\N{ZERO WIDTH SPACE}")
    return f"<Choice value={quoteattr(shown)} alias={quoteattr(name)}/>"
