#include "copy_model.h"

#include <algorithm>
#include <utility>

namespace ringside {

namespace {

// Of 2 to 10, what fits held-out code best, and hardly: test/bench/results/copying.md.
constexpr float kGrowth = 5;

constexpr auto kWeights = [] {
  std::array<float, CopyModel::kMostMatch + 1> weights{};
  weights[0] = 1;
  for (size_t n = 1; n < weights.size(); n++) weights[n] = weights[n - 1] * kGrowth;
  return weights;
}();

// Equal tokens become one, with the sum of their probabilities.
void merge(std::vector<Candidate>& all) {
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.token < b.token; });
  size_t n = 0;
  for (const Candidate& each : all) {
    if (n > 0 && all[n - 1].token == each.token) {
      all[n - 1].probability += each.probability;
    } else {
      all[n++] = each;
    }
  }
  all.resize(n);
}

void keep_likeliest(std::vector<Candidate>& all) {
  if (all.size() <= kMostMixed) return;
  const auto end = all.begin() + kMostMixed;
  std::nth_element(all.begin(), end, all.end(), [](const auto& a, const auto& b) {
    return a.probability != b.probability ? a.probability > b.probability : a.token < b.token;
  });
  all.resize(kMostMixed);
}

}  // namespace

CopyModel::CopyModel(std::span<const float> shares, Tokens tokens) : tokens_(std::move(tokens)) {
  if (shares.empty()) return;
  for (size_t n = 0; n < shares_.size(); n++) shares_[n] = shares[std::min(n, shares.size() - 1)];
  for (size_t n = 1; n < shares_.size(); n++)
    if (shares_[n] > 0) longest_ = n;
}

void CopyModel::begin(size_t capacity) {
  text_.clear();
  text_.reserve(capacity);
  behind_.reset();
  lines_behind_ = {};
}

void CopyModel::append(Token token) { text_.push_back(token); }

void CopyModel::set_behind(size_t first, size_t last) {
  if (first >= last) return;
  behind_ = text_[first];
  const auto next_break = [&](size_t i) {
    while (i < last && !breaks_line(text_[i])) i++;
    return i;
  };
  const size_t rest_end = next_break(first);
  lines_behind_[0] = {first, std::min(rest_end + 1, last)};
  size_t next = rest_end;
  while (next < last && breaks_line(text_[next])) next++;  // lines without text too
  lines_behind_[1] = {next, std::min(next_break(next) + 1, last)};
}

// Whether the vote of `place` would go on with a line that says in its tokens so far what a line
// behind the cursor says.
bool CopyModel::repeats_a_line_behind(size_t place, size_t so_far) const {
  for (const auto [begin, end] : lines_behind_) {
    if (place + 1 != begin + so_far || place + 1 >= end) continue;
    const auto written = text_.end() - std::ptrdiff_t(so_far);
    if (std::equal(written, text_.end(), text_.begin() + std::ptrdiff_t(begin))) return true;
  }
  return false;
}

// A scan: an index would have to follow every way back. 1,390 tokens take 2.4 us.
CopyModel::Votes CopyModel::votes() {
  candidates_.clear();
  if (!copies() || text_.size() < 2) return {};
  const size_t last = text_.size() - 1;
  const Token* const end = text_.data() + last;
  size_t line_so_far = 0;  // tokens
  while (line_so_far <= last && !breaks_line(text_[last - line_so_far])) line_so_far++;
  size_t longest = 0;
  for (size_t i = last; i-- > 0;) {
    if (text_[i] != *end) continue;
    if (line_so_far > 0 && repeats_a_line_behind(i, line_so_far)) continue;
    Token next = text_[i + 1];
    if (next == behind_) next = tokens_.end.value_or(next);
    const size_t most = std::min(kMostMatch, i + 1);
    size_t n = 1;
    while (n < most && text_[i - n] == *(end - n)) n++;
    longest = std::max(longest, n);
    candidates_.push_back({kWeights[n], next});
  }
  if (shares_[longest] <= 0) return {};
  merge(candidates_);
  keep_likeliest(candidates_);
  float total = 0;
  for (const Candidate& each : candidates_) total += each.probability;
  for (Candidate& each : candidates_) each.probability /= total;
  return {shares_[longest], candidates_};
}

}  // namespace ringside
