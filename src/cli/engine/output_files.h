// Where finished pictures go and how they are called.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "cli/engine/generation_arguments.h"
#include "image/codec/codec.h"
#include "pipeline/result.h"

namespace lowrank::cli {

struct SavedPicture {
  std::filesystem::path file;
  std::string note;  // one sentence when the name is another than asked for, or a picture was replaced
};

// Turns an output pattern into file names. In a pattern [number] is the next free five-digit number among the names that
// are alike up to there, [seed], [index] (from 1), [date], [model], [sampler], [steps], [cfg], [width] and [height] are
// the picture's, [name] the init picture's.
//
// Nothing is overwritten: a picture whose name is taken gets "-2", "-3" … behind it. The one exception: a command's
// only picture, by a pattern without any of these words, replaces an older picture of LowRank.
class OutputFiles {
 public:
  // Without --output: outputs/FOLDER/[date]/[number]-[seed] in the data folder, as A1111. An output that ends in '/' or
  // names a folder gets "[number]-[seed]". `pictures`: how many the whole command makes. Throws Error(kBadInput) for an
  // unknown format or when the extension contradicts --format.
  OutputFiles(const GenerationArguments& arguments, std::string_view folder, std::size_t pictures);

  // Saves with the metadata inside, atomically; missing folders are made.
  SavedPicture save(const pipeline::GeneratedPicture& picture, const std::string& picture_name = "");

 private:
  std::filesystem::path name(const pipeline::GeneratedPicture& picture, const std::string& picture_name);
  bool may_replace(const std::filesystem::path& file) const;

  std::filesystem::path folder_;  // may hold such words too
  std::string pattern_;           // of the file's name, without extension
  std::string extension_;         // with its dot
  image::PictureFormat format_;
  int quality_;
  bool is_single_;
  bool is_plain_ = true;                        // without such words
  bool has_told_ = false;                       // that a name was taken
  std::vector<std::filesystem::path> sources_;  // init pictures and mask, never replaced
  int folder_number_ = -1;                      // one for the whole command
};

}  // namespace lowrank::cli
