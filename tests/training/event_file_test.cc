// TensorBoard's files: byte for byte those of its own package, see tools/fixtures/make_event_records.py.
#include "training/run/log/event_file.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>

#include "support/temporary_folder.h"

namespace lowrank::training {
namespace {

std::string hex(std::string_view bytes) {
  std::string text;
  for (const unsigned char byte : bytes) text += fmt::format("{:02x}", byte);
  return text;
}

nlohmann::json records() {
  std::ifstream file(std::string(LOWRANK_TEST_FIXTURES) + "/training/event-records.json");
  return nlohmann::json::parse(file);
}

// RFC 3720, appendix B.4, and the check value of the CRC catalogue.
TEST(EventFile, ItsChecksumIsCastagnolis) {
  EXPECT_EQ(crc32c("123456789"), 0xE3069283u);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8A9136AAu);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62A8AB43u);
  std::string rising(32, '\0');
  std::iota(rising.begin(), rising.end(), '\0');
  EXPECT_EQ(crc32c(rising), 0x46DD794Eu);
}

TEST(EventFile, RecordsAreThoseOfTensorBoard) {
  constexpr double kWall = 1790000000.25;
  const auto expected = records();
  EXPECT_EQ(hex(tf_record(version_event(kWall))), expected["version"]);
  EXPECT_EQ(hex(tf_record(start_event(kWall, 51))), expected["start"]);
  const std::vector<ScalarPoint> points = {{"loss/current", 0.125}, {"lr/unet", 1e-4}};
  EXPECT_EQ(hex(tf_record(scalar_event(kWall, 300, points))), expected["scalars"]);
  std::string bytes(200, '\0');
  std::iota(bytes.begin(), bytes.end(), '\0');
  EXPECT_EQ(hex(tf_record(picture_event(kWall, 7, "sample/0", 300, 2, bytes))), expected["picture"]);
}

TEST(EventFile, EachBeginningHasAFileOfItsOwn) {
  const testing::TemporaryFolder folder;
  const auto logs = folder.path() / "logs" / "run";
  { EventFile(logs, 1).scalars(1, {{"loss/current", 1}}); }
  { EventFile(logs, 2).scalars(2, {{"loss/current", 1}}); }
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(logs)) {
    EXPECT_TRUE(entry.path().filename().string().starts_with("events.out.tfevents."));
    EXPECT_GT(entry.file_size(), 60u);
    ++files;
  }
  EXPECT_EQ(files, 2u);
}

}  // namespace
}  // namespace lowrank::training
