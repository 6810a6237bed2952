// Figures as they become known: rows of Markdown tables on the standard output, and the same rows
// in a JSON file, written anew after each row, so that nothing is lost if the program is ended.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ringside::bench {

// A cell: its key in JSON, and what it says in both.
struct Value {
  std::string key, shown, json;
};
Value text(std::string key, std::string_view value);
// Three digits or so. Not finite, or negative: "–", and null.
Value number(std::string key, double value);
Value integer(std::string key, int64_t value);
Value percent(std::string key, double share);  // in JSON the share
// Only in JSON.
Value hidden(Value value);

std::string quoted(std::string_view text);  // as JSON

class Report {
 public:
  // `path`: of the JSON file; "" for none.
  explicit Report(std::string path) : path_(std::move(path)) {}

  // What the figures were taken on.
  void fact(const Value& value);
  // A table; `key`: of its rows in JSON.
  void table(const std::string& key, const std::string& title, const std::string& explanation,
             const std::vector<std::string>& columns);
  void row(const std::vector<Value>& values);
  void note(const std::string& text);
  bool failed() const { return failed_; }
  void fail(const std::string& what);

 private:
  struct Table {
    std::string key;
    std::vector<std::string> rows;
  };
  void save() const;

  std::string path_;
  std::vector<std::string> facts_, notes_;
  std::vector<Table> tables_;
  bool failed_ = false;
};

}  // namespace ringside::bench
