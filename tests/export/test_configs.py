"""Every ready configuration is a valid command, and every ready vocabulary a clean one."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from edge_ovss.cli import build_parser, main
from edge_ovss.cli.shared.precision import read_options
from edge_ovss.errors import InputError, UsageError
from edge_ovss.vocabulary import Vocabulary, lint

ROOT = Path(__file__).parents[2]
EXPORTS = sorted((ROOT / "export" / "configs").glob("*.toml"))
CALIBRATIONS = sorted((ROOT / "calibration" / "configs").glob("*.toml"))
VOCABULARIES = sorted((ROOT / "export" / "vocabularies").glob("*.toml"))
STREETS = "synthetic://street?count=2"


def stem(path: Path) -> str:
    return path.stem


def parse(verb: str, path: Path, *more: str) -> argparse.Namespace:
    positional = ["a.ovss"] if verb == "calibrate" else []
    return build_parser(verb).parse_args([verb, *positional, "--config", str(path), *more])


def test_there_are_configurations() -> None:
    assert len(EXPORTS) >= 3
    assert len(CALIBRATIONS) >= 2
    assert {path.stem for path in VOCABULARIES} == {
        "agriculture",
        "driving",
        "indoor-robot",
        "warehouse",
    }


@pytest.mark.parametrize("config", EXPORTS, ids=stem)
def test_an_export_configuration_is_understood(config: Path, tmp_path: Path) -> None:
    args = parse("export", config)
    assert len(Vocabulary.load(args.vocab)) > 0
    assert args.model is None or args.model.startswith(("sed-", "san-"))
    if args.precision != "fp32":
        assert read_options(args).precision == args.precision


@pytest.mark.parametrize("config", CALIBRATIONS, ids=stem)
def test_a_calibration_configuration_is_understood(config: Path) -> None:
    options = read_options(
        parse("calibrate", config, "--calibration", STREETS, "--validation", STREETS)
    )
    assert options.precision == "int8"
    assert options.max_miou_drop == 1


@pytest.mark.parametrize("vocabulary", VOCABULARIES, ids=stem)
def test_a_ready_vocabulary_has_nothing_to_complain_about(vocabulary: Path) -> None:
    loaded = Vocabulary.load(str(vocabulary))
    assert lint(loaded) == ()
    assert len(loaded) > len(loaded.outputs) > 1
    assert loaded.background is not None


@pytest.mark.slow
def test_a_configuration_makes_a_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if find_spec("open_clip") is None:
        pytest.skip("open_clip is not installed")
    monkeypatch.chdir(tmp_path)
    config = ROOT / "export" / "configs" / "sed-tiny-driving-cpu-int8.toml"
    given = ["--calibration", STREETS, "--out", "driving.ovss"]
    assert main(["export", "--config", str(config), *given, "--json"]) == 0
    capsys.readouterr()
    assert main(["selftest", "driving.ovss"]) == 0
    assert main(["inspect", "driving.ovss"]) == 0
    printed = capsys.readouterr().out
    assert "int8 for cpu" in printed
    assert "driving: 35 categories" in printed


@pytest.fixture
def config(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "a.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


Config = Callable[[str], Path]


def test_keys_are_option_names(config: Config) -> None:
    path = config(
        'vocab = "ade150"\n"--spare-slots" = "all"\ntopk = 4\noverwrite = true\nquiet = false\n'
        'outputs = ["labels", "scores"]\nignore = ["255", "0"]\nmax-miou-drop = 0.5\n'
    )
    args = parse("export", path)
    assert (args.vocab, args.spare_slots, args.topk) == ("ade150", "all", 4)
    assert (args.overwrite, args.quiet, args.max_miou_drop) == (True, False, 0.5)
    assert [name.strip() for name in args.outputs.split(",")] == ["labels", "scores"]
    assert args.ignore == ["255", "0"]


def test_the_command_line_wins(config: Config) -> None:
    path = config('vocab = "ade150"\nmodel = "sed-tiny"\nseed = 3\nignore = ["255"]')
    args = parse("export", path, "--model", "san-tiny", "--ignore", "7", "--seed", "0")
    assert (args.vocab, args.model, args.seed) == ("ade150", "san-tiny", 0)
    assert args.ignore == ["7"]


@pytest.mark.parametrize("option", [["--config"], ["--conf"], ["-q", "--config"]])
def test_the_option_can_be_written_as_any_other(config: Config, option: list[str]) -> None:
    path = config('vocab = "voc20"')
    if option[0] == "-q":
        option = ["--quiet", *option[1:]]
    assert build_parser("export").parse_args(["export", *option, str(path)]).vocab == "voc20"
    joined = [*option[:-1], f"{option[-1]}={path}"]
    assert build_parser("export").parse_args(["export", *joined]).vocab == "voc20"


def test_a_path_beside_the_file_is_meant(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "words.txt").write_text("road\nsky\n")
    (tmp_path / "images").mkdir()
    (tmp_path / "voc20").mkdir()  # a data set, which is not the vocabulary of this name
    monkeypatch.chdir("/")
    path = config(
        'vocab = "words.txt"\ncalibration = "images"\ncheckpoint = "none.pth"\nout = "images"'
    )
    args = parse("export", path)
    assert (args.vocab, args.calibration) == (str(tmp_path / "words.txt"), str(tmp_path / "images"))
    assert (args.checkpoint, args.out) == ("none.pth", "images")
    for vocab in ("voc20", "road, sky", "x" * 5000):
        assert parse("export", config(f'vocab = "{vocab}"')).vocab == vocab
    # What the command line says is relative to where the user is.
    assert parse("export", path, "--vocab", "words.txt").vocab == "words.txt"


@pytest.mark.parametrize(
    ("text", "status", "words"),
    [
        ('vocab = "ade150"\nmodle = "sed-tiny"', UsageError, "Did you mean 'model'"),
        ('vocab = "ade150"\n"max_miou_drop" = 1', UsageError, "Did you mean 'max-miou-drop'"),
        ('vocab = "ade150"\nfrobnicate = 1', UsageError, "not an option"),
        ('vocab = "ade150"\nconfig = "b.toml"', UsageError, "'config' is not an option"),
        ('vocab = "ade150"\nhelp = true', UsageError, "'help' is not an option"),
        ("vocab = [1, 2]", UsageError, "'vocab' is [1, 2]; expected text"),
        ("vocab = []", UsageError, "'vocab' is []; expected text"),
        ('vocab = ["road, car"]', UsageError, "no commas"),
        ("vocab = true", UsageError, "expected text"),
        ("vocab = 1979-05-27", UsageError, "expected text"),
        ('[vocab]\nname = "ade150"', UsageError, "expected text"),
        ('overwrite = "yes"', UsageError, "expected true or false"),
        ('vocab = "ade150"\n"--vocab" = "voc20"', UsageError, "twice"),
        ("vocab = ", InputError, "cannot be read"),
        ('vocab = "a"\nvocab = "b"', InputError, "cannot be read"),
        ("\0", InputError, "cannot be read"),
    ],
)
def test_a_bad_configuration_is_refused(
    config: Config, text: str, status: type[Exception], words: str
) -> None:
    path = config(text)
    with pytest.raises(status) as caught:
        parse("export", path)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_missing_configuration_has_the_status_of_bad_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = tmp_path / "missing.toml"
    with pytest.raises(InputError, match="cannot be read"):
        parse("export", missing)
    assert main(["export", "--config", str(missing)]) == 4
    assert str(missing) in capsys.readouterr().err
    assert main(["export", "--config", str(tmp_path)]) == 4


def test_an_unfit_value_names_the_file(config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    path = config('vocab = "ade150"\ntopk = "many"')
    with pytest.raises(SystemExit) as end:
        main(["export", "--config", str(path)])
    assert end.value.code == 2
    printed = capsys.readouterr().err
    assert f"config '{path}': argument --topk" in printed


def test_a_slip_on_the_command_line_is_not_blamed_on_the_file(
    config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    path = config('vocab = "ade150"\ntopk = "many"')
    with pytest.raises(SystemExit) as end:
        main(["export", "--config", str(path), "--modle", "sed-tiny"])
    assert end.value.code == 2
    printed = capsys.readouterr().err
    assert "error: unknown option '--modle'; did you mean '--model'?" in printed
    assert str(path) not in printed


def test_what_the_file_does_not_say_is_still_required(
    config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(["export", "--config", str(config('model = "sed-tiny"'))])
    assert end.value.code == 2
    assert "required: --vocab" in capsys.readouterr().err
