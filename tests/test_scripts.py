"""The launchers: syntax, permissions, length, and what a set-up that cannot work says."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LAUNCHERS = sorted(path for path in (ROOT / "bin").iterdir() if path.name != "_setup")
BASH = shutil.which("bash") or "/bin/bash"


@pytest.mark.parametrize(
    "script", [*LAUNCHERS, ROOT / "bin" / "_setup", ROOT / ".ci" / "run"], ids=lambda p: p.name
)
def test_syntax(script):
    check = subprocess.run([BASH, "-n", script], capture_output=True, text=True, check=False)
    assert check.stderr == ""


@pytest.mark.parametrize("script", [*LAUNCHERS, ROOT / ".ci" / "run"], ids=lambda p: p.name)
def test_launchers_are_executable_and_short(script):
    assert os.access(script, os.X_OK)
    assert len(script.read_text().splitlines()) <= 20


def read_setup_cfg():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    return config


def test_every_console_script_has_a_launcher():
    scripts = read_setup_cfg()["options.entry_points"]["console_scripts"].split("\n")
    names = {line.split("=")[0].strip() for line in scripts if line}
    assert names <= {path.name for path in LAUNCHERS}


def test_every_direct_dependency_is_pinned():
    config = read_setup_cfg()
    wanted = config["options"]["install_requires"]
    wanted += "".join(config["options.extras_require"].values())
    names = {re.split(r"[<>=]", line)[0].strip() for line in wanted.split("\n") if line.strip()}
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    assert names - pins.keys() == set()


@pytest.fixture
def checkout(tmp_path):
    """Return a copy of what set-up needs, without .venv."""
    copy = tmp_path / "checkout"
    shutil.copytree(ROOT / "bin", copy / "bin")
    for name in ("setup.cfg", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, copy / name)
    (copy / "cxlsfind" / "kernels").mkdir(parents=True)
    (copy / "cxlsfind" / "kernels" / "_.py").touch()
    return copy


@pytest.fixture
def commands(tmp_path):
    """Return a folder that serves as PATH: the few programs set-up uses, and no Python."""
    folder = tmp_path / "commands"
    folder.mkdir()
    for name in ("bash", "cat", "cksum", "dirname", "flock", "mktemp", "readlink", "rm", "tail"):
        (folder / name).symlink_to(shutil.which(name))
    return folder


def add_command(folder, name, script):
    (folder / name).write_text(f"#!{BASH}\n{script}\n")
    (folder / name).chmod(0o755)


def start(checkout, commands):
    environment = {"PATH": str(commands), "HOME": str(checkout)}
    return subprocess.run(
        [BASH, checkout / "bin" / "cxlsfind-simulate", "--version"],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd="/",
    )


def test_old_python_is_named(checkout, commands):
    old = 'if [[ $1 = --version ]]; then echo "Python 3.6.8"; else exit 1; fi'
    add_command(commands, "python3", old)
    result = start(checkout, commands)
    assert result.returncode == 3
    assert "no Python from 3.11 to 3.13 on PATH (python3: Python 3.6.8)" in result.stderr


def test_python_without_venv_is_named(checkout, commands):
    """Debian's Python comes without ensurepip."""
    add_command(commands, "python3.12", "[[ $2 != *ensurepip* ]]")
    result = start(checkout, commands)
    assert result.returncode == 3
    assert "apt install python3.12-venv" in result.stderr


def test_failing_pip_shows_its_words_and_is_tried_again(checkout, commands):
    add_command(
        commands, "python3.11", 'if [[ $1 = -m ]]; then echo "no route to index"; exit 1; fi'
    )
    for _ in range(2):
        result = start(checkout, commands)
        assert result.returncode == 3
        assert "no route to index" in result.stderr
        assert "pip must reach a package index" in result.stderr


def test_ready_environment_is_used_without_python_or_network(checkout, commands):
    """The second run; from another directory, through a link."""
    tools = checkout / ".venv" / "bin"
    tools.mkdir(parents=True)
    add_command(tools, "python", "exit 1")
    add_command(tools, "cxlsfind-simulate", 'echo "$@ $NUMBA_CACHE_DIR"')
    stamp = "".join(
        (checkout / name).read_text() for name in ("setup.cfg", "pyproject.toml", "constraints.txt")
    )
    (checkout / ".venv" / "stamp").write_text(f"{stamp}{checkout}\n")
    result = start(checkout, commands)
    assert result.stderr == ""
    assert result.stdout.startswith(f"--version {checkout}/.venv/numba/")
    with (checkout / "constraints.txt").open("a") as pins:
        pins.write("new==1\n")
    assert start(checkout, commands).returncode == 3
