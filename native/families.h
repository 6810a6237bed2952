// The families of models that the engine runs: one row of data each, and what their tensors are
// called in either kind of file.
#pragma once

#include <string>
#include <string_view>

#include "config.h"
#include "gguf.h"
#include "json.h"

namespace ringside {

// What the tensors of one kind of file are called, without ".weight". Names of a layer stand behind
// `layer` and the layer's number; "" where the kind has no such tensor.
struct Names {
  std::string_view embedding, final_norm, head;
  std::string_view layer;  // "model.layers." or "blk."
  std::string_view input_norm, post_norm;
  std::string_view qkv, q, k, v, dense;  // fused, or three
  std::string_view q_norm, k_norm;
  std::string_view gate, gate_norm;  // of lightning layers
  std::string_view ffn_gate, ffn_up, ffn_down;
  std::string_view router, router_bias, router_syntax;  // the last two are whole names
  std::string_view experts;  // "mlp.experts.": each expert behind its number; "": stacked
  std::string_view expert_gate, expert_up, expert_down;
  std::string_view shared_gate, shared_up, shared_down;
};

struct Family {
  std::string_view name;
  std::string_view architecture;   // config.json's
  std::string_view model_type;     // config.json's, where no architecture is given; "": none
  std::string_view gguf;           // general.architecture; "": there is none
  const Names* names;              // in a Hugging Face folder
  void (*defaults)(Config&);       // what the family's files do not say
  void (*gguf_defaults)(Config&);  // what its GGUF files do not say besides
};

// Reads and checks config.json. `where` names the file in messages. Throws EngineError
// MODEL_UNSUPPORTED for another architecture (and lists those that work) or an option that the
// engine does not compute, MODEL_CORRUPT for anything that is not a sane configuration.
Config config_from_json(std::string_view text, const std::string& where);

// The same from GGUF's metadata.
Config config_from_gguf(const Gguf& gguf, const std::string& where);

// The tensors' names of `config.family` in a folder, or in GGUF.
const Names& names_in_folder(const Config& config);
const Names& names_in_gguf();

// For the two readers.
const Family* family_of_folder(std::string_view architecture, std::string_view model_type);
const Family* family_of_gguf(std::string_view architecture);
[[noreturn]] void throw_unknown_family(const std::string& where, const std::string& what);

}  // namespace ringside
