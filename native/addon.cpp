// The engine as JavaScript sees it: native/index.d.ts, and the only file that includes napi.h.
//
// Threads: JavaScript's own, and one Worker an engine. They share Calls (each under its mutex) and
// the Channel that wakes JavaScript. No JavaScript value aliases C++ memory: all is copied.
#include <napi.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <variant>
#include <vector>

#include "addon_call.h"
#include "addon_values.h"
#include "worker.h"

namespace ringside {
namespace {

// Invariant: the JavaScript object is referenced while a call is under way, so it is collected
// idle.
class EngineObject : public Napi::ObjectWrap<EngineObject> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(
        env, "Engine",
        {StaticMethod<&EngineObject::load>("load"), InstanceMethod<&EngineObject::encode>("encode"),
         InstanceMethod<&EngineObject::decode>("decode"),
         InstanceMethod<&EngineObject::generate>("generate"),
         InstanceMethod<&EngineObject::score>("score"),
         InstanceMethod<&EngineObject::reset>("reset"),
         InstanceMethod<&EngineObject::close>("close")});
  }

  explicit EngineObject(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<EngineObject>(info), env_(info.Env()) {
    if (info.Length() != 1 || !info[0].IsExternal()) {
      throw Napi::TypeError::New(env_, "An Engine is made by Engine.load().");
    }
    engine_ = *info[0].As<Napi::External<std::shared_ptr<Engine>>>().Data();
    Value().DefineProperty(
        Napi::PropertyDescriptor::Value("info", to_info(env_, *engine_), napi_enumerable));
    try {
      worker_ = std::make_unique<Worker>();
    } catch (const std::system_error&) {
      throw to_error(env_, {name_of(ErrorCode::out_of_memory),
                            "The system starts no thread for the model. Close other programs, then "
                            "load it again."});
    }
    channel_ = Channel::open(env_, deliver);
    // Last: where anything above throws, as in an environment that is going, no hook leads here.
    napi_add_env_cleanup_hook(env_, stop_hook, this);
  }

  ~EngineObject() override {
    napi_remove_env_cleanup_hook(env_, stop_hook, this);
    worker_.reset();  // idle, or the environment is going: waits for one batch at most
    if (channel_) channel_->release();
  }

  // JavaScript's thread, once its call has settled.
  void end_call() {
    if (--calls_ == 0) channel_->keep_alive(env_, false);
    Unref();
  }

 private:
  static Napi::Value load(const Napi::CallbackInfo& info);

  // The environment goes away: no job may outlive it.
  static void stop_hook(void* self) { static_cast<EngineObject*>(self)->worker_.reset(); }
  static void deliver(napi_env env, napi_value, void*, void* data);
  static void settle(Napi::Env env, Call& call, const Outcome& outcome);

  Engine& engine() const {
    if (engine_) return *engine_;
    throw to_error(env_, {name_of(ErrorCode::bad_request), "The engine is closed. Load it again."});
  }

  // Starts `run` on the worker; its outcome settles the call's promise.
  std::shared_ptr<Job> begin_call(const std::shared_ptr<Call>& call,
                                  std::function<Outcome(Job&)> run) {
    auto job = std::make_shared<Job>();
    job->run = [call, channel = channel_, run = std::move(run)](Job& self) {
      Outcome outcome;
      try {
        outcome = run(self);
      } catch (...) {
        outcome = current_failure();
      }
      const std::lock_guard lock(call->mutex);
      call->outcome = std::move(outcome);
      if (!std::exchange(call->woken, true)) channel->wake(call);
    };
    if (calls_++ == 0) channel_->keep_alive(env_, true);
    Ref();
    worker_->post(job);
    return job;
  }

  Napi::Value encode(const Napi::CallbackInfo& info) {
    Engine& engine = this->engine();
    if (!info[0].IsString()) throw Napi::TypeError::New(env_, "encode() takes a string.");
    const bool at_start = info[1].IsUndefined() || info[1].ToBoolean();
    std::vector<Token> tokens;
    engine.tokenizer().encode(info[0].As<Napi::String>().Utf8Value(), tokens, at_start);
    return to_array<Napi::Uint32Array>(env_, tokens);
  }

  Napi::Value decode(const Napi::CallbackInfo& info) {
    Engine& engine = this->engine();
    try {
      TextDecoder decoder(engine.tokenizer());
      std::string text;
      for (const int token : ids_of(info[0], "tokens")) text += decoder.decode(token);
      return Napi::String::New(env_, text + decoder.finish());
    } catch (const EngineError&) {
      throw to_error(env_, current_failure());
    }
  }

  Napi::Value generate(const Napi::CallbackInfo& info) {
    engine();
    auto call = std::make_shared<Call>(env_, this);
    call->on_text.SuppressDestruct();
    Napi::Object generation = Napi::Object::New(env_);
    generation["done"] = call->deferred.Promise();
    std::shared_ptr<Job> job;
    try {
      const GenerateRequest request = request_of(info[0]);  // a getter of it may throw
      if (info[1].IsFunction()) call->on_text = Napi::Persistent(info[1].As<Napi::Function>());
      job = begin_call(
          call, [engine = engine_, call, channel = channel_, request](Job& self) -> Outcome {
            return engine->generate(request, self.cancelled, [&](std::string_view text) {
              const std::lock_guard lock(call->mutex);
              call->text += text;
              if (!std::exchange(call->woken, true)) channel->wake(call);
            });
          });
    } catch (const EngineError&) {  // the request's form is wrong; nothing was begun
      call->deferred.Reject(to_error(env_, current_failure()).Value());
    }
    generation["cancel"] = Napi::Function::New(env_, [job](const Napi::CallbackInfo&) {
      if (job) job->cancelled = true;
    });
    return generation;
  }

  Napi::Value score(const Napi::CallbackInfo& info) {
    engine();
    auto call = std::make_shared<Call>(env_, this);
    try {
      const std::vector<Token> tokens = ids_of(info[0], "tokens");
      const Syntax syntax = syntax_of(info[1], info[2]);
      begin_call(call, [engine = engine_, tokens, syntax](Job& self) -> Outcome {
        std::vector<float> scores = engine->score(tokens, syntax, self.cancelled);
        if (self.cancelled) bad_request("The engine was closed while it scored.");
        return scores;
      });
    } catch (const EngineError&) {
      call->deferred.Reject(to_error(env_, current_failure()).Value());
    }
    return call->deferred.Promise();
  }

  void reset(const Napi::CallbackInfo&) {
    engine();
    auto job = std::make_shared<Job>();
    job->run = [engine = engine_](Job&) { engine->reset(); };
    worker_->post(std::move(job));
  }

  // Frees the model when the calls under way have heard it; they resolve as cancelled.
  void close(const Napi::CallbackInfo&) {
    worker_->cancel_all();
    engine_.reset();
  }

  Napi::Env env_;
  std::shared_ptr<Engine> engine_;  // shared with jobs; null once closed
  std::shared_ptr<Channel> channel_;
  std::unique_ptr<Worker> worker_;
  int calls_ = 0;  // under way
};

// JavaScript's thread: hands over the text that has grown, then the outcome.
void EngineObject::deliver(napi_env raw_env, napi_value, void*, void* data) {
  const std::unique_ptr<std::shared_ptr<Call>> message(static_cast<std::shared_ptr<Call>*>(data));
  if (raw_env == nullptr) return;  // the environment is going away
  const Napi::Env env(raw_env);
  const Napi::HandleScope scope(env);
  Call& call = **message;
  std::string text;
  Outcome outcome;
  {
    const std::lock_guard lock(call.mutex);
    text.swap(call.text);
    std::swap(outcome, call.outcome);
    call.woken = false;
  }
  std::optional<Napi::Error> thrown;
  if (!text.empty() && !call.on_text.IsEmpty()) {
    try {
      call.on_text.Call({Napi::String::New(env, text)});
    } catch (const Napi::Error& error) {
      thrown = error;
    }
  }
  if (!std::holds_alternative<std::monostate>(outcome)) settle(env, call, outcome);
  if (thrown)
    thrown->ThrowAsJavaScriptException();  // an uncaught exception, as of any event handler
}

void EngineObject::settle(Napi::Env env, Call& call, const Outcome& outcome) {
  try {
    if (const auto* generated = std::get_if<Generated>(&outcome)) {
      call.deferred.Resolve(to_object(env, *generated));
    } else if (const auto* scores = std::get_if<std::vector<float>>(&outcome)) {
      call.deferred.Resolve(to_array<Napi::Float32Array>(env, *scores));
    } else {
      call.deferred.Reject(to_error(env, std::get<Failure>(outcome)).Value());
    }
  } catch (const Napi::Error&) {
    // A thread that is being terminated: what still waits in its queue is delivered, but no
    // JavaScript can be called any more. Nobody is left to be told; thrown from here, it would end
    // the process.
  }
  if (!call.on_text.IsEmpty()) call.on_text.Reset();
  call.owner->end_call();
}

// Loads on a thread of Node's pool. Deletes itself when done.
class Loading : public Napi::AsyncProgressWorker<float> {
 public:
  Loading(Napi::Env env, std::string folder, LoadOptions options)
      : Napi::AsyncProgressWorker<float>(env),
        deferred_(Napi::Promise::Deferred::New(env)),
        folder_(std::move(folder)),
        options_(std::move(options)) {}

