"""`edge-ovss words` and `Segmenter.set_words`: other words without torch, whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")
pytest.importorskip("tokenizers")

from edge_ovss.bundle.decisive import is_decided, rank_outputs
from edge_ovss.bundle.reader import Bundle
from edge_ovss.bundle.rejection import Rejection
from edge_ovss.bundle.words import state
from edge_ovss.cli import main
from edge_ovss.errors import BundleError, OutputError, UsageError, VocabularyError
from edge_ovss.export import ExportOptions, export_bundle
from edge_ovss.live.page.word_desk import WordDesk
from edge_ovss.runtime.backends import create_backend
from edge_ovss.runtime.rewording import change_words, undo_words
from edge_ovss.runtime.segmenter import Segmenter
from edge_ovss.runtime.selftest import run_selftest
from edge_ovss.runtime.settings import set_unknown
from edge_ovss.runtime.stream_segmenter import StreamOptions, StreamSegmenter
from edge_ovss.synthetic import render_street
from edge_ovss.vocabulary import Vocabulary
from edge_ovss.words.editing import add_words, read_words, remove_words
from edge_ovss.words.encoding import WordSource, find_tower, with_encoded, words_of_pack

FRAME = render_street(seed=3, height=120, width=160).image
WORDS = "road, car, person"
LONG = "very " * 90
NO_TORCH = (
    "import sys; sys.modules['torch'] = None; sys.modules['open_clip'] = None\n"
    "sys.modules['onnx'] = None\n"
    "from edge_ovss.cli import main; sys.exit(main(sys.argv[1:]))"
)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    options = ExportOptions(
        size=(96, 128),
        rejection=Rejection("slots", slots=(10, 9, 8)),
        open_places=16,
        with_text_tower=True,
        outputs=("labels", "scores"),
    )
    return export_bundle(WORDS, tmp_path_factory.mktemp("words") / "a.ovss", options).path


@pytest.fixture
def bundle(original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGE_OVSS_CACHE", "")
    return Path(shutil.copytree(original, tmp_path / "a.ovss"))


def prompts(bundle: Path) -> tuple[str, ...]:
    return Bundle.open(bundle).vocabulary.prompts


def files(bundle: Path) -> dict[str, bytes]:
    paths = (path for path in bundle.rglob("*") if path.is_file())
    return {path.relative_to(bundle).as_posix(): path.read_bytes() for path in paths}


def test_a_word_is_added_without_torch(bundle: Path) -> None:
    words = ["words", str(bundle), "--add", "forklift; lift truck", "--json", "--threads", "1"]
    done = subprocess.run(
        [sys.executable, "-c", NO_TORCH, *words], capture_output=True, text=True, check=True
    )
    document = json.loads(done.stdout)
    assert document["added"] == ["forklift; lift truck"]
    assert "by this runtime, not by torch" in done.stderr
    found = Bundle.open(bundle)
    assert found.vocabulary.prompts == ("road", "car", "person", "forklift; lift truck")
    assert found.vocabulary.categories[-1].synonyms == ("forklift", "lift truck")
    assert found.manifest.open is not None
    assert not found.manifest.open.is_export
    with Segmenter.open(found, threads=1) as segmenter:
        assert run_selftest(segmenter)


@pytest.mark.slow
def test_words_without_torch_are_those_of_an_export(bundle: Path, tmp_path: Path) -> None:
    given = "sky, building; house, forklift, car"
    change_words(bundle, lambda _: read_words(given))
    frozen = export_bundle(
        given,
        tmp_path / "frozen.ovss",
        ExportOptions(
            size=(96, 128),
            rejection=Rejection("slots", slots=(10, 9, 8)),
            outputs=("labels", "scores"),
        ),
    )
    with (
        Segmenter.open(bundle, threads=1, unknown="off") as ours,
        Segmenter.open(frozen, threads=1, unknown="off") as theirs,
    ):
        mine, wanted = ours.segment(FRAME), theirs.segment(FRAME)
    assert mine.names == wanted.names
    assert mine.scores is not None
    assert wanted.scores is not None
    np.testing.assert_allclose(mine.scores, wanted.scores, atol=2e-6)
    output_map = Bundle.open(bundle).vocabulary.output_map
    ranking = rank_outputs(wanted.scores, output_map, mine.labels.shape, wanted.labels)
    decided = is_decided(ranking.lead, "fp32")
    assert decided.mean() > 0.8
    assert (mine.labels == wanted.labels)[decided].mean() >= 0.9999
    assert mine.counts.tolist() == wanted.counts.tolist()


def test_undo_brings_everything_back_and_only_the_last_state_is_kept(bundle: Path) -> None:
    before = (bundle / "manifest.json").read_bytes()
    with pytest.raises(BundleError, match="nothing to undo"):
        undo_words(bundle)
    change_words(bundle, lambda _: read_words("sky"))
    after = (bundle / "manifest.json").read_bytes()
    undo_words(bundle)
    assert (bundle / "manifest.json").read_bytes() == before
    undo_words(bundle)
    assert (bundle / "manifest.json").read_bytes() == after
    change_words(bundle, lambda _: read_words("road, sky"))
    change_words(bundle, lambda _: read_words("road, sky, tree"))
    undo_words(bundle)
    assert prompts(bundle) == ("road", "sky")
    named = set(Bundle.open(bundle).manifest.files) | {"manifest.json", "words/previous.json"}
    spare = {name for name in files(bundle) if not name.startswith("text_tower/")} - named
    assert {name.split("/")[0] for name in spare} == {"words"}
    assert len({name.split("/")[1] for name in spare}) == 1


def test_a_change_that_fails_leaves_the_bundle(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = files(bundle)

    def full(*_: object, **__: object) -> None:
        raise OutputError("the disk is full")  # noqa: EM101

    monkeypatch.setattr(state, "write_bytes", full)
    with pytest.raises(OutputError):
        change_words(bundle, lambda old: add_words(old, read_words("sky")))
    assert files(bundle) == before


KILLED = """
import os, signal, sys
from edge_ovss.bundle.words import state
from edge_ovss.runtime.rewording import change_words
from edge_ovss.words.editing import read_words
left, real = int(sys.argv[2]), state.write_bytes
def counted(path, data, **facts):
    global left
    if left == 0:
        path.with_name("." + path.name + ".torn").write_bytes(data[: len(data) // 2])
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    real(path, data, **facts)
state.write_bytes = counted
change_words(sys.argv[1], lambda _: read_words("sky, tree"))
"""


@pytest.mark.parametrize("writes", [0, 6, 7, 8, 9])
def test_a_power_cut_leaves_the_old_bundle_or_the_new(bundle: Path, writes: int) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(bundle), str(writes)], check=False)
    assert done.returncode in (0, -signal.SIGKILL)
    found = Bundle.open(bundle)
    assert found.vocabulary.prompts == (
        ("sky", "tree") if done.returncode == 0 else ("road", "car", "person")
    )
    with Segmenter.open(found, threads=1) as segmenter:
        assert run_selftest(segmenter)
    change_words(bundle, lambda _: read_words("road, sky"))
    assert prompts(bundle) == ("road", "sky")


def test_two_processes_at_once_both_change_it(bundle: Path) -> None:
    start = [sys.executable, "-m", "edge_ovss", "words", str(bundle), "--threads", "1", "--add"]
    both = [
        subprocess.Popen([*start, word], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for word in ("sky", "tree")
    ]
    assert [each.wait(timeout=120) for each in both] == [0, 0]
    assert set(prompts(bundle)) == {"road", "car", "person", "sky", "tree"}


def test_a_writer_that_does_not_end_is_waited_for_and_then_named(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "_WAIT_S", 0.1)
    with state.only_writer(bundle):
        for change in (
            lambda: change_words(bundle, lambda _: read_words("sky")),
            lambda: set_unknown(bundle, 0.5),
        ):
            with pytest.raises(OutputError, match="Another process is changing"):
                change()


@pytest.mark.parametrize(
    ("given", "status", "said"),
    [
        (["--add", "Road"], 4, "reads the same"),
        (["--add", "road"], 4, "already"),
        (["--set", ""], 4, "empty"),
        pytest.param(["--add", f"{LONG}dog, {LONG}cat"], 4, "reads the same", id="too long"),
        (["--set", "ade150"], 2, "16 places"),
        (["--remove", "bus"], 4, "no word 'bus'"),
        (["--remove", "road, car, person"], 4, "No word would be left"),
        (["--undo"], 5, "nothing to undo"),
        (["--undo", "--add", "sky"], 2, "More than one"),
        (["--remove", "road", "--embeddings", "road.npz"], 2, "needs none"),
        (["--add", "sky", "--tower", "nowhere"], 5, "no text tower"),
        (["--add", "sky", "--calibration", "synthetic://street?x=1"], 2, "no option 'x'"),
        (["--add", "sky", "--embeddings", "nowhere.npz"], 4, "no file"),
    ],
    ids=str,
)
def test_what_cannot_be_done_is_said_and_nothing_changes(
    bundle: Path, given: list[str], status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files(bundle)
    assert main(["words", str(bundle), *given]) == status
    assert said in capsys.readouterr().err
    assert files(bundle) == before


def test_a_frozen_bundle_names_the_command_that_makes_an_open_one(
    make_bundle: Any,  # noqa: ANN401
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["words", str(make_bundle()), "--add", "sky"]) == UsageError.status
    assert "edge-ovss export --open" in capsys.readouterr().err


def test_undo_keeps_thresholds_that_were_set_since(bundle: Path) -> None:
    change_words(bundle, lambda _: read_words("road, sky"))
    set_unknown(bundle, 0.4)
    for words in (("road", "car", "person"), ("road", "sky")):
        assert undo_words(bundle).bundle.vocabulary.prompts == words
        found = Bundle.open(bundle)
        assert found.vocabulary.prompts == words
        assert found.manifest.unknown is not None
        assert found.manifest.unknown.thresholds == (0.4,)


def test_undo_refuses_words_before_that_are_damaged(bundle: Path) -> None:
    change_words(bundle, lambda _: read_words("sky, tree"))
    (before,) = [path for path in bundle.rglob("words.f32") if path.is_file()]
    data = bytearray(before.read_bytes())
    data[len(data) // 2] ^= 8
    before.write_bytes(data)
    kept = files(bundle)
    with pytest.raises(BundleError, match="has been changed"):
        undo_words(bundle)
    assert files(bundle) == kept
    assert Bundle.open(bundle).vocabulary.prompts == ("sky", "tree")


def test_nothing_is_written_beside_weights_that_were_changed(bundle: Path) -> None:
    weights = bundle / "model.onnx.data"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    before = files(bundle)
    with pytest.raises(BundleError, match=r"'model\.onnx\.data' of the bundle has been changed"):
        change_words(bundle, lambda old: add_words(old, read_words("crane")))
    assert files(bundle) == before


def test_words_are_added_and_removed_by_options_given_twice(bundle: Path) -> None:
    before = prompts(bundle)
    assert main(["words", str(bundle), "--add", "tram; streetcar", "--add", "kiosk"]) == 0
    assert prompts(bundle) == (*before, "tram; streetcar", "kiosk")
    assert main(["words", str(bundle), "--remove", "tram", "--remove", "kiosk"]) == 0
    assert prompts(bundle) == before


def test_only_words_that_are_new_are_warned_of(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for word, warned in (("traffic_light", True), ("sky", False)):
        assert main(["words", str(bundle), "--add", word]) == 0
        assert ("category 3 ('traffic_light')" in capsys.readouterr().err) == warned


def test_packs_are_taken_from_the_same_tower_only(bundle: Path, tmp_path: Path) -> None:
    pack, other = tmp_path / "sky.npz", tmp_path / "other.npz"
    tower = str(bundle / "text_tower")
    assert main(["vocab", "encode", "sky, tree", "--tower", tower, "--out", str(pack)]) == 0
    assert main(["words", str(bundle), "--embeddings", str(pack)]) == 0
    assert prompts(bundle) == ("sky", "tree")
    shutil.rmtree(bundle / "text_tower")
    with pytest.raises(UsageError, match="no text tower"):
        change_words(bundle, lambda old: add_words(old, read_words("car")))
    content = dict(np.load(pack))
    header = json.loads(content["header"].tobytes())
    older = {"vocabulary": None, "vocabulary_sha256": "0" * 64}
    for change, said in (
        (older, "list with synonyms, outputs or a background"),
        ({"vocabulary_sha256": "0" * 64}, "do not fit the vocabulary"),
        ({"templates_sha256": "0" * 64}, "other templates"),
        ({"text_tower_sha256": "0" * 64}, "other text tower"),
    ):
        changed = json.dumps({**header, **change}).encode()
        np.savez(other, **{**content, "header": np.frombuffer(changed, np.uint8)})
        with pytest.raises(VocabularyError, match=said):
            words_of_pack(Bundle.open(bundle), other)
    with Segmenter.open(bundle, threads=1) as segmenter:
        with pytest.raises(VocabularyError, match="other text tower"):
            segmenter.set_words("sky, tree, car", embeddings=other)
        segmenter.set_words("tree, sky")  # it has both
        assert segmenter.names == ("tree", "sky")
        segmenter.set_words(None, embeddings=pack)
        assert segmenter.names == ("sky", "tree")
        with pytest.raises(UsageError, match="neither words nor embeddings"):
            segmenter.set_words(None)


IMAGES = "synthetic://street?count=3"


@pytest.mark.slow
def test_int8_ranges_are_compared_with_ranges_measured_anew(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = str(tmp_path / "int8.ovss")
    given = ["calibrate", str(bundle), "--precision", "int8", "--calibration", IMAGES]
    assert main([*given, "--out", place]) == 0
    capsys.readouterr()
    before = files(bundle)
    tower = ["--tower", str(bundle / "text_tower")]
    compare = ["--calibration", IMAGES, "--float", str(bundle), "--threads", "1", "--json"]
    assert main(["words", place, "--set", "sky, road, tree", *tower, *compare]) == 0
    out = capsys.readouterr()
    report = json.loads(out.out)["int8"]
    assert report["images"] == 3
    for share in ("equal_to_float32", "equal_to_float32_calibrated_anew"):
        assert 0.9 < report[share] < 1
    assert "with ranges measured anew" in out.err
    assert files(bundle) == before


def test_int8_is_compared_with_its_own_float32_bundle_only(bundle: Path) -> None:
    before = files(bundle)
    given = ["words", str(bundle), "--set", "sky", "--float", str(bundle)]
    assert main(given) == 2  # no images
    assert main([*given, "--calibration", IMAGES]) == 2  # not INT8
    assert files(bundle) == before


def test_the_reference_answer_is_of_the_words_on_the_disk(bundle: Path) -> None:
    with Segmenter.open(bundle, threads=1) as segmenter:
        segmenter.set_words("sky, road")
        with pytest.raises(UsageError, match="words were changed"):
            run_selftest(segmenter)
        assert Bundle.open(bundle).vocabulary.prompts == ("road", "car", "person")
    changed = change_words(bundle, lambda _: read_words("sky, road")).bundle
    assert changed == Bundle.open(bundle)
    with Segmenter.open(changed, threads=1) as segmenter:
        assert run_selftest(segmenter)


@pytest.mark.slow
def test_new_words_overflow_into_the_spare_graph(bundle: Path, tmp_path: Path) -> None:
    options = ExportOptions(
        size=(96, 128),
        rejection=Rejection("slots", slots=(8, 8, 8)),
        open_places=16,
        spare_slots=(12, 12, 12),
        unknown="off",
    )
    small = export_bundle("road, car", tmp_path / "b.ovss", options)
    words, tower = ", ".join(f"thing {number}" for number in range(12)), bundle / "text_tower"
    with Segmenter.open(small, threads=1, on_overflow="rerun") as ours:
        ours.set_words(words, tower=tower)
        found, roomy = ours.segment(FRAME), ours.bundle.spare()
        assert found.reran
        assert not found.overflow
        assert roomy is not None
        with Segmenter.open(roomy, threads=1) as theirs:
            assert np.array_equal(found.labels, theirs.segment(FRAME).labels)
        ours.set_words("road, car", tower=tower)
        assert not ours.segment(FRAME).reran


def test_a_pack_brings_outputs_and_background(bundle: Path, tmp_path: Path) -> None:
    pack = tmp_path / "a.npz"
    given = ["vocab", "encode", "sky; heaven, car", "--background", "wall, fence"]
    tower = ["--tower", str(bundle / "text_tower"), "--out", str(pack)]
    assert main([*given, *tower]) == 0
    assert main(["words", str(bundle), "--embeddings", str(pack)]) == 0
    found = Bundle.open(bundle).vocabulary
    assert found == Vocabulary.load("sky; heaven, car", background="wall, fence")
    assert found.background is not None


def test_a_text_tower_is_found_beside_the_bundle_and_in_the_cache(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, inside = Bundle.open(bundle), bundle / "text_tower"
    assert find_tower(opened) == inside
    beside = Path(shutil.move(inside, bundle.parent / "my.tower"))
    other = Path(shutil.copytree(beside, bundle.parent / "a.tower"))
    document = json.loads((other / "manifest.json").read_text())
    document["sha256"] = "0" * 64
    (other / "manifest.json").write_text(json.dumps(document))
    assert find_tower(opened) == beside  # the first one is another model's
    with pytest.raises(VocabularyError, match="not that of bundle"):
        find_tower(opened, other)
    source = WordSource(tower=other)
    with pytest.raises(VocabularyError, match="not that of bundle"):
        with_encoded(opened, opened.vocabulary, source)  # which needs none
    cache = bundle.parent / "cache"
    (cache / "towers").mkdir(parents=True)
    monkeypatch.setenv("EDGE_OVSS_CACHE", str(cache))
    shared = Path(shutil.move(beside, cache / "towers" / "mine"))
    assert find_tower(opened) == shared


def test_words_change_between_two_frames_while_a_camera_runs(bundle: Path) -> None:
    with Segmenter.open(bundle, threads=1, unknown="off") as segmenter:
        seen: list[tuple[tuple[str, ...], int]] = []
        stop = threading.Event()

        def frames() -> None:
            while not stop.is_set():
                found = segmenter.segment(FRAME)
                seen.append((found.names, int(found.labels.max())))

        thread = threading.Thread(target=frames)
        thread.start()
        for words in ("sky", "road, car, sky, tree", "person, road"):
            segmenter.set_words(words)
            time.sleep(0.1)
        stop.set()
        thread.join()
        last = segmenter.segment(FRAME)
        with Segmenter.open(bundle, threads=1, unknown="off") as other:
            other.set_words("person, road")
            # A word is not encoded in the same batch: the last digits of its numbers differ.
            assert (last.labels == other.segment(FRAME).labels).mean() >= 0.99
    assert all(highest < len(names) for names, highest in seen)
    assert {names for names, _ in seen} >= {("sky",), ("person", "road")}
    assert prompts(bundle) == ("road", "car", "person")  # the disk is as it was


def test_words_that_the_spare_graph_does_not_get_are_not_used_at_all(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Bundle.open(bundle)
    with create_backend("onnxruntime", opened, threads=1) as backend:
        segmenter = Segmenter(opened, backend, spare=backend)

        def lost(_: Bundle) -> None:
            raise BundleError("the file is gone")  # noqa: EM101

        monkeypatch.setattr(Bundle, "spare", lost)
        with pytest.raises(BundleError, match="gone"):
            segmenter.set_words("person")
        assert segmenter.names == opened.vocabulary.outputs
        assert backend.bundle is opened


def test_outputs_and_background_survive_adding_and_removing() -> None:
    vocabulary = Vocabulary.load("road, car", background="sky, tree")
    more = add_words(vocabulary, read_words("forklift"))
    assert more.outputs == ("road", "car", "background", "forklift")
    assert more.background == 2
    less = remove_words(more, ["Road"])
    assert less.outputs == ("car", "background", "forklift")
    assert less.background == 1
    assert remove_words(more, ["background"]).background is None
    assert len({tuple(color) for color in more.palette.tolist()}) == 4


def test_thresholds_go_with_the_names_of_the_outputs(bundle: Path) -> None:
    set_unknown(bundle, {"road": 0.3, "car": 0.4, "person": 0.5})
    found = change_words(bundle, lambda _: read_words("car, sky"))
    info = found.bundle.manifest.unknown
    assert info is not None
    assert info.auto is not None
    assert info.thresholds == pytest.approx((0.4, info.auto))
    assert found.untuned == ("sky",)


def test_slots_are_measured_again_on_images(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    many = ", ".join(Vocabulary.load("ade150").prompts[60:75]).replace("; ", ", ").split(", ")
    source = "synthetic://street?count=1&size=96x128"
    words = ["words", str(bundle), "--set", ", ".join(dict.fromkeys(many[:14]))]
    assert main([*words, "--calibration", source, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["overflow"]["frames"] == 1
    assert any("slots 10,9,8" in note for note in document["notes"])
    assert main(["words", str(bundle), "--calibration", source, "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert listed["overflow"] == document["overflow"]
    assert len(listed["words"]) == 14


def test_a_killed_pid_is_no_lock(bundle: Path) -> None:
    code = "import sys, os, signal\nfrom pathlib import Path\n" + (
        "from edge_ovss.bundle.words.state import only_writer\n"
        "with only_writer(Path(sys.argv[1])): os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, str(bundle)], check=False)
    assert os.path.lexists(bundle)
    change_words(bundle, lambda _: read_words("road, car"))
    assert prompts(bundle) == ("road", "car")


@pytest.mark.parametrize("keyframe", [1, 2, None])
def test_a_stream_forgets_labels_of_other_words(bundle: Path, keyframe: int | None) -> None:
    options = StreamOptions(hold_ms=10_000, keyframe=keyframe)
    with (
        Segmenter.open(bundle, threads=1, unknown="off") as segmenter,
        StreamSegmenter(segmenter.segment, options) as stream,
    ):
        for number in range(3):
            stream.segment(FRAME, time_s=number / 10)
        segmenter.set_words("person")
        found = []
        # The network of `async` answers when it can: after a frame or many, on a busy machine.
        for number in range(6 if keyframe else 6000):
            found.append(stream.segment(FRAME, time_s=1 + number / 10))
            if keyframe is None:
                time.sleep(0.01)
                if found[-1].names == ("person",):
                    break
        assert found[-1].names == ("person",)
        assert not found[-1].labels.any()
        assert all(int(each.labels.max()) < len(each.names) for each in found)


def test_words_typed_into_the_page_are_encoded_while_frames_go_on(bundle: Path) -> None:
    set_unknown(bundle, {"road": 0.3, "car": 0.4, "person": 0.5})
    before = files(bundle)
    with Segmenter.open(bundle, threads=1) as segmenter:
        desk = WordDesk.of(segmenter)
        assert desk is not None
        assert desk.missing is None
        told: list[object] = []
        desk.listen(lambda: told.append(desk.to_json()["busy"]))

        def ask(words: str | None) -> None:
            desk.ask({"words": words})
            while desk.to_json()["busy"] is not None:
                assert segmenter.segment(FRAME).palette is not None
            assert desk.to_json()["failed"] is None

        ask("car, forklift; lift truck")
        found = segmenter.segment(FRAME)
        assert found.names == ("car", "forklift; lift truck")
        assert found.palette is not None
        assert found.palette.shape == (2, 3)
        # A word that stays keeps its threshold and its color; a new one has the default.
        info = segmenter.unknown
        assert info is not None
        assert info.auto is not None
        assert info.thresholds == pytest.approx((0.4, info.auto))
        assert found.palette[0].tolist() == desk._own.vocabulary.palette[1].tolist()
        assert len(told) >= 2
        assert told[-1] is None
        with Segmenter.open(bundle, threads=1) as other:
            other.set_words("car, forklift; lift truck")
            assert (found.labels == other.segment(FRAME).labels).mean() >= 0.99
        ask("road, car, person")
        assert segmenter.unknown is not None
        assert segmenter.unknown.thresholds == pytest.approx((0.3, 0.4, 0.5))
        ask(None)
        assert desk.to_json()["own"] is True
        assert segmenter.names == ("road", "car", "person")
        desk.close()
    assert files(bundle) == before
