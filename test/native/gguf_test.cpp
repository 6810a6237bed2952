#include "gguf.h"

#include <doctest/doctest.h>

#include <cstring>

#include "error.h"
#include "hashed_files.h"
#include "mapping.h"
#include "model_files.h"
#include "tiny_model.h"

using namespace ringside;

namespace {

// Builds a file piece by piece.
class Bytes {
 public:
  template <typename T>
  Bytes& add(T value) {
    text_.append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }
  Bytes& string(const std::string& text) {
    add(uint64_t(text.size()));
    text_ += text;
    return *this;
  }
  Bytes& raw(const std::string& text) {
    text_ += text;
    return *this;
  }
  Bytes& head(uint64_t tensors, uint64_t values, uint32_t version = 3) {
    return raw("GGUF").add(version).add(tensors).add(values);
  }
  // A tensor [2, 32] in ggml's order of dimensions.
  Bytes& tensor(const std::string& name, uint32_t type, uint64_t offset, uint64_t cols = 32) {
    return string(name).add(uint32_t(2)).add(cols).add(uint64_t(2)).add(type).add(offset);
  }
  Bytes& pad(size_t data) {
    text_.append((32 - text_.size() % 32) % 32, '\0');
    text_.append(data, '\1');
    return *this;
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

Gguf parse(const Bytes& bytes) {
  const auto& text = bytes.text();
  return parse_gguf({reinterpret_cast<const std::byte*>(text.data()), text.size()}, "m.gguf");
}

void check_refused(const Bytes& bytes, const std::string& expected,
                   ErrorCode code = ErrorCode::model_corrupt) {
  CAPTURE(expected);
  try {
    parse(bytes);
    FAIL("the file was accepted");
  } catch (const EngineError& error) {
    CHECK(std::string(name_of(error.code())) == name_of(code));
    CHECK(std::string(error.what()).find(expected) != std::string::npos);
    CHECK(std::string(error.what()).find("m.gguf") != std::string::npos);
  }
}

constexpr uint32_t kU8 = 0, kU32 = 4, kF32 = 6, kBool = 7, kString = 8, kArray = 9, kU64 = 10;

}  // namespace

TEST_CASE("gguf gives the metadata and the tensors in place") {
  Bytes bytes;
  bytes.head(2, 6);
  bytes.string("a.count").add(kU32).add(uint32_t(7));
  bytes.string("a.scale").add(kF32).add(0.5f);
  bytes.string("a.flag").add(kBool).add(uint8_t(1));
  bytes.string("a.name").add(kString).string("caf\u00e9");
  bytes.string("a.words").add(kArray).add(kString).add(uint64_t(2)).string("x").string("");
  bytes.string("a.deep")
      .add(kArray)
      .add(kArray)
      .add(uint64_t(1))
      .add(kU8)
      .add(uint64_t(2))
      .raw("ab");
  bytes.tensor("w", 8, 0).tensor("v", 0, 96).pad(96 + 256);
  const Gguf gguf = parse(bytes);
  int64_t count = 0;
  double scale = 0;
  CHECK((gguf.find("a.count")->integer(count) && count == 7));
  CHECK((gguf.find("a.count")->real(scale) && scale == 7));
  CHECK((gguf.find("a.scale")->real(scale) && scale == 0.5));
  CHECK_FALSE(gguf.find("a.scale")->integer(count));
  CHECK(*gguf.find("a.flag")->boolean());
  CHECK(*gguf.find("a.name")->string() == "caf\u00e9");
  CHECK(gguf.find("a.words")->strings()->size() == 2);
  CHECK(gguf.find("a.deep")->numbers() == nullptr);
  CHECK(gguf.find("b") == nullptr);
  const Tensor& w = gguf.tensors.at("w");
  CHECK(w.shape == std::vector<int64_t>{2, 32});
  CHECK(w.dtype == Dtype::q8_0);
  CHECK(w.bytes.size() == 2 * 34);
  CHECK(gguf.tensors.at("v").bytes.size() == 256);
}

TEST_CASE("gguf refuses every damage with what and where") {
  check_refused(Bytes().raw("GGML"), "does not start");
  check_refused(Bytes().raw("GGUF"), "ends within the version");
  check_refused(Bytes().head(0, 0, 1), "version 1", ErrorCode::model_unsupported);
  check_refused(Bytes().head(0, 0, 0x03000000), "big-endian", ErrorCode::model_unsupported);
  check_refused(Bytes().head(uint64_t(1) << 60, 0), "it claims 0 metadata values");
  check_refused(Bytes().head(0, 5), "it claims 5 metadata values");
  check_refused(Bytes().head(0, 1).add(uint64_t(1) << 40).raw("xxxxxxxxx"),
                "a metadata key claims");
  check_refused(Bytes().head(0, 1).string("k").add(uint32_t(99)).add(uint64_t(0)),
                "unknown type 99");
  check_refused(Bytes().head(0, 1).string("k").add(kBool).raw("\x02xxxxx"),
                "neither true nor false");
  check_refused(Bytes().head(0, 1).string("k").add(kArray).add(kU8).add(uint64_t(1) << 40),
                "claims 1099511627776 elements");
  check_refused(
      Bytes().head(0, 2).string("k").add(kU8).raw("a").string("k").add(kU8).raw("aaaaaaaaa"),
      "\"k\" twice");
  check_refused(Bytes().head(0, 1).string("general.alignment").add(kU32).add(uint32_t(24)),
                "alignment");
  check_refused(Bytes().head(0, 1).string("general.alignment").add(kU64).add(uint64_t(1) << 40),
                "alignment");
  Bytes deep;
  deep.head(0, 1).string("k").add(kArray);
  for (int i = 0; i < 20; i++) deep.add(kArray).add(uint64_t(1));
  check_refused(deep.pad(64), "nested too deep");

  check_refused(Bytes().head(1, 0).string("w").add(uint32_t(9)).pad(64), "9 dimensions");
  check_refused(Bytes().head(1, 0).tensor("w", 0, 0, uint64_t(1) << 60).pad(64), "overflows");
  check_refused(Bytes().head(1, 0).tensor("w", 8, 0, 33).pad(640), "not a multiple of 32");
  check_refused(Bytes().head(1, 0).tensor("w", 0, 8).pad(640), "not aligned");
  check_refused(Bytes().head(1, 0).tensor("w", 0, 32).pad(256), "lies at bytes 32 to 288 of 256");
  check_refused(Bytes().head(1, 0).tensor("w", 0, uint64_t(1) << 62).pad(256), "lies at bytes");
  check_refused(Bytes().head(2, 0).tensor("w", 0, 0).tensor("v", 0, 32).pad(640), "overlaps");
  check_refused(Bytes().head(2, 0).tensor("w", 0, 0).tensor("w", 0, 256).pad(640), "there twice");
}

TEST_CASE("every truncation of a gguf file is refused or read") {
  const TemporaryFolder folder;
  const Json metadata = Json::parse(R"({"general.architecture": "qwen2", "qwen2.block_count": 1})");
  write_hashed_gguf(folder.path() / "m.gguf", metadata,
                    {{"a.weight", {4, 32}, "matrix"}, {"b.weight", {32}, "norm"}}, "Q4_0", "");
  const std::string whole = read_text(folder.path() / "m.gguf");
  int refused = 0;
  for (size_t size = 0; size < whole.size(); size++) {
    try {
      parse(Bytes().raw(whole.substr(0, size)));
    } catch (const EngineError& error) {
      CHECK(error.code() == ErrorCode::model_corrupt);
      refused++;
    }
  }
  CHECK(refused == int(whole.size()));
}

TEST_CASE("a split model is one, and its parts must fit each other") {
  const std::vector<HashedTensor> tensors = {{"token_embd.weight", {96, 64}, "matrix"},
                                             {"output_norm.weight", {64}, "norm"},
                                             {"blk.0.attn_norm.weight", {64}, "norm"}};
  const Json metadata = Json::parse(R"({"general.architecture": "llama", "llama.block_count": 1,
    "llama.context_length": 64, "llama.embedding_length": 64, "llama.feed_forward_length": 64,
    "llama.attention.head_count": 4, "llama.attention.layer_norm_rms_epsilon": 0.5})");
  const TemporaryFolder folder;
  const auto path = folder.path() / "m.gguf";
  const auto part = [&](const char* name) { return folder.path() / name; };
  write_hashed_gguf(path, metadata, tensors, "F32", "", 2);
  for (const char* name : {"m-00001-of-00002.gguf", "m-00002-of-00002.gguf"}) {
    const ModelFiles files(part(name));
    CHECK(files.tensors().size() == 3);
    CHECK(files.config().family == "llama");
  }
  CHECK(ModelFiles(folder.path()).tensors().size() == 3);  // the only model of its folder
  const auto elsewhere = folder.path() / u8"größe";
  std::filesystem::create_directory(elsewhere);
  for (const char8_t* end : {u8"-00001-of-00002.gguf", u8"-00002-of-00002.gguf"}) {
    const auto own = elsewhere / (std::u8string(u8"größe") + end);
    std::filesystem::copy(folder.path() / (std::u8string(u8"m") + end), own);
  }
  CHECK(ModelFiles(elsewhere).tensors().size() == 3);

