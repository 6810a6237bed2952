"""Writes golden_blocks.h: blocks of every GGUF type, and what the gguf package makes of them.

    python3 test/kernels/make_blocks.py > test/kernels/golden_blocks.h

The bits are random but for the float16 scales, which are kept finite.
"""

import gguf
import numpy as np
from gguf.quants import dequantize

TYPES = {  # where each block's float16s lie
    "Q8_0": [0],
    "Q4_0": [0],
    "Q4_1": [0, 2],
    "Q5_0": [0],
    "Q5_1": [0, 2],
    "Q4_K": [0, 2],
    "Q5_K": [0, 2],
    "Q6_K": [208],
}
SCALES = [0.0117, -0.25, 6e-8, 31.5]  # the third is subnormal
random = np.random.default_rng(7)


def random_blocks(name: str, count: int) -> np.ndarray:
    _, size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[name]]
    blocks = random.integers(0, 256, (count, size), dtype=np.uint8)
    for b in range(count):
        for i, at in enumerate(TYPES[name]):
            scale = np.array([SCALES[(b + i) % len(SCALES)]], np.float16)
            blocks[b, at : at + 2] = scale.view(np.uint8)
    return blocks


def print_list(values: list[str]) -> None:
    line = "    "
    for value in values:
        if len(line) + len(value) + 2 > 100:
            print(line.rstrip())
            line = "    "
        line += value + ", "
    print(line.rstrip())


def main() -> None:
    print("// Written by make_blocks.py: do not edit.")
    print("#pragma once\n\n#include <cstdint>\n#include <vector>\n")
    print('#include "backend.h"\n\nnamespace ringside {\n')
    print("struct GoldenBlocks {\n  Type type;\n  std::vector<uint8_t> bytes;")
    print("  std::vector<float> values;\n};\n")
    print("// clang-format off\ninline const std::vector<GoldenBlocks> kGoldenBlocks = {")
    for name in TYPES:
        count = 2 if name.endswith("K") else 4
        blocks = random_blocks(name, count)
        values = dequantize(blocks, gguf.GGMLQuantizationType[name]).ravel()
        print(f"  {{Type::{name.lower()}, {{")
        print_list([str(byte) for byte in blocks.ravel()])
        print("  }, {")
        print_list([f"{value:.9g}" if "." in f"{value:.9g}" or "e" in f"{value:.9g}"
                    else f"{value:.9g}." for value in values])
        print("  }},")
    print("};\n// clang-format on\n\n}  // namespace ringside")


if __name__ == "__main__":
    main()
