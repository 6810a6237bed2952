// No file, however damaged or made to harm, does anything but load or end in an EngineError that
// says what is wrong. test/fuzz/model.cpp looks for more of the same.
#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <cstring>

#include "damaged.h"
#include "error.h"
#include "hashed_files.h"
#include "loaded_model.h"
#include "mapping.h"
#include "tiny_model.h"

#ifndef _WIN32
#include <sys/stat.h>
#endif

using namespace ringside;

namespace fs = std::filesystem;

namespace {

constexpr uint32_t kMostSize = 1 << 24;  // what a configuration may ask for

// `work` must end in an EngineError with this code, and `expected` in its message.
template <typename Work>
void check_refused(ErrorCode code, const std::string& expected, Work work) {
  CAPTURE(expected);
  try {
    work();
    FAIL_CHECK("nothing was refused");
  } catch (const EngineError& error) {
    const std::string message = error.what();
    CAPTURE(message);
    CHECK(std::string(name_of(error.code())) == name_of(code));
    CHECK(message.find(expected) != std::string::npos);
    CHECK(message.size() < 2000);
    CHECK(message.ends_with('.'));  // the sentence that says what to do
  }
}

void check_path(const fs::path& path, ErrorCode code, const std::string& expected) {
  check_refused(code, expected, [&] { generate(*load(path)); });
}

// ---- a GGUF file with one value changed in place ----

// Where the value of a metadata key stands.
size_t value_of(const std::string& file, const std::string& key) {
  const uint64_t length = key.size();
  std::string needle(reinterpret_cast<const char*>(&length), sizeof length);
  const size_t found = file.find(needle + key);
  REQUIRE(found != std::string::npos);
  return found + sizeof length + key.size() + sizeof(uint32_t);
}

void check_value(const std::string& key, uint32_t value, ErrorCode code,
                 const std::string& expected) {
  CAPTURE(key);
  const TemporaryFolder folder;
  std::string file = whole_gguf();
  std::memcpy(file.data() + value_of(file, key), &value, sizeof value);
  write_file(folder.path() / "m.gguf", file);
  check_path(folder.path() / "m.gguf", code, expected);
}

void check_value(const std::string& key, float value, const std::string& expected) {
  check_value(key, std::bit_cast<uint32_t>(value), ErrorCode::model_corrupt, expected);
}

// ---- a folder with some of its files changed ----

// The tiny model's weights with another config.json.
void check_config(const std::string& changes, ErrorCode code, const std::string& expected) {
  CAPTURE(changes);
  const TemporaryFolder folder;
  copy_tiny(folder.path());
  write_file(folder.path() / "config.json", tiny_config(changes));
  check_path(folder.path(), code, expected);
}

void check_corrupt_config(const std::string& changes, const std::string& expected) {
  check_config(changes, ErrorCode::model_corrupt, expected);
}

// A decoder of one layer as GGUF, of one type.
struct Decoder {
  std::string metadata;
  std::vector<HashedTensor> tensors;
};

Decoder decoder(int hidden, int heads, int head_dim) {
  const auto number = [](int n) { return std::to_string(n); };
  const int dim = heads * head_dim;
  return {R"("general.architecture": "llama", "llama.block_count": 1,
    "llama.attention.layer_norm_rms_epsilon": 0.5, "llama.embedding_length": )" +
              number(hidden) + R"(, "llama.feed_forward_length": )" + number(hidden) +
              R"(, "llama.attention.head_count": )" + number(heads) +
              R"(, "llama.attention.key_length": )" + number(head_dim),
          {{"token_embd.weight", {96, hidden}, "matrix"},
           {"output_norm.weight", {hidden}, "norm"},
           {"blk.0.attn_norm.weight", {hidden}, "norm"},
           {"blk.0.ffn_norm.weight", {hidden}, "norm"},
           {"blk.0.attn_q.weight", {dim, hidden}, "matrix"},
           {"blk.0.attn_k.weight", {dim, hidden}, "matrix"},
           {"blk.0.attn_v.weight", {dim, hidden}, "matrix"},
           {"blk.0.attn_output.weight", {hidden, dim}, "matrix"},
           {"blk.0.ffn_gate.weight", {hidden, hidden}, "matrix"},
           {"blk.0.ffn_up.weight", {hidden, hidden}, "matrix"},
           {"blk.0.ffn_down.weight", {hidden, hidden}, "matrix"}}};
}

