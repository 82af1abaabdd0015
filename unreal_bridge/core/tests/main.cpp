#include "check.hpp"

namespace check {
namespace {

int failures = 0;
std::string folder;

}  // namespace

std::vector<Test>& tests() {
  static std::vector<Test> all;
  return all;
}

void failed(const char* file, int line, const std::string& what) {
  ++failures;
  std::printf("%s:%d: %s\n", file, line, what.c_str());
}

const std::string& vectors() { return folder; }

}  // namespace check

int main(int count, char** arguments) {
  check::folder = count > 1 ? arguments[1] : "../vectors";
  for (const check::Test& test : check::tests()) {
    const int before = check::failures;
    test.run();
    std::printf("%s %s\n", check::failures == before ? "ok    " : "FAILED", test.name);
  }
  std::printf("%zu tests, %d failures\n", check::tests().size(), check::failures);
  return check::failures == 0 ? 0 : 1;
}
