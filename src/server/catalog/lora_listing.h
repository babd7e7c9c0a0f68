// A1111's list of LoRAs as JSON text, with the metadata inside each file: megabytes that clients ask for again and
// again. Each file is read once and the text is kept, outside of memory, until the index changes; then only what has
// changed is read. Safe to use from any thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "server/catalog/collection.h"
#include "server/http/kept_text.h"

namespace lowrank::server {

class LoraListing {
 public:
  // Reads the files beside other work, so that who asks first need not wait for all of them; not where reading over a
  // network would take long.
  LoraListing(Collection& collection, std::filesystem::path folder);
  ~LoraListing();
  LoraListing(const LoraListing&) = delete;
  LoraListing& operator=(const LoraListing&) = delete;

  using Text = std::shared_ptr<const KeptText>;
  // All LoRAs in the order of their paths, and the same as a gzip file.
  Text whole();
  Text whole_packed();

 private:
  // Where a file's metadata stand in the text.
  struct Place {
    std::int64_t id = 0, size = 0, mtime_ns = 0, inode = 0;
    std::size_t begin = 0, length = 0;
  };
  void bring_up_to_date(const std::stop_token& stop = {});
  void read_what_changed(const std::stop_token& stop);
  std::string metadata_text(const library::Record& record, const std::filesystem::path& path) const;

  Collection& collection_;
  const std::filesystem::path folder_;  // where the texts are kept
  std::mutex mutex_;                    // guards everything below
  std::int64_t version_ = -1;
  Text text_, packed_;
  std::vector<Place> places_;  // by id
  std::jthread thread_;
};

// One entry of that list; its metadata are read from the file at `path`, or left empty.
enum class FileMetadata { kRead, kLeaveOut };
std::string lora_entry(const library::Record& record, const std::filesystem::path& path,
                       FileMetadata metadata);

}  // namespace lowrank::server
