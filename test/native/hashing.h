// Weights that are a hash of their names: what make_goldens.py makes, without any being checked in.
#pragma once

#include <bit>
#include <cstdint>
#include <string>

namespace ringside {

// FNV-1a. The last name's is kept: a tensor asks a million times for the same.
inline uint64_t hash_of_name(const std::string& name) {
  static std::string last;
  static uint64_t hash = 0xCBF29CE484222325u;
  if (name == last) return hash;
  hash = 0xCBF29CE484222325u;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3u;
  last = name;
  return hash;
}

// splitmix64 of FNV-1a(name) + index.
inline uint64_t hash(const std::string& name, uint64_t index) {
  uint64_t z = hash_of_name(name);
  z += (index + 1) * 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

// A multiple of 1/64 in [-1, 1): exact in every floating-point type of a checkpoint.
inline float fraction(const std::string& name, uint64_t index) {
  return float(int(hash(name, index) >> 57) - 64) / 64.0f;
}

// 1, 1.25, 1.5 or 1.75.
inline float quarters(const std::string& name, uint64_t index) {
  return 1 + float(hash(name, index) >> 62) / 4;
}

// The float16 bits of a value that is exact in it, and normal or zero.
inline uint16_t to_f16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = bits >> 31 << 15;
  if (value == 0) return uint16_t(sign);
  const uint32_t exponent = (bits >> 23 & 0xFF) - 127 + 15;
  return uint16_t(sign | exponent << 10 | (bits >> 13 & 0x3FF));
}

inline uint16_t to_bf16(float value) { return uint16_t(std::bit_cast<uint32_t>(value) >> 16); }

}  // namespace ringside
