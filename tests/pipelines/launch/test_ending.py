"""The commands that a run ends with."""

import pandas as pd
import pytest

from pipelines.launch import ending


def test_labels_are_counted_whatever_their_names(tmp_path):
    rows = pd.DataFrame({"id": [0, 1], "given_label": ["new\nline", 'a,"b"']})
    rows.to_csv(tmp_path / "label_issues.csv", index=False)
    (tmp_path / "manifest.json").write_text('{"num_issues": 1}')
    assert ending.labels(tmp_path, tmp_path)[0] == "label issues: 1 of 2 labels"


@pytest.mark.parametrize(
    ("names", "keep"),
    [
        (("cat", "dog"), False),
        (("None", "cat"), True),
        (("Cat", "cat"), True),
        (("1.0", "2"), True),
    ],
)
def test_the_next_command_takes_the_classes_as_they_are(tmp_path, names, keep):
    (tmp_path / "clean_manifest.csv").touch()
    again = ending.following(tmp_path, {"class_names": names})[-1]
    assert ("--label_case=keep" in again) == keep
