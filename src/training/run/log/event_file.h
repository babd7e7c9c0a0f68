// TensorBoard's event files, written without its libraries: records in the framing of TFRecord, each holding an `Event`
// message of protocol buffers.
//
//   record   length as uint64 · masked CRC-32C of those 8 bytes · the bytes · masked CRC-32C of the bytes, little-endian
//   mask     ((crc >> 15) | (crc << 17)) + 0xa282ead8
//
// Sources: tensorflow/core/lib/io/record_writer.h, tensorboard/compat/proto/event.proto and summary.proto. Only this
// process appends to a file; a last record that was cut short is passed over by the reader.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lowrank::training {

// CRC-32C (Castagnoli), as in RFC 3720.
std::uint32_t crc32c(std::string_view bytes);
// One record of the framing above.
std::string tf_record(std::string_view bytes);

struct ScalarPoint {
  std::string tag;  // "loss/current"; a slash groups charts
  double value = 0;
};

// Messages of event.proto, as the bytes of one record's content. `wall_time`: Unix seconds.
std::string version_event(double wall_time);
// Tells a reader that what earlier files of the folder hold from `step` on was undone: a resumed run repeats it.
std::string start_event(double wall_time, std::int64_t step);
std::string scalar_event(double wall_time, std::int64_t step, std::span<const ScalarPoint> points);
// `encoded`: the bytes of a PNG, width × height.
std::string picture_event(double wall_time, std::int64_t step, const std::string& tag, std::int64_t width,
                          std::int64_t height, std::string_view encoded);

// A new file events.out.tfevents.SECONDS.HOST.PID in a folder; every event is on its way to the disk when its function
// returns.
class EventFile {
 public:
  // The run's next step is `step`. Throws Error(kIo) naming the file.
  EventFile(const std::filesystem::path& folder, std::int64_t step);

  void scalars(std::int64_t step, const std::vector<ScalarPoint>& points);
  void picture(std::int64_t step, const std::string& tag, std::int64_t width, std::int64_t height,
               std::string_view encoded);

 private:
  void write(const std::string& event);

  std::filesystem::path path_;
  std::ofstream out_;
};

}  // namespace lowrank::training
