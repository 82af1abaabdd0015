"""The command line, run in this process."""

from __future__ import annotations

import sys

import pytest

from torchmultiverse.cli import main


def run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: object
) -> tuple[int, str, str]:
    """Run a command in this process and return its exit code, standard output and standard error."""
    monkeypatch.setattr(sys, "argv", ["torchmultiverse", *map(str, arguments)])
    monkeypatch.setenv("COLUMNS", "200")
    try:
        main()
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    captured = capsys.readouterr()
    return code, captured.out, captured.err
