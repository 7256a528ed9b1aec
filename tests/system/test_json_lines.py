"""Lines that are whole or not there."""

from pathlib import Path

import pytest

from defocusctl.errors import OutputError
from defocusctl.system.json_lines import JsonLinesWriter, read_json_lines


def append(path: Path, *objects: dict[str, object]) -> None:
    writer = JsonLinesWriter(path)
    writer.append(objects)
    writer.close()


def test_what_was_appended_is_read(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    assert list(read_json_lines(path)) == []
    append(path, {"a": 1}, {"name": "\udcff\u00e9\n"})
    append(path, {"b": None})
    assert list(read_json_lines(path)) == [{"a": 1}, {"name": "\udcff\u00e9\n"}, {"b": None}]


@pytest.mark.parametrize("torn", [b"{", b'{"b": 2}', b"\0" * 70000, b"[" * 200000])
def test_a_last_line_cut_short_is_no_line_and_is_cut_off(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "lines"
    append(path, {"a": 1})
    path.write_bytes(path.read_bytes() + torn)
    assert list(read_json_lines(path)) == [{"a": 1}]
    append(path, {"c": 3})
    assert path.read_bytes() == b'{"a": 1}\n{"c": 3}\n'


def test_a_file_that_is_only_a_torn_line_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b'{"a"')
    append(path, {"c": 3})
    assert list(read_json_lines(path)) == [{"c": 3}]


@pytest.mark.parametrize("damage", [b"{]\n", b"3\n", b"\xff\n", b"[" * 100_000 + b"\n"])
def test_a_whole_line_that_is_damaged_is_told(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b'{"a": 1}\n' + damage)
    with pytest.raises(OutputError, match="line 2"):
        list(read_json_lines(path))
