// Runs a fuzz target without libFuzzer: first the files of a corpus, then mutations of them. Deterministic.
//
//   tmv_run_parse COUNT [CORPUS [LENGTH]]
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

const char* const kTokens[] = {
    "{", "}", "[", "]", ":", ",", "\"", "\\", "\\u", "\\ud83d", "\\ude00", "null", "true", "NaN", "-Infinity", "1e400", "-0.0",
    "0.1", "9007199254740993", "1e-324", "\xFF", "\xFF" "R", "\xFF" "A", "\xFF" "F", "\xFF" "D", "\xFF" "L", "\xED\xA0\x80", "\xF0\x9F\x98\x80",
    "\"tmv\":1", "\"id\":\"a\"", "\"do\":\"render\"", "\"do\":\"hello\"", "\"scene\":{", "\"World_Name\":\"Desert\"", "\"size\":[16,16]",
    "\"passes\":[\"rgb\"]", "\"Camera_Yaw\":", "\"Character_Location\":\"1,2,3\"", "\"factors\":{", "\"levels\":[", "\"engine\":\"a\"",
};

struct Random {
  std::uint64_t state = 0x9E3779B97F4A7C15ull;
  std::uint64_t next() {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return state;
  }
  std::size_t below(std::size_t limit) { return limit == 0 ? 0 : static_cast<std::size_t>(next() % limit); }
};

void mutate(std::string& text, const std::vector<std::string>& corpus, Random& random) {
  const std::size_t at = random.below(text.size() + 1);
  switch (random.below(7)) {
    case 0:
      if (at < text.size()) text[at] = static_cast<char>(text[at] ^ (1 << random.below(8)));
      break;
    case 1:
      if (at < text.size()) text[at] = static_cast<char>(random.below(256));
      break;
    case 2: text.insert(at, 1, static_cast<char>(random.below(256))); break;
    case 3: text.erase(at, 1 + random.below(16)); break;
    case 4: text.insert(at, kTokens[random.below(std::size(kTokens))]); break;
    case 5: text.insert(at, text.substr(random.below(text.size() + 1), 1 + random.below(32))); break;
    default: {
      const std::string& other = corpus[random.below(corpus.size())];
      text = text.substr(0, at) + other.substr(random.below(other.size() + 1));
    }
  }
}

void run(const std::string& text) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(text.data()), text.size());
}

}  // namespace

int main(int count, char** arguments) {
  const std::size_t wanted = count > 1 ? std::strtoull(arguments[1], nullptr, 10) : 10000;
  const std::size_t longest = count > 3 ? std::strtoull(arguments[3], nullptr, 10) : 1024;
  std::vector<std::string> corpus{"", "{}", "\xFF"};
  if (count > 2) {
    std::vector<std::filesystem::path> paths;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(arguments[2], error)) paths.push_back(entry.path());
    if (error) {
      std::fprintf(stderr, "%s: %s\n", arguments[2], error.message().c_str());
      return 2;
    }
    std::sort(paths.begin(), paths.end());
    for (const auto& path : paths) {
      std::ifstream file(path, std::ios::binary);
      corpus.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    }
  }
  for (const std::string& text : corpus) run(text);
  Random random;
  const auto began = std::chrono::steady_clock::now();
  for (std::size_t done = 0; done < wanted; ++done) {
    std::string text = corpus[random.below(corpus.size())];
    for (std::size_t more = 1 + random.below(6); more > 0; --more) mutate(text, corpus, random);
    text.resize(std::min(text.size(), longest));
    run(text);
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  std::printf("%zu files of the corpus and %zu mutations of them in %.1f s\n", corpus.size(), wanted, seconds);
  return 0;
}
