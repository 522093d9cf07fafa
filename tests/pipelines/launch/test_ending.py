"""The commands that a run ends with."""

import pytest

from pipelines.launch import ending


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
