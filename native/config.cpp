#include "config.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "backend.h"
#include "error.h"

namespace ringside {

namespace {

std::vector<double> alibi_slopes(int n) {
  const auto power_of_two = [](int m) {
    std::vector<double> slopes(static_cast<size_t>(m));
    for (int i = 0; i < m; i++) slopes[size_t(i)] = std::exp2(-8.0 * (i + 1) / m);
    return slopes;
  };
  int below = 1;
  while (below * 2 <= n) below *= 2;
  std::vector<double> slopes = power_of_two(below);
  const std::vector<double> more = power_of_two(2 * below);
  for (size_t i = 0; slopes.size() < size_t(n); i += 2) slopes.push_back(more[i]);
  return slopes;
}

// The channel whose wave turns `turns` times over the original context.
double yarn_channel(const Config& c, double turns) {
  const double wave = c.rope_scaling.original_context / (turns * 2 * std::numbers::pi);
  return c.rotary_dim * std::log(wave) / (2 * std::log(double(c.rope_theta)));
}

// Long waves are stretched whole, short ones left alone, those between in part.
void scale_yarn(const Config& c, std::vector<double>& frequency, float& scale) {
  const RopeScaling& s = c.rope_scaling;
  const double low = std::max(std::floor(yarn_channel(c, s.beta_fast)), 0.0);
  const double high = std::min(std::ceil(yarn_channel(c, s.beta_slow)), double(c.rotary_dim - 1));
  for (size_t i = 0; i < frequency.size(); i++) {
    const double ramp = std::clamp((double(i) - low) / std::max(high - low, 1e-3), 0.0, 1.0);
    frequency[i] = frequency[i] / s.factor * ramp + frequency[i] * (1 - ramp);
  }
  scale = s.attention_factor > 0 ? s.attention_factor
          : s.factor > 1         ? 0.1f * std::log(s.factor) + 1.0f
                                 : 1.0f;
}

void scale_llama3(const RopeScaling& s, std::vector<double>& frequency) {
  const double context = s.original_context;
  const double longest = context / s.low_frequency_factor;
  const double shortest = context / s.high_frequency_factor;
  for (double& f : frequency) {
    const double wave = 2 * std::numbers::pi / f;
    if (wave < shortest) continue;
    const double smooth = (context / wave - s.low_frequency_factor) /
                          (s.high_frequency_factor - s.low_frequency_factor);
    f = wave > longest ? f / s.factor : (1 - smooth) * f / s.factor + smooth * f;
  }
}

}  // namespace

bool Config::is_lightning(int layer) const {
  if (layer_group_size <= 1) return false;
  const int grouped = num_hidden_layers / layer_group_size * layer_group_size;
  return (layer + 1) % layer_group_size != 0 && layer < grouped;
}

bool Config::has_experts(int layer) const {
  if (num_experts == 0 || layer < first_k_dense_replace) return false;
  if ((layer + 1) % decoder_sparse_step != 0) return false;
  return std::find(mlp_only_layers.begin(), mlp_only_layers.end(), layer) == mlp_only_layers.end();
}

bool Config::has_dense() const {
  for (int l = 0; l < std::min(num_hidden_layers, kMaxLayers); l++) {  // it may be unchecked yet
    if (!has_experts(l)) return true;
  }
  return false;
}

int Config::ring_reach() const { return std::max(ring_window, ring_max_hop); }

void check_config(const Config& c, const std::string& where) {
  const auto need = [&](bool holds, const char* rule) {
    if (holds) return;
    throw EngineError(ErrorCode::model_corrupt,
                      where + ": " + rule + ". Export the model again, or choose another one.");
  };
  need(c.num_attention_heads % c.num_key_value_heads == 0,
       "num_attention_heads must be a multiple of num_key_value_heads");
  need(c.num_attention_heads <= 4096 && c.num_hidden_layers <= kMaxLayers,
       "it has more than 4,096 heads or layers");
  need(c.head_dim <= kMaxHeadDim, "head_dim must be at most 256");
  need(int64_t(c.num_attention_heads) * c.head_dim <= kMaxSize, "the heads are too wide");
  // With 2^24 positions of 8 bytes each, and more for checkpoints, a sequence stays below 2^62.
  need(int64_t(c.num_hidden_layers) * c.attention_dim() <= 1 << 27,
       "its layers and heads are too many together");
  need(c.rope_theta >= 1, "rope_theta must be at least 1");
  need(c.syntax_features.size() <= 4096, "it has more than 4,096 syntax features");
  for (const float share : c.copy_shares)
    need(share >= 0 && share < 1, "copy_shares must be 0 or more and below 1");
  need(c.attention_dim() % c.group_norm_size == 0,
       "group_norm_size must divide num_attention_heads * head_dim");
  need(c.rotary_dim % 2 == 0 && c.rotary_dim <= c.head_dim,
       "partial_rotary_factor must give an even number of channels");
  need(c.slope_layer_shift >= 0 && c.slope_layer_shift <= 1, "slope_layer_shift must be 0 or 1");
  if (c.num_experts > 0) {
    need(c.num_experts_per_tok <= c.num_experts, "num_experts_per_tok is above num_experts");
    need(c.num_experts % c.n_group == 0, "n_group must divide num_experts");
    need(c.topk_group <= c.n_group, "topk_group is above n_group");
    need(int64_t(c.num_experts_per_tok) <= int64_t(c.topk_group) * (c.num_experts / c.n_group),
         "the topk_group groups have fewer than num_experts_per_tok experts");
    need(c.num_experts <= 4096, "it has more than 4,096 experts a layer");
    need(c.num_experts_per_tok <= 256, "it has more than 256 experts for each token");
  }
  if (c.rope_scaling.kind != RopeScaling::Kind::none) {
    need(c.rope_scaling.factor > 0, "the factor of rope_scaling must be positive");
    need(c.rope_scaling.kind == RopeScaling::Kind::linear || c.rope_scaling.original_context > 0,
         "rope_scaling lacks original_max_position_embeddings");
    need(c.rope_theta > 1, "rope_theta must be above 1");
  }
  if (c.ring_window > 0) {
    need(c.ring_slots > c.ring_reach(), "ring_slots must be above ring_window and ring_max_hop");
    need(c.ring_sinks < c.ring_slots, "ring_sinks must be below ring_slots");
  }
}

std::vector<float> decay(const Config& config, int layer) {
  const int last = config.num_hidden_layers - 1;
  const double depth = last == 0 ? 0.0 : double(layer - config.slope_layer_shift) / last;
  std::vector<float> decays;
  for (const double slope : alibi_slopes(config.num_attention_heads)) {
    decays.push_back(static_cast<float>(slope * (1.0 - depth + 1e-5)));
  }
  return decays;
}

std::vector<float> rope_frequencies(const Config& config, const float* factors, float& scale) {
  std::vector<double> frequency(size_t(config.rotary_dim / 2));
  for (size_t i = 0; i < frequency.size(); i++) {
    frequency[i] = std::pow(double(config.rope_theta), -2.0 * double(i) / config.rotary_dim);
  }
  scale = 1.0f;
  switch (config.rope_scaling.kind) {
    case RopeScaling::Kind::none:
      break;
    case RopeScaling::Kind::linear:
      for (double& f : frequency) f /= config.rope_scaling.factor;
      break;
    case RopeScaling::Kind::llama3:
      scale_llama3(config.rope_scaling, frequency);
      break;
    case RopeScaling::Kind::yarn:
      scale_yarn(config, frequency, scale);
      break;
  }
  std::vector<float> result;
  for (size_t i = 0; i < frequency.size(); i++) {
    result.push_back(float(factors != nullptr ? frequency[i] / factors[i] : frequency[i]));
  }
  return result;
}

}  // namespace ringside
