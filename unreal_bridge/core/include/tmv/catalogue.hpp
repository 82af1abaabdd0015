// What an engine can render: answers the question for the catalogue, and refuses what is not in it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tmv/json.hpp"
#include "tmv/scene.hpp"

namespace tmv {

class Catalogue {
 public:
  // Reads a catalogue as torchmultiverse writes it (engine, version, fingerprint, complete, passes, factors, …).
  // Where it has no fingerprint, one is made of its content. False with why in `error`.
  static bool read(const Value& value, const FactorTable& table, Catalogue& out, std::string& error);

  const std::string& engine() const { return engine_; }
  const std::string& version() const { return version_; }
  const std::string& fingerprint() const { return fingerprint_; }
  const std::vector<std::string>& passes() const { return passes_; }
  // The whole catalogue as JSON.
  const std::string& json() const { return json_; }

  // One line for each factor at a level which this engine cannot render, with what is near it.
  std::vector<std::string> problems(const Scene& scene) const;

 private:
  std::string engine_, version_, fingerprint_, json_;
  bool complete_ = true;
  std::vector<std::string> passes_;
  Value factors_ = Value::object();
};

}  // namespace tmv
