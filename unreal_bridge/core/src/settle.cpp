#include "tmv/settle.hpp"

#include <algorithm>
#include <cmath>

#include "number.hpp"
#include "python.hpp"

namespace tmv {
namespace {

constexpr const char* kKinds[4] = {"levels", "textures", "shaders", "other"};

}  // namespace

void Settle::begin(const SettleBudget& budget, bool changed) {
  *this = Settle();
  budget_ = budget;
  state_ = State::Waiting;
  needed_ = changed ? std::max(budget.quiet_frames, 1u) : 1u;
}

Settle::State Settle::frame(const Facts& facts, double now_ms) {
  if (state_ != State::Waiting) return state_;
  if (began_ < 0 && std::isfinite(now_ms)) began_ = std::max(now_ms, 0.0);
  if (std::isfinite(now_ms)) elapsed_ = std::max(elapsed_, now_ms - began_);
  ++frames_;
  last_ = facts;
  const std::uint32_t loading[4] = {facts.levels, facts.textures, facts.shaders, facts.other};
  bool quiet = true;
  for (std::size_t i = 0; i < 4; ++i) {
    waited_[i] += loading[i] != 0;
    quiet = quiet && loading[i] == 0;
  }
  quiet_ = quiet ? quiet_ + 1 : 0;
  if (quiet_ >= needed_) {
    state_ = State::Settled;
  } else if (frames_ >= budget_.max_frames || elapsed_ >= budget_.max_ms) {
    state_ = State::Over;
  }
  return state_;
}

Value Settle::report() const {
  Value waited = Value::object();
  for (std::size_t i = 0; i < 4; ++i) waited.set(kKinds[i], Value::integer(waited_[i]));
  Value out = Value::object();
  out.set("settled", Value::boolean(state_ == State::Settled));
  out.set("frames", Value::integer(frames_));
  out.set("ms", Value::number(std::floor(elapsed_ * 1000 + 0.5) / 1000));
  out.set("quiet_frames", Value::integer(quiet_));
  out.set("waited", waited);
  return out;
}

std::string Settle::reason() const {
  const std::uint32_t loading[4] = {last_.levels, last_.textures, last_.shaders, last_.other};
  std::vector<std::string> still;
  for (std::size_t i = 0; i < 4; ++i) {
    if (loading[i] != 0) still.push_back(std::string(kKinds[i]) + ": " + std::to_string(loading[i]));
  }
  return "the picture had not settled after " + std::to_string(frames_) + " frames and " +
         number::general(std::floor(elapsed_)) + " ms (at most " + std::to_string(budget_.max_frames) + " and " +
         number::general(budget_.max_ms) + "); " +
         (still.empty() ? std::to_string(quiet_) + " quiet frames in a row, " + std::to_string(needed_) + " are needed"
                        : "still loading: " + python::joined(still, ", "));
}

}  // namespace tmv
