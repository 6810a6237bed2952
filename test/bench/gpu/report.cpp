#include "report.h"

#include <cmath>
#include <cstdio>
#include <fstream>

namespace ringside::bench {

namespace {

std::string printed(const char* format, double value) {
  char text[64];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

std::string with_commas(std::string digits) {
  for (int at = int(digits.size()) - 3; at > 0; at -= 3) digits.insert(size_t(at), ",");
  return digits;
}

std::string shown(double value) {
  if (value >= 1000) return with_commas(printed("%.0f", value));
  if (value >= 100) return printed("%.0f", value);
  if (value >= 10) return printed("%.1f", value);
  if (value >= 1) return printed("%.2f", value);
  return printed("%.3g", value);
}

std::string joined(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : ",\n    ") + part;
  return text;
}

}  // namespace

std::string quoted(std::string_view text) {
  std::string json = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') json += '\\';
    json += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
  }
  return json + '"';
}

Value text(std::string key, std::string_view value) {
  return {std::move(key), std::string(value), quoted(value)};
}

Value number(std::string key, double value) {
  if (!std::isfinite(value) || value < 0) return {std::move(key), "–", "null"};
  return {std::move(key), shown(value), printed("%.6g", value)};
}

Value integer(std::string key, int64_t value) {
  const std::string digits = std::to_string(value);
  return {std::move(key), with_commas(digits), digits};
}

Value percent(std::string key, double share) {
  if (!std::isfinite(share)) return {std::move(key), "–", "null"};
  return {std::move(key), printed("%.1f %%", 100 * share), printed("%.4g", share)};
}

Value hidden(Value value) {
  value.shown.clear();
  return value;
}

void Report::fact(const Value& value) {
  facts_.push_back(quoted(value.key) + ": " + value.json);
  const char* gap = tables_.empty() ? "" : "\n";  // a list below a table
  if (!value.shown.empty())
    std::printf("%s- %s: %s\n", gap, value.key.c_str(), value.shown.c_str());
  std::fflush(stdout);
  save();
}

void Report::table(const std::string& key, const std::string& title, const std::string& explanation,
                   const std::vector<std::string>& columns) {
  tables_.push_back({key, {}});
  std::string head = "|", line = "|";
  for (const std::string& column : columns) {
    head += " " + column + " |";
    line += line.size() == 1 ? " --- |" : " ---: |";
  }
  std::printf("\n## %s\n\n%s\n\n%s\n%s\n", title.c_str(), explanation.c_str(), head.c_str(),
              line.c_str());
  std::fflush(stdout);
}

void Report::row(const std::vector<Value>& values) {
  std::string line = "|", json;
  for (const Value& value : values) {
    if (!value.shown.empty()) line += " " + value.shown + " |";
    json += (json.empty() ? "{" : ", ") + quoted(value.key) + ": " + value.json;
  }
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
  tables_.back().rows.push_back(json + "}");
  save();
}

void Report::note(const std::string& text) {
  notes_.push_back(quoted(text));
  std::printf("\n%s\n", text.c_str());
  std::fflush(stdout);
  save();
}

void Report::fail(const std::string& what) {
  failed_ = true;
  note("**Failed:** " + what);
}

void Report::save() const {
  if (path_.empty()) return;
  std::ofstream file(path_, std::ios::trunc);
  file << "{\n  \"facts\": {\n    " << joined(facts_) << "\n  },\n";
  for (const Table& table : tables_) {
    file << "  " << quoted(table.key) << ": [\n    " << joined(table.rows) << "\n  ],\n";
  }
  file << "  \"notes\": [\n    " << joined(notes_) << "\n  ]\n}\n";
}

}  // namespace ringside::bench
