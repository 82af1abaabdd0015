// Rows of the generated table of factors.
#pragma once

#include "tmv/scene.hpp"

namespace tmv {

// Texts are JSON, empty where there is nothing.
struct FactorRow {
  const char *wire, *column;
  FactorKind kind;
  const char *standard, *unit, *low, *high, *period;
  bool label;
  const char* names;
};

}  // namespace tmv
