"""The compiled file of each target: compared with committed files, and parsed as targets do."""

import json
import re

import pytest
import yaml
from google.protobuf import json_format
from kfp.kubernetes import kubernetes_executor_config_pb2
from kfp.pipeline_spec import pipeline_spec_pb2

from components import images
from pipelines.launch import compile, profiles
from tests.pipelines import golden
from trainer.errors import InputError

DATA_STEPS = {
    *("prepare-dataset", "inject-noise", "split-probe", "number-folds", "compare-runs"),
    *("write-report", "record-status"),
}
SEEN = {"embeddings", "backbone_choice"}  # by a training that has the choice
TRAINED = {"train", "evaluate", "audit-labels", "export-model"}


def profile(name, **given):
    return profiles.resolve("", name, **given)


def tasks(spec):
    """All tasks of all DAGs of a pipeline, by name."""
    dags = [spec["root"]["dag"]]
    dags += [c["dag"] for c in spec["components"].values() if "dag" in c]
    return {name: task for dag in dags for name, task in dag["tasks"].items()}


def executors(spec):
    return {
        name.removeprefix("exec-"): executor["container"]
        for name, executor in spec["deploymentSpec"]["executors"].items()
    }


@pytest.mark.parametrize(("name", "target"), golden.CASES)
def test_as_committed(name, target):
    """Python -m tests.pipelines.golden writes the files anew."""
    committed = (golden.DIRECTORY / f"{name}-{target}.yaml").read_text()
    assert golden.of_default_profile(name, target) == committed


@pytest.mark.parametrize("name", golden.PIPELINES)
def test_as_committed_with_a_backbone(name):
    committed = (golden.DIRECTORY / f"{name}-kubeflow-backbone.yaml").read_text()
    assert golden.of_default_profile(name, "kubeflow", golden.EMBEDDED) == committed


def test_as_committed_with_fine_tuning():
    committed = (golden.DIRECTORY / "training-kubeflow-finetune.yaml").read_text()
    assert golden.of_default_profile("training", "kubeflow", golden.FINETUNED) == committed


def test_as_committed_with_a_choice():
    committed = (golden.DIRECTORY / "training-kubeflow-auto.yaml").read_text()
    assert golden.of_default_profile("training", "kubeflow", golden.CHOSEN) == committed


@pytest.mark.parametrize("name", ["gke-a100x8", "gke-a100x8x2", "vertex-l4x1", "vertex-a100x8x2"])
def test_each_training_sees_what_was_chosen(name):
    spec, *_ = golden.compiled("training", profile(name), golden.CHOSEN)
    json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec())
    found = tasks(spec)
    given = found["choose-backbone"]["inputs"]["artifacts"]
    makers = {name: made["taskOutputArtifact"]["producerTask"] for name, made in given.items()}
    data = {"prepared_dataset": "prepare-dataset", "noisy_labels": "inject-noise"}
    assert makers == data | {"probe_split": "split-probe", "embeddings": "embed-images"}
    trainings = [task for each, task in found.items() if re.fullmatch(r"train(-\d+)?", each)]
    assert len(trainings) == 2 * (2 if name == "gke-a100x8x2" else 1)
    for task in trainings:
        assert set(task["inputs"]["artifacts"]) == {*data, "probe_split", *SEEN}
    assert "backbone_choice" not in found["evaluate"]["inputs"]["artifacts"]
    fetched = found["fetch-backbone"]["inputs"]["parameters"]["name"]
    assert fetched["runtimeValue"]["constant"] == "efficientnet_lite0"
    chooses = executors(spec)["choose-backbone"]
    assert chooses["resources"]["accelerator"]["resourceCount"] == "1"
    assert chooses["image"] == images.TRAINER_GPU


def test_fine_tuning_starts_from_the_head():
    spec, _ = golden.compiled("training", profile("gke-a100x8"), golden.FINETUNED)
    named = {task["taskInfo"]["name"]: (name, task) for name, task in tasks(spec).items()}
    (head, train), (tune, fine_tune) = named["train"], named["fine-tune"]
    given = fine_tune["inputs"]["artifacts"]
    assert given["head"]["taskOutputArtifact"]["producerTask"] == head
    assert given["backbone"]["taskOutputArtifact"]["producerTask"] == "fetch-backbone"
    assert "embeddings" in given  # a part of the network may stay as it is
    assert "embeddings" in train["inputs"]["artifacts"]
    for name in ("evaluate", "export-model"):
        seen = tasks(spec)[name]["inputs"]["artifacts"]
        assert seen["checkpoints"]["taskOutputArtifact"]["producerTask"] == tune
    assert "embeddings" in tasks(spec)["audit-labels"]["inputs"]["artifacts"]
    fold = named["fine-tune without a fold"][1]["inputs"]["artifacts"]["head"]
    assert fold["taskOutputArtifact"]["producerTask"] == named["train without a fold"][0]
    assert executors(spec)[tune]["resources"]["accelerator"]["resourceCount"] == "8"


