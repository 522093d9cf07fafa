from trainer.evaluation import comparison


def run(method, ratio, seed, top1, **other):
    facts = {"dataset": "digits", "noise": "uniform", "probe_per_class": 10, "wrong_labels": 0.5}
    metrics = {"test/top1": top1, "test/top1_raw": 0.25, "seconds": 2.0}
    named = {"method": method, "noise_ratio": ratio, "seed": seed}
    return facts | named | metrics | other


def test_a_row_for_each_ratio_and_method_over_its_seeds():
    runs = [
        run("ieg", 0.4, 1, 0.9),
        run("supervised", 0.8, 0, 0.5, wrong_labels=None),
        run("ieg", 0.4, 0, 0.8, seconds=4.0),
        run("supervised", 0.4, 0, 0.6),
    ]
    summary = comparison.collect_runs(runs)
    assert summary["dataset"] == "digits"
    assert [run["seed"] for run in summary["runs"]] == [0, 0, 1, 0]
    _, _, *rows = comparison.table(summary, "github").splitlines()
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    assert cells == [
        ["supervised", "0.4", "50.0", "60.0", "25.0", "2"],
        ["ieg", "0.4", "50.0 ± 0.0", "85.0 ± 7.1", "25.0 ± 0.0", "3"],
        ["supervised", "0.8", "unknown", "50.0", "25.0", "2"],
    ]


def test_own_labels_have_no_noise_ratio():
    runs = [run("robust", 0.0, 0, 0.5, noise="none", wrong_labels=None)]
    (row,) = comparison.table_rows(comparison.collect_runs(runs))
    assert row == {
        "method": "robust",
        "wrong labels, %": "unknown",
        "test top-1, %": "50.0",
        "raw weights, %": "25.0",
        "seconds": "2",
    }
