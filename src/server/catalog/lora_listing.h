// A1111's list of LoRAs as JSON text, with the metadata inside each file: megabytes that clients ask for again and
// again. All of it comes from the index; no file is opened. The whole list is kept, outside of memory, until the index
// changes. Safe to use from any thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>

#include "server/catalog/library_service.h"
#include "server/http/spooled_text.h"

namespace lowrank::server {

enum class Packing { kNone, kGzip };

class LoraListing {
 public:
  LoraListing(LibraryService& library_service, std::filesystem::path folder);
  LoraListing(const LoraListing&) = delete;
  LoraListing& operator=(const LoraListing&) = delete;

  using Text = std::shared_ptr<const SpooledText>;
  // All LoRAs in the order of their paths.
  Text whole(Packing packing);
  // Those that a query means, of each entry only the keys of the comma list `fields`; all when it is "".
  Text some(library::Query query, const std::string& fields, Packing packing);

 private:
  Text list(const library::Library& library, const library::Query& query, const std::string& fields) const;

  LibraryService& library_service_;
  const std::filesystem::path folder_;  // where the texts are kept
  std::mutex mutex_;                    // guards everything below
  std::int64_t version_ = -1;
  Text text_, packed_;
};

}  // namespace lowrank::server
