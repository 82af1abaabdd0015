#include "tmv/bridge.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <utility>

#include "python.hpp"
#include "text.hpp"
#include "tmv/datachannel.hpp"
#include "tmv/sha256.hpp"

namespace tmv {
namespace {

using Kind = Value::Kind;

struct Mime {
  const char *extension, *type;
};
constexpr Mime kMimes[] = {{"png", "image/png"}, {"jpeg", "image/jpeg"}, {"tiff", "image/tiff"},
                           {"npy", "application/x-npy"}};

const char* mime_of(std::string_view extension) {
  for (const Mime& one : kMimes) {
    if (extension == one.extension) return one.type;
  }
  return nullptr;
}

bool known_members(const Value& object, const std::string& where, const std::vector<std::string>& known,
                   std::string& error) {
  if (!object.is(Kind::Object)) {
    error = where + " is " + python::shown(object, 80) + "; an object is right";
    return false;
  }
  for (const Member& one : object.members()) {
    if (std::find(known.begin(), known.end(), one.name) == known.end()) {
      error = where + ": '" + one.name + "' means nothing." + python::nearest(one.name, known);
      return false;
    }
  }
  return true;
}

// Reads a number from 1 to `most` where the object has it.
template <class T>
bool read_count(const Value& object, const char* name, double most, T& out, std::string& error) {
  const Value* found = object.find(name);
  if (found == nullptr) return true;
  const double value = found->is_number() ? found->as_double() : 0;
  if (!(value >= 1 && value <= most)) {
    error = std::string(name) + " is " + python::shown(*found, 80) + "; a number from 1 to " +
            std::to_string(static_cast<long long>(most)) + " is right";
    return false;
  }
  out = static_cast<T>(value);
  return true;
}

bool finite(const Value& value) {
  std::string text;
  return json::canonical(value, text);
}

// What an engine says of a picture: {"timings": {name: number}, "info": {…}}.
bool read_facts(std::string_view text, Value& timings, Value& info, std::string& error) {
  timings = info = Value::object();
  if (text.empty()) return true;
  Value facts;
  if (!json::parse(text, facts, error)) {
    error = "the facts are no JSON: " + error;
    return false;
  }
  if (!known_members(facts, "the facts", {"timings", "info"}, error)) return false;
  if (const Value* found = facts.find("timings")) timings = *found;
  if (const Value* found = facts.find("info")) info = *found;
  const auto& members = timings.members();
  const bool numbers = std::all_of(members.begin(), members.end(),
                                   [](const Member& one) { return one.value.is_number(); });
  if (!timings.is(Kind::Object) || !info.is(Kind::Object) || !numbers || !finite(timings) || !finite(info)) {
    error = "the facts: 'timings' is an object of finite numbers, 'info' an object";
    return false;
  }
  return true;
}

std::string differences(const Scene& shown, const Scene& asked) {
  std::vector<std::string> out;
  for (const Factor& factor : asked.table().factors()) {
    if (shown.get(factor) == asked.get(factor)) continue;
    out.push_back(factor.wire + " = " + text::head(python::str(shown.get(factor)), 80) + ", asked was " +
                  text::head(python::str(asked.get(factor)), 80));
  }
  return python::joined(out, "; ");
}

}  // namespace

std::unique_ptr<Bridge> Bridge::create(std::string_view config, std::string& error) {
  Value value;
  if (!json::parse(config, value, error)) {
    error = "the config is no JSON: " + error;
    return nullptr;
  }
  std::unique_ptr<Bridge> bridge(new Bridge());
  if (!bridge->configure(value, error)) return nullptr;
  return bridge;
}

bool Bridge::configure(const Value& config, std::string& error) {
  if (!known_members(config, "the config", {"catalogue", "factors", "settle", "queue", "patience_ms"}, error)) {
    return false;
  }
  table_ = FactorTable::published();
  if (const Value* factors = config.find("factors")) {
    if (!table_.extend(*factors, error)) return false;
  }
  const Value* catalogue = config.find("catalogue");
  if (catalogue == nullptr) {
    error = "the config has no 'catalogue'";
    return false;
  }
  if (!Catalogue::read(*catalogue, table_, catalogue_, error)) return false;
  if (const Value* settle = config.find("settle")) {
    if (!known_members(*settle, "settle", {"quiet_frames", "max_frames", "max_ms"}, error) ||
        !read_count(*settle, "quiet_frames", 1e6, budget_.quiet_frames, error) ||
        !read_count(*settle, "max_frames", 1e9, budget_.max_frames, error) ||
        !read_count(*settle, "max_ms", 1e9, budget_.max_ms, error)) {
      return false;
    }
  }
  return read_count(config, "queue", static_cast<double>(kMaxQueue), most_, error) &&
         read_count(config, "patience_ms", 1e9, patience_ms_, error);
}

// Events ------------------------------------------------------------------------------------------------------

void Bridge::receive(std::string_view player, std::string_view text) {
  if (text.size() > datachannel::kMaxText && text::utf16_units(text) > datachannel::kMaxText) {
    note(player, std::to_string(text::utf16_units(text)) + " UTF-16 code units; " +
                     std::to_string(datachannel::kMaxText) + " is the limit");
    return;
  }
  Value message;
  std::string error;
  switch (messages::parse(text, message, error)) {
    case messages::Parsed::Other:
      note(player, "no message of the tmv dialect: " +
                       (text::valid(text) ? text::repr(text::head(text, 80)) : std::string("no UTF-8")));
      return;
    case messages::Parsed::Wrong:
      note(player, error);
      return;
    case messages::Parsed::Message:
      break;
  }
  messages::Request request;
  if (!messages::read_request(message, request, error)) {
    answer(player, messages::failed(request.id, error));
    return;
  }
  switch (request.ask) {
    case messages::Ask::Hello:
      answer(player, messages::hello_done(request.id, catalogue_.engine(), catalogue_.version(),
                                          catalogue_.fingerprint()));
      return;
    case messages::Ask::Catalogue: {
      Command file;
      file.kind = Command::Kind::SendFile;
      file.player = player;
      file.extension = request.id + ".catalogue.json";
      file.mime = "application/json";
      file.bytes = catalogue_.json();
      commands_.push_back(std::move(file));
      answer(player, messages::done(request.id));
      return;
    }
    case messages::Ask::Render:
      render(player, request);
      return;
  }
}

void Bridge::left(std::string_view player) {
  const auto theirs = [&](const Job& job) { return job.player == player; };
  queue_.erase(std::remove_if(queue_.begin(), queue_.end(), theirs), queue_.end());
  commands_.erase(std::remove_if(commands_.begin(), commands_.end(),
                                 [&](const Command& one) { return one.request == 0 && one.player == player; }),
                  commands_.end());
  if (stage_ != Stage::Idle && theirs(job_)) job_.gone = true;
  backlog_.erase(std::string(player));
}

void Bridge::backlog(std::string_view player, std::uint64_t bytes) {
  if (bytes == 0) {
    backlog_.erase(std::string(player));
  } else {
    backlog_[std::string(player)] = bytes;
  }
}

void Bridge::frame(const Facts& facts, double now_ms) {
  if (stage_ == Stage::Idle) return;
  if (entered_ < 0) entered_ = now_ms;
  if (stage_ == Stage::Settling) {
    if (job_.gone) {
      finish();
      return;
    }
    const Settle::State state = settle_.frame(facts, now_ms);
    if (state == Settle::State::Over) fail(settle_.reason(), messages::Again::Yes);
    if (state != Settle::State::Settled) return;
    changed_ = false;
    if (!job_.request.quiet.as_bool()) answer(job_.player, messages::settled(job_.request.id, settle_.report()));
    enter(Stage::Capturing);
    Command capture;
    capture.kind = Command::Kind::Capture;
    capture.request = job_.number;
    capture.width = job_.request.width;
    capture.height = job_.request.height;
    capture.passes = job_.request.passes;
    capture.format = job_.request.format;
    capture.raw = job_.request.raw.as_bool();
    capture.seed = job_.request.seed;
    capture.picture_seed = scene_seed(job_.request.seed, job_.scene.id());
    capture.samples = job_.request.samples;
    commands_.push_back(std::move(capture));
  } else if (now_ms - entered_ > patience_ms_) {
    known_ = false;
    fail(std::string(stage_ == Stage::Applying ? "the scene was not applied" : "the picture was not read back") +
             " within " + std::to_string(static_cast<long long>(patience_ms_)) + " ms",
         messages::Again::Yes);
  }
}

void Bridge::world_lost() {
  known_ = false;
  changed_ = true;
  if (stage_ == Stage::Settling || stage_ == Stage::Capturing) {
    fail("the world was changed by somebody else while the picture was made", messages::Again::Yes);
  }
}

bool Bridge::applied(RequestNumber request, std::string_view levels, std::string& error) {
  if (!expects(request, Stage::Applying, error)) return false;
  known_ = false;
  if (!read_shown(levels, error)) {
    fail("the engine says of its world what is no scene: " + error, messages::Again::No);
    return false;
  }
  known_ = true;
  width_ = job_.request.width;
  height_ = job_.request.height;
  if (job_.gone) {
    finish();
    return true;
  }
  const std::string differ = differences(now_, job_.scene);
  if (!differ.empty()) {
    fail("the world shows another scene: " + differ, messages::Again::Yes);
    return true;
  }
  settle_.begin(budget_, changed_);
  enter(Stage::Settling);
  return true;
}

bool Bridge::refused(RequestNumber request, std::string_view reason, bool again, std::string& error) {
  if (stage_ == Stage::Idle || request != job_.number) return expects(request, stage_, error);
  known_ = false;
  changed_ = true;
  const std::string why(text::valid(reason) ? reason : "a reason that is no UTF-8");
  fail(why.empty() ? "no reason given" : why, again ? messages::Again::Yes : messages::Again::No);
  return true;
}

bool Bridge::captured(RequestNumber request, std::string_view pass, std::string bytes, std::string_view extension,
                      std::string& error) {
  if (!expects(request, Stage::Capturing, error)) return false;
  const auto& passes = job_.request.passes;
  const std::string name(pass);
  if (std::find(passes.begin(), passes.end(), name) == passes.end()) {
    error = "the pass '" + name + "' was not asked for; " + python::joined(passes, ", ") + " were";
    return false;
  }
  if (std::any_of(captured_.begin(), captured_.end(), [&](const Pass& one) { return one.name == name; })) {
    error = "the pass '" + name + "' came twice";
    return false;
  }
  const bool right = (job_.request.raw.as_bool() && extension == "npy") ||
                     (name == "rgb" ? extension == job_.request.format : extension == "png" || extension == "tiff");
  if (!right) {
    error = "the pass '" + name + "' is a " + std::string(extension) + "; " +
            (name == "rgb" ? job_.request.format : "png or tiff") + " is right";
    return false;
  }
  if (bytes.empty() || bytes.size() > datachannel::kMaxPayload) {
    error = "the pass '" + name + "' has " + std::to_string(bytes.size()) + " bytes; 1 to " +
            std::to_string(datachannel::kMaxPayload) + " are right";
    return false;
  }
  captured_.push_back({name, std::string(extension), std::move(bytes)});
  return true;
}

bool Bridge::captured_all(RequestNumber request, std::string_view facts, std::string& error) {
  if (!expects(request, Stage::Capturing, error)) return false;
  messages::RenderDone done;
  if (!read_facts(facts, done.timings, done.info, error)) return false;
  const auto place = [this](const std::string& name) {
    return std::find_if(captured_.begin(), captured_.end(), [&](const Pass& one) { return one.name == name; });
  };
  for (const std::string& name : job_.request.passes) {
    if (place(name) != captured_.end()) continue;
    error = "the pass '" + name + "' did not come";
    return false;
  }
  std::vector<Command> files;
  for (const std::string& name : job_.request.passes) {
    const auto pass = place(name);
    done.sha256.emplace_back(name, sha256_hex(pass->bytes));
    Command file;
    file.kind = Command::Kind::SendFile;
    file.player = job_.player;
    file.extension = job_.request.id + "." + name + "." + pass->extension;
    file.mime = mime_of(pass->extension);
    file.bytes = std::move(pass->bytes);
    files.push_back(std::move(file));
  }
  if (!job_.gone) {
    done.id = job_.request.id;
    done.scene_id = now_.id();
    done.settle = settle_.report();
    done.timings.set("settle_ms", *done.settle.find("ms"));
    done.engine = catalogue_.fingerprint();
    std::move(files.begin(), files.end(), std::back_inserter(commands_));
    answer(job_.player, messages::render_done(done));
  }
  finish();
  return true;
}

// Commands ----------------------------------------------------------------------------------------------------

bool Bridge::next(Command& out) {
  if (commands_.empty()) return false;
  out = std::move(commands_.front());
  commands_.pop_front();
  return true;
}

void Bridge::answer(std::string_view player, std::string text) {
  Command command;
  command.kind = Command::Kind::Respond;
  command.player = player;
  command.text = std::move(text);
  commands_.push_back(std::move(command));
}

void Bridge::note(std::string_view player, std::string text) {
  Command command;
  command.kind = Command::Kind::Note;
  command.player = player;
  command.text = std::move(text);
  commands_.push_back(std::move(command));
}

void Bridge::render(std::string_view player, const messages::Request& request) {
  std::string error;
  Job job;
  if (!Scene::read(request.scene, table_, job.scene, error)) {
    answer(player, messages::failed(request.id, error));
    return;
  }
  std::vector<std::string> problems = catalogue_.problems(job.scene), lacking;
  for (const std::string& name : request.passes) {
    const auto& known = catalogue_.passes();
    if (std::find(known.begin(), known.end(), name) == known.end()) lacking.push_back(name);
  }
  if (!lacking.empty()) {
    problems.push_back("passes: engine '" + catalogue_.engine() + "' cannot render " + python::joined(lacking, ", ") +
                       "; it renders " + python::joined(catalogue_.passes(), ", "));
  }
  if (!problems.empty()) {
    answer(player, messages::failed(request.id, python::joined(problems, "\n")));
    return;
  }
  if (queue_.size() >= most_) {
    answer(player, messages::failed(request.id, std::to_string(most_) + " requests wait already", messages::Again::Yes));
    return;
  }
  if (!request.quiet.as_bool()) answer(player, messages::accepted(request.id));
  job.number = ++last_;
  job.player = player;
  job.request = request;
  queue_.push_back(std::move(job));
  begin();
}

void Bridge::begin() {
  while (stage_ == Stage::Idle && !queue_.empty()) {
    job_ = std::move(queue_.front());
    queue_.pop_front();
    if (absent(job_)) continue;
    Command apply;
    apply.kind = Command::Kind::Apply;
    apply.request = job_.number;
    apply.changes = tmv::changes(known_ ? &now_ : nullptr, job_.scene);
    for (const Factor& factor : table_.factors()) {
      if (!factor.label) apply.levels.members().push_back({factor.wire, job_.scene.get(factor)});
    }
    apply.width = job_.request.width;
    apply.height = job_.request.height;
    apply.resize = !known_ || width_ != apply.width || height_ != apply.height;
    changed_ = changed_ || apply.resize || !apply.changes.empty();
    commands_.push_back(std::move(apply));
    enter(Stage::Applying);
  }
}

void Bridge::enter(Stage stage) {
  stage_ = stage;
  entered_ = -1;
}

void Bridge::finish() {
  enter(Stage::Idle);
  job_ = Job();
  captured_.clear();
  begin();
}

void Bridge::fail(const std::string& reason, messages::Again again) {
  if (!job_.gone) answer(job_.player, messages::failed(job_.request.id, reason, again));
  // What the host was still to do for it is in vain.
  const RequestNumber number = job_.number;
  commands_.erase(std::remove_if(commands_.begin(), commands_.end(),
                                 [number](const Command& one) { return one.request == number; }),
                  commands_.end());
  finish();
}

bool Bridge::expects(RequestNumber request, Stage stage, std::string& error) const {
  if (stage_ != Stage::Idle && request == job_.number && stage == stage_) return true;
  constexpr const char* names[] = {"nothing is", "a scene is applied for", "the picture settles for",
                                   "the picture is read back for"};
  error = "request " + std::to_string(request) + " is not what is waited for; " + names[static_cast<int>(stage_)] +
          (stage_ == Stage::Idle ? " asked" : " request " + std::to_string(job_.number));
  return false;
}

bool Bridge::read_shown(std::string_view levels, std::string& error) {
  Value shown;
  if (!json::parse(levels, shown, error)) return false;
  if (!shown.is(Kind::Object)) {
    error = python::shown(shown, 80) + "; an object of levels by wire name is right";
    return false;
  }
  // Labels are only said about a scene: no world shows them.
  auto& members = shown.members();
  members.erase(std::remove_if(members.begin(), members.end(),
                               [&](const Member& one) {
                                 const Factor* factor = table_.find(one.name);
                                 return factor != nullptr && factor->label;
                               }),
                members.end());
  for (const Member& one : job_.scene.levels().members()) {
    if (table_.find(one.name)->label) members.push_back(one);
  }
  return Scene::read(shown, table_, now_, error);
}

bool Bridge::absent(const Job& job) const {
  const auto waiting = backlog_.find(job.player);
  return job.gone || (waiting != backlog_.end() && waiting->second > kMaxUnsent);
}

}  // namespace tmv
