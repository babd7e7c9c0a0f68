#include "training/run/log/event_file.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <chrono>
#include <cmath>

#include "base/error.h"

namespace lowrank::training {
namespace {

constexpr std::array<std::uint32_t, 256> crc_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) != 0 ? 0x82F63B78u : 0u);
    table[i] = value;
  }
  return table;
}
constexpr auto kCrcTable = crc_table();

template <class Number>
std::string little_endian(Number value) {
  std::string bytes;
  for (std::size_t i = 0; i < sizeof value; ++i) bytes += static_cast<char>((value >> (8 * i)) & 0xFF);
  return bytes;
}

std::uint32_t masked_crc(std::string_view bytes) {
  const std::uint32_t crc = crc32c(bytes);
  return ((crc >> 15) | (crc << 17)) + 0xA282EAD8u;
}

// ── protocol buffers: a field is its number and type as a varint, then its value ───────────────────────────

enum class Wire : std::uint8_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

std::string varint(std::uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(0x80 | (value & 0x7F));
  return bytes + static_cast<char>(value);
}

std::string key(std::uint32_t field, Wire wire) {
  return varint(field << 3 | static_cast<std::uint32_t>(wire));
}
std::string whole_field(std::uint32_t field, std::int64_t value) {
  return key(field, Wire::kVarint) + varint(static_cast<std::uint64_t>(value));
}
std::string double_field(std::uint32_t field, double value) {
  return key(field, Wire::kFixed64) + little_endian(std::bit_cast<std::uint64_t>(value));
}
std::string float_field(std::uint32_t field, double value) {
  return key(field, Wire::kFixed32) + little_endian(std::bit_cast<std::uint32_t>(static_cast<float>(value)));
}
std::string bytes_field(std::uint32_t field, std::string_view bytes) {
  return key(field, Wire::kBytes) + varint(bytes.size()) + std::string(bytes);
}

// Event: wall_time 1, step 2, file_version 3, summary 5, session_log 7.
std::string event(double wall_time, std::int64_t step, const std::string& what) {
  return double_field(1, wall_time) + (step != 0 ? whole_field(2, step) : std::string()) + what;
}

double now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::string host_name() {
  char name[256] = {};
  if (gethostname(name, sizeof name - 1) != 0 || name[0] == 0) return "localhost";
  return name;
}

}  // namespace

std::uint32_t crc32c(std::string_view bytes) {
  std::uint32_t crc = ~0u;
  for (const char byte : bytes) crc = (crc >> 8) ^ kCrcTable[(crc ^ static_cast<unsigned char>(byte)) & 0xFF];
  return ~crc;
}

std::string tf_record(std::string_view bytes) {
  const std::string length = little_endian(static_cast<std::uint64_t>(bytes.size()));
  return length + little_endian(masked_crc(length)) + std::string(bytes) + little_endian(masked_crc(bytes));
}

std::string version_event(double wall_time) {
  return event(wall_time, 0, bytes_field(3, "brain.Event:2"));
}

std::string start_event(double wall_time, std::int64_t step) {
  constexpr std::int64_t kStart = 1;  // SessionLog: status 1
  return event(wall_time, step, bytes_field(7, whole_field(1, kStart)));
}

std::string scalar_event(double wall_time, std::int64_t step, std::span<const ScalarPoint> points) {
  // Summary: value 1; Value: tag 1, simple_value 2.
  std::string values;
  for (const auto& point : points)
    values += bytes_field(1, bytes_field(1, point.tag) + float_field(2, point.value));
  return event(wall_time, step, bytes_field(5, values));
}

std::string picture_event(double wall_time, std::int64_t step, const std::string& tag, std::int64_t width,
                          std::int64_t height, std::string_view encoded) {
  // Value: image 4; Image: height 1, width 2, colorspace 3 (3: RGB), encoded_image_string 4.
  const std::string image =
      whole_field(1, height) + whole_field(2, width) + whole_field(3, 3) + bytes_field(4, encoded);
  return event(wall_time, step, bytes_field(5, bytes_field(1, bytes_field(1, tag) + bytes_field(4, image))));
}

EventFile::EventFile(const std::filesystem::path& folder, std::int64_t step) {
  std::error_code failure;
  std::filesystem::create_directories(folder, failure);
  const auto seconds = static_cast<std::int64_t>(now());
  // A run that is resumed within the same second by the same process needs a name of its own.
  for (int number = 0;; ++number) {
    path_ =
        folder / fmt::format("events.out.tfevents.{:010}.{}.{}.{}", seconds, host_name(), ::getpid(), number);
    if (!std::filesystem::exists(path_, failure)) break;
  }
  out_.open(path_, std::ios::binary);
  write(version_event(now()));
  if (step > 1) write(start_event(now(), step));
}

void EventFile::scalars(std::int64_t step, const std::vector<ScalarPoint>& points) {
  if (!points.empty()) write(scalar_event(now(), step, points));
}

void EventFile::picture(std::int64_t step, const std::string& tag, std::int64_t width, std::int64_t height,
                        std::string_view encoded) {
  write(picture_event(now(), step, tag, width, height, encoded));
}

void EventFile::write(const std::string& event) {
  out_ << tf_record(event) << std::flush;
  if (!out_)
    throw Error(kIo, "{}: cannot be written; free space on the disk, or choose another --logging-dir.",
                path_.string());
}

}  // namespace lowrank::training
