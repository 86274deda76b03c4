"""What the fork server starts is a process as any other, and knows nothing of those before it."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from tempfile import TemporaryFile

import pytest

from tests.processes.forked import Forked, run, start
from tests.processes.on_path import python
from tilores_core.testing.waiting import wait_until

if not hasattr(os, "pidfd_open"):
    pytest.skip("this system has no pidfd_open", allow_module_level=True)

_ENV = dict(os.environ)  # before tests and libraries have changed it: a changed one is given to no fork server


def _run(folder: Path, script: str, *words: str, given: bytes = b"", **env: str) -> tuple[int, str]:
    """The exit code, and what it wrote to both."""
    (folder / "script.py").write_text(script)
    with TemporaryFile() as stdin, TemporaryFile() as out:
        stdin.write(given)
        stdin.seek(0)
        process = _start(folder, words, env, stdin.fileno(), out.fileno())
        code = process.wait(30)
        out.seek(0)
        return code, out.read().decode()


def _start(folder: Path, words: tuple[str, ...], env: dict[str, str], stdin: int, out: int) -> Forked:
    python = {name: value for name, value in os.environ.items() if name.startswith(("PYTHON", "LC_", "LANG"))}
    process = start(
        [str(folder / "script.py"), *words], cwd=folder, env={**env, **python}, stdin=stdin, stdout=out, stderr=out
    )
    assert isinstance(process, Forked)
    return process


def test_words_folder_variables_and_input(tmp_path: Path) -> None:
    script = "import os, sys; print(sys.argv, os.getcwd(), os.environ['MARK'], 'HOME' in os.environ, input())"
    path = tmp_path / "script.py"
    assert _run(tmp_path, script, "one", "two", given=b"three\n", MARK="four") == (
        0,
        f"['{path}', 'one', 'two'] {tmp_path} four False three\n",
    )


@pytest.mark.parametrize(
    ("script", "code", "said"),
    [
        ("import sys; sys.exit(3)", 3, ""),
        ("import sys; sys.exit('no')", 1, "no\n"),
        ("import os; os.kill(os.getpid(), 9)", -signal.SIGKILL, ""),
        ("import atexit; atexit.register(print, 'at the end')", 0, "at the end\n"),
    ],
)
def test_it_ends_in_its_own_way(tmp_path: Path, script: str, code: int, said: str) -> None:
    assert _run(tmp_path, script) == (code, said)


def test_no_descriptor_and_no_change_of_another_is_left(tmp_path: Path) -> None:
    first = "import os, sys; os.environ['LEFT'] = '1'; sys.left = True; os.mkdir('elsewhere'); os.chdir('elsewhere')"
    assert _run(tmp_path, first) == (0, "")
    second = "import os, sys; print('LEFT' in os.environ, hasattr(sys, 'left'), sorted(os.listdir('/dev/fd'))[:3])"
    code, said = _run(tmp_path, second)
    assert (code, said) == (0, "False False ['0', '1', '2']\n")
    assert _run(tmp_path, "import os; print(len(os.listdir('/dev/fd')))")[1] == "4\n"  # one is the listing's own


def test_signals_reach_it(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("import sys, time\nprint('up', flush=True)\ntime.sleep(60)\n")
    reader, writer = os.pipe()
    with open(os.devnull, "rb") as nothing, open(reader, "rb") as out:
        process = _start(tmp_path, (), {}, nothing.fileno(), writer)
        os.close(writer)
        assert out.readline() == b"up\n"
        assert process.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.01)
        process.terminate()
        assert process.wait(30) == -signal.SIGTERM
        process.kill()  # what has ended is left alone


def test_modules_of_its_own_path_and_not_those_that_hide_others(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "only_here.py").write_text("MARK = 'found'\n")
    (tmp_path / "script.py").write_text("import only_here, sys; print(only_here.MARK, 'tilores_core' in sys.modules)")
    env = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    assert run([tmp_path / "script.py"], cwd=tmp_path, env=env).stdout == "found True\n"
    (tmp_path / "site" / "redis.py").touch()
    assert run([tmp_path / "script.py"], cwd=tmp_path, env=env).stdout == "found False\n", "it hides a library"
    (tmp_path / "site" / "redis.py").unlink()
    assert run([tmp_path / "script.py"], cwd=tmp_path, env=env, fresh=True).stdout == "found False\n"


@pytest.mark.parametrize(
    ("words", "said", "code"),
    [
        (("-c", "import sys; print(sys.argv, 'tilores_core' in sys.modules)", "x"), "['-c', 'x'] True\n", 0),
        (("-m", "json.tool", "--help"), "usage: ", 0),
        (("-I", "-c", "import sys; print('tilores_core' in sys.modules)"), "False\n", 0),  # not what it can do
        (("-c", "import os; os.kill(os.getpid(), 9)"), "", -signal.SIGKILL),
        (("-c", "import sys; sys.exit('no')"), "no\n", 1),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_python_that_stands_for_a_forked_one(words: tuple[str, ...], said: str, code: int) -> None:
    done = subprocess.run([python(), *words], env=_ENV, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, (done.stdout + done.stderr)[: len(said) or None]) == (code, said)


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL])
def test_what_stands_for_a_process_passes_on_files_and_signals_and_takes_it_along(ending: signal.Signals) -> None:
    inner, outer = os.pipe()
    code = f"import os, time; os.write({outer}, str(os.getpid()).encode()); time.sleep(60)"
    stands = subprocess.Popen([python(), "-c", code], env=_ENV, pass_fds=[outer])
    pid = int(os.read(inner, 16))
    assert pid != stands.pid
    stands.send_signal(ending)
    assert stands.wait(30) == -ending
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), "the process that was forked goes on")
    os.close(inner)
    os.close(outer)
