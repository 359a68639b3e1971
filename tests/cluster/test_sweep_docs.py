"""The page about sweeps: its commands are understood, its files are sweeps."""

import re
import shlex
from pathlib import Path

import pytest

from cofusion.cli import main

PAGE = Path(__file__).parents[2] / "docs" / "cluster.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The page's sweep files, in the current folder."""
    monkeypatch.chdir(tmp_path)
    for text in blocks("yaml"):
        if "parameters:" in text:
            Path(text.split()[1]).write_text(text)
    return sorted(path.name for path in tmp_path.iterdir())


def test_every_sweep_command_is_understood(files, capsys):
    commands = [
        line for line in "".join(blocks("bash")).splitlines() if line.startswith("cofusion sweep run")
    ]
    assert len(commands) >= 5
    for command in commands:
        words = shlex.split(command)[1:]
        place = words.index("--") if "--" in words else len(words)
        assert main([*words[:place], "--dry_run", *words[place:]]) == 0, command
        out = capsys.readouterr().out
        assert "cofusion fit" in out or "#SBATCH --array=0,1,2,3,4,5,6,7,8,9,10,11\n" in out, command


def test_the_files_on_the_page_are_sweeps_whose_commands_are_understood(files, capsys):
    from cofusion.cluster.sweep import read_sweep

    assert files == ["mine.yaml", "tiny.yaml"]
    for name in files:
        trials = read_sweep(name).trials()
        assert len(trials) in (4, 8)
        assert main([*trials[-1].arguments(), "--print_config"]) == 0
        assert "max_epochs: 2" in capsys.readouterr().out