fs::path write(const TemporaryFolder& folder, const Decoder& model, const std::string& more) {
  const auto path = folder.path() / "m.gguf";
  write_hashed_gguf(path, Json::parse("{" + model.metadata + more + "}"), model.tensors, "Q4_0",
                    "");
  return path;
}

}  // namespace

TEST_CASE("what is no model is refused by what it is") {
  const TemporaryFolder folder;
  const auto path = [&](const std::string& name) { return folder.path() / name; };
  check_path(path("none.gguf"), ErrorCode::model_not_found, "none.gguf");
  check_path(folder.path(), ErrorCode::model_not_found, "neither config.json nor a GGUF file");
  check_path("", ErrorCode::model_not_found, "Cannot read");
  check_path(std::string(300000, 'a') + ".gguf", ErrorCode::model_not_found, "Cannot read");
  const std::pair<const char*, std::string> files[] = {
      {"image.png", "\x89PNG\r\n\x1A\n" + std::string(64, '\0')},
      {"archive.zip", "PK\3\4" + std::string(64, '\0')},
      {"text.gguf", "this is no model"},
      {"empty.gguf", ""},
      {"three.gguf", "GGU"},
  };
  for (const auto& [name, bytes] : files) {
    write_file(path(name), bytes);
    check_path(path(name), ErrorCode::model_unsupported, "not a model that this engine reads");
  }
#ifndef _WIN32
  check_path("/dev/null", ErrorCode::model_not_found, "/dev/null");
  REQUIRE(mkfifo(path("pipe.gguf").c_str(), 0600) == 0);
  check_path(path("pipe.gguf"), ErrorCode::model_not_found, "pipe.gguf");
  fs::create_symlink(path("loop.gguf"), path("loop.gguf"));
  check_path(path("loop.gguf"), ErrorCode::model_not_found, "loop.gguf");
#endif
}

TEST_CASE("files of a folder that are missing, folders or too long are named") {
  const auto check = [](const char* name, const char* becomes, ErrorCode code) {
    CAPTURE(name);
    const TemporaryFolder folder;
    copy_tiny(folder.path());
    fs::remove(folder.path() / name);
    const std::string kind = becomes;
    if (kind == "folder") fs::create_directory(folder.path() / name);
    if (kind == "empty") write_file(folder.path() / name, "");
    if (kind == "long") {
      write_file(folder.path() / name, "{");
      fs::resize_file(folder.path() / name, 300u << 20);
    }
    check_path(folder.path(), code, name);
  };
  for (const char* name : {"model.safetensors", "tokenizer.json"}) {
    check(name, "missing", ErrorCode::model_not_found);
    check(name, "folder", ErrorCode::model_not_found);
    check(name, "empty", ErrorCode::model_corrupt);
  }
  check("config.json", "missing", ErrorCode::model_not_found);
  check("config.json", "folder", ErrorCode::model_not_found);
  check("config.json", "empty", ErrorCode::model_corrupt);
  check("tokenizer.json", "long", ErrorCode::model_corrupt);
  check("config.json", "long", ErrorCode::model_corrupt);
}

TEST_CASE("an index leads nowhere but to the files beside it, each tensor once") {
  const auto check = [](const std::string& file, ErrorCode code, const std::string& expected) {
    const TemporaryFolder folder;
    copy_tiny(folder.path());
    fs::copy(folder.path() / "model.safetensors", folder.path() / "copy.safetensors");
    write_file(folder.path() / "model.safetensors.index.json",
               R"({"weight_map": {"a": "model.safetensors", "b": ")" + file + "\"}}");
    check_path(folder.path(), code, expected);
  };
  check("model.safetensors.index.json", ErrorCode::model_corrupt, "not a usable safetensors file");
  check("other.safetensors", ErrorCode::model_not_found, "other.safetensors");
  check("copy.safetensors", ErrorCode::model_corrupt, "is in another file as well");
  check("../model.safetensors", ErrorCode::model_corrupt, "not in its folder");
  check("/etc/passwd", ErrorCode::model_corrupt, "not in its folder");
  check("C:model", ErrorCode::model_corrupt, "not in its folder");
  check("..", ErrorCode::model_corrupt, "not in its folder");
  check("", ErrorCode::model_corrupt, "not in its folder");
  check(".", ErrorCode::model_not_found, "Cannot read");
}

