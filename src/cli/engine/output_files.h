// Where finished pictures go and how they are called.
#pragma once

#include <filesystem>
#include <string>

#include "cli/engine/generation_arguments.h"
#include "image/codec.h"
#include "pipeline/result.h"

namespace lowrank::cli {

// Turns an output pattern into file names. In a pattern [number] is the next free five-digit number of the
// folder, [seed], [index] (from 1), [date], [model], [sampler], [steps], [cfg], [width] and [height] are the
// picture's, [name] the init picture's. Without a pattern: outputs/FOLDER/[date]/[number]-[seed] in the data folder, as A1111. A
// pattern that ends in '/' or names a folder gets "[number]-[seed]". Of several pictures whose pattern tells
// them not apart, the second and later get "-2" and so on.
class OutputFiles {
 public:
  // Throws Error(kBadInput) for an unknown format or when the extension contradicts --format.
  OutputFiles(const GenerationArguments& arguments, std::string_view folder);

  // Saves with the metadata inside, atomically; missing folders are made. Returns the file.
  std::filesystem::path save(const pipeline::GeneratedPicture& picture, const std::string& picture_name = "");

 private:
  std::string name(const pipeline::GeneratedPicture& picture, const std::string& picture_name) const;

  std::string pattern_;    // without extension
  std::string extension_;  // with its dot
  image::PictureFormat format_;
  int quality_;
  int pictures_;
};

}  // namespace lowrank::cli
