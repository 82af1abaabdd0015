// The parser, and everything that reads what it returns: JSON, messages, scenes, catalogues.
#include <cstdint>
#include <string>
#include <string_view>

#include "invariant.hpp"
#include "python.hpp"
#include "tmv/catalogue.hpp"
#include "tmv/messages.hpp"
#include "tmv/scene.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  tmv::Value value, again;
  std::string error, canonical, second;
  if (!tmv::json::parse(text, value, error)) {
    MUST(!error.empty());
    return 0;
  }
  // What is canonical is read as the same, and is its own canonical form.
  if (tmv::json::canonical(value, canonical)) {
    MUST(tmv::json::parse(canonical, again, error));
    MUST(tmv::json::canonical(again, second));
    MUST(canonical == second);
  }
  MUST(tmv::python::shown(value, 200).size() <= 10 * 200 + 2);
  if (!value.is(tmv::Value::Kind::Object)) return 0;

  const auto& table = tmv::FactorTable::published();
  tmv::Scene scene;
  if (tmv::Scene::read(value, table, scene, error)) {
    tmv::Scene same;
    MUST(tmv::json::parse(scene.canonical(), again, error));
    MUST(tmv::Scene::read(again, table, same, error));
    MUST(same.id() == scene.id() && same.canonical() == scene.canonical());
    MUST(tmv::changes(&same, same).empty());
  }
  tmv::messages::Request request;
  tmv::Value message;
  if (tmv::messages::parse(text, message, error) == tmv::messages::Parsed::Message &&
      tmv::messages::read_request(message, request, error)) {
    MUST(!request.id.empty() && request.width >= 16 && request.height <= 4096 && request.passes.size() <= 5);
  }
  tmv::Catalogue catalogue;
  if (tmv::Catalogue::read(value, table, catalogue, error)) {
    tmv::Scene desert;
    MUST(tmv::json::parse(R"({"World_Name":"Desert","Camera_Yaw":45})", again, error));
    MUST(tmv::Scene::read(again, table, desert, error));
    for (const std::string& problem : catalogue.problems(desert)) MUST(!problem.empty());
  }
  return 0;
}
