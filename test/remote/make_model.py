"""A tiny random model that fills in the middle, and what transformers writes with it.

Usage: make_model.py FOLDER. The name of the folder tells the layout of its prompts.
"""

import json
import sys
from pathlib import Path

import torch
from transformers import (
    AutoTokenizer,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

PROMPTS = {
    "middle": "<|fim_prefix|>def total(items):\n    return <|fim_suffix|>\n<|fim_middle|>",
    "prefix": "def total(items):\n    return ",
}
MAX_TOKENS = 12

folder = Path(sys.argv[1])
tokenizers = Path(__file__).parent.parent / "fixtures" / "native" / "tokenizers"
end = "<|endoftext|>"
tokenizer = PreTrainedTokenizerFast(
    tokenizer_file=str(tokenizers / "qwen2.json"), eos_token=end, pad_token=end
)
tokenizer.chat_template = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
torch.manual_seed(1)
config = Qwen2Config(
    vocab_size=len(tokenizer),
    hidden_size=32,
    intermediate_size=64,
    num_hidden_layers=2,
    num_attention_heads=2,
    num_key_value_heads=1,
    max_position_embeddings=2048,
    eos_token_id=tokenizer.eos_token_id,
    bos_token_id=None,
    initializer_range=0.5,  # so that what it writes depends on what it reads
)
model = Qwen2ForCausalLM(config).eval()
model.save_pretrained(folder)
tokenizer.save_pretrained(folder)
tokenizer = AutoTokenizer.from_pretrained(folder)  # as the server has it

expected = {}
for name, prompt in PROMPTS.items():
    ids = tokenizer(prompt, return_tensors="pt").input_ids
    written = model.generate(ids, max_new_tokens=MAX_TOKENS, do_sample=False)[0, ids.shape[1] :]
    expected[name] = {
        "prompt": prompt,
        "promptTokens": ids.shape[1],
        "maxTokens": MAX_TOKENS,
        "text": tokenizer.decode(written, skip_special_tokens=True),
        "generatedTokens": len(written),
    }
(folder / "expected.json").write_text(json.dumps(expected, indent=2))
