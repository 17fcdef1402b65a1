"""Options: what is refused, what the file adds, what is recorded."""

from __future__ import annotations

from pathlib import Path

import pytest

from cxlsfind.cli.arguments import build_parser, read_arguments
from cxlsfind.config import PeakMethod

LEAST = ["-i", "files.lst", "-g", "Eiger4M.geom", "-o", "hits.stream"]


def test_defaults_are_crystfels() -> None:
    """Defaults of options that CrystFEL has are CrystFEL's."""
    config = read_arguments(LEAST)
    assert config.peaks is PeakMethod.POISSON
    assert (config.false_peaks, config.max_peaks, config.hit_fpr) == (1.0, 500, 1e-3)
    assert (config.min_snr, config.min_pix_count, config.max_pix_count) == (5.0, 2, 200)
    assert (config.local_bg_radius, config.min_res, config.max_res) == (3, 0, 0)
    assert config.serial_start == 1
    assert config.non_hits_in_stream
    assert config.output == Path("hits.stream")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "missing: -i, -g, -o"),
        ([*LEAST, "--peaks=peakfinder8"], "needs --threshold"),
        ([*LEAST, "--hit-fpr=1"], "not between 0 and 1"),
        ([*LEAST, "--resume"], "--resume is not available"),
        ([*LEAST, "--time-limit=3600"], "--time-limit is not available"),
        ([*LEAST, "--follow"], "--follow is not available"),
        ([*LEAST, "--copy-hits", "hits.h5"], "--copy-hits is not available"),
        ([*LEAST, "-j", "0"], "0 is below 1"),
        ([*LEAST, "--min-pix-count=5", "--max-pix-count=4"], "is larger than"),
        ([*LEAST, "--photon-energy=-3"], "not above zero"),
        ([*LEAST, "--threshold=nan"], "not a finite number"),
        ([*LEAST, "--wait-for-file=-2"], "neither a time"),
        ([*LEAST, "--min-snrr=4"], "unrecognized arguments"),
        ([*LEAST, "--config", "no-such.toml"], "no-such.toml: cannot be read"),
        ([*LEAST, "--device=gpu"], "invalid choice"),
        ([*LEAST, "--models="], "name a folder, or give --no-models"),
        (
            [*LEAST, "--models=m", "--peaks=peakfinder8", "--threshold=5"],
            "models judge what --peaks=poisson finds",
        ),
        ([*LEAST, "-o", ""], "expected the name of a stream"),
        ([*LEAST, "-o", "runs/"], "expected the name of a stream"),
        ([*LEAST, "-o", "a\nb.stream"], "line break"),
    ],
)
def test_usage_errors(argv: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A usage error ends with code 2 and says what is wrong."""
    with pytest.raises(SystemExit) as ended:
        read_arguments(argv)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_flags_win_over_the_file(tmp_path: Path) -> None:
    """Keys of the file are options without dashes; the command line overrides them."""
    file = tmp_path / "night.toml"
    file.write_text(
        'i = "files.lst"\ngeometry = "a.geom"\noutput = "x.stream"\nthreshold = 4\n'
        "min-snr = 6.5\noverwrite = true\nno-non-hits-in-stream = false\n"
        'copy-header = ["/a", "/b"]\n'
    )
    config = read_arguments(["--config", str(file), "--min-snr=7", "-g", "b.geom"])
    assert (config.min_snr, config.threshold, config.geometry) == (7.0, 4.0, "b.geom")
    assert config.overwrite
    assert config.non_hits_in_stream
    assert config.copy_header == ("/a", "/b")
    assert read_arguments(["--config", str(file), "--copy-header=/c"]).copy_header == ("/c",)


def test_models_of_flags_and_file(tmp_path: Path) -> None:
    """The last word counts: flags over the file, and --no-models takes --models back."""
    file = tmp_path / "night.toml"
    file.write_text('models = "mine"\ndevice = "cpu"\n')
    config = read_arguments([*LEAST, "--config", str(file)])
    assert (config.models, config.use_models, config.device) == ("mine", True, "cpu")
    config = read_arguments([*LEAST, "--config", str(file), "--no-models", "--device=cuda"])
    assert (config.models, config.use_models, config.device) == (None, False, "cuda")
    file.write_text("no-models = true\n")
    assert not read_arguments([*LEAST, "--config", str(file)]).use_models
    config = read_arguments([*LEAST, "--config", str(file), "--models", "mine"])
    assert (config.models, config.use_models) == ("mine", True)
    default = read_arguments(LEAST)
    assert (default.models, default.use_models, default.device) == (None, True, "auto")
    assert default.settings()["use_models"]
    assert "device" not in default.settings()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("min_snr = 5", "unknown key 'min_snr'"),
        ("resume = true", "unknown key 'resume'"),
        ('overwrite = "yes"', "true or false"),
        ("threshold = true", "a number or a string"),
        ("threshold = ", "Invalid value"),
        ('threshold = "five"', "night.toml: argument --threshold: 'five' is not a number"),
        ("j = 2.5", "'2.5' is not a whole number"),
        ('prefix = ["a", "b"]', "a number or a string"),
        ("copy-header = [true]", "or a list of them"),
        ("[run]\nthreshold = 5", "unknown key 'run'"),
        ("min-peaks = 2024-01-01", "not a whole number"),
    ],
)
def test_bad_file_keys(
    text: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong key or value in the file is a usage error that names it."""
    file = tmp_path / "night.toml"
    file.write_text(text)
    with pytest.raises(SystemExit) as ended:
        read_arguments([*LEAST, "--config", str(file)])
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_recorded_command_leaves_out_what_changes_nothing() -> None:
    """-j, --overwrite and --device do not reach the outputs; everything else does, quoted."""
    config = read_arguments(
        [*LEAST, "-j", "4", "--overwrite", "--device", "cpu", "--device=cuda", "--prefix=a b/"]
    )
    assert config.command == (
        "cxlsfind -i files.lst -g Eiger4M.geom -o hits.stream '--prefix=a b/'"
    )
    for spelling in (["-j4"], ["-j=4"], ["-j", "4"]):
        assert read_arguments([*LEAST, *spelling]).command == read_arguments(LEAST).command


def test_help_names_every_option() -> None:
    """The help lists what the parser knows, apart from options of later versions."""
    text = build_parser().format_help()
    for option in ("--threshold", "--mask-bad", "--channel", "--max-skipped", "--config"):
        assert option in text
    assert "--resume" not in text


def test_file_values_may_begin_with_a_dash(tmp_path: Path) -> None:
    """A value is never taken for an option; an empty one stays empty."""
    file = tmp_path / "night.toml"
    file.write_text('i = "-"\nprefix = "-x"\nchannel = ""\n')
    config = read_arguments(["--config", str(file), "-g", "a.geom", "-o", "a.stream"])
    assert (config.input, config.prefix, config.channel) == ("-", "-x", "")


def test_a_file_that_is_no_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever is given as --config, the answer is one line with its name."""
    file = tmp_path / "night.toml"
    file.write_bytes(bytes(range(256)))
    for name in (file, tmp_path):
        with pytest.raises(SystemExit) as ended:
            read_arguments([*LEAST, "--config", str(name)])
        assert ended.value.code == 2
        error, hint = capsys.readouterr().err.splitlines()
        assert error.startswith(f"cxlsfind: {name}: ")
        assert "--help" in hint
