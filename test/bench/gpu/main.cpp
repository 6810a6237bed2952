// What the CUDA backend does with a GPU, as Markdown on the standard output and JSON in a file.
//
//   bench_gpu [--only models,keystroke,attention,kernels] [--models NAME,...] [--budget SECONDS]
//             [--json FILE] [--folder WHERE MODELS ARE WRITTEN] [--tiny]
//
// Without --only, all parts, in this order. Everything is held against two ceilings that are
// measured first: how fast device memory is copied, and cuBLAS's dense BF16 products. --tiny goes
// through everything in sizes that say nothing: to try the program, also over the emulator.
#include <cstdio>
#include <cstdlib>
#include <exception>

#include "cuda_backend.h"
#include "options.h"

namespace ringside::bench {

namespace {

std::vector<std::string> parts_of(const std::string& list) {
  std::vector<std::string> parts(1);
  for (const char c : list) {
    if (c == ',') {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

constexpr const char* kParts[] = {"models", "keystroke", "attention", "kernels"};

Options parse(int argc, char** argv) {
  Options options;
  options.folder = std::filesystem::temp_directory_path();
  const auto refuse = [](const std::string& what) {
    std::fprintf(stderr, "%s\n", what.c_str());
    std::exit(2);
  };
  for (int i = 1; i < argc; i++) {
    const std::string word = argv[i];
    if (word == "--tiny") {
      options.tiny = true;
      continue;
    }
    if (i + 1 == argc) refuse(word + " needs a value, or is not known.");
    const std::string value = argv[++i];
    if (word == "--only") {
      options.only = parts_of(value);
    } else if (word == "--models") {
      options.models = parts_of(value);
    } else if (word == "--budget") {
      options.budget = std::atof(value.c_str());
    } else if (word == "--json") {
      options.json = value;
    } else if (word == "--folder") {
      options.folder = value;
    } else {
      refuse("There is no option " + word + ".");
    }
  }
  for (const std::string& part : options.only) {
    bool known = false;
    for (const char* name : kParts) known = known || part == name;
    if (!known) refuse("There is no part " + part + ": models, keystroke, attention or kernels.");
  }
  return options;
}

bool wanted(const Options& options, const std::string& part) {
  bool any = options.only.empty();
  for (const std::string& one : options.only) any = any || one == part;
  return any;
}

void facts(Report& report, const Device& device, const Meters& meters) {
  const DeviceInfo& info = device.info();
  report.fact(text("device", info.name));
  report.fact(text("capability", std::to_string(info.capability / 10) + "." +
                                     std::to_string(info.capability % 10)));
  report.fact(integer("processors", device.queue().processors()));
  report.fact(number("memoryGigabytes", double(info.total_bytes) / 1e9));
  report.fact(text("driver", meters.driver()));
  report.fact(text("cudaOfDriver", driver_version()));
  report.fact(text("cudaOfRuntime", runtime_version()));
  if (!meters.problem().empty()) report.note("No energy: " + meters.problem() + ".");
}

void ceilings(Bench& bench, Device& device) {
  const bool tiny = bench.options.tiny;
  bench.report.table("ceilings", "Ceilings", "What this device does at best, measured here.",
                     {"", "measured"});
  bench.ceilings.copy = copy_rate(device, size_t(1) << (tiny ? 16 : 30));
  bench.report.row({text("what", "device memory copied, bytes read and written: GB/s"),
                    number("measured", bench.ceilings.copy / 1e9)});
  std::string problem;
  const int size = tiny ? 64 : 8192;
  bench.ceilings.bf16 = bf16_rate(device, size, problem);
  const std::string what =
      "dense BF16 product of " + std::to_string(size) + "^3 by cuBLAS, random values: TFLOP/s";
  bench.report.row({text("what", what),
                    number("measured", bench.ceilings.bf16 > 0 ? bench.ceilings.bf16 / 1e12 : -1)});
  if (!problem.empty()) bench.report.note("BF16 is not measured: " + problem + ".");
  bench.report.fact(integer("processorMegahertzAfterwards", bench.meters.processor_megahertz()));
}

// A part that fails is told; the next one is tried.
template <typename Run>
void part(Bench& bench, const std::string& name, const Run& run) {
  if (!wanted(bench.options, name)) return;
  try {
    run();
  } catch (const std::exception& error) {
    bench.report.fail(name + ": " + error.what());
  }
}

int run(const Options& options) {
  Report report(options.json);
  std::printf("# The CUDA backend%s\n\n",
              options.tiny ? ", tried: sizes are tiny and figures say nothing" : "");
  try {
    const Meters meters(0);
    Device device(0);
    facts(report, device, meters);
    Bench bench{options, report, meters, {}};
    ceilings(bench, device);
    // What users feel first: where time runs out, the last ones are left out.
    part(bench, "models", [&] { bench_models(bench); });
    part(bench, "keystroke", [&] { bench_keystrokes(bench); });
    part(bench, "attention", [&] { bench_attention(bench, device); });
    part(bench, "kernels", [&] { bench_kernels(bench, device); });
    report.fact(number("seconds", now() - bench.started));
  } catch (const std::exception& error) {
    report.fail(error.what());
  }
  std::printf("\nbench_gpu: %s\n", report.failed() ? "something failed, see above" : "done");
  return report.failed() ? 1 : 0;
}

}  // namespace

}  // namespace ringside::bench

int main(int argc, char** argv) { return ringside::bench::run(ringside::bench::parse(argc, argv)); }
