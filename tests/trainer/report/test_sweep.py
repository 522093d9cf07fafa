"""Content of the report of a sweep."""

import re

import numpy as np
import pytest

from trainer import artifacts
from trainer.report import sweep


@pytest.fixture
def runs(tmp_path):
    """Metrics and history of two methods, two noise ratios and two seeds."""
    paths = []
    for method, right in (("ieg", 0.9), ("supervised", 0.6)):
        for ratio in (0.4, 0.8):
            for seed in (0, 1):
                top1 = right - ratio / 10 + seed / 50
                facts = {"method": method, "noise_ratio": ratio, "seed": seed}
                shared = {"dataset": "<b>digits", "noise": "uniform", "probe_per_class": 10}
                result = {"wrong_labels": ratio * 0.9, "seconds": 5.0}
                result |= {"test/top1": top1, "test/top1_raw": top1}
                paths.append(tmp_path / f"{method}-{ratio}-{seed}")
                directory = artifacts.start(paths[-1])
                setup = {"config": {"method": method, "batch_size": 7}, "versions": {"keras": "3"}}
                rows = [{"step": 10, "test/top1": 0.1}, {"step": 20, "test/top1": top1}]
                artifacts.write_json(directory / "metrics.json", facts | shared | result)
                artifacts.write_json(directory / "config.json", setup)
                artifacts.write_json(directory / "history.json", rows)
                np.save(directory / "confusion.npy", np.array([[3, 1], [0, 4]]))
                artifacts.finish(directory, artifacts.METRICS, class_names=["cat", "dog"])
    return paths


def test_what_it_says(runs, tmp_path):
    sweep.write(runs, tmp_path / "report.html")
    made = (tmp_path / "report.html").read_text()
    assert "Test accuracy at noise ratio 0.8: ieg 83.0%, supervised 53.0%." in made
    assert '<td class="n">83.0 ± 1.4</td>' in made
    assert re.findall("<figcaption>(.*)</figcaption>", made) == [
        "Accuracy over noise",
        "Accuracy over steps, noise ratio 0.4",
        "Accuracy over steps, noise ratio 0.8",
        "ieg, the best",
    ]
    for name, value in (("batch_size", "7"), ("keras", "3")):
        assert f'<th scope="row">{name}</th><td>{value}</td>' in made
    assert '<th scope="row">method</th>' not in made
    assert "&lt;b&gt;digits" in made
    columns = re.findall('<th scope="col"[^>]*><button type="button">(.*?)</button>', made)
    place = columns.index("wrong_labels")
    assert columns[place - 3 : place] == ["method", "noise_ratio", "seed"]
    assert "<b>digits" not in made


def test_one_noise_ratio_and_one_seed(runs, tmp_path):
    sweep.write(runs[::4], tmp_path / "report.html")
    made = (tmp_path / "report.html").read_text()
    captions = ["Accuracy over steps, noise ratio 0.4", "ieg, the best"]
    assert re.findall("<figcaption>(.*)</figcaption>", made) == captions
