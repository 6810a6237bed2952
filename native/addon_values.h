// Values between JavaScript and plain structs, always copied. A part of addon.cpp, which includes
// it after napi.h and is the only file to do either.
#pragma once

#include <algorithm>
#include <cmath>
#include <new>
#include <string>
#include <vector>

#include "engine.h"
#include "error.h"
#include "gpu_library.h"

namespace ringside {
namespace {

// What went wrong on another thread, until it can be thrown in JavaScript.
struct Failure {
  std::string code;  // "": a bug, an Error without a code
  std::string message;
};

Failure current_failure() {
  try {
    throw;
  } catch (const EngineError& error) {
    return {name_of(error.code()), error.what()};
  } catch (const std::bad_alloc&) {
    return {name_of(ErrorCode::out_of_memory),
            "The system has no memory left for the model. Close other programs, choose a smaller "
            "model, or load with fewer contextTokens."};
  } catch (const std::exception& error) {
    return {"", error.what()};
  }
}

Napi::Error to_error(Napi::Env env, const Failure& failure) {
  Napi::Error error = Napi::Error::New(env, failure.message);
  if (!failure.code.empty()) error.Set("code", failure.code);
  return error;
}

[[noreturn]] void bad_request(const std::string& message) {
  throw EngineError(ErrorCode::bad_request, message);
}

// ---- from JavaScript to plain structs ----

double number_of(const Napi::Object& options, const char* key, double fallback) {
  const Napi::Value value = options.Get(key);
  if (value.IsUndefined()) return fallback;
  if (!value.IsNumber() || !std::isfinite(value.As<Napi::Number>().DoubleValue())) {
    bad_request(std::string(key) + " must be a finite number.");
  }
  return value.As<Napi::Number>().DoubleValue();
}

int size_of(const Napi::Object& options, const char* key, int fallback) {
  const double value = number_of(options, key, fallback);
  if (value < 0 || value > 1 << 30 || value != std::floor(value)) {
    bad_request(std::string(key) + " must be a whole number, 0 or more.");
  }
  return int(value);
}

size_t bytes_of(const Napi::Object& options, const char* key) {
  const double value = number_of(options, key, 0);
  if (!(value >= 0) || value > 0x1p53 || value != std::floor(value)) {
    bad_request(std::string(key) + " must be a whole number of bytes, 0 or more.");
  }
  return size_t(value);
}

std::vector<int> ids_of(const Napi::Value& value, const char* key) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_uint32_array) {
    bad_request(std::string(key) + " must be a Uint32Array.");
  }
  const auto array = value.As<Napi::Uint32Array>();
  return {array.Data(), array.Data() + array.ElementLength()};
}

Syntax syntax_of(const Napi::Value& from, const Napi::Value& features) {
  Syntax syntax;
  if (from.IsUndefined() || features.IsUndefined()) return syntax;
  const double position = from.IsNumber() ? from.As<Napi::Number>().DoubleValue() : -1;
  if (!(position >= 0) || position > 1 << 30 || position != std::floor(position)) {
    bad_request("featuresFrom must be a whole number, 0 or more.");
  }
  syntax.from = int(position);
  syntax.features = ids_of(features, "features");
  return syntax;
}

GenerateRequest request_of(const Napi::Value& value) {
  if (!value.IsObject()) bad_request("generate() takes an object with tokens and maxTokens.");
  const auto options = value.As<Napi::Object>();
  GenerateRequest request;
  request.tokens = ids_of(options.Get("tokens"), "tokens");
  request.syntax = syntax_of(options.Get("featuresFrom"), options.Get("features"));
  if (!options.Has("maxTokens")) bad_request("maxTokens is missing.");
  request.max_tokens = size_of(options, "maxTokens", 0);
  request.sampling.temperature = float(number_of(options, "temperature", 0));
  request.sampling.top_p = float(number_of(options, "topP", 1));
  request.sampling.seed = uint64_t(size_of(options, "seed", 0));
  if (request.sampling.temperature < 0) bad_request("temperature must be 0 or more.");
  if (request.sampling.top_p <= 0 || request.sampling.top_p > 1)
    bad_request("topP must be in (0, 1].");
  const Napi::Value draft = options.Get("draft");
  if (!draft.IsUndefined()) request.draft = bool(draft.ToBoolean());
  const Napi::Value copy = options.Get("copy");
  request.copy = copy.IsUndefined() || bool(copy.ToBoolean());
  request.behind = size_of(options, "behindFrom", 0);
  request.behind_end = size_of(options, "behindTo", 0);
  if (request.behind > request.behind_end || request.behind_end > request.tokens.size())
    bad_request("behindFrom and behindTo must be a stretch of the tokens.");
  request.min_log_probability =
      number_of(options, "minLogProbability", request.min_log_probability);
  const Napi::Value single_line = options.Get("singleLine");
  request.single_line = !single_line.IsUndefined() && single_line.ToBoolean();
  if (const Napi::Value ends = options.Get("ends"); !ends.IsUndefined()) {
    request.ends = ids_of(ends, "ends");
    std::sort(request.ends.begin(), request.ends.end());
  }
  return request;
}

