#include "safetensors.h"

#include <doctest/doctest.h>

#include "error.h"

using namespace ringside;

namespace {

// Pads the header so that the data is aligned, unless a length is claimed or `padding` is given.
std::string file(std::string header, size_t data_bytes, int64_t length = -1, size_t padding = 8) {
  if (length < 0 && !header.empty()) header.append(padding - header.size() % padding, ' ');
  const uint64_t claimed = length < 0 ? header.size() : uint64_t(length);
  std::string bytes;
  for (size_t i = 0; i < 8; i++) bytes += char(claimed >> (8 * i) & 0xFF);
  return bytes + header + std::string(data_bytes, '\1');
}

Tensors parse(const std::string& bytes) {
  return parse_safetensors(std::as_bytes(std::span(bytes)), "model.safetensors");
}

// `expected` is a part of the message.
void check_corrupt(const std::string& bytes, const std::string& expected) {
  CAPTURE(expected);
  try {
    parse(bytes);
    FAIL("the file was accepted");
  } catch (const EngineError& error) {
    CHECK(error.code() == ErrorCode::model_corrupt);
    CHECK(std::string(error.what()).find(expected) != std::string::npos);
    CHECK(std::string(error.what()).find("model.safetensors") == 0);
  }
}

}  // namespace

TEST_CASE("safetensors gives the tensors in place") {
  const std::string bytes = file(
      R"({"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},)"
      R"("b":{"dtype":"F16","shape":[],"data_offsets":[8,10]}}     )",
      10);
  const Tensors tensors = parse(bytes);
  REQUIRE(tensors.size() == 2);
  CHECK(tensors.at("a").dtype == Dtype::f32);
  CHECK(tensors.at("a").shape == std::vector<int64_t>{2, 1});
  CHECK(reinterpret_cast<const char*>(tensors.at("b").bytes.data()) ==
        bytes.data() + bytes.size() - 2);
}

TEST_CASE("safetensors refuses hostile files") {
  const auto one = [](const std::string& rest) { return "{\"a\":{" + rest + "}}"; };
  check_corrupt("", "0 bytes");
  check_corrupt("\1\2\3", "3 bytes");
  check_corrupt(file("{}", 0, 3), "claims 3 bytes");
  check_corrupt(file("{}", 0, 1'000'000'000), "claims 1000000000");
  check_corrupt(std::string(8, '\xFF') + "{}", "claims 18446744073709551615");
  check_corrupt(file("", 0), "start with '{'");
  check_corrupt(file("[]", 0), "start with '{'");
  check_corrupt(file("{\"a\":1}", 0), "object was expected");
  check_corrupt(file("{\"a\":", 0), "unexpected end");
  check_corrupt(file(one(R"("shape":[1],"data_offsets":[0,4])"), 4), "\"dtype\" is missing");
  check_corrupt(file(one(R"("dtype":"F99","shape":[1],"data_offsets":[0,4])"), 4),
                "unknown type F99");
  check_corrupt(file(one(R"("dtype":"F32","shape":[-1],"data_offsets":[0,4])"), 4), "negative");
  check_corrupt(file(one(R"("dtype":"F32","shape":[0.5],"data_offsets":[0,4])"), 4),
                "whole number");
  check_corrupt(
      file(one(R"("dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4])"), 4),
      "overflows");
  check_corrupt(file(one(R"("dtype":"F32","shape":[2],"data_offsets":[0,4])"), 4),
                "4 bytes instead of 8");
  check_corrupt(file(one(R"("dtype":"F32","shape":[1],"data_offsets":[0,4])"), 3), "of 3");
  check_corrupt(file(one(R"("dtype":"F32","shape":[1],"data_offsets":[4,0])"), 4), "bytes 4 to 0");
  check_corrupt(file(one(R"("dtype":"F32","shape":[1],"data_offsets":[-4,0])"), 4),
                "bytes -4 to 0");
  check_corrupt(file(one(R"("dtype":"F32","shape":[1],"data_offsets":[0])"), 4), "two offsets");
  check_corrupt(file(one(R"("dtype":"F32","shape":[1],"data_offsets":[4,8])"), 8), "owns byte 0");
  check_corrupt(file(one(R"("dtype":"U8","shape":[1],"data_offsets":[0,1])"), 2), "owns byte 1");
  check_corrupt(file(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)"
                     R"("b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})",
                     3),
                "overlap at byte 1");
  check_corrupt(file(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                     R"("a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
                     2),
                "same key twice");
  check_corrupt(file(one(R"("dtype":"F32","shape":[1],"data_offsets":[0,4])"), 4, -1, 1),
                "not aligned");
}
