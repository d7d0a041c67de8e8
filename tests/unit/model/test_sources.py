"""Models that are fetched from a hub: which revision was taken. The hub is replaced: tests have no network."""

import shutil
from fnmatch import fnmatch
from pathlib import Path

import pytest

from fragmodel.errors import UserError
from fragmodel.model.sources import describe_run, make_decoder, make_encoder, read_source
from fragmodel.model.trained import SPEC_FILE
from fragmodel.vocabulary import SOURCE_FILE

SHAPE = {"layers": 1, "dim": 8, "heads": 2, "seed": 1}
DECODER = {"records": [], "vocab_size": 1, "epochs": 0, **SHAPE}
COMMIT = "0123456789abcdef"


@pytest.fixture
def hub(tiny, tmp_path, monkeypatch):
    """The calls to a hub that has one encoder and one decoder, in the cache's layout."""
    asked = []

    def download(source, revision=None, allow_patterns=()):
        asked.append((source, revision, allow_patterns == ["config.json"]))
        folder = tmp_path / "hub" / source / "snapshots" / COMMIT
        folder.mkdir(parents=True, exist_ok=True)
        for path in (tiny.encoder if "esm" in source else tiny.untied).iterdir():
            if any(fnmatch(path.name, pattern) for pattern in allow_patterns):
                shutil.copy(path, folder)
        if "gpt2" in source:
            (folder / "config.json").write_text('{"model_type": "gpt2"}')
        return str(folder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    return asked


@pytest.mark.parametrize("revision", [None, "v1"])
def test_the_revision_is_asked_for_and_the_commit_noted(hub, tmp_path, revision):
    make_encoder("lab/esm", tmp_path / "encoder", revision=revision, **SHAPE)
    make_decoder("lab/llama", tmp_path / "decoder", revision=revision, **DECODER)
    wanted = [(source, revision, first) for source in ("lab/esm", "lab/llama") for first in (True, False)]
    assert hub == wanted
    assert {read_source(tmp_path / part)["revision"] for part in ("encoder", "decoder")} == {COMMIT}


@pytest.mark.parametrize(("part", "make"), [("encoder", make_encoder), ("decoder", make_decoder)])
def test_another_kind_of_model_is_refused_before_its_weights_are_fetched(hub, tmp_path, part, make):
    with pytest.raises(UserError, match=rf"models.{part}: lab/gpt2: (is|holds) a 'gpt2' model; expected"):
        make("lab/gpt2", tmp_path / part, **(SHAPE if part == "encoder" else DECODER))
    assert hub == [("lab/gpt2", None, True)]


@pytest.mark.usefixtures("hub")
def test_a_revision_of_what_has_none_is_refused(tiny, tmp_path):
    with pytest.raises(UserError, match=r"encoder_revision: .* no hub id"):
        make_encoder(str(tiny.encoder), tmp_path / "encoder", revision="v1", **SHAPE)
    with pytest.raises(UserError, match=r"decoder_revision: .* local folder"):
        make_decoder(str(tiny.untied), tmp_path / "decoder", revision="v1", **DECODER)


def test_an_evaluated_model_is_described_by_its_own_decoder(tiny, tmp_path):
    """The decoder of the run that evaluates it may be another one."""
    for part, source in (("trained_with", tiny.untied), ("of_the_run", tiny.tied)):
        make_decoder(str(source), tmp_path / part, **DECODER)
    make_encoder(str(tiny.encoder), tmp_path / "encoder", **SHAPE)
    spec = tiny.spec().model_copy(update={"llama_path": "trained_with"})
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / SPEC_FILE).write_text(spec.model_dump_json())

    def decoder(evaluated):
        parts = {"encoder": tmp_path / "encoder", "decoder": tmp_path / "of_the_run", "model": folder}
        found = describe_run({"evaluation": {"model": evaluated}}, **parts)["models"]
        return found["decoder"]["name"] if "decoder" in found else None

    assert decoder("model") == Path(tiny.untied).name and decoder(None) == Path(tiny.tied).name
    (tmp_path / "trained_with" / SOURCE_FILE).unlink()
    assert decoder("model") is None


def test_local_models_have_no_revision(tiny, tmp_path):
    make_encoder(str(tiny.encoder), tmp_path / "encoder", **SHAPE)
    assert read_source(tmp_path / "encoder")["revision"] is None
