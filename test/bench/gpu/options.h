// What was asked for, and what every part of the bench is given.
#pragma once

#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "measure.h"
#include "report.h"

namespace ringside::bench {

struct Options {
  bool tiny = false;                // sizes for trying the program
  double budget = 540;              // seconds for all
  std::vector<std::string> only;    // parts; empty: all
  std::vector<std::string> models;  // names of models.h; empty: all
  std::string json;                 // a file; "": none
  std::filesystem::path folder;     // where models are written
};

struct Bench {
  const Options& options;
  Report& report;
  const Meters& meters;
  Ceilings ceilings;
  double started = now();

  double left() const { return options.budget - (now() - started); }
  // Whether `seconds` are left; if not, says what is left out.
  bool has_time(double seconds, const std::string& what) {
    if (left() >= seconds) return true;
    report.note(what + " is left out: the time (" + std::to_string(int(options.budget)) +
                " s) is used up.");
    return false;
  }
  double of_copy(double bytes_per_second) const {
    return ceilings.copy > 0 ? bytes_per_second / ceilings.copy : NAN;
  }
  double of_bf16(double flops) const { return ceilings.bf16 > 0 ? flops / ceilings.bf16 : NAN; }
};

void bench_kernels(Bench& bench, Device& device);    // kernels.cpp
void bench_attention(Bench& bench, Device& device);  // attention.cpp
void bench_models(Bench& bench);                     // decoding.cpp
void bench_keystrokes(Bench& bench);                 // decoding.cpp

}  // namespace ringside::bench
