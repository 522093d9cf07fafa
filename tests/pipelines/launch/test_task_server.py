"""Tasks that are copies of one process have their own output, environment and exit status."""

import signal
import socket
from functools import partial

import pytest

from pipelines.launch import task_server

SCRIPT = 'python3 -m kfp.dsl.executor_main --component_module_path "$program_path" "$@"'


@pytest.mark.slow
def test_a_task_speaks_and_ends_for_itself(tmp_path, capsys, request):
    request.addfinalizer(partial(socket.setdefaulttimeout, socket.getdefaulttimeout()))
    socket.setdefaulttimeout(0.01)  # some libraries set one; tasks take longer

    def task(source, **environment):
        command = ["sh", "-ec", SCRIPT, source, "--function_to_execute", "f"]
        return run(command, environment), capsys.readouterr().out

    with task_server.started(tmp_path) as run:
        status, said = task("import os\nprint(os.environ['HUE'], end='')\nexit(3)", HUE="blue")
        assert (status, said.endswith("blue")) == (3, True)
        status, said = task(
            "import sys\nassert 'tensorflow' in sys.modules\nraise KeyError('here')"
        )
        assert (status, said.splitlines()[-1]) == (1, "KeyError: 'here'")
        status, _ = task("import os\nos.kill(os.getpid(), 9)")
        assert status == -signal.SIGKILL
        status, _ = task("import os, sys\nassert 'HUE' not in os.environ\nsys.exit(0)")
        assert status == 0
        server = "import os\nos.kill(int(open(f'/proc/{os.getppid()}/stat').read().split()[3]), 9)"
        assert task(server)[0] == 1  # it is killed, and the task runs to its end
        assert task("") == (-signal.SIGKILL, "")
