// What makes pictures larger, by name: None, Lanczos, Nearest, and the upscaler models of the data folder, of
// which the last one used stays in memory.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "image/picture.h"
#include "model/upscaler/upscaler.h"
#include "weights/tensor_file.h"

namespace lowrank::pipeline {

// Upscaler models that there are; asked again at each use, since files come and go.
using UpscalerFiles = std::function<std::vector<std::filesystem::path>()>;

struct UpscalerTiles {
  int size = 192, overlap = 8;  // pixels of the input; size 0: the whole picture at once
};

class Upscalers {
 public:
  explicit Upscalers(UpscalerFiles files) : files_(std::move(files)) {}

  // "None", "Lanczos", "Nearest", then the stems of the files.
  std::vector<std::string> names() const;
  // Throws Error(kNotFound) with the names there are. `others`: names that may stand beside them.
  void check(const std::string& name, std::span<const std::string_view> others = {}) const;

  // `picture` enlarged by `scale`, as often as the upscaler needs (at most three times) to reach
  // ⌊W·scale⌋ × ⌊H·scale⌋ rounded down to multiples of 8, then brought to exactly that by Lanczos. Source:
  // A1111's Upscaler.upscale. Throws Error(kCancelled) between tiles.
  image::Picture upscale(const std::string& name, const image::Picture& picture, double scale,
                         const UpscalerTiles& tiles, const std::stop_token& stop);

  // `picture` at exactly width × height: upscaled where it must grow, the rest by Lanczos. Source: A1111's
  // resize_image.
  image::Picture enlarge(const std::string& name, const image::Picture& picture, int width, int height,
                         const UpscalerTiles& tiles, const std::stop_token& stop);

 private:
  struct Loaded {
    std::filesystem::path path;
    std::shared_ptr<const weights::TensorFile> file;
    std::unique_ptr<model::Upscaler> model;
  };
  std::optional<std::filesystem::path> file(const std::string& name) const;
  const model::Upscaler& load(const std::filesystem::path& path);

  UpscalerFiles files_;
  Loaded loaded_;
};

}  // namespace lowrank::pipeline
