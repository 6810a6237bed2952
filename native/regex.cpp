#include "regex.h"

namespace ringside {

using Op = RegexProgram::Op;

void Regex::set_outcome(size_t state, Outcome outcome) {
  const size_t shift = state % 4 * 2;
  memo_[state / 4] = uint8_t((memo_[state / 4] & ~(3u << shift)) | unsigned(outcome) << shift);
}

bool Regex::may_start(int instruction, size_t at) const {
  const size_t byte = at < text_.size() ? static_cast<unsigned char>(text_[at]) : 256;
  return program_.instructions[size_t(instruction)].first[byte];
}

uint64_t Regex::most_steps(size_t n) const {
  const uint64_t size = program_.instructions.size(), states = uint64_t(program_.n_choices) + 1;
  return 4 * size * states * (n + 1);
}

void Regex::find_all(std::string_view text, std::vector<Match>& matches) {
  text_ = text;
  steps_ = 0;
  memo_.assign(((text.size() + 1) * size_t(program_.n_choices) + 3) / 4, 0);
  size_t at = 0, last_end = size_t(-1);
  while (at <= text.size()) {
    const auto end =
        may_start(program_.start, at) ? match(program_.start, at, false) : std::nullopt;
    if (end && (*end > at || at != last_end)) {
      matches.push_back({at, *end});
      last_end = *end;
    }
    if (end && *end > at) {
      at = *end;
    } else {
      at += at < text.size() ? character_at(text, at).length : 1;
    }
  }
}

// Where the match that starts at `at` ends. `looking`: within a look, where the end does not
// matter, so a state's success is remembered too.
std::optional<size_t> Regex::match(int instruction, size_t at, bool looking) {
  const size_t trail_base = trail_.size(), alternatives_base = alternatives_.size();
  const auto succeed = [&] {
    for (size_t i = trail_base; i < trail_.size(); i++) {
      set_outcome(trail_[i], looking ? Outcome::matched : Outcome::unknown);
    }
    trail_.resize(trail_base);
    alternatives_.resize(alternatives_base);
    return at;
  };
  const auto enter = [&](const RegexProgram::Instruction& choice) {
    const bool first = may_start(choice.next, at), second = may_start(choice.other, at);
    if (!first && !second) return -1;
    const int only = first ? choice.next : choice.other;
    if (first != second && !choice.is_loop) return only;
    const size_t state = at * size_t(program_.n_choices) + size_t(choice.memo);
    trail_.push_back(state);
    set_outcome(state, Outcome::failed);  // unless it turns out otherwise
    if (first && second) alternatives_.push_back({choice.other, at, trail_.size()});
    return only;
  };

  while (true) {
    const RegexProgram::Instruction& i = program_.instructions[size_t(instruction)];
    steps_++;
    int next = -1;
    switch (i.op) {
      case Op::accept:
        return succeed();
      case Op::set:
        if (at < text_.size()) {
          const Character c = character_at(text_, at);
          if (!program_.sets[size_t(i.set)].contains(c.code_point)) break;
          at += c.length;
          next = i.next;
        }
        break;
      case Op::run: {
        const CodePointSet& set = program_.sets[size_t(i.set)];
        while (at < text_.size()) {
          const Character c = character_at(text_, at);
          if (!set.contains(c.code_point)) break;
          at += c.length;
          steps_++;
        }
        next = i.next;
        break;
      }
      case Op::choice: {
        const Outcome known = outcome(at * size_t(program_.n_choices) + size_t(i.memo));
        if (known == Outcome::matched) return succeed();
        if (known == Outcome::unknown) next = enter(i);
        break;
      }
      case Op::look:
        if (match(i.other, at, true).has_value() != i.negated) next = i.next;
        break;
      case Op::line_end:
        if (at == text_.size() || text_[at] == '\n') next = i.next;
        break;
    }
    if (next >= 0) {
      instruction = next;
      continue;
    }
    if (alternatives_.size() == alternatives_base) {
      trail_.resize(trail_base);  // all of it failed, and says so
      return std::nullopt;
    }
    instruction = alternatives_.back().instruction;
    at = alternatives_.back().at;
    trail_.resize(alternatives_.back().trail);
    alternatives_.pop_back();
  }
}

}  // namespace ringside
