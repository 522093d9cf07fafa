from kfp import dsl

from components import images


@dsl.component(base_image=images.DATA, install_kfp_package=False)
def record_status(status: dsl.PipelineTaskFinalStatus, final_status: dsl.Output[dsl.Artifact]):
    """Records how a run ended, whatever became of its tasks.

    Args:
        status: Of the tasks before.

    Returns:
        final_status: JSON file with state, error and the name of the run.
    """
    from trainer import manifest

    content = {
        "state": status.state,
        "run": status.pipeline_job_resource_name,
        "error_code": status.error_code,
        "error": status.error_message,
    }
    manifest.write_json(final_status.path, content)
    final_status.metadata.update({k: v for k, v in content.items() if v is not None})
