// A call under way, and how its thread wakes JavaScript. A part of addon.cpp, which includes it
// after napi.h and is the only file to do either.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "addon_values.h"
#include "engine.h"

namespace ringside {
namespace {

class EngineObject;

using Outcome = std::variant<std::monostate, Generated, std::vector<float>, Failure>;

// One generate() or score() under way. The first three belong to JavaScript's thread.
struct Call {
  Call(Napi::Env env, EngineObject* caller)
      : deferred(Napi::Promise::Deferred::New(env)), owner(caller) {
    on_text.SuppressDestruct();  // the last owner may be the worker; settling resets it
  }

  Napi::Promise::Deferred deferred;
  Napi::FunctionReference on_text;
  EngineObject* owner;  // referenced while the call is under way

  std::mutex mutex;    // guards what follows
  std::string text;    // grown since JavaScript last looked
  bool woken = false;  // a wake is under way: more text coalesces until it is heard
  Outcome outcome;     // set once, last
};

// Wakes JavaScript for a call. Safe against an environment that goes away: the finalizer closes it
// under the mutex, and a closed channel never touches the thread-safe function again.
class Channel {
 public:
  Channel(Napi::Env env, napi_threadsafe_function_call_js deliver,
          const std::shared_ptr<Channel>* keep) {
    const auto finalize = [](napi_env, void* kept, void*) {
      auto* channel = static_cast<std::shared_ptr<Channel>*>(kept);
      (*channel)->close();
      delete channel;
    };
    const napi_status status = napi_create_threadsafe_function(
        env, nullptr, nullptr, Napi::String::New(env, "ringside"), 0, 1,
        const_cast<std::shared_ptr<Channel>*>(keep), finalize, nullptr, deliver, &function_);
    NAPI_THROW_IF_FAILED_VOID(env, status);
    napi_unref_threadsafe_function(env,
                                   function_);  // only a call under way keeps the process alive
  }

  static std::shared_ptr<Channel> open(Napi::Env env, napi_threadsafe_function_call_js deliver) {
    auto keep = std::make_unique<std::shared_ptr<Channel>>();
    *keep = std::make_shared<Channel>(env, deliver, keep.get());
    return *keep.release();  // the finalizer frees it
  }

  // Any thread.
  void wake(const std::shared_ptr<Call>& call) {
    const std::lock_guard lock(mutex_);
    if (!open_) return;
    auto message = std::make_unique<std::shared_ptr<Call>>(call);
    const napi_status status =
        napi_call_threadsafe_function(function_, message.get(), napi_tsfn_nonblocking);
    if (status == napi_ok) static_cast<void>(message.release());  // deliver() frees it
  }

  // JavaScript's thread: whether the event loop waits for this.
  void keep_alive(Napi::Env env, bool keep) {
    const std::lock_guard lock(mutex_);
    if (!open_) return;
    if (keep)
      napi_ref_threadsafe_function(env, function_);
    else
      napi_unref_threadsafe_function(env, function_);
  }

  // JavaScript's thread, when there will be no more calls.
  void release() {
    const std::lock_guard lock(mutex_);
    if (!std::exchange(open_, false)) return;
    napi_release_threadsafe_function(function_, napi_tsfn_release);
  }

 private:
  void close() {
    const std::lock_guard lock(mutex_);
    open_ = false;
  }

  std::mutex mutex_;
  bool open_ = true;
  napi_threadsafe_function function_ = nullptr;
};

}  // namespace
}  // namespace ringside