TEST_CASE("a value of GGUF's metadata that fits nothing is named") {
  const auto corrupt = ErrorCode::model_corrupt;
  check_value("qwen2.block_count", 0u, corrupt, "block_count is not in 1 ..");
  check_value("qwen2.block_count", 3u, corrupt, "blk.2.attn_norm.weight is missing");
  check_value("qwen2.block_count", kMostSize, corrupt, "4,096 heads or layers");
  check_value("qwen2.block_count", 0xFFFFFFFFu, corrupt, "block_count is not in");
  check_value("qwen2.embedding_length", 0u, corrupt, "embedding_length is not in");
  check_value("qwen2.embedding_length", 32u, corrupt, "asks for [904, 32]");
  check_value("qwen2.embedding_length", kMostSize, corrupt, "head_dim");
  check_value("qwen2.feed_forward_length", 0u, corrupt, "feed_forward_length is not in");
  check_value("qwen2.feed_forward_length", kMostSize, corrupt, "asks for [16777216, 64]");
  check_value("qwen2.attention.head_count", 0u, corrupt, "head_count is not in");
  check_value("qwen2.attention.head_count", 3u, corrupt, "multiple of num_key_value_heads");
  check_value("qwen2.attention.head_count", kMostSize, corrupt, "4,096 heads or layers");
  check_value("qwen2.attention.head_count_kv", 0u, corrupt, "head_count_kv is not in");
  check_value("qwen2.attention.head_count_kv", 3u, corrupt, "multiple of num_key_value_heads");
  check_value("qwen2.context_length", 0u, corrupt, "context_length is not in");
  check_value("qwen2.context_length", kMostSize + 1, corrupt, "context_length is not in");
  check_value("tokenizer.ggml.eos_token_id", 904u, corrupt, "names the token 904");
  for (const float base : {NAN, INFINITY, -INFINITY, -1.0f, 0.0f, 1e-45f}) {
    check_value("qwen2.rope.freq_base", base, "rope.freq_base must be positive");
    check_value("qwen2.attention.layer_norm_rms_epsilon", base, "epsilon must be positive");
  }
  check_value("qwen2.rope.freq_base", 0.5f, "rope_theta must be at least 1");
}

TEST_CASE("a value of config.json that fits nothing is named") {
  const auto check = check_corrupt_config;
  check(R"("num_hidden_layers": 0)", "num_hidden_layers");
  check(R"("num_hidden_layers": 16777216)", "4,096 heads or layers");
  check(R"("num_hidden_layers": 16777217)", "16777217, which is not in");
  check(R"("num_hidden_layers": -3)", "is -3");
  check(R"("num_hidden_layers": 2.5)", "whole number");
  check(R"("num_hidden_layers": 1e300)", "whole number");
  check(R"("num_hidden_layers": "3")", "a number was expected");
  check(R"("num_attention_heads": 4096, "num_hidden_layers": 4096, "head_dim": 256)", "together");
  check(R"("hidden_size": 128)", "asks for");
  check(R"("head_dim": 512)", "head_dim must be at most 256");
  check(R"("vocab_size": 16777216)", "asks for [16777216, 8]");
  check(R"("rms_norm_eps": 1e-300)", "rms_norm_eps");
  check(R"("rope_theta": 1e-30)", "rope_theta must be at least 1");
  check(R"("num_experts": 16777216)", "4,096 experts");
  check(R"("num_experts": 6, "n_group": 4)", "n_group must divide");
  check(R"("num_experts": 8192, "n_group": 1)", "4,096 experts");
  check(R"("num_experts": 1, "num_experts_per_tok": 2, "n_group": 1)", "above num_experts");
  check(R"("num_experts": 512, "num_experts_per_tok": 257, "n_group": 1)", "256 experts for each");
  check(R"("num_experts": 9, "n_group": 1)", "mlp.gate.weight has shape");
  check(R"("ring_slots": 16)", "ring_slots must be above");
  check(R"("copy_shares": [0, 1])", "copy_shares must be");
  check(R"("copy_shares": [-0.1])", "copy_shares must be");
  check(R"("copy_shares": 0.5)", "an array was expected");
  check(R"("layer_group_size": 1)", "asks for [128, 64]");
  check(R"("mlp_only_layers": ["x"])", "a number was expected");
  check(R"("architectures": [[]])", "a string was expected");
  check(
      "\"syntax_features\": [" +
          [] {
            std::string list = "\"f0\"";
            for (int i = 1; i < 5000; i++) list += ", \"f" + std::to_string(i) + "\"";
            return list;
          }() +
          "]",
      "4,096 syntax features");
  check_config(R"("architectures": ["GPT9ForCausalLM"])", ErrorCode::model_unsupported, "GPT9");
  check_config(R"("rope_scaling": {"rope_type": "dynamic", "factor": 2})",
               ErrorCode::model_unsupported, "dynamic");
}

