// What every command takes that makes pictures: where its data lie, where its pictures go and in which form, what it prints.
#pragma once

#include <filesystem>
#include <string>

#include "cli/arguments.h"
#include "image/codec/picture_format.h"

namespace lowrank::cli {

struct OutputOptions {
  std::filesystem::path data_dir = ".";
  int threads = 0;                     // 0: all cores
  std::string output;                  // pattern of the file name, see output_files.h; "" the default
  std::string format;                  // png, jpg, webp; "" by the output's extension, else png
  int quality = image::kUsualQuality;  // of jpg and webp
  bool json = false;                   // the result on standard output as JSON
  bool quiet = false;                  // no progress
};

inline OutputOptions read_output_options(const Arguments& given) {
  return {.data_dir = given.value("data-dir"),
          .threads = given.whole_number("threads"),
          .output = given.value("output"),
          .format = given.value("format"),
          .quality = given.whole_number("quality"),
          .json = given.has("json"),
          .quiet = given.has("quiet")};
}

}  // namespace lowrank::cli
