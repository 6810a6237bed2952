// A model with the files that it needs to stay.
#pragma once

#include <filesystem>

#include "model.h"
#include "model_files.h"
#include "sequence.h"

namespace ringside {

// For what is compared to the rounding of floats: where sums differ by that, float16 turns some of
// the differences into a step of its own, a thousand times as large.
inline ModelOptions with_f32_cache(ModelOptions options = {}) {
  options.kv_cache = Type::f32;
  return options;
}

struct LoadedModel {
  ModelFiles files;
  Model model;

  LoadedModel(const std::filesystem::path& path, const Backends& backends,
              const ModelOptions& options = {})
      : files(path), model(files, backends, options, [](float) {}) {}

  Sequence sequence() const {
    return Sequence(model.config(), model.placement(), model.context_tokens(),
                    model.memory().checkpoint_every);
  }
};

}  // namespace ringside
