"""`tilores customers check`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command import Command

GOOD = "customer_id,name,email\n1,Nora Finch,nora@example.com\n,Omar Reed,\n"


def test_check_shows_what_became_of_the_columns_and_rows(tilores: Command, tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_text(GOOD)
    done = tilores.run("customers", "check", str(file))
    assert done.returncode == 0
    assert "1 rows of 1 customers, 1 rows left out" in done.stdout
    assert "customer id: customer_id" in done.stdout
    assert "line 3: the column 'customer_id' is empty" in done.stdout
    assert "Nora" not in done.stdout + done.stderr


def test_check_prints_json_and_nothing_else(tilores: Command, tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_text(GOOD)
    report = tilores.json("customers", "check", str(file))
    assert (report["customers"], report["records"], report["left_out"]) == (1, 1, 1)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("name\nNora Finch\n", "no column names the customer"),
        ("customer_id,name\n,Nora\n", "it is empty"),
        ("customer_id,name\n1,Nora,x,y\n", "no customer can"),
    ],
)
def test_check_of_a_file_that_serves_no_customer_fails(
    tilores: Command, tmp_path: Path, content: str, said: str
) -> None:
    file = tmp_path / "people.csv"
    file.write_text(content)
    done = tilores.run("customers", "check", str(file))
    assert done.returncode == 1
    assert said in done.stdout + done.stderr
