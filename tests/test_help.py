"""The text of --help on both command lines."""

import re
import subprocess
import sys

import pytest

from tests import commands
from trainer import command_line
from trainer.methods import METHODS

IN_HELP = re.compile(r"^  --(?:\[no\])?(\w+)", re.MULTILINE)


@pytest.fixture(scope="module", params=["trainer", "pipelines"])
def shown(request, tmp_path_factory):
    """The program and what its --help prints."""
    done = commands.run(request.param, "--help", cwd=tmp_path_factory.mktemp("help"))
    assert (done.returncode, done.stderr) == (0, "")
    return request.param, done.stdout


def test_the_flags_that_matter_come_first_and_all_once(shown):
    _, text = shown
    _, short, rest = re.split(r"The flags that matter most:\n|\n\n(?=\w+:\n)", text, maxsplit=2)
    first, every = IN_HELP.findall(short), IN_HELP.findall(rest)
    assert 10 <= len(first) <= 16
    assert len(every) == len(set(every))
    assert set(first) <= set(every)


def test_every_flag_of_the_program_is_there(shown):
    """A flag that is not in --help is an old name of another flag."""
    program, text = shown
    code = f"""
import sys, {program}.__main__ as program
from absl import flags
print(*(flag.name for flag in flags.FLAGS.get_key_flags_for_module(program)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    silent = {"dataset_dir", "source"}
    assert set(done.stdout.split()) - silent == set(IN_HELP.findall(text.partition("\n\n")[2]))


def test_settings_stand_with_their_owner():
    groups = command_line.setting_groups()
    assert {"ce_factor", "stop_guess"} <= set(groups["IEG"])
    assert "rotation_weight" in groups["Robust"]
    assert set(groups["Strong view (robust, ieg)"]) == {"aug_type"}
    assert set(groups["Lookahead (l2r, fsr, ieg)"]) == {"meta_stepsize"}
    named = [name for group in groups.values() for name in group]
    assert len(named) == len(set(named))


def test_help_of_a_setting_has_values_range_and_defaults():
    fields = {n: f for group in command_line.setting_groups().values() for n, f in group.items()}
    said = {name: command_line.help_of(field) for name, field in fields.items()}
    assert f"training method: {', '.join(METHODS)} (default ieg;" in said["method"]
    assert said["momentum"] == "momentum of SGD, in [0, 1] (default 0.9)"
    assert "robust 300" in said["batch_size"]
    assert said["trusted"].endswith("the trusted set")