  Napi::Promise promise() const { return deferred_.Promise(); }
  void on_progress(Napi::Function listener) { listener_ = Napi::Persistent(listener); }

 private:
  void Execute(const ExecutionProgress& progress) override {
    try {
      const std::u8string path(folder_.begin(), folder_.end());
      engine_ = std::make_shared<Engine>(std::filesystem::path(path), options_,
                                         [&](float share) { progress.Send(&share, 1); });
    } catch (...) {
      failure_ = current_failure();
    }
  }

  void OnProgress(const float* share, size_t count) override {
    if (count > 0 && !listener_.IsEmpty()) listener_.Call({Napi::Number::New(Env(), *share)});
  }

  void OnOK() override {
    const Napi::HandleScope scope(Env());
    if (!engine_) return deferred_.Reject(to_error(Env(), failure_).Value());
    try {
      auto* constructor = Env().GetInstanceData<Napi::FunctionReference>();
      deferred_.Resolve(
          constructor->New({Napi::External<std::shared_ptr<Engine>>::New(Env(), &engine_)}));
    } catch (const Napi::Error& error) {  // who waits would wait for ever
      deferred_.Reject(error.Value());
    }
  }

  Napi::Promise::Deferred deferred_;
  Napi::FunctionReference listener_;
  std::string folder_;
  LoadOptions options_;
  std::shared_ptr<Engine> engine_;
  Failure failure_;
};

Napi::Value EngineObject::load(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  try {
    if (!info[0].IsString()) bad_request("Engine.load() takes the path of a model folder.");
    auto loading = std::make_unique<Loading>(env, info[0].As<Napi::String>().Utf8Value(),
                                             load_options_of(info[1]));
    if (info[2].IsFunction()) loading->on_progress(info[2].As<Napi::Function>());
    const Napi::Promise promise = loading->promise();
    loading.release()->Queue();
    return promise;
  } catch (const EngineError&) {
    auto deferred = Napi::Promise::Deferred::New(env);
    deferred.Reject(to_error(env, current_failure()).Value());
    return deferred.Promise();
  }
}

Napi::Value list_backends(const Napi::CallbackInfo& info) {
  Napi::Array names = Napi::Array::New(info.Env());
  for (const std::string& name : available_backends()) names[names.Length()] = name;
  return names;
}

Napi::Value gpu_library(const Napi::CallbackInfo& info) {
  return text_or_null(info.Env(), gpu_library_file());
}

Napi::Value probe_devices(const Napi::CallbackInfo& info) {
  return to_report(info.Env(), probe_gpus());
}

Napi::Object initialize(Napi::Env env, Napi::Object exports) {
  const Napi::Function engine = EngineObject::define(env);
  env.SetInstanceData(new Napi::FunctionReference(Napi::Persistent(engine)));
  exports["Engine"] = engine;
  exports["availableBackends"] = Napi::Function::New(env, list_backends, "availableBackends");
  exports["gpuLibrary"] = Napi::Function::New(env, gpu_library, "gpuLibrary");
  exports["probeDevices"] = Napi::Function::New(env, probe_devices, "probeDevices");
  return exports;
}

NODE_API_MODULE(ringside, initialize)

}  // namespace
}  // namespace ringside
