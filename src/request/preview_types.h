// How a live preview is made of a latent, by the names of A1111's option `show_progress_type`.
#pragma once

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

namespace lowrank::request {

enum class PreviewType {
  kBest,         // TAESD where its file is there, else the next; A1111's default means a network of its own
  kApproxCheap,  // colours by weights of the latent's channels, an eighth of the size
  kTaesd,        // a tiny decoder
  kFull,         // the VAE
};

inline constexpr std::array<std::string_view, 4> kPreviewTypes = {"Approx NN", "Approx cheap", "TAESD",
                                                                  "Full"};

// nullopt: there is none of that name.
inline std::optional<PreviewType> find_preview_type(std::string_view name) {
  const auto* const found = std::ranges::find(kPreviewTypes, name);
  if (found == kPreviewTypes.end()) return std::nullopt;
  return static_cast<PreviewType>(found - kPreviewTypes.begin());
}

}  // namespace lowrank::request
