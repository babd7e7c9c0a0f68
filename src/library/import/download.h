// One file fetched into its place: resumed where an earlier try ended, counted, hashed, looked into, and only
// then given its name. Until then it lies beside its place as a hidden `.part` file, which a stop or a
// failure leaves for the next try.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "library/import/http.h"
#include "library/index/hashing.h"

namespace lowrank::library {

inline constexpr std::uint64_t kUsualMaxGb = 16;  // gigabytes of a file, where nobody said otherwise

struct DownloadRequest {
  Url url;
  std::string token = {}, token_hint = {};
  std::string what;                                       // for messages: "fox.safetensors"
  std::filesystem::path folder;                           // of the part; exists or is made
  std::optional<std::uint64_t> size = {};                 // exactly, where the site states it
  std::string sha256 = {};                                // "" the site states none
  std::uint64_t max_bytes = kUsualMaxGb * 1'000'000'000;  // nothing larger is fetched, whatever is declared
};

// Called with the bytes that lie there and the whole size (0: not stated).
using DownloadProgress = std::function<void(std::uint64_t done, std::uint64_t total)>;

struct Downloaded {
  std::filesystem::path part = {};
  std::uint64_t bytes = 0;
  FileHashes hashes = {};  // of what lies there
  bool was_resumed = false;
  HttpReply reply = {};  // of the last request; empty when nothing had to be fetched
};

// Fetches and proves size and hash. Throws Error in words of the user: refused, gone, too large, no room, a
// web page instead of the file, another hash (the part is then removed).
Downloaded download(const Http& http, const DownloadRequest& request, const DownloadProgress& progress);

// Gives a part its name. Never writes over a file: false when there is one. The folder is made.
bool put_in_place(const std::filesystem::path& part, const std::filesystem::path& target);

// Removes a part and what is kept beside it.
void discard_part(const std::filesystem::path& part);

}  // namespace lowrank::library
