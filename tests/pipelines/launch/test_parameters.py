"""From the command line to the parameters of a pipeline."""

import pytest
import yaml

from pipelines.launch import compile, parameters, training_flags
from pipelines.parameters import OF_BACKBONE, SETTINGS, has_finetuning
from trainer import dataset_flags
from trainer.errors import InputError


@pytest.fixture
def resolved(parsed):
    """A function from a command line to the parameters of a pipeline."""

    def resolve(*arguments, pipeline="training"):
        parsed(*arguments)
        return parameters.resolve(pipeline, *training_flags.chosen(pipeline))

    return resolve


@pytest.mark.parametrize(
    "form",
    [
        ("--dataset=digits_pair_0.4",),
        ("--dataset=digits", "--noise=pair", "--noise_ratio=0.4"),
        ("--noise=pair", "--noise_ratio=0.4"),
        ("--dataset=digits_pair_0.4", "--noise=pair"),
    ],
)
def test_a_dataset_and_its_noise_in_one_piece_or_in_three(form, parsed, resolved):
    found = resolved(*form)
    assert (found["dataset"], found["noise"], found["noise_ratio"]) == ("digits", "pair", 0.4)
    parsed(*form)
    assert dataset_flags.noisy_dataset().name == "digits_pair_0.4"  # as the trainer names it


def test_labels_are_as_they_are_unless_noise_is_named(resolved, tmp_path):
    found = resolved("--dataset=cifar10")
    assert (found["noise"], found["noise_ratio"]) == ("none", 0)
    found = resolved(f"--data={tmp_path}")
    assert (found["dataset"], found["noise"]) == ("image_folder", "none")
    assert found["backbone"] == "efficientnet_lite0"
    assert "backbone" not in resolved(f"--data={tmp_path}", "--backbone=none", "--image_size=32")
    found = resolved()
    assert (found["dataset"], found["noise"], found["noise_ratio"]) == ("digits", "uniform", 0.9)


def test_an_experiment_is_the_same_as_in_the_trainer(resolved):
    found = resolved("--experiment=ieg_webvision", "--max_iteration=7")
    assert (found["dataset"], found["method"]) == ("webvisionmini", "ieg")
    assert found["use_imagenet_as_eval"]
    assert found["settings"]["network_name"] == "resnet50"
    assert found["settings"]["max_iteration"] == 7
    found = resolved("--experiment=ieg_cifar10_asymmetric_0.4")
    assert (found["dataset"], found["noise"], found["noise_ratio"]) == (
        "cifar10",
        "asymmetric",
        0.4,
    )


@pytest.mark.parametrize("pipeline", compile.PIPELINES)
def test_a_backbone_is_a_parameter_where_there_is_one(pipeline, resolved):
    found = resolved("--backbone=efficientnet_lite0", "--backbone_views=3", pipeline=pipeline)
    assert found["backbone"] == "efficientnet_lite0"
    assert found["settings"] == {"backbone_views": 3}
    for given in ((), ("--backbone=none",)):
        assert not set(resolved(*given, pipeline=pipeline)) & set(OF_BACKBONE)
    for given, rule in (
        (("--backbone=resnet",), "--backbone: must be none"),
        (("--backbone_views=3",), "--backbone_views: is for a --backbone"),
        (("--backbone=efficientnet_lite0", "--image_size=64"), "--image_size: is for networks"),
    ):
        with pytest.raises(InputError, match=rule):
            resolved(*given, pipeline=pipeline)


def test_a_training_is_fine_tuned_and_a_sweep_is_not(resolved):
    given = ("--backbone=efficientnet_lite0", "--finetune", "--finetune_epochs=2")
    found = resolved(*given)
    assert found["settings"] == {"finetune": True, "finetune_epochs": 2}
    assert has_finetuning(found)
    with pytest.raises(InputError, match="--finetune: is for --pipeline=training"):
        resolved(*given, pipeline="sweep")
    with pytest.raises(InputError, match="--finetune: needs a --backbone"):
        resolved("--finetune")


