#include "prompting.h"

#include <doctest/doctest.h>

#include "error.h"
#include "tiny_model.h"

using namespace ringside;

namespace {

// What is read of the tiny folder with these files beside its own; tokenizer.json is given a
// post_processor.
Prompting read(const std::map<std::string, std::string>& files,
               const std::string& post_processor = "null") {
  const TemporaryFolder folder;
  for (const char* name : {"config.json", "model.safetensors"}) {
    std::filesystem::copy(fixtures() / "tiny" / name, folder.path() / name);
  }
  std::string tokenizer = read_text(fixtures() / "tiny" / "tokenizer.json");
  const std::string none = "\"post_processor\":null";
  const size_t at = tokenizer.find(none);
  REQUIRE(at != tokenizer.npos);
  tokenizer.replace(at, none.size(), "\"post_processor\":" + post_processor);
  write_file(folder.path() / "tokenizer.json", tokenizer);
  for (const auto& [name, text] : files) write_file(folder.path() / name, text);
  const ModelFiles model(folder.path());
  return read_prompting(model, Tokenizer(tokenizer_spec(model)));
}

const std::string kStarts =
    R"({"type": "Sequence", "processors": [{"type": "ByteLevel"}, {"type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}},
                   {"Sequence": {"id": "A", "type_id": 0}}]}]})";

}  // namespace

TEST_CASE("a folder says what stands before every prompt") {
  const Token end = 0;  // <|endoftext|>
  CHECK_FALSE(read({}).bos);
  CHECK_FALSE(read({}).adds_bos);
  const Prompting processed = read({}, kStarts);
  CHECK(processed.bos == end);
  CHECK(processed.adds_bos);
  const auto config = [&](const std::string& text, const std::string& processor = "null") {
    return read({{"tokenizer_config.json", text}}, processor);
  };
  CHECK(config(R"({"bos_token": "<|endoftext|>"})").bos == end);
  CHECK_FALSE(config(R"({"bos_token": "<|endoftext|>"})").adds_bos);
  CHECK(config(R"({"bos_token": {"content": "<|endoftext|>"}, "add_bos_token": true})").adds_bos);
  CHECK(config(R"({"bos_token": "<|endoftext|>", "tokenizer_class": "LlamaTokenizer"})").adds_bos);
  CHECK_FALSE(config(R"({"add_bos_token": false})", kStarts).adds_bos);
  CHECK_FALSE(config(R"({"bos_token": "<no such>", "add_bos_token": true})").adds_bos);
}

TEST_CASE("a folder says what ends a text, each token once") {
  const Prompting prompting =
      read({{"tokenizer_config.json", R"({"eos_token": "<|endoftext|>"})"},
            {"generation_config.json", R"({"eos_token_id": [3, 0, 999]})"}});
  CHECK(prompting.ends == std::vector<Token>{0, 3});
}

TEST_CASE("a folder's chat template is in one of three places") {
  const auto template_of = [](const char* name, const std::string& text) {
    return read({{name, text}}).chat_template;
  };
  CHECK(template_of("chat_template.jinja", "{{ a }}") == "{{ a }}");
  CHECK(template_of("tokenizer_config.json", R"({"chat_template": "b"})") == "b");
  CHECK(template_of("tokenizer_config.json", R"({"chat_template": [
    {"name": "tool_use", "template": "t"}, {"name": "default", "template": "c"}]})") == "c");
  CHECK(read({}).chat_template.empty());
}

TEST_CASE("GGUF's metadata says all of it") {
  const ModelFiles model(fixtures() / "qwen2-tiny.gguf");
  const Tokenizer tokenizer(tokenizer_spec(model));
  const Prompting prompting = read_prompting(model, tokenizer);
  CHECK_FALSE(prompting.adds_bos);
  CHECK(prompting.ends == std::vector<Token>{tokenizer.special_tokens().at("<|im_end|>")});
  CHECK(prompting.chat_template.find("<|im_start|>") != std::string::npos);
}

TEST_CASE("a file that is no JSON is said by name") {
  try {
    read({{"generation_config.json", "{"}});
    FAIL("the file was accepted");
  } catch (const EngineError& error) {
    CHECK(error.code() == ErrorCode::model_corrupt);
    CHECK(std::string(error.what()).find("generation_config.json") != std::string::npos);
  }
}