@pytest.mark.parametrize("name", golden.PIPELINES)
def test_images_are_embedded_once_and_on_a_gpu(name):
    spec, platform = golden.compiled(name, profile("gke-a100x8"), golden.EMBEDDED)
    assert set(spec["root"]["inputDefinitions"]["parameters"]) > {"backbone", "backbone_weights"}
    fetch, embed = (executors(spec)[task] for task in ("fetch-backbone", "embed-images"))
    assert embed["resources"]["accelerator"]["resourceCount"] == "1"
    assert "ieg-pipeline/trainer-gpu:" in embed["image"]
    assert "accelerator" not in fetch["resources"]
    pods = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert pods["exec-embed-images"]["nodeSelector"] == pods["exec-train"]["nodeSelector"]
    assert "nodeSelector" not in pods["exec-fetch-backbone"]
    embedded, train = tasks(spec)["embed-images"], tasks(spec)["train"]
    assert embedded["cachingOptions"] == {"enableCache": True}
    assert "embeddings" in train["inputs"]["artifacts"]
    after = {
        task
        for task, made in tasks(spec).items()
        if "embed-images" in made.get("dependentTasks", ())
    }
    assert after & {"train", "for-loop-2"}
    parsed = json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec())
    assert parsed.root.dag.tasks


@pytest.mark.parametrize("name", golden.PIPELINES)
def test_nothing_of_a_backbone_is_in_a_pipeline_without_one(name):
    spec, *_ = golden.compiled(name, profile("gke-a100x8"), {"backbone": "none"})
    assert not {"fetch-backbone", "embed-images"} & set(tasks(spec))
    assert "backbone" not in spec["root"]["inputDefinitions"]["parameters"]


@pytest.mark.parametrize("name", golden.PIPELINES)
@pytest.mark.parametrize("profile_name", profiles.NAMED)
def test_every_profile_gives_what_its_target_can_parse(name, profile_name):
    spec, *platform = golden.compiled(name, profile(profile_name))
    parsed = json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec())
    deployment = pipeline_spec_pb2.PipelineDeploymentConfig()
    json_format.ParseDict(json_format.MessageToDict(parsed.deployment_spec), deployment)
    assert set(deployment.executors) == set(spec["deploymentSpec"]["executors"])
    parameters = spec["root"]["inputDefinitions"]["parameters"].values()
    assert all(parameter["description"] for parameter in parameters)
    assert bool(platform) == (profile(profile_name).target == "kubeflow")
    for document in platform:
        message = json_format.ParseDict(document, pipeline_spec_pb2.PlatformSpec())
        content = json_format.MessageToDict(message)["platforms"]["kubernetes"]
        for executor in content["deploymentSpec"]["executors"].values():
            config = kubernetes_executor_config_pb2.KubernetesExecutorConfig()
            json_format.ParseDict(executor, config)


@pytest.mark.parametrize("profile_name", profiles.NAMED)
def test_only_training_and_evaluation_ask_for_accelerators(profile_name):
    spec, *_ = golden.compiled("training", profile(profile_name))
    for name, container in executors(spec).items():
        accelerated = "accelerator" in container.get("resources", {})
        if re.sub(r"-\d+$", "", name) in DATA_STEPS:
            assert not accelerated
            assert container["image"] == images.TRAINER
        elif profile(profile_name).target == "local":
            assert container["image"] == images.TRAINER


def test_a_pool_of_eight_gpus():
    spec, platform = golden.compiled("training", profile("gke-a100x8"))
    train, evaluate = executors(spec)["train"], executors(spec)["evaluate"]
    assert train["image"] == images.TRAINER_GPU
    assert train["resources"]["accelerator"]["resourceType"] == "nvidia.com/gpu"
    assert train["resources"]["accelerator"]["resourceCount"] == "8"
    assert evaluate["resources"]["accelerator"]["resourceCount"] == "1"
    assert evaluate["resources"]["resourceMemoryLimit"] == "75Gi"
    pods = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    placed = {name for name, pod in pods.items() if "nodeSelector" in pod}
    assert {re.sub(r"-\d+$", "", name) for name in placed} == {f"exec-{name}" for name in TRAINED}
    labels = {"cloud.google.com/gke-accelerator": "nvidia-tesla-a100"}
    assert pods["exec-train"]["nodeSelector"]["labels"] == labels
    assert pods["exec-train"]["tolerations"][0]["key"] == "nvidia.com/gpu"
    (shm,) = pods["exec-train"]["emptyDirMounts"]
    assert (shm["mountPath"], shm["medium"]) == ("/dev/shm", "Memory")
    config = platform["platforms"]["kubernetes"]["pipelineConfig"]
    assert config["resourceTtlOnCompletion"] == 168 * 3600


def test_display_names_are_for_people():
    names = compile.display_names(compile.specification("training", profile("gke-a100x8x2")))
    assert (names["train"], names["train-2"]) == ("train, worker 0", "train, worker 1")
    assert names["audit-labels"] == names["audit-labels-2"] == "audit labels"
    assert names["evaluate-2"] == "evaluate on ImageNet"


