from kfp import dsl

from components import images


@dsl.component(base_image=images.TRAINER, install_kfp_package=False)
def record_status(
    status: dsl.PipelineTaskFinalStatus, run_id: str, final_status: dsl.Output[dsl.Artifact]
):
    """Records how a run ended, also when a task failed.

    Args:
        status: Status of the earlier tasks. Kubeflow reports COMPLETE for success, or RUNNING if a
            driver failed, and no error; so this asks its server for the failed tasks.
        run_id: Id of the run.

    Returns:
        final_status: JSON file with state (SUCCEEDED, FAILED or CANCELED), the reported state and
            error, the failed tasks with their errors, and a note if no failed task is known.
    """
    import os
    import socket

    from trainer import artifacts

    def failed_tasks():
        """The failed tasks as Kubeflow's server knows them."""
        from kfp import client

        socket.setdefaulttimeout(20)
        details = client.Client().get_run(run_id).run_details.task_details
        failed = [detail for detail in details if detail.state == "FAILED"]
        return [
            {
                "task": detail.display_name,
                "error": next((s.error.message for s in (detail, *history) if s.error), ""),
            }
            for detail in failed
            for history in [detail.state_history or ()]
        ]

    states = {"COMPLETE": "SUCCEEDED", "SUCCEEDED": "SUCCEEDED"}
    states |= {"CANCELLED": "CANCELED", "CANCELED": "CANCELED"}
    content = {
        "state": states.get(status.state, "FAILED"),
        "reported": status.state,
        "run": status.pipeline_job_resource_name,
        "run_id": run_id,
        "error": status.error_message or "",
        "failed_tasks": [],
    }
    if content["state"] != "SUCCEEDED":
        content["note"] = "the backend names no failed task"
        if "KUBERNETES_SERVICE_HOST" in os.environ:
            try:
                content["failed_tasks"] = failed_tasks()
            except Exception as error:
                content["note"] += f"; its server does not answer: {error}".splitlines()[0]
        if content["failed_tasks"]:
            del content["note"]
    artifacts.write_json(final_status.path, content)
    final_status.metadata.update(state=content["state"], reported=content["reported"])