TEST_CASE("a list of layers costs no more than there are layers") {
  std::string list = "1";
  for (int i = 0; i < 100000; i++) list += i % 2 ? ", 1" : ", 4294967297";
  const Config config =
      config_from_json(tiny_config("\"mlp_only_layers\": [" + list + "]"), "config.json");
  CHECK(config.mlp_only_layers == std::vector<int>{1});
}

TEST_CASE("a model whose experts are never asked loads") {
  const TemporaryFolder folder;
  copy_tiny(folder.path());
  const std::string config = tiny_config(R"("first_k_dense_replace": 3)");
  write_tiny_model(folder.path(), config, "f32");
  CHECK(load(folder.path())->model().max_experts() == 2);
  CHECK_FALSE(is_refused(folder.path()));
}

TEST_CASE("texts in messages are printable and short") {
  check_config(R"("architectures": ["\u001b[31mred\u0000\n"])", ErrorCode::model_unsupported,
               "\"?[31mred??\"");
  check_config("\"architectures\": [\"" + std::string(1 << 20, 'x') + "\"]",
               ErrorCode::model_unsupported, " ... ");
  CHECK(std::string(EngineError(ErrorCode::bad_request, "a\xFF\x80 caf\xC3\xA9\x7F").what()) ==
        "a?? caf\xC3\xA9?");
  for (size_t shift = 0; shift < 3; shift++) {  // cut between characters, wherever they begin
    std::string text(shift, 'a');
    for (int i = 0; i < 2000; i++) text += "\xE2\x96\x81";
    const std::string cut = EngineError(ErrorCode::bad_request, text).what();
    CHECK(cut.size() < 1900);
    for (size_t i = 0; i < cut.size(); i += utf8_length(cut, i)) REQUIRE(utf8_length(cut, i) > 0);
  }
}

TEST_CASE("a context beyond this computer's memory is refused, and shortened within a limit") {
  const TemporaryFolder folder;
  const auto path =
      write(folder, decoder(32, 64, 256), R"(, "llama.context_length": 16777216)");  // 2.2 TB
  const auto backend = make_backend("auto", 1);
  check_refused(ErrorCode::out_of_memory, "A context of 16777216 tokens needs",
                [&] { LoadedModel model(path, *backend); });
  ModelOptions options = with_f32_cache();
  options.context_tokens = 8192;
  options.machine_bytes = 1 << 20;  // as in a container
  check_refused(ErrorCode::out_of_memory, "this computer has 1",
                [&] { LoadedModel model(path, *backend, options); });
  options.context_tokens = 0;
  options.memory_bytes = 2000u << 20;
  const LoadedModel model(path, *backend, options);
  CHECK(model.model.context_tokens() == 8192);
  options.kv_cache = Type::f16;
  const LoadedModel halves(path, *backend, options);
  CHECK(halves.model.context_tokens() == 16384);
  options.memory_bytes = 130u << 20;
  check_refused(ErrorCode::out_of_memory, "needs at least",
                [&] { LoadedModel least(path, *backend, options); });
}

TEST_CASE("tensors of another rank, or none, are refused with both shapes") {
  const auto check = [](size_t index, std::vector<int> shape, const std::string& expected) {
    Decoder model = decoder(64, 4, 16);
    model.tensors[index].shape = std::move(shape);
    const TemporaryFolder folder;
    const auto path = write(folder, model, R"(, "llama.context_length": 64)");
    const auto backend = make_backend("auto", 1);
    check_refused(ErrorCode::model_corrupt, expected, [&] { LoadedModel loaded(path, *backend); });
  };
  check(0, {64}, "no usable tensor token_embd.weight");
  check(0, {0, 64}, "no usable tensor token_embd.weight");
  check(0, {96, 0}, "has shape [96, 0]");
  check(1, {1, 64}, "output_norm.weight has shape [1, 64], and the configuration asks for [64]");
  check(1, {0}, "output_norm.weight has shape [0]");
  check(4, {4096}, "blk.0.attn_q.weight has shape [4096]");
  check(4, {64, 64, 1}, "not a multiple of 32");
  check(4, {64, 32}, "has shape [64, 32]");
}

TEST_CASE("weights that are no numbers end in a message, on every backend") {
  const TemporaryFolder folder;
  copy_tiny(folder.path());
  const std::string changes = R"("n_group": 4, "topk_group": 2)";
  write_tiny_model(folder.path(), tiny_config(changes), "f32");
  const std::string whole = read_text(folder.path() / "model.safetensors");
  const ModelFiles files(folder.path());
  for (const char* name : {"model.layers.1.mlp.gate.weight", "model.word_embeddings.weight",
                           "model.layers.2.attention.query_key_value.weight"}) {
    const Tensor& tensor = files.tensors().at(name);
    for (const float value : {NAN, INFINITY}) {
      std::string file = whole;
      const auto data = whole.find(std::string(reinterpret_cast<const char*>(tensor.bytes.data()),
                                               std::min<size_t>(tensor.bytes.size(), 256)));
      REQUIRE(data != std::string::npos);
      for (size_t i = 0; i < tensor.bytes.size(); i += 4) {
        std::memcpy(file.data() + data + i, &value, sizeof value);
      }
      const TemporaryFolder damaged;
      copy_tiny(damaged.path());
      write_file(damaged.path() / "config.json", tiny_config(changes));
      write_file(damaged.path() / "model.safetensors", file);
      for (const std::string& backend : available_backends()) {
        CAPTURE(name);
        CAPTURE(backend);
        check_refused(ErrorCode::model_corrupt, "no numbers",
                      [&] { generate(*load(damaged.path(), backend)); });
      }
    }
  }
}

TEST_CASE("a vocabulary may be larger than its tokenizer, and never smaller") {
  const TemporaryFolder folder;
  copy_tiny(folder.path());
  write_tiny_model(folder.path(), tiny_config(R"("vocab_size": 400)"), "f32");
  CHECK_FALSE(is_refused(folder.path()));
  write_tiny_model(folder.path(), tiny_config(R"("vocab_size": 100)"), "f32");
  check_path(folder.path(), ErrorCode::model_corrupt, "the model's vocabulary has 100 tokens");
}

TEST_CASE("ids of special tokens beyond any vocabulary are left out, and not wrapped") {
  const TemporaryFolder folder;
  copy_tiny(folder.path());
  write_file(folder.path() / "generation_config.json",
             R"({"eos_token_id": [4294967297, -4294967295, 9007199254740992, 1, 100000]})");
  const auto engine = load(folder.path());
  const auto& ends = engine->prompting().ends;
  CHECK(std::find(ends.begin(), ends.end(), 1) != ends.end());
  CHECK(ends.back() < engine->tokenizer().size());
  write_file(folder.path() / "generation_config.json",
             R"({"eos_token_id": [4294967298, -4294967294]})");
  const auto other = load(folder.path());
  CHECK(std::count(other->prompting().ends.begin(), other->prompting().ends.end(), 2) == 0);
}

TEST_CASE("documents have a bounded number of values") {
  std::string text = "[0";
  for (int i = 0; i < 1 << 22; i++) text += ",0";
  CHECK_THROWS_AS(Json::parse(text + "]"), JsonError);
  std::string array = "GGUF";
  const auto put = [&](auto value) {
    array.append(reinterpret_cast<const char*>(&value), sizeof value);
  };
  put(uint32_t(3)), put(uint64_t(0)), put(uint64_t(1)), put(uint64_t(1));
  array += "k";
  put(uint32_t(9)), put(uint32_t(0)), put(uint64_t(1 << 23) + 1);
  array.append((1 << 23) + 64, '\0');
  const TemporaryFolder folder;
  write_file(folder.path() / "m.gguf", array);
  check_path(folder.path() / "m.gguf", ErrorCode::model_corrupt, "claims 8388609 elements");
}
