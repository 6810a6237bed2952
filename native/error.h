// The one error that the engine throws on bad files and bad requests. Anything else is a bug.
#pragma once

#include <stdexcept>
#include <string>

namespace ringside {

enum class ErrorCode {
  model_not_found,
  model_corrupt,
  model_unsupported,
  out_of_memory,
  bad_request,
  device_lost,
};

// The code as JavaScript sees it.
constexpr const char* name_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::model_not_found:
      return "MODEL_NOT_FOUND";
    case ErrorCode::model_corrupt:
      return "MODEL_CORRUPT";
    case ErrorCode::model_unsupported:
      return "MODEL_UNSUPPORTED";
    case ErrorCode::out_of_memory:
      return "OUT_OF_MEMORY";
    case ErrorCode::bad_request:
      return "BAD_REQUEST";
    case ErrorCode::device_lost:
      return "DEVICE_LOST";
  }
  return "BAD_REQUEST";
}

// The message says what failed, where, and what to do about it. What is no text in it (a file may
// name a tensor as it likes) becomes "?", and the middle of a very long one is left out.
class EngineError : public std::runtime_error {
 public:
  EngineError(ErrorCode code, const std::string& message);

  ErrorCode code() const { return code_; }

 private:
  ErrorCode code_;
};

}  // namespace ringside
