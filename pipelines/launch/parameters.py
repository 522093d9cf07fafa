"""The parameters of a pipeline: from the values of flags and from a file, checked.

The signature of a pipeline is the only list of its parameters. A setting in it is a parameter; all
other settings go into `dataset_settings` or `settings`.
"""

import dataclasses

import components
from pipelines.launch import checks, parameters_file
from pipelines.launch.compile import PIPELINES, definitions
from pipelines.parameters import OF_BACKBONE, SETTINGS, has_backbone
from trainer.errors import InputError
from trainer.settings.data import DataSettings
from trainer.training import configuration

OF_DATA = {field.name for field in dataclasses.fields(DataSettings)}
# Settings that are inputs of a component: `settings` and `dataset_settings` must not repeat them.
INPUTS = set(SETTINGS) & {
    name for each in components.__all__ for name in getattr(components, each).component_spec.inputs
}


def resolve(pipeline, values, given, file=None):
    """The parameters of a pipeline.

    Args:
      pipeline: Its name.
      values: Values by the name of a parameter or setting, from flags.
      given: Names of settings that the command line gives.
      file: YAML file of parameters by name, which replace `values`.

    Raises:
      InputError: A parameter is not one of this pipeline, has another type or breaks a rule.
    """
    types = definitions(pipeline)
    for name in given:
        if name not in types and (name in INPUTS or name not in SETTINGS):
            others = [each for each in PIPELINES if name in definitions(each)]
            scope = f"--pipeline={', '.join(others)}" if others else "python -m trainer"
            raise InputError(f"--{name}", f"is for {scope}", pipeline)
    inner = {name: value for name, value in given.items() if name not in types}
    parameters = {name: values[name] for name in types if name in values} | {
        "dataset_settings": {name: inner[name] for name in inner if name in OF_DATA},
        "settings": {name: inner[name] for name in inner if name not in OF_DATA},
    }
    if file:
        parameters |= parameters_file.read(file, types)
    parameters.setdefault("backbone", configuration.default_backbone(parameters["dataset"]))
    parameters = checks.checked(parameters, forbidden=INPUTS | set(types))
    if has_backbone(parameters):
        return parameters
    return {name: value for name, value in parameters.items() if name not in OF_BACKBONE}
