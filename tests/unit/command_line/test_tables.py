"""What a table shows can be read and copied, whatever the terminal's width."""

import pytest

from automation import tables


@pytest.mark.parametrize("columns", ["20", "500"])
def test_a_row_is_a_line_with_whole_names(
    columns: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    table = tables.make("job", "USD/hour", right=("USD/hour",))
    table.add_row("launch-52d23b05-d0d9-419f-ac6e-af0f8ded98ce", "0.116")
    table.add_row("short", "12.500")
    tables.show(table)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    names = ["job", "launch-52d23b05-d0d9-419f-ac6e-af0f8ded98ce", "short"]
    assert lines == [[name, number] for name, number in zip(names, ["USD/hour", "0.116", "12.500"], strict=True)]
