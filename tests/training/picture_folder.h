// Training folders of tiny pictures, made in the test and gone with it; and a tiny untrained model in a file.
#pragma once

#include <ATen/ATen.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <string>

#include "image/codec/codec.h"
#include "model/random.h"
#include "support/temporary_folder.h"
#include "tensor/state_dict.h"
#include "training/run/train_state.h"

namespace lowrank::testing {

inline void write_text(const std::filesystem::path& path, const std::string& text) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

// A disc on a plain ground; `kind` varies colours and place.
inline image::Picture drawing(int width, int height, int kind) {
  image::Picture picture = image::Picture::blank(width, height, static_cast<std::uint8_t>(40 * kind % 256));
  const double cx = width * (0.3 + 0.1 * (kind % 5)), cy = height * 0.5, r = 0.3 * std::min(width, height);
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      if (std::hypot(x - cx, y - cy) < r) picture.pixel(x, y)[kind % 3] = 250;
  return picture;
}

// Writes a picture by its ending, and its caption unless that is empty.
inline void write_example(const std::filesystem::path& path, int width, int height, int kind,
                          const std::string& caption) {
  std::filesystem::create_directories(path.parent_path());
  image::save_picture(path, drawing(width, height, kind),
                      {.format = image::picture_format(path.extension().string().substr(1)),
                       .quality = 90,
                       .parameters = ""});
  if (!caption.empty()) write_text(std::filesystem::path(path).replace_extension(".txt"), caption);
}

// A whole checkpoint of random weights, small enough to train in milliseconds. Layers that training starts at
// zero get values too: behind a zero layer nothing could learn.
inline void write_tiny_checkpoint(const std::filesystem::path& path) {
  const model::ModelSpec spec = model::model_spec("tiny");
  tensor::StateDict all;
  const at::Generator generator = training::step_generator(1, 0);
  for (const auto component :
       {formats::Component::kTextEncoder, formats::Component::kUnet, formats::Component::kVae}) {
    for (const auto& [name, value] : model::random_state(spec, component, 3)) {
      const bool is_zero = value.dim() >= 2 && value.count_nonzero().item<std::int64_t>() == 0;
      const double bound = std::sqrt(static_cast<double>(value.size(0)) / static_cast<double>(value.numel()));
      const at::Tensor used = is_zero ? at::empty_like(value).uniform_(-bound, bound, generator) : value;
      all.emplace(std::string(model::checkpoint_root(component)) + name, used);
    }
  }
  tensor::save_state_dict(path.string(), all);
}

}  // namespace lowrank::testing
