"""Manifests: every changed, missing and added file is found."""

from __future__ import annotations

import hashlib
import shutil
import subprocess

import pytest

from cxlsfind.datasets.manifest import verify_manifest, write_manifest
from cxlsfind.errors import InputError, InputProblemsError

FRAME = "02/02_8keV_clen01_000002.h5"


def test_an_untouched_tree_is_as_its_manifest_says(made_tree):
    assert verify_manifest(made_tree) == 4 * 10 + 3
    line = (made_tree / "manifest.sha256").read_text().splitlines()[-1]
    digest, name = line.split("  ")
    assert digest == hashlib.sha256((made_tree / name).read_bytes()).hexdigest()


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="no sha256sum")
def test_sha256sum_reads_manifests(made_tree):
    command = ["sha256sum", "--check", "--strict", "--quiet", "manifest.sha256"]
    assert subprocess.run(command, cwd=made_tree, check=False).returncode == 0


def test_all_changes_are_listed(tree):
    changed, gone, new = (tree / name / FRAME for name in ("peaks", "labels", "water"))
    changed.write_bytes(changed.read_bytes() + b"\0")
    gone.unlink()
    new.with_name("new.h5").write_bytes(b"")
    with pytest.raises(InputProblemsError) as caught:
        verify_manifest(tree)
    problems = "\n".join(caught.value.problems)
    assert len(caught.value.problems) == 3
    assert f"peaks/{FRAME}: differs from its hash" in problems
    assert f"labels/{FRAME}: missing" in problems
    assert "water/02/new.h5: not in the manifest" in problems
    write_manifest(tree)
    assert verify_manifest(tree) == 4 * 10 + 3


def test_a_tree_without_a_manifest_or_with_a_bad_one(tree):
    (tree / "manifest.sha256").write_text("something else\n")
    with pytest.raises(InputError, match=r"manifest\.sha256:1: no line of a manifest"):
        verify_manifest(tree)
    (tree / "manifest.sha256").unlink()
    with pytest.raises(InputError, match=r"cannot be read.*write one with"):
        verify_manifest(tree)
