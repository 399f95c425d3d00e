"""A language model of random weights, made in a second, that chats and answers in JSON when held to it.

As good as no knowledge, but all the parts of a real one: a Llama with a byte-level BPE tokenizer, a chat template and
weights as safetensors. Its weights are random but for this: it likes quotation marks and the end of a turn and dislikes
white space, so that its strings and its answers do end.
"""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from transformers import PreTrainedTokenizerFast

CONTEXT = 4096
VOCABULARY = 512
END, START, PAD = "<|end|>", "<|start|>", "<|pad|>"
CHAT_TEMPLATE = (
    "{% for message in messages %}<|start|>{{ message['role'] }}\n{{ message['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)
_WIDTH, _LAYERS, _HEADS = 128, 2, 2  # heads of 64, the least some attention kernels take
_STEADY = 3.0  # of all embeddings' first component, which no layer washes out; what it gives a token is its bias
_WORDS = "a the row task input output label answer question is of for one two red blue small large film city"
_LIKED = {'"': 1.0, '"}': 1.0, '",': 1.0, END: 0.6}


def make_tiny_llama(
    folder: Path, *, context: int = CONTEXT, chat_template: str | None = CHAT_TEMPLATE, blanks: float = -1.0
) -> Path:
    """Save the model to `folder`; the same bytes each time. `blanks` is how much it likes white space."""
    import torch
    from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

    tokenizer = _tokenizer(context)
    tokenizer.chat_template = chat_template
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=_WIDTH,
        intermediate_size=2 * _WIDTH,
        num_hidden_layers=_LAYERS,
        num_attention_heads=_HEADS,
        num_key_value_heads=_HEADS,
        head_dim=_WIDTH // _HEADS,
        max_position_embeddings=context,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        dtype="float32",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(20)
        model: Any = LlamaForCausalLM(config)
        with torch.no_grad():
            for name, weights in model.named_parameters():
                if "norm" not in name:
                    weights.normal_(0.0, 1.0 if "embed" in name else _WIDTH**-0.5)
            model.get_input_embeddings().weight[:, 0] = _STEADY
            head = model.get_output_embeddings().weight
            head[:, 0] = 0.0
            vocabulary = tokenizer.get_vocab()
            for token, bias in _LIKED.items():
                if token in vocabulary:
                    head[vocabulary[token], 0] = bias
            for number in vocabulary.values():
                if str(tokenizer.decode([number])).strip(" \t\r\n") == "":
                    head[number, 0] = blanks
    settings: Any = GenerationConfig
    model.generation_config = settings(eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id)
    model.save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
    return folder


def _tokenizer(context: int) -> PreTrainedTokenizerFast:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[PAD, START, END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_sentences(), trainer)
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer, eos_token=END, pad_token=PAD, model_max_length=context, padding_side="left"
    )


def _sentences() -> list[str]:
    """Enough text to learn a few hundred pieces of words from, JSON among it."""
    chance = random.Random(7)  # noqa: S311 - words, not secrets
    words = _WORDS.split()
    texts = [" ".join(chance.choices(words, k=9)) for _ in range(300)]
    return texts + [json.dumps({"input": text, "output": text[:12]}) for text in texts]
