// The thread that an engine's generations run on, one after the other. Knows nothing of JavaScript.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

namespace ringside {

// One call that waits or runs. Both functions are called on the worker's thread.
struct Job {
  std::atomic<bool> cancelled = false;
  std::function<void(Job&)> run;  // must not throw; is called even when cancelled while waiting
};

class Worker {
 public:
  Worker() : thread_([this] { loop(); }) {}
  ~Worker() { stop(); }
  Worker(const Worker&) = delete;  // the thread points here
  Worker& operator=(const Worker&) = delete;

  void post(std::shared_ptr<Job> job) {
    {
      const std::lock_guard lock(mutex_);
      jobs_.push_back(std::move(job));
    }
    changed_.notify_one();
  }

  // Cancels what runs and what waits. Does not wait for it.
  void cancel_all() {
    const std::lock_guard lock(mutex_);
    if (running_) running_->cancelled = true;
    for (const auto& job : jobs_) job->cancelled = true;
  }

  // Cancels all, and returns once every job has run to its end.
  void stop() {
    cancel_all();
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_one();
    if (thread_.joinable()) thread_.join();
  }

 private:
  void loop() {
    while (true) {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
      if (jobs_.empty()) return;
      running_ = std::move(jobs_.front());
      jobs_.pop_front();
      const std::shared_ptr<Job> job = running_;
      lock.unlock();
      job->run(*job);
      job->run = nullptr;  // who keeps the job to cancel it does not keep what this held
      lock.lock();
      running_.reset();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::shared_ptr<Job>> jobs_;
  std::shared_ptr<Job> running_;
  bool stopping_ = false;
  std::thread thread_;  // last: starts when the rest is there
};

}  // namespace ringside
