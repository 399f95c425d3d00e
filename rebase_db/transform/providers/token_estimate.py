"""Counting a prompt's tokens without the model's tokenizer, which a server keeps to itself.

Measured against the WordPiece tokenizer of all-MiniLM-L6-v2, whose 30,000 pieces were made for English, the estimate is
1.7 times the tokens of English prose, 1.8 of Python, 1.5 of Japanese, 1.3 of JSON, 1.9 of numbers, 1.1 of Russian, 0.98
of German and 0.94 of Finnish. The larger vocabularies of language models make fewer tokens of the latter.
"""

from __future__ import annotations

import string
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rebase_db.transform.provider import Messages

_WORDS = f"{string.ascii_letters} ".encode()
_ASCII = bytes(range(128))
_LETTERS_A_TOKEN = 3
_FOREIGN_BYTES_A_TOKEN = 2
_TEMPLATE_TOKENS = 4
# Chat templates put special tokens around each message, and some a system message of their own before them all.
_MOST_TEMPLATE_TOKENS = 256
_MOST_MESSAGE_TOKENS = 16


def estimated_tokens(messages: Messages) -> int:
    """A cautious estimate.

    A token for three ASCII letters or spaces, one for each other ASCII character, one for two bytes of whatever else in
    UTF-8, and a few for each message.
    """
    return sum(_estimate(_bytes(message)) + _TEMPLATE_TOKENS for message in messages)


def most_tokens(messages: Messages) -> int:
    """No fewer tokens than the messages have: one for each byte of UTF-8, and ample room for the chat template.

    Tokenizers of language models end in single bytes, so they make no more tokens than there are bytes.
    """
    return sum(len(_bytes(message)) + _MOST_MESSAGE_TOKENS for message in messages) + _MOST_TEMPLATE_TOKENS


def _estimate(text: bytes) -> int:
    signs = text.translate(None, _WORDS)
    foreign = signs.translate(None, _ASCII)
    letters = -(-(len(text) - len(signs)) // _LETTERS_A_TOKEN)
    return letters + len(signs) - len(foreign) + -(-len(foreign) // _FOREIGN_BYTES_A_TOKEN)


def _bytes(message: dict[str, str]) -> bytes:
    return message["content"].encode(errors="surrogatepass")
