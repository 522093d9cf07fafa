from kfp import dsl

from components import images


@dsl.component(base_image=images.TRAINER, install_kfp_package=False)
def compare_runs(
    metrics: dsl.Input[list[dsl.Metrics]],
    summary: dsl.Output[dsl.Artifact],
    table: dsl.Output[dsl.Markdown],
    report: dsl.Output[dsl.HTML],
):
    """Compares the metrics of several runs on the same images.

    Args:
        metrics: Metrics of each run.

    Returns:
        summary: summary.json, the metrics of each run.
        table: Table of the metrics.
        report: HTML page with the table and curves.
    """
    from pathlib import Path

    from trainer.evaluation import comparison
    from trainer.report import sweep

    paths = [run.path for run in metrics]
    compared = comparison.compare(paths, summary.path)
    Path(table.path).write_text(comparison.table(compared, "github"))
    sweep.write(paths, report.path)
