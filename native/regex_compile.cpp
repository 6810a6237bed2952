#include "regex.h"
#include "regex_parse.h"

namespace ringside {

namespace {

using Op = RegexProgram::Op;
using Node = RegexNode;

constexpr int kMaxInstructions = 2048;
constexpr int kMaxChoices = 256;  // 64 bytes of memo for a byte of text; those in use have up to 30

// Emits from the end to the start: what comes next is known, so it is known whether it can fail.
class Emitter {
 public:
  Emitter(RegexProgram& program, std::string_view pattern) : program_(program), pattern_(pattern) {}

  void emit(const Node& root) {
    program_.start = emit(root, add({.op = Op::accept, .cannot_fail = true}), false);
    find_first_bytes();
  }

 private:
  using Instruction = RegexProgram::Instruction;

  Instruction& at(int i) { return program_.instructions[size_t(i)]; }

  int add(Instruction instruction) {
    if (instruction.op == Op::choice) instruction.memo = program_.n_choices++;
    const bool full = int(program_.instructions.size()) >= kMaxInstructions;
    if (full || program_.n_choices > kMaxChoices) fail_regex(pattern_, 0, "it is too large");
    program_.instructions.push_back(instruction);
    return int(program_.instructions.size()) - 1;
  }

  int add_set(const CodePointSet& set) {
    program_.sets.push_back(set);
    return int(program_.sets.size()) - 1;
  }

  int choice(int first, int second) {
    const bool certain = at(first).cannot_fail || at(second).cannot_fail;
    return add({.op = Op::choice, .next = first, .other = second, .cannot_fail = certain});
  }

  // Where the program for `node`, followed by `next`, starts.
  int emit(const Node& node, int next, bool looking) {
    switch (node.kind) {
      case Node::Kind::set:
        return add({.op = Op::set, .set = add_set(node.set), .next = next});
      case Node::Kind::line_end:
        return add({.op = Op::line_end, .next = next});
      case Node::Kind::sequence:
        for (size_t i = node.children.size(); i > 0; i--) {
          next = emit(node.children[i - 1], next, looking);
        }
        return next;
      case Node::Kind::alternatives: {
        int start = emit(node.children.back(), next, looking);
        for (size_t i = node.children.size() - 1; i > 0; i--) {
          start = choice(emit(node.children[i - 1], next, looking), start);
        }
        return start;
      }
      case Node::Kind::look:
        return emit_look(node.children[0], node.negated, next);
      case Node::Kind::repeat:
        return emit_repeat(node, next, looking);
    }
    return next;
  }

  int emit_look(const Node& body, bool negated, int next) {
    const int found = add({.op = Op::accept, .cannot_fail = true});
    const int start = emit(body, found, true);
    return add({.op = Op::look, .next = next, .other = start, .negated = negated});
  }

  int emit_repeat(const Node& node, int next, bool looking) {
    const Node& body = node.children[0];
    const bool lazy = node.greed == Node::Greed::lazy;
    int start = next;
    if (body.kind == Node::Kind::set && node.max == kUnlimited && !lazy && !looking &&
        at(next).cannot_fail) {
      // As the rest cannot fail, a greedy loop never gives back, so it needs no memory. Not within
      // a look: what it runs over there is not consumed, and would be run over again.
      start = add({.op = Op::run, .set = add_set(body.set), .next = next, .cannot_fail = true});
      return emit_copies(body, node.min, start, looking);
    }
    if (node.greed == Node::Greed::possessive) {
      // x*+ is x*(?!x): giving one back leaves an x ahead. x?+ is x|(?!x).
      const int without = emit_look(body, true, next);
      if (node.max != kUnlimited) return choice(emit(body, next, looking), without);
      start = without;
    }
    if (node.max == kUnlimited) {
      const int loop = choice(start, start);  // the body is emitted with the loop as its end
      const int again = emit(body, loop, looking);
      at(loop).is_loop = true;
      (lazy ? at(loop).other : at(loop).next) = again;
      start = loop;
    } else {
      for (int n = node.min; n < node.max; n++) {
        const int more = emit(body, start, looking);
        start = lazy ? choice(next, more) : choice(more, next);
      }
    }
    return emit_copies(body, node.min, start, looking);
  }

  int emit_copies(const Node& body, int count, int next, bool looking) {
    for (int n = 0; n < count; n++) next = emit(body, next, looking);
    return next;
  }

  // Grows every set from what follows until none grows: loops feed back into themselves.
  void find_first_bytes() {
    for (bool grew = true; grew;) {
      grew = false;
      for (Instruction& i : program_.instructions) {
        const auto before = i.first;
        if (i.op == Op::set || i.op == Op::run) add_bytes(i.first, program_.sets[size_t(i.set)]);
        if (i.op == Op::choice) i.first |= at(i.other).first;
        if (i.op == Op::accept) i.first.set();
        if (i.op != Op::accept && i.op != Op::set) i.first |= at(i.next).first;
        grew = grew || i.first != before;
      }
    }
  }

  static void add_bytes(std::bitset<257>& bytes, const CodePointSet& set) {
    for (unsigned c = 0; c < 0x80; c++) {
      if (set.contains(c)) bytes.set(c);
    }
    if (!set.has_above_ascii()) return;
    for (unsigned c = 0x80; c < 256; c++) bytes.set(c);
  }

  RegexProgram& program_;
  std::string_view pattern_;
};

}  // namespace

RegexProgram compile_regex(std::string_view pattern) {
  RegexProgram program;
  Emitter(program, pattern).emit(parse_regex(pattern));
  return program;
}

}  // namespace ringside
