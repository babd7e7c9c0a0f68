// The hashes of model files, computed once and kept in the index for as long as size, time and inode stay the
// same.
#pragma once

#include <cstdint>
#include <filesystem>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/progress.h"
#include "library/data_dir.h"
#include "library/index/record.h"

namespace lowrank::library {

struct FileHashes {
  std::string sha256;  // of the whole file
  std::string autov1;  // 8 digits, of 64 kB at 1 MB; "" when the file ends before
  std::string addnet;  // of all behind a safetensors header; "" for other files, or when nothing is behind it
};

// Reads the file once. Nothing is ever the hash of no bytes: an empty file has none. Throws Error(kIo), and
// kCancelled within a megabyte of a stop.
FileHashes hash_file(const std::filesystem::path& path, const std::stop_token& stop = {});

// Writes hashes into the index, unless the file has changed since the record was read.
void keep_hashes(const sqlite::Database& database, const Record& record, const FileHashes& hashes);

// Hashes the record's file unless its hashes are known, of it or of a hard link to it, and keeps them in the
// index. False: the file cannot be read (the reason goes to `problem`), or is a folder.
bool ensure_hashes(const sqlite::Database& database, const DataDir& data, Record& record,
                   std::string& problem, const std::stop_token& stop = {});

}  // namespace lowrank::library