LoadOptions load_options_of(const Napi::Value& value) {
  LoadOptions load;
  if (value.IsUndefined()) return load;
  if (!value.IsObject()) bad_request("Engine.load() takes its options as an object.");
  const auto options = value.As<Napi::Object>();
  if (const Napi::Value backend = options.Get("backend"); !backend.IsUndefined()) {
    if (!backend.IsString()) bad_request("backend must be a string.");
    load.backend = backend.As<Napi::String>();
  }
  load.threads = size_of(options, "threads", 0);
  if (const Napi::Value gpu = options.Get("gpu"); !gpu.IsUndefined() && !gpu.IsNull()) {
    load.gpu = size_of(options, "gpu", 0);
  }
  load.gpu_memory_bytes = bytes_of(options, "gpuMemoryBytes");
  load.model.context_tokens = size_of(options, "contextTokens", 0);
  load.model.memory_bytes = bytes_of(options, "memoryBytes");
  load.model.machine_bytes = bytes_of(options, "machineBytes");
  load.model.expert_coverage = float(number_of(options, "expertCoverage", 1));
  load.model.active_share = float(number_of(options, "activeShare", 1));
  if (const Napi::Value type = options.Get("kvCache"); !type.IsUndefined()) {
    const std::string name = type.IsString() ? std::string(type.As<Napi::String>()) : "";
    if (name != "f16" && name != "f32") bad_request("kvCache must be \"f16\" or \"f32\".");
    load.model.kv_cache = name == "f16" ? Type::f16 : Type::f32;
  }
  load.model.slope_layer_shift = size_of(options, "slopeLayerShift", 0);
  return load;
}

// ---- from plain structs to JavaScript ----

template <typename Array, typename Value>
Array to_array(Napi::Env env, const std::vector<Value>& values) {
  Array array = Array::New(env, values.size());
  std::copy(values.begin(), values.end(), array.Data());
  return array;
}

Napi::Object to_object(Napi::Env env, const Generated& result) {
  Napi::Object object = Napi::Object::New(env);
  object["text"] = Napi::String::New(env, result.text);
  object["stop"] = name_of(result.stop);
  object["tokens"] = to_array<Napi::Uint32Array>(env, result.tokens);
  object["logProbabilities"] = to_array<Napi::Float32Array>(env, result.log_probabilities);
  object["reusedTokens"] = result.reused_tokens;
  object["readTokens"] = result.read_tokens;
  object["truncateMs"] = result.truncate_ms;
  object["readMs"] = result.read_ms;
  object["decodeMs"] = result.decode_ms;
  object["guessedTokens"] = result.guessed_tokens;
  object["rightGuesses"] = result.right_guesses;
  return object;
}

Napi::Value to_token(Napi::Env env, const std::optional<Token>& token) {
  return token ? Napi::Number::New(env, *token) : env.Null();
}

Napi::Object to_memory(Napi::Env env, const Model& model) {
  const MemoryPlan& plan = model.memory();
  Napi::Object memory = Napi::Object::New(env);
  memory["budgetBytes"] = double(plan.budget);
  memory["weightBytes"] = double(plan.weights);
  memory["expertBytes"] = double(model.weight_bytes().routed);
  memory["expertCacheBytes"] = double(plan.expert_cache);
  memory["sequenceBytes"] = double(plan.sequence);
  memory["scratchBytes"] = double(plan.scratch);
  memory["maxBatch"] = plan.max_batch;
  memory["explanation"] = plan.explanation;
  memory.Freeze();
  return memory;
}

Napi::Value text_or_null(Napi::Env env, const std::string& text) {
  return text.empty() ? env.Null() : Napi::String::New(env, text);
}

Napi::Object to_placement(Napi::Env env, const Engine& engine) {
  const Placement& placement = engine.model().placement();
  const int layers = engine.model().config().num_hidden_layers;
  const bool on_gpu = placement.device != nullptr;
  Napi::Object object = Napi::Object::New(env);
  object["gpu"] = on_gpu ? text_or_null(env, engine.gpu_name()) : env.Null();
  object["layers"] = layers;
  object["gpuLayers"] = on_gpu ? layers - placement.first_on_device : 0;
  object["gpuBytes"] = double(placement.device_bytes);
  object["explanation"] = placement.explanation;
  object.Freeze();
  return object;
}

