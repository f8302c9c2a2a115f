"""The dev model: a Llama so small that any host loads it, the same bytes each time, made with the standard library.

Its answers are nonsense; that they come at all is what it is for.
"""

import array
import json
import math
import random
import struct
import sys
from pathlib import Path
from typing import Any, Final

_SEED: Final = 20260101
_LAYERS: Final = 2
_HIDDEN: Final = 64
_HEADS: Final = 2
_KV_HEADS: Final = 1
_HEAD_DIM: Final = 32  # vLLM's CPU attention refuses 16
_INTERMEDIATE: Final = 128
_VOCABULARY: Final = 288
_BEGIN, _END, _PAD = 256, 257, 258

_TEMPLATE: Final = (
    "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)


def write(folder: Path) -> None:
    """Write the model's files: config, tokenizer, and weights as float32 safetensors."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in (
        ("config.json", _config()),
        ("generation_config.json", {"bos_token_id": _BEGIN, "eos_token_id": _END, "pad_token_id": _PAD}),
        ("tokenizer.json", _tokenizer()),
        ("tokenizer_config.json", _tokenizer_config()),
    ):
        (folder / name).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    (folder / "model.safetensors").write_bytes(_safetensors())


def _config() -> dict[str, Any]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": _HIDDEN,
        "intermediate_size": _INTERMEDIATE,
        "num_hidden_layers": _LAYERS,
        "num_attention_heads": _HEADS,
        "num_key_value_heads": _KV_HEADS,
        "head_dim": _HEAD_DIM,
        "hidden_act": "silu",
        "max_position_embeddings": 2048,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "tie_word_embeddings": False,
        "attention_bias": False,
        "mlp_bias": False,
        "vocab_size": _VOCABULARY,
        "bos_token_id": _BEGIN,
        "eos_token_id": _END,
        "pad_token_id": _PAD,
        "torch_dtype": "float32",
        "initializer_range": 0.02,
        "use_cache": True,
    }


def _shapes() -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (_VOCABULARY, _HIDDEN)}
    for layer in range(_LAYERS):
        at = f"model.layers.{layer}"
        shapes |= {
            f"{at}.input_layernorm.weight": (_HIDDEN,),
            f"{at}.self_attn.q_proj.weight": (_HEADS * _HEAD_DIM, _HIDDEN),
            f"{at}.self_attn.k_proj.weight": (_KV_HEADS * _HEAD_DIM, _HIDDEN),
            f"{at}.self_attn.v_proj.weight": (_KV_HEADS * _HEAD_DIM, _HIDDEN),
            f"{at}.self_attn.o_proj.weight": (_HIDDEN, _HEADS * _HEAD_DIM),
            f"{at}.post_attention_layernorm.weight": (_HIDDEN,),
            f"{at}.mlp.gate_proj.weight": (_INTERMEDIATE, _HIDDEN),
            f"{at}.mlp.up_proj.weight": (_INTERMEDIATE, _HIDDEN),
            f"{at}.mlp.down_proj.weight": (_HIDDEN, _INTERMEDIATE),
        }
    return {**shapes, "model.norm.weight": (_HIDDEN,), "lm_head.weight": (_VOCABULARY, _HIDDEN)}


def _safetensors() -> bytes:
    """Return the weights (https://github.com/huggingface/safetensors, "Format": a header in JSON, then the tensors)."""
    source = random.Random(_SEED)  # noqa: S311 - weights, not keys
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    body = bytearray()
    for name, shape in _shapes().items():
        count = math.prod(shape)
        values = [1.0] * count if len(shape) == 1 else [source.gauss(0.0, 0.02) for _ in range(count)]
        tensor = array.array("f", values)
        if sys.byteorder == "big":
            tensor.byteswap()
        data = tensor.tobytes()
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + bytes(body)


def _byte_characters() -> list[str]:
    """Return the character that stands for each byte in a byte-level vocabulary, as GPT-2 chose them."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    shifted = iter(range(256, 512))
    return [chr(byte) if byte in printable else chr(next(shifted)) for byte in range(256)]


def _special(number: int, content: str) -> dict[str, Any]:
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {"id": number, "content": content, **flags}


def _tokenizer() -> dict[str, Any]:
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [_special(_BEGIN, "<s>"), _special(_END, "</s>"), _special(_PAD, "<pad>")],
        "normalizer": None,
        "pre_tokenizer": byte_level,
        "post_processor": None,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {character: byte for byte, character in enumerate(_byte_characters())},
            "merges": [],
        },
    }


def _tokenizer_config() -> dict[str, Any]:
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "pad_token": "<pad>",
        "clean_up_tokenization_spaces": False,
        "model_max_length": 2048,
        "chat_template": _TEMPLATE,
    }
