from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from tests.cli.command import Command, Terminal

Open = Callable[..., Terminal]
QUESTION = "What is Edwina Hawthorne's credit score?"


def test_piped_lines_are_questions_of_one_conversation(tilores: Command) -> None:
    done = tilores.run("chat", stdin=f"{QUESTION}\n\nand in which city does she live?")
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert "742" in first
    assert "Portland" in second  # who "she" is was said before
    assert done.stderr == ""


def test_an_error_does_not_end_it(tilores: Command) -> None:
    tilores.config("[chat]\nmax_characters = 60\n")
    long = "Tell me about " + "very " * 20 + "much"
    done = tilores.run("chat", stdin=f"{long}\n{QUESTION}\n")
    assert done.returncode == 1  # one of them failed
    assert "742" in done.stdout
    assert "error: the question is longer than 60 characters" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_model_that_fails_is_said_for_each_question(tilores: Command) -> None:
    tilores.config("[plugins.demo-model]\nfailure_rate = 1.0\n")
    done = tilores.run("chat", stdin="one?\ntwo?\n")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("error: the demo model does not answer") == 2


def test_a_wrong_model_or_broken_source_ends_it_at_once(tilores: Command) -> None:
    assert "there is no model" in tilores.fails("chat", "--model", "nobody:nothing")
    tilores.config('[use]\nsource = "file"\n[plugins.file]\npath = "missing.csv"\n')
    assert "there is no file 'missing.csv'" in tilores.fails("chat")


@pytest.mark.parametrize("ending", ["\n", "exit\n", "\x04"], ids=["an empty line", "exit", "Ctrl-D"])
def test_on_a_terminal(terminal: Open, ending: str) -> None:
    one = terminal("chat", "--customer", "EDW_HAWTHORNE_001")
    one.wait_for("model demo:simulated-1; an empty line, 'exit' or Ctrl-D ends\n")
    one.wait_for("> ")
    one.type("What is the credit score?\n")
    one.wait_for("credit score is 742.\n")
    one.wait_for("> ")
    one.type(ending)
    assert one.exit_code() == 0


def test_ctrl_c_at_the_prompt_ends_it(terminal: Open) -> None:
    one = terminal("chat")
    one.wait_for("> ")
    one.type("half a quest")
    one.wait_for("half a quest")
    one.type("\x03")
    assert one.exit_code("\x03") == 130  # Python's readline misses a signal in the moment between two characters
    assert "Traceback" not in one.seen


def test_ctrl_c_while_an_answer_comes_ends_it(tilores: Command, terminal: Open) -> None:
    tilores.config("[plugins.demo-model]\ntokens_per_second = 2\n")
    one = terminal("chat")
    one.wait_for("> ")
    one.type(f"{QUESTION}\n")
    one.wait_for("Edwina")  # the first piece, long before the last
    one.type("\x03")
    assert one.exit_code() == 130
    assert "Traceback" not in one.seen
    assert "742" not in one.seen


def test_a_signal_while_it_reads_a_pipe_ends_it(tilores: Command) -> None:
    process = tilores.start("chat")
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{QUESTION}\n")
    process.stdin.flush()
    assert "742" in process.stdout.readline()
    process.send_signal(signal.SIGINT)  # standard input stays open
    assert process.wait(60) == 130
    assert process.stderr is not None
    assert "Traceback" not in process.stderr.read()
    process.stdin.close()
    process.stdout.close()
    process.stderr.close()
