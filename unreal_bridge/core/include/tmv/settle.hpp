// When a changed world shows its final picture: nothing loads any more, and the temporal history has been replaced.
#pragma once

#include <cstdint>
#include <string>

#include "tmv/json.hpp"

namespace tmv {

// How many things still load when a frame was drawn.
struct Facts {
  std::uint32_t levels = 0;    // streaming levels
  std::uint32_t textures = 0;  // streaming textures
  std::uint32_t shaders = 0;   // shaders that compile
  std::uint32_t other = 0;
};

struct SettleBudget {
  std::uint32_t quiet_frames = 16;   // drawn in a row with nothing loading: the temporal history
  std::uint32_t max_frames = 1800;
  double max_ms = 60000;
};

class Settle {
 public:
  enum class State : std::uint8_t { Waiting, Settled, Over };

  // Begins anew; `changed` is false where the picture is the last one again, for which one quiet frame is enough.
  void begin(const SettleBudget& budget, bool changed);
  // Takes a frame that was drawn, at a time that never runs backwards.
  State frame(const Facts& facts, double now_ms);

  State state() const { return state_; }
  double elapsed_ms() const { return elapsed_; }
  // {"settled", "frames", "ms", "quiet_frames", "waited": {frames in which each kind still loaded}}
  Value report() const;
  // Why it is over: what still loads, and the budget.
  std::string reason() const;

 private:
  SettleBudget budget_;
  State state_ = State::Over;
  std::uint32_t needed_ = 0, frames_ = 0, quiet_ = 0;
  std::uint32_t waited_[4] = {0, 0, 0, 0};
  Facts last_;
  double began_ = -1, elapsed_ = 0;
};

}  // namespace tmv
