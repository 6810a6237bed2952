// Files that are cut short or have a bit changed.
#include "damaged.h"

#include <doctest/doctest.h>

#include <random>

#include "hashed_files.h"

using namespace ringside;

TEST_CASE("every truncation of a whole GGUF model is refused") {
  const TemporaryFolder folder;
  const auto path = folder.path() / "m.gguf";
  const std::string& file = whole_gguf();
  for (size_t i = 0; i < 500; i++) {
    // The head closely, the weights loosely; the last is one byte short of padding-free.
    const size_t size = i < 300 ? i * 24576 / 300 : 24576 + (i - 299) * (file.size() - 24600) / 200;
    CAPTURE(size);
    write_file(path, file.substr(0, size));
    REQUIRE(is_refused(path));
  }
  write_file(path, file);
  CHECK_FALSE(is_refused(path));
}

TEST_CASE("no byte of a model's files does harm") {
  struct Row {
    const char* name;
    size_t begin, end;
    int count;
  };
  const TemporaryFolder gguf, folder;
  copy_tiny(folder.path());
  const size_t header = 20160;  // and length, of the weights
  const Row rows[] = {{"m.gguf", 0, 26000, 2000},
                      {"model.safetensors", 0, 2 * header, 500},
                      {"config.json", 0, 1030, 500},
                      {"tokenizer.json", 0, 4802, 300}};
  std::mt19937 random(1);
  for (const Row& row : rows) {
    const bool is_gguf = row.name == std::string("m.gguf");
    const auto target = (is_gguf ? gguf : folder).path() / row.name;
    const std::string whole = is_gguf ? whole_gguf() : read_text(fixtures() / "tiny" / row.name);
    int refused = 0;
    for (int i = 0; i < row.count; i++) {
      std::string file = whole;
      const size_t at = row.begin + random() % (std::min(row.end, whole.size()) - row.begin);
      const int bit = int(random() % 9);
      file[at] = bit == 8 ? char(random()) : char(file[at] ^ 1 << bit);
      CAPTURE(row.name);
      CAPTURE(at);
      write_file(target, file);
      refused += is_refused(is_gguf ? target : folder.path());
    }
    MESSAGE(std::string(row.name) << ": " << refused << " of " << row.count << " were refused");
    CHECK(refused > 0);
    CHECK(refused < row.count);
    write_file(target, whole);
  }
}
