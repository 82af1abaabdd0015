#include "tmv/messages.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include "number.hpp"
#include "python.hpp"
#include "text.hpp"

namespace tmv::messages {
namespace {

using Kind = Value::Kind;

const std::vector<std::string> kAsks = {"hello", "catalogue", "render"};
const std::vector<std::string> kPasses = {"rgb", "mask", "class", "depth", "normals"};

bool is_id(std::string_view text) {
  return !text.empty() && text.size() <= 64 && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
}

bool is_version(const Value& value) {  // Python's 1 == 1.0 == True
  return (value.is(Kind::Bool) && value.as_bool()) || (value.is_number() && value.as_double() == kVersion);
}

bool wrong(std::string_view place, const Value& value, std::string_view right, std::string& error) {
  error = std::string(place) + " is " + python::shown(value, 200) + "; " + std::string(right) + " is right";
  return false;
}

bool read_size(const Value& value, Value& width, Value& height, std::string& error) {
  const char* const right = "[width, height], two integers in pixels,";
  if (!value.is(Kind::Array) || value.items().size() > 2) return wrong("size", value, right, error);
  for (std::size_t i = 0; i < value.items().size(); ++i) {
    if (!value.items()[i].is(Kind::Integer)) {
      return wrong("size." + std::to_string(i), value.items()[i], right, error);
    }
  }
  if (value.items().size() < 2) return wrong("size", value, right, error);
  width = value.items()[0];
  height = value.items()[1];
  return true;
}

bool read_passes(const Value& value, std::vector<std::string>& out, std::string& error) {
  const char* const right = "a list of names, each once,";
  if (!value.is(Kind::Array)) return wrong("passes", value, right, error);
  out.clear();
  for (std::size_t i = 0; i < value.items().size(); ++i) {
    if (!value.items()[i].is(Kind::String)) {
      return wrong("passes." + std::to_string(i), value.items()[i], right, error);
    }
    out.push_back(value.items()[i].text());
  }
  std::vector<std::string> sorted = out;
  std::sort(sorted.begin(), sorted.end());
  if (std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end()) return wrong("passes", value, right, error);
  return true;
}

bool is_side(const Value& value) {
  std::int64_t side = 0;
  return value.as_int64(side) && side >= 16 && side <= 4096;
}

// What the options of a request must be beyond their types, as torchmultiverse.engines.RenderOptions has it.
bool check_options(const Request& request, const Value& width, const Value& height, std::string& error) {
  if (!is_side(width) || !is_side(height)) {
    error = "size (" + width.text() + ", " + height.text() + ") is out of range: 16 to 4096 pixels a side";
    return false;
  }
  for (const std::string& name : request.passes) {
    if (std::find(kPasses.begin(), kPasses.end(), name) == kPasses.end()) {
      error = "unknown pass '" + name + "'." + python::nearest(name, kPasses);
      return false;
    }
  }
  if (std::find(request.passes.begin(), request.passes.end(), "rgb") == request.passes.end()) {
    std::vector<std::string> names;
    for (const std::string& name : request.passes) names.push_back(text::repr(name));
    error = "passes = (" + python::joined(names, ", ") + (names.size() == 1 ? ",)" : ")") +
            ": 'rgb' must be among them";
    return false;
  }
  return true;
}

bool read_render(const Value& message, Request& out, std::string& error) {
  const Value* scene = message.find("scene");
  if (scene == nullptr) {
    error = "there is no 'scene'; an object of levels by wire name is right";
    return false;
  }
  if (!scene->is(Kind::Object)) return wrong("scene", *scene, "an object of levels by wire name", error);
  out.scene = *scene;
  Value width = Value::integer(512), height = width;
  if (const Value* size = message.find("size")) {
    if (!read_size(*size, width, height, error)) return false;
  }
  if (const Value* passes = message.find("passes")) {
    if (!read_passes(*passes, out.passes, error)) return false;
  }
  if (const Value* format = message.find("format")) {
    if (!format->is(Kind::String) || (format->text() != "png" && format->text() != "jpeg")) {
      return wrong("format", *format, "png or jpeg", error);
    }
    out.format = format->text();
  }
  for (const auto& [name, place] : {std::pair("raw", &out.raw), std::pair("quiet", &out.quiet)}) {
    const Value* found = message.find(name);
    if (found == nullptr || found->is(Kind::Null)) continue;
    if (!found->is(Kind::Bool)) return wrong(name, *found, "true or false", error);
    *place = *found;
  }
  if (const Value* seed = message.find("seed")) {
    if (!seed->is(Kind::Integer)) return wrong("seed", *seed, "an integer", error);
    out.seed = seed->text();
  }
  const Value* samples = message.find("samples");
  if (samples != nullptr && !samples->is(Kind::Null)) {
    std::int64_t number = 0;
    if (!samples->as_int64(number) || number < 1 || number > 65536) {
      return wrong("samples", *samples, "an integer from 1 to 65536", error);
    }
    out.samples = static_cast<int>(number);
  }
  if (!check_options(out, width, height, error)) return false;
  width.as_int64(out.width);
  height.as_int64(out.height);
  return true;
}

Value answer(std::string_view id, const char* state) {
  Value out = Value::object();
  out.set("tmv", Value::integer(kVersion));
  out.set("id", Value::string(std::string(id)));
  out.set("state", Value::string(state));
  return out;
}

std::string encoded(const Value& value) {
  std::string out;
  json::canonical(value, out);
  return out;
}

}  // namespace

Parsed parse(std::string_view text, Value& message, std::string& error) {
  std::string why;
  if (!json::parse(text, message, why) || !message.is(Kind::Object)) return Parsed::Other;
  const Value* version = message.find("tmv");
  if (version == nullptr) return Parsed::Other;
  if (!is_version(*version)) {
    error = "version " + python::shown(*version, 20) + " of the tmv dialect; 1 is spoken here";
    return Parsed::Wrong;
  }
  const Value* id = message.find("id");
  if (id == nullptr || !id->is(Kind::String) || !is_id(id->text())) {
    error = "id is " + python::shown(id == nullptr ? Value() : *id, 80) +
            "; up to 64 letters, digits, '-' and '_' are right";
    return Parsed::Wrong;
  }
  return Parsed::Message;
}

bool read_request(const Value& message, Request& out, std::string& error) {
  out = Request();
  if (const Value* id = message.find("id")) out.id = id->text();
  const Value* asked = message.find("do");
  const bool named = asked != nullptr && asked->is(Kind::String);
  const auto known = named ? std::find(kAsks.begin(), kAsks.end(), asked->text()) : kAsks.end();
  if (known == kAsks.end()) {
    error = "do is " + python::shown(asked == nullptr ? Value() : *asked, 80) + "; " + python::joined(kAsks, ", ") +
            " are known here." + (named ? python::nearest(asked->text(), kAsks) : "");
    return false;
  }
  out.ask = static_cast<Ask>(std::distance(kAsks.begin(), known));
  return out.ask != Ask::Render || read_render(message, out, error);
}

std::string accepted(std::string_view id) { return encoded(answer(id, "accepted")); }

std::string settled(std::string_view id, const Value& settle) {
  Value out = answer(id, "settled");
  out.set("settle", settle);
  return encoded(out);
}

std::string done(std::string_view id) { return encoded(answer(id, "done")); }

std::string hello_done(std::string_view id, std::string_view engine, std::string_view version,
                       std::string_view fingerprint) {
  Value out = answer(id, "done");
  out.set("dialect", Value::string("tmv"));
  out.set("engine", Value::string(std::string(engine)));
  out.set("version", Value::string(std::string(version)));
  out.set("fingerprint", Value::string(std::string(fingerprint)));
  return encoded(out);
}

std::string failed(std::string_view id, std::string_view reason, Again again) {
  Value out = answer(id, "failed");
  out.set("reason", Value::string(text::head(reason, kMostReason)));
  if (again != Again::Unsaid) out.set("again", Value::boolean(again == Again::Yes));
  return encoded(out);
}

std::string render_done(const RenderDone& done) {
  Value out = answer(done.id, "done");
  out.set("scene_id", Value::string(done.scene_id));
  Value hashes = Value::object();
  for (const auto& one : done.sha256) hashes.set(one.first, Value::string(one.second));
  out.set("sha256", hashes);
  out.set("settle", done.settle);
  out.set("timings", done.timings);
  out.set("engine", Value::string(done.engine));
  out.set("info", done.info);
  return encoded(out);
}

}  // namespace tmv::messages
