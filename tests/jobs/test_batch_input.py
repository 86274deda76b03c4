"""What people put into batch files, and what is said when it is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from tilores_core.contracts import Identifiers
from tilores_core.errors import InvalidRequestError
from tilores_core.jobs.batch_input import BatchLine, InputOptions, read_batch

BOM = "\ufeff"


def _read(tmp_path: Path, text: str | bytes, name: str = "in.jsonl", **reading: object) -> list[BatchLine]:
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return list(read_batch(path, InputOptions(**reading)))  # type: ignore[arg-type]


def test_jsonl(tmp_path: Path) -> None:
    text = (
        BOM + '{"id": "a", "question": "What is her score?", "customer_id": "EDW_HAWTHORNE_001", "model": "demo:x"}\n'
        "\n"
        '{"Question": " Who? ", "E-Mail": "Edwina@Example.com", "phoneNumber": "(202) 555-0143", "other": [1]}\r\n'
        '{"name": "Edwina Hawthorne", "dob": "12 April 1980", "id": 7}'
    )
    first, second, third = _read(tmp_path, text)
    assert first == BatchLine(
        place=0,
        number=1,
        id="a",
        question="What is her score?",
        identifiers=Identifiers(customer_id="EDW_HAWTHORNE_001"),
        model="demo:x",
    )
    assert (second.place, second.number, second.id, second.question) == (1, 3, "2", "Who?")
    assert second.identifiers == Identifiers(email="edwina@example.com", phone="+12025550143")
    assert third.identifiers == Identifiers(name="Edwina Hawthorne", date_of_birth="1980-04-12")
    assert (third.id, third.question) == ("7", None), "a look-up needs no question"


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv(tmp_path: Path, delimiter: str) -> None:
    rows = [
        ["Question", "Customer ID", "request-id", "remark"],
        ['"What is ""it""?\nSecond line, really; yes"', "C1", "a", "x"],
        ["", "", "", ""],
        ["Short", "C2"],
    ]
    text = BOM + "\r\n".join(delimiter.join(row) for row in rows)
    first, second = _read(tmp_path, text, "in.csv")
    assert (first.number, first.id, first.question) == (2, "a", 'What is "it"?\nSecond line, really; yes')
    assert first.identifiers == Identifiers(customer_id="C1")
    assert (second.place, second.number, second.id, second.question) == (1, 5, "2", "Short")


def test_the_format_can_be_said(tmp_path: Path) -> None:
    assert [line.question for line in _read(tmp_path, "question\nWho?\n", "in.txt", format="csv")] == ["Who?"]
    assert [line.question for line in _read(tmp_path, '{"q": 1, "query": "Who?"}', "in.csv", format="jsonl")] == [
        "Who?"
    ]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{nonsense", "line 2: no JSON: "),
        ('["list"]', "line 2: no JSON object"),
        ("{}", "line 2: neither a question nor anything that names a customer"),
        ('{"question": " "}', "line 2: neither a question"),
        ('{"question": 7}', "line 2: question must be a text"),
        ('{"question": "x", "model": ["y"]}', "line 2: model must be a text"),
        ('{"question": "x", "email": "secret"}', "line 2: email cannot be read as an e-mail address"),
        ('{"question": "x", "phone": "secret"}', "line 2: phone cannot be read as a phone number"),
        ('{"question": "x", "dob": "secret"}', "line 2: date_of_birth cannot be read as a date"),
        ('{"question": "x", "customer": "a", "clientId": "b"}', "'customer' and 'clientId' both mean customer_id"),
        (json.dumps({"question": "x", "id": "y" * 201}), "line 2: id is longer than 200 characters"),
        (json.dumps({"question": "x" * 1000}), "line 2: longer than 500 bytes"),
        ('{"question": "\\ud800"}', "line 2: no JSON"),
    ],
)
def test_a_bad_line_is_told_and_the_others_go_on(tmp_path: Path, line: str, said: str) -> None:
    good = '{"question": "Who?", "id": "%s"}\n'
    before, bad, after = _read(tmp_path, good % "a" + line + "\n" + good % "b", max_line_bytes=500)
    assert (before.id, before.problem, after.id, after.problem, after.number) == ("a", None, "b", None, 3)
    assert bad.problem is not None
    assert said in bad.problem
    assert "secret" not in bad.problem
    assert (bad.question, bad.identifiers) == (None, Identifiers())


def test_a_bad_line_keeps_its_id(tmp_path: Path) -> None:
    (line,) = _read(tmp_path, '{"question": "x", "email": "y", "id": "mine"}')
    assert (line.id, line.problem) == ("mine", "line 1: email cannot be read as an e-mail address")


def test_too_many_fields(tmp_path: Path) -> None:
    bad, good = _read(tmp_path, "question,id\nWhat, exactly?,a\nWho?,b\n", "in.csv")
    assert bad.problem is not None
    assert bad.problem.startswith("line 2: 3 fields, and the header has 2")
    assert (good.id, good.problem) == ("b", None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nothing,known\n1,2\n", "line 1: no column is known"),
        ("", "line 1: no column is known"),
        ("question,prompt\n1,2\n", "line 1: the header cannot be read: 'question' and 'prompt' both mean question"),
        (b"question\n\xff\n", "line 2: not UTF-8 at byte 0"),
        ('question\nfine\n"never closed\n' + "x\n" * 300, "line 3: the row is longer than 500 bytes"),
        ('question\n"a"b\n', "line 2: no CSV"),
        ('question\n"at the end', "line 2: no CSV"),
    ],
)
def test_what_makes_the_rest_unreadable_stops_all(tmp_path: Path, text: str | bytes, said: str) -> None:
    with pytest.raises(InvalidRequestError, match=said) as caught:
        _read(tmp_path, text, "in.csv", max_line_bytes=500)
    assert caught.value.fix


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match=r"nowhere\.jsonl cannot be read: No such file"):
        list(read_batch(tmp_path / "nowhere.jsonl"))


@settings(max_examples=60, deadline=None)
@given(questions=st.lists(st.text(min_size=1).filter(lambda text: text.strip() and "\0" not in text), max_size=20))
def test_any_text_arrives_by_either_format(questions: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    import csv

    folder = tmp_path_factory.mktemp("any")
    (folder / "in.jsonl").write_text("".join(json.dumps({"question": text}) + "\n" for text in questions))
    with (folder / "in.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["question"], *([text] for text in questions)])
    wanted = [text.strip() for text in questions]
    assert [line.question for line in read_batch(folder / "in.jsonl")] == wanted
    assert [line.question for line in read_batch(folder / "in.csv")] == wanted


@pytest.mark.parametrize(
    "text",
    [
        "sep=;\r\nid;question\r\na;Who, then?\r\n",
        '"sep=;"\r\nid;question\r\na;Who, then?\r\n',
        "id;question\r\na;Who, then?;;\r\n",
    ],
)
def test_csv_of_a_spreadsheet_is_read_with_its_separator_line_and_empty_cells(tmp_path: Path, text: str) -> None:
    (line,) = _read(tmp_path, text, "in.csv")
    assert (line.id, line.question, line.problem) == ("a", "Who, then?", None)
