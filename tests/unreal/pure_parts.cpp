// Runs the parts of the Unreal plugin that have no Unreal header: the first argument names one, numbers follow, arrays
// come from standard input and go to standard output.
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include "Pure/TmvConditions.h"
#include "Pure/TmvPixels.h"
#include "Pure/TmvPlacement.h"

namespace {

template <typename T> std::vector<T> input(std::size_t count) {
  std::vector<T> data(count);
  if (std::fread(data.data(), sizeof(T), count, stdin) != count) std::exit(3);
  return data;
}

template <typename C> void output(const C& data) {
  std::fwrite(data.data(), sizeof(*data.data()), data.size(), stdout);
}

std::vector<double> numbers(int argc, char** argv) {
  std::vector<double> found;
  for (int i = 2; i < argc; ++i) found.push_back(std::atof(argv[i]));
  return found;
}

void conditions() {
  for (const auto& row : tmv_ue::kConditions) {
    std::printf("%s\t%.9g\t%.9g\n", row.wire, row.low, row.high);
  }
}

// A number, or nothing for "own".
std::optional<double> wish(const char* text) {
  return std::string(text) == "own" ? std::nullopt : std::optional<double>(std::atof(text));
}

// focal length, distance, height, each a number or "own"; then elevation, reach, ground, width, height
int fitted(int argc, char** argv) {
  if (argc != 10) return 2;
  const std::vector<double> n = numbers(argc - 3, argv + 3);
  const tmv_ue::Place place = tmv_ue::Place::Center;
  auto layout = tmv_ue::layout_of(&place, 1);
  double elevation = n[0];
  if (!tmv_ue::fit({wish(argv[2]), wish(argv[3]), wish(argv[4])}, n[1], layout, elevation)) return 5;
  const auto made = tmv_ue::camera_of(layout, {}, elevation, n[1], n[2], int(n[3]), int(n[4]));
  std::printf("%.9f %.9f %.9f %.9f %.9f\n", made.position.x, made.position.y, made.position.z, made.turn.pitch,
              tmv_ue::view_of(made, int(n[3])).focal);
  return 0;
}

// places…, then eight numbers
int camera(int argc, char** argv) {
  std::vector<tmv_ue::Place> places;
  int i = 2;
  for (tmv_ue::Place place; i < argc && tmv_ue::place_of(argv[i], place); ++i) places.push_back(place);
  const std::vector<double> n = numbers(argc - i + 2, argv + i - 2);
  if (n.size() != 8) return 2;
  const auto layout = tmv_ue::layout_of(places.data(), int(places.size()));
  const auto made = tmv_ue::camera_of(layout, {n[1], n[0], n[2]}, n[3], n[4], n[5], int(n[6]), int(n[7]));
  const auto view = tmv_ue::view_of(made, int(n[6]));
  std::printf("%.9f\n", view.focal);
  for (const auto& row : view.rt) std::printf("%.9f %.9f %.9f %.9f\n", row[0], row[1], row[2], row[3]);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  if (what == "conditions") return conditions(), 0;
  if (what == "camera") return camera(argc, argv);
  if (what == "fitted") return fitted(argc, argv);
  if (what == "fog" && argc == 3) return std::printf("%.9f\n", tmv_ue::fog_density(std::atof(argv[2]))), 0;
  if (what == "sun" && argc == 5) {
    return std::printf("%.9f %.9f\n", tmv_ue::sun_pitch(std::atof(argv[2])),
                       tmv_ue::sun_yaw(std::atof(argv[3]), std::atof(argv[4]))), 0;
  }
  if (what == "way" && argc == 4) return std::printf("%.9f\n", tmv_ue::way_of(std::atof(argv[2]), std::atof(argv[3]))), 0;
  if (what == "sensor" && argc == 4) {
    return std::printf("%.9f\n", tmv_ue::sensor_width(std::atoi(argv[2]), std::atoi(argv[3]))), 0;
  }
  if (what == "marker") {
    std::vector<std::uint8_t> card;
    if (argc < 5 || !tmv_ue::marker_bgra(argv[2], std::atoi(argv[3]), std::atoi(argv[4]), card)) return 2;
    return output(card), 0;
  }
  if (what == "spot") {
    tmv_ue::Place place;
    tmv_ue::Point location;
    if (argc < 5 || !tmv_ue::place_of(argv[2], place) || !tmv_ue::read_location(argv[3], location)) return 2;
    const auto spot = tmv_ue::spot_of(place, location, std::atof(argv[4]));
    return std::printf("%.9f %.9f %.9f\n", spot.x, spot.y, spot.z), 0;
  }
  const std::vector<double> n = numbers(argc, argv);
  if (n.size() < 3) return 2;
  const int width = int(n[0]), height = int(n[1]), pitch = int(n[2]);
  const std::size_t count = std::size_t(pitch) * std::size_t(height);
  if (what == "rgb") return output(tmv_ue::opaque_bgra(input<std::uint8_t>(count * 4).data(), width, height, pitch)), 0;
  if (what == "depth") {
    const auto depth = tmv_ue::metres(input<float>(count).data(), width, height, pitch, float(n[3]));
    return output(tmv_ue::tiff(depth, width, height, "")), 0;
  }
  if (what == "mask") {
    std::vector<std::uint8_t> mask;
    if (!tmv_ue::instances(input<float>(count * 4).data(), width, height, pitch, int(n[3]), mask)) return 4;
    return output(mask), 0;
  }
  if (what == "normals") {
    const auto data = input<float>(count * 4);
    const auto depth = input<float>(std::size_t(width) * std::size_t(height));
    const tmv_ue::Axes axes{{float(n[3]), float(n[4]), float(n[5])}, {float(n[6]), float(n[7]), float(n[8])},
                            {float(n[9]), float(n[10]), float(n[11])}};
    return output(tmv_ue::normals_bgra(data.data(), width, height, pitch, axes, depth)), 0;
  }
  if (what == "class") {
    const auto mask = input<std::uint8_t>(count);
    std::vector<std::uint16_t> of;
    for (std::size_t i = 3; i < n.size(); ++i) of.push_back(std::uint16_t(n[i]));
    bool wide = false;
    const auto numbers_of = tmv_ue::classes(mask, of, wide);
    std::fputc(wide ? 16 : 8, stdout);
    return output(numbers_of), 0;
  }
  return 2;
}
