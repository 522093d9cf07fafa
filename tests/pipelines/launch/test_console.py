"""The lines of the log that the terminal shows, and the failures that are retried."""

import builtins
import io
import logging
import threading

import pytest
from kfp.local import logging_utils

from pipelines.launch import compile, profiles, progress, run
from pipelines.launch.console import Console

LOCAL = profiles.resolve("local", "local")
INPUT, TRAINING = "trainer.errors.InputError: --data: no\n", "trainer.errors.TrainingError: NaN\n"
CHANCE = "urllib3.exceptions.ReadTimeoutError: too late\n"


@pytest.fixture
def console():
    names = compile.display_names(compile.specification("training", LOCAL))
    return Console(io.StringIO(), io.StringIO(), 3, names)


def shown(console):
    return [line.partition("s  ")[2] for line in console.terminal.getvalue().splitlines()]


def test_tasks_have_numbers_and_warnings_are_shown(console):
    for line in (
        "12:00:00.000 - INFO - Executing task \x1b[96m'audit-labels-2'\x1b[0m",
        "    warning: step 3: all images are predicted as 'cat'",
        "    I0000 port.cc: oneDNN custom operations are on",
        "    resuming at step 300",
        "12:00:00.000 - INFO - Task \x1b[96m'audit-labels-2'\x1b[0m finished with status "
        "\x1b[92mSUCCESS\x1b[0m",
        "12:00:00 - INFO - Task write-report-2 cache hit (key=0123); skipping execution.",
    ):
        print(line, file=console)
    assert shown(console) == [
        "[1/3] audit labels",
        "warning: step 3: all images are predicted as 'cat'",
        "resuming at step 300",
        "[1/3] audit labels: done",
        "[2/3] write report: done before",
    ]
    assert "oneDNN" in console.log.getvalue()


def test_lines_of_two_threads_are_not_mixed(console):
    console.write("warning: one ")
    thread = threading.Thread(target=console.write, args=("warning: two\n",))
    thread.start()
    thread.join()
    console.write("half\n")
    assert shown(console) == ["warning: two", "warning: one half"]


def test_no_line_is_lost_while_tasks_of_other_threads_begin_and_end(console, monkeypatch):
    for name in ("local_logger_context", "indented_print"):
        monkeypatch.setattr(logging_utils, name, getattr(logging_utils, name))
    root, ended = logging.getLogger(), threading.Event()
    handlers, level, printing = root.handlers[:], root.level, builtins.print

    def tasks():
        while not ended.is_set():
            with logging_utils.local_logger_context(), logging_utils.indented_print():
                pass

    run.log_to(console)
    others = [threading.Thread(target=tasks) for _ in range(2)]
    try:
        for thread in others:
            thread.start()
        for number in range(3000):
            logging.info(f"Executing task '{number}'")
    finally:
        ended.set()
        for thread in others:
            thread.join()
        root.handlers[:] = handlers
        root.setLevel(level)
    assert builtins.print is printing
    assert shown(console)[-1] == "[3000/3] 2999"


@pytest.mark.parametrize(("said", "times"), [(INPUT, 1), (TRAINING, 1), (CHANCE, 3), ("", 3)])
def test_what_would_fail_again_is_not_retried(console, said, times):
    def fail():
        calls.append(1)
        console.write(said)
        return 1

    calls = []
    console.begin("train")
    assert console.persistent(fail, retries=2, backoff=0)() == 1
    assert len(calls) == times
    assert shown(console) == ["[1/3] train: failed, retry in 0 s"] * (times - 1)


def test_a_success_ends_the_retries(console):
    statuses = [1, 0, 0]
    console.begin("train")
    assert console.persistent(lambda: statuses.pop(0), retries=2, backoff=0)() == 0
    assert statuses == [0]


WHERE = "; the log is log\n"


@pytest.mark.parametrize(
    ("said", "exit_status", "status", "line"),
    [
        (INPUT, 1, 2, "error: --data: no\n"),
        (TRAINING, 1, 1, "error: NaN\n"),
        (CHANCE, 1, 1, f"error: [1/3] train: {CHANCE.strip()}{WHERE}"),
        ("", 137, 1, f"error: [1/3] train: was killed; memory may have run out{WHERE}"),
        ("", 3, 1, f"error: [1/3] train: ended with status 3{WHERE}"),
    ],
)
def test_the_reason_of_a_failure(console, capsys, said, exit_status, status, line):
    def fail():
        console.write(said)
        return exit_status

    console.log.name = "log"
    console.begin("train")
    console.persistent(fail, retries=0, backoff=0)()
    assert console.explain(RuntimeError("failed")) == status
    assert capsys.readouterr().err == line


@pytest.mark.parametrize(
    ("pipeline", "given", "count"),
    [
        ("training", {}, 9),
        ("training", {"use_imagenet_as_eval": True}, 11),
        ("training", {"audit_folds": 3}, 13),
        ("sweep", {"runs": [{}, {}]}, 11),
    ],
)
def test_how_many_tasks_there_are(pipeline, given, count):
    spec = compile.specification(pipeline, LOCAL)
    assert progress.number_of_tasks(spec, given) == count