  const auto refused = [&](const std::filesystem::path& at, ErrorCode code,
                           const std::string& expected) {
    CAPTURE(expected);
    try {
      const ModelFiles files(at);
      FAIL("the files were accepted");
    } catch (const EngineError& error) {
      CHECK(std::string(name_of(error.code())) == name_of(code));
      CHECK(std::string(error.what()).find(expected) != std::string::npos);
    }
  };
  std::filesystem::copy(part("m-00001-of-00002.gguf"), part("n.gguf"));
  refused(part("n.gguf"), ErrorCode::model_corrupt, "it is a part of a split model");
  std::filesystem::remove(part("n.gguf"));
  const auto second = part("m-00002-of-00002.gguf");
  std::filesystem::rename(second, part("kept"));
  refused(part("m-00001-of-00002.gguf"), ErrorCode::model_not_found, "m-00002-of-00002.gguf");
  std::filesystem::copy(part("m-00001-of-00002.gguf"), second);
  refused(part("m-00001-of-00002.gguf"), ErrorCode::model_corrupt, "another part than its name");
  write_file(part("text.gguf"), "hello");
  refused(part("text.gguf"), ErrorCode::model_unsupported, "not a model");
  write_file(part("m-00003-of-00002.gguf"), "");
  refused(part("m-00003-of-00002.gguf"), ErrorCode::model_corrupt, "part 3 of 2");
}
