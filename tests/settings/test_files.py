"""Files that are read with a limit, and files that are replaced as a whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from tilores_core.errors import ConfigError
from tilores_core.files import read_bytes, read_json, read_text, replace_file


def test_file_is_read_up_to_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "some.json"
    path.write_text('{"a": [1]}')
    assert read_json(path, most=10) == {"a": [1]}
    with pytest.raises(ConfigError, match="is larger than 9 bytes"):
        read_json(path, most=9)


@pytest.mark.parametrize(
    ("content", "said"), [(b'{\n"a": }', r"is not valid JSON \(line 2, column 6\)"), (b"\xff", "is not valid JSON")]
)
def test_what_is_not_json_is_refused_with_its_place(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "some.json"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=said):
        read_json(path)


def test_text_that_is_not_utf_8_is_refused_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "some.txt"
    path.write_bytes(b"ab\xff")
    with pytest.raises(ConfigError, match="is not UTF-8 at byte 2"):
        read_text(path)


def test_file_that_is_not_there_is_named_with_the_fix(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file") as raised:
        read_bytes(tmp_path / "gone", fix="write it")
    assert (str(tmp_path / "gone"), "write it") == (raised.value.where, raised.value.fix)


def test_replaced_file_is_for_its_owner_or_keeps_its_rights(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    link.symlink_to(real)
    replace_file(link, b"one")
    assert (real.read_bytes(), real.stat().st_mode & 0o777, link.is_symlink()) == (b"one", 0o600, True)
    real.chmod(0o640)
    replace_file(real, b"two", private=False)
    assert (real.read_bytes(), real.stat().st_mode & 0o777) == (b"two", 0o640)
    replace_file(tmp_path / "new", b"three", private=False)
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o644
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "new", "real"]


def test_file_that_cannot_be_replaced_leaves_nothing_beside_it(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="Is a directory"):
        replace_file(tmp_path / "folder", b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
