// Texts that are hard to tokenize, the same here and in random_texts.py: a text is its seed's.
#pragma once

#include <cstdint>
#include <iterator>
#include <string>

#include "json.h"

namespace ringside {

// splitmix64.
class RandomNumbers {
 public:
  explicit RandomNumbers(uint64_t seed) : state_(seed) {}

  uint64_t below(uint64_t limit) {
    uint64_t z = state_ += 0x9E3779B97F4A7C15;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
    z = (z ^ z >> 27) * 0x94D049BB133111EB;
    return (z ^ z >> 31) % limit;
  }

 private:
  uint64_t state_;
};

// Code points: the first, and how many.
struct CodePoints {
  uint32_t first, count;
};
constexpr CodePoints kTextRanges[] = {
    {0x20, 0x5F},     {0x61, 0x1A},      {0x41, 0x1A},     {0x30, 0xA},      {0x9, 0x5},
    {0x0, 0x80},      {0x80, 0x80},      {0x100, 0x250},   {0x300, 0x70},    {0x370, 0x190},
    {0x590, 0x170},   {0x900, 0x500},    {0xE00, 0x200},   {0x1100, 0x100},  {0x1E00, 0x200},
    {0x2000, 0x70},   {0x2070, 0x100},   {0x2150, 0x50},   {0x2190, 0x300},  {0x2581, 0x1},
    {0x3000, 0x200},  {0x4E00, 0x5200},  {0xA000, 0x3000}, {0xE000, 0x100},  {0xF900, 0x600},
    {0xFF00, 0x100},  {0x10000, 0x2000}, {0x16F00, 0x200}, {0x1D400, 0x400}, {0x1F100, 0x800},
    {0x20000, 0x200}, {0xE0000, 0x100},  {0x10FF00, 0x100}};

constexpr const char* kTextFragments[] = {" ",
                                          "  ",
                                          "   ",
                                          "        ",
                                          "\n",
                                          "\r\n",
                                          "\n\n",
                                          "\t",
                                          "\t\t",
                                          " \n ",
                                          "'s",
                                          "'LL",
                                          "'Re",
                                          "'\u017f",
                                          "'",
                                          "don't",
                                          "return",
                                          " return",
                                          "value",
                                          " value",
                                          "items",
                                          "def check(",
                                          "self.items",
                                          "):\n    ",
                                          "();\r\n",
                                          " => {",
                                          "!==",
                                          "//",
                                          "/*",
                                          "*/",
                                          "_",
                                          "__",
                                          "12",
                                          "1234567",
                                          "3.14",
                                          "0x1F",
                                          "camelCase",
                                          "HTTPServer",
                                          "caf\u00e9",
                                          "cafe\u0301",
                                          "na\u00efve",
                                          "\u65e5\u672c\u8a9e",
                                          "\uac00\ub098",
                                          "\u05e9\u05dc\u05d5\u05dd",
                                          "\u0645\u0631\u062d\u0628\u0627",
                                          "\u0928\u092e\u0938\u094d\u0924\u0947",
                                          "\U0001f642",
                                          "\U0001f468\u200d\U0001f469\u200d\U0001f467",
                                          "\U0001f44d\U0001f3fd",
                                          "\u00b2\u00bd\u216b",
                                          "\ufffd",
                                          "\u2581",
                                          "\u2581value",
                                          "<|endoftext|>",
                                          "<|fim_prefix|>",
                                          "<unk>",
                                          "<s>",
                                          "<0x0A>",
                                          "\u00a0",
                                          "\u2028",
                                          "\u200b",
                                          "\u0e33",
                                          "\u1100\u1161"};

inline std::string random_text(uint64_t seed) {
  RandomNumbers random(seed);
  std::string text;
  const size_t favourite = random.below(std::size(kTextRanges));
  for (uint64_t n = random.below(40); n > 0; n--) {
    const uint64_t kind = random.below(8);
    if (kind < 4) {
      text += kTextFragments[random.below(std::size(kTextFragments))];
      continue;
    }
    const auto& [first, count] =
        kTextRanges[kind < 6 ? random.below(std::size(kTextRanges)) : favourite];
    for (uint64_t i = 1 + random.below(4); i > 0; i--) {
      append_utf8(text, first + char32_t(random.below(count)));
    }
  }
  return text;
}

}  // namespace ringside