def test_spot_pools():
    _, platform = golden.compiled("training", profile("gke-l4x1-spot"))
    pod = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-train"]
    assert pod["nodeSelector"]["labels"]["cloud.google.com/gke-spot"] == "true"
    assert "cloud.google.com/gke-spot" in {taint["key"] for taint in pod["tolerations"]}
    spec, *_ = golden.compiled("training", profile("vertex-l4x1-spot"))
    assert custom_job(spec)["strategy"]["defaultValue"] == "SPOT"


def custom_job(spec):
    return spec["components"]["comp-train"]["inputDefinitions"]["parameters"]


def test_a_model_in_the_registry_of_vertex():
    spec, *_ = golden.compiled("training", profile("vertex-l4x1", register_model="photos"))
    json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec())
    found = tasks(spec)
    upload = found["model-upload"]["inputs"]
    assert upload["parameters"]["display_name"]["runtimeValue"]["constant"] == "photos"
    assert upload["artifacts"]["unmanaged_container_model"]["taskOutputArtifact"] == {
        "outputArtifactKey": "artifact",
        "producerTask": "importer",
    }
    address = found["importer"]["inputs"]["parameters"]["uri"]["taskOutputParameter"]
    assert address == {"outputParameterKey": "Output", "producerTask": "export-model"}
    importer = spec["deploymentSpec"]["executors"]["exec-importer"]["importer"]
    assert importer["typeSchema"]["schemaTitle"] == "google.UnmanagedContainerModel"
    assert "prediction/tf2" in importer["metadata"]["containerSpec"]["imageUri"]


def test_several_workers_on_vertex():
    spec, *_ = golden.compiled("training", profile("vertex-a100x8x2"))
    pools = custom_job(spec)["worker_pool_specs"]["defaultValue"]
    assert [pool["replica_count"] for pool in pools] == [1, 1]
    for pool in pools:
        assert pool["machine_spec"] == {
            "machine_type": "a2-highgpu-8g",
            "accelerator_type": "NVIDIA_TESLA_A100",
            "accelerator_count": 8,
        }
        assert pool["container_spec"]["image_uri"] == images.TRAINER_GPU


def test_several_workers_on_kubeflow():
    spec, platform = golden.compiled("training", profile("gke-a100x8x2"))
    workers = [tasks(spec)[name]["inputs"]["parameters"] for name in ("train", "train-2")]
    constants = [
        [inputs[name]["runtimeValue"]["constant"] for name in ("worker", "workers")]
        for inputs in workers
    ]
    assert constants == [[0, 2], [1, 2]]
    assert len({json.dumps(inputs["checkpoint_root"]) for inputs in workers}) == 1
    volume = platform["platforms"]["kubernetes"]["pipelineConfig"]["workspace"]
    assert volume["kubernetes"]["pvcSpecPatch"]["accessModes"] == ["ReadWriteMany"]


@pytest.mark.parametrize("name", golden.PIPELINES)
def test_retries_and_caching_of_every_task(name):
    found = tasks(golden.compiled(name, profile("gke-a100x8"))[0])
    for task_name, task in found.items():
        step = re.sub(r"-\d+$", "", task_name)
        if step in DATA_STEPS - {"record-status"}:
            assert task["cachingOptions"] == {"enableCache": True}
        elif step in TRAINED:
            assert task["cachingOptions"] == {}
        if step in DATA_STEPS - {"record-status"} | TRAINED:
            assert task["retryPolicy"]["maxRetryCount"] == 3
            assert task["retryPolicy"]["backoffDuration"] == "60s"
    assert found["record-status"]["triggerPolicy"]["strategy"] == "ALL_UPSTREAM_TASKS_COMPLETED"
    anew = tasks(golden.compiled(name, profile("gke-a100x8", cache=False))[0])
    assert not [task for task in anew.values() if task.get("cachingOptions")]
    kept = tasks(golden.compiled(name, profile("gke-a100x8", cache_training=True))[0])
    assert kept["train"]["cachingOptions"] == {"enableCache": True}


def test_a_profile_in_a_file(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("target: kubeflow\naccelerators: 2\ntolerations: [{key: a, operator: Exists}]")
    found = profiles.resolve("kubeflow", str(file), cpu="4")
    assert (found.accelerators, found.cpu, found.tolerations[0]["key"]) == (2, "4", "a")
    file.write_text("gpus: 2")
    with pytest.raises(InputError, match="--profile field: must be one of target, "):
        profiles.resolve("", str(file))
    file.write_text("- 2")
    with pytest.raises(InputError, match="--profile: must hold a mapping"):
        profiles.resolve("", str(file))


def test_images_are_exact():
    for name in golden.PIPELINES:
        (spec,) = golden.compiled(name, profile("local"))
        for container in executors(spec).values():
            assert re.search(r":\d+\.\d+\.\d+-[0-9a-f]{12}$", container["image"])
            assert "pip install" not in yaml.safe_dump(container)