def test_imagenet_is_for_networks_that_see_images(resolved):
    experiment = ("--experiment=ieg_webvision", "--backbone=efficientnet_lite0")
    with pytest.raises(InputError, match="--network_name: is for networks that see images"):
        resolved(*experiment)
    with pytest.raises(
        InputError, match="--use_imagenet_as_eval: is for networks without a backbone"
    ):
        resolved("--dataset=webvisionmini", "--use_imagenet_as_eval", experiment[1])


def test_a_setting_goes_where_the_pipeline_has_it(resolved):
    given = ("--seed=3", "--label_column=a", "--bad_images=skip", "--eval_freq=5")
    table = ("--dataset=csv", "--data=gs://bucket/table.csv")
    training, sweep = (resolved(*given, *table, pipeline=name) for name in compile.PIPELINES)
    assert training["seed"] == 3
    assert [run["seed"] for run in sweep["runs"]] == [3, 3, 3]
    for found in (training, sweep):
        assert found["label_column"] == "a"
        assert found["dataset_settings"] == {"bad_images": "skip"}
        assert found["settings"] == {"eval_freq": 5}
        assert found["backbone"] == "efficientnet_lite0"


@pytest.mark.parametrize("pipeline", compile.PIPELINES)
def test_what_a_component_has_an_input_for_is_a_parameter_or_refused(pipeline, parsed):
    parsed()
    values, given = training_flags.chosen(pipeline)
    missing = parameters.INPUTS - set(compile.definitions(pipeline))
    for name in missing:
        with pytest.raises(
            InputError, match=f"--{name}: is for (--pipeline=training|python -m trainer)"
        ):
            parameters.resolve(pipeline, values, given | {name: SETTINGS[name].default})
    assert (
        missing
        == {
            "training": {"audit_fold"},
            "sweep": {"method", "seed", "audit_folds", "audit_fold", "imagenet_val"},
        }[pipeline]
    )


@pytest.mark.parametrize("pipeline", compile.PIPELINES)
def test_defaults_and_descriptions_are_those_of_the_settings(pipeline):
    definitions = compile.definitions(pipeline)
    for name in set(definitions) & set(SETTINGS):
        assert definitions[name].get("defaultValue", "") == SETTINGS[name].default
        assert SETTINGS[name].metadata["help"] in definitions[name]["description"]


def test_a_sweep_is_over_methods_ratios_and_seeds(resolved):
    swept = ("--methods=supervised,ieg", "--noise_ratios=0.2,0.4", "--seeds=5,6")
    runs = [tuple(run.values()) for run in resolved(*swept, pipeline="sweep")["runs"]]
    assert runs[:3] == [("ieg", 0.2, 5), ("ieg", 0.2, 6), ("ieg", 0.4, 5)]
    assert len(set(runs)) == 8


def test_compile_takes_parameters_as_defaults(pipelines, tmp_path, capsys):
    (tmp_path / "more.yaml").write_text("{noise_ratio: 1, settings: {max_iteration: 7}}")
    given = ("--method=l2r", f"--parameters={tmp_path}/more.yaml", f"--output={tmp_path}/a.yaml")
    pipelines("compile", *given)
    spec = yaml.safe_load((tmp_path / "a.yaml").read_text())
    found = spec["root"]["inputDefinitions"]["parameters"]
    assert found["method"]["defaultValue"] == "l2r"
    assert found["noise_ratio"]["defaultValue"] == 1.0
    assert found["settings"]["defaultValue"] == {"max_iteration": 7}


def test_compile_writes_yaml(pipelines, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    pipelines("compile", "--pipeline=sweep")
    assert capsys.readouterr().out == "sweep.yaml\n"
    spec = yaml.safe_load((tmp_path / "sweep.yaml").read_text())
    assert spec["pipelineInfo"]["name"] == "sweep"