Napi::Object to_report(Napi::Env env, const GpuReport& report) {
  Napi::Object object = Napi::Object::New(env);
  object["library"] = text_or_null(env, report.library);
  object["runtimeVersion"] = text_or_null(env, report.runtime_version);
  object["driverVersion"] = text_or_null(env, report.driver_version);
  Napi::Array devices = Napi::Array::New(env);
  for (const Gpu& gpu : report.gpus) {
    Napi::Object device = Napi::Object::New(env);
    device["index"] = gpu.index;
    device["name"] = gpu.name;
    device["computeCapability"] = gpu.capability;
    device["totalBytes"] = double(gpu.total_bytes);
    device["freeBytes"] = double(gpu.free_bytes);
    device["problem"] = text_or_null(env, gpu.problem);
    devices[devices.Length()] = device;
  }
  object["devices"] = devices;
  object["problem"] = text_or_null(env, report.problem);
  return object;
}

// Bytes of the file's tensors, by the type as the file spells it.
Napi::Object to_bytes_by_type(Napi::Env env, const ModelFiles& files) {
  std::map<std::string, double> bytes;
  for (const auto& [name, tensor] : files.tensors()) {
    bytes[tensor.dtype_name] += double(tensor.bytes.size());
  }
  Napi::Object object = Napi::Object::New(env);
  for (const auto& [type, size] : bytes) object[type] = size;
  object.Freeze();
  return object;
}

Napi::Object to_prompting(Napi::Env env, const Engine& engine) {
  const Prompting& prompting = engine.prompting();
  Napi::Object object = Napi::Object::New(env);
  object["bos"] = prompting.adds_bos ? to_token(env, prompting.bos) : env.Null();
  object["bosToken"] = to_token(env, prompting.bos);
  object["ends"] = to_array<Napi::Uint32Array>(env, prompting.ends);
  object["fimPrefix"] = to_token(env, prompting.fim_prefix);
  object["fimSuffix"] = to_token(env, prompting.fim_suffix);
  object["fimMiddle"] = to_token(env, prompting.fim_middle);
  object["fimRepository"] = to_token(env, prompting.fim_repository);
  object["fimSeparator"] = to_token(env, prompting.fim_separator);
  object["chatTemplate"] = Napi::String::New(env, prompting.chat_template);
  object.Freeze();
  return object;
}

// What of the parameters runs for a token at most.
void add_counts(Napi::Object& info, const Model& model) {
  const Config& config = model.config();
  const Counts& counts = model.counts();
  const double share =
      config.num_experts == 0 ? 1 : double(model.max_experts()) / config.num_experts;
  const double routed = double(counts.routed), shared = double(counts.shared);
  const double experts = routed + shared;
  info["parameters"] = double(counts.total);
  info["activeParameters"] = double(counts.total) - routed * (1 - share);
  info["activeExpertShare"] = experts == 0 ? 1 : (routed * share + shared) / experts;
}

Napi::Object to_info(Napi::Env env, Engine& engine) {
  const Model& model = engine.model();
  const Config& config = model.config();

  Napi::Object info = Napi::Object::New(env);
  info["name"] = config.model_name;
  info["family"] = config.family;
  info["format"] = engine.files().gguf() != nullptr ? "gguf" : "safetensors";
  add_counts(info, model);
  info["bytesByType"] = to_bytes_by_type(env, engine.files());
  info["memory"] = to_memory(env, model);
  info["vocabularySize"] = config.vocab_size;
  info["contextTokens"] = model.context_tokens();
  info["trainedContextTokens"] = config.max_position_embeddings;
  const bool on_gpu = model.placement().device != nullptr;
  info["backend"] = on_gpu ? std::string("cuda") : std::string(engine.backend().name());
  info["placement"] = to_placement(env, engine);
  info["threads"] = engine.backend().threads();
  info["normalization"] =
      engine.tokenizer().normalizes_nfc() ? Napi::String::New(env, "NFC") : env.Null();
  info["prompting"] = to_prompting(env, engine);
  Napi::Array features = Napi::Array::New(env);
  for (const std::string& name : config.syntax_features) features[features.Length()] = name;
  info["syntaxFeatures"] = features;
  Napi::Object special = Napi::Object::New(env);
  for (const auto& [content, id] : engine.tokenizer().special_tokens()) special[content] = id;
  info["specialTokens"] = special;
  features.Freeze();
  special.Freeze();
  info.Freeze();
  return info;
}

}  // namespace
}  // namespace ringside
