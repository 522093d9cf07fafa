"""Files of corrected labels."""

import numpy as np
import pandas as pd

from trainer.data import records
from trainer.data.sources.tables import NOISY


def write_labels(directory, dataset_path, corrected, trusted_ids, decided):
    """Writes corrected labels, and the table that `--dataset=csv` trains on.

    An example with label -1, which a reviewer dropped, is not in the table.

    Args:
      directory: Where to write.
      dataset_path: Directory of the prepared dataset.
      corrected: int32, by id, of train and then test.
      trusted_ids: int64, of train.
      decided: Which test labels a reviewer decided on, bool (T,).
    """
    count = len(records.read_labels(dataset_path, "train"))
    corrected, tested = corrected[:count], corrected[count:]
    np.save(directory / "corrected_labels.npy", corrected)
    paths = records.read_paths(dataset_path, "train")
    if paths is None:
        return
    dataset = records.read_manifest(dataset_path)
    names = np.array(dataset["class_names"], object)
    trusted = np.zeros(len(paths), int)
    trusted[trusted_ids] = 1
    train = pd.DataFrame({"path": paths, "label": names[corrected], "split": "train"})
    train = train.assign(trusted=trusted, label_status=np.where(trusted, "trusted", "audited"))
    train = train[corrected >= 0]
    test = pd.DataFrame(
        {
            "path": records.read_paths(dataset_path, "test"),
            "label": names[tested],
            "split": "test",
            "trusted": 0,
            "label_status": np.where(dataset["test_labels_are_clean"] | decided, "clean", NOISY),
        }
    )
    pd.concat([train, test[tested >= 0]]).to_csv(directory / "clean_manifest.csv", index=False)
