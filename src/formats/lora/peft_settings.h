// What PEFT's settings say about one module and its tensors do not.
#pragma once

#include <cstdint>
#include <optional>

namespace lowrank::formats {

struct PeftSettings {
  // The training's start, where it was taken out of the base weight W: the r largest singular parts of W, or
  // the first r columns and rows of W's QR factors. The change is scale · up·down minus that.
  enum class Start { kNone, kPissa, kOlora };
  Start start = Start::kNone;

  int cayley_terms = 5;         // OFT: of the series for its rotation; 0: solved exactly
  double rotation_limit = 0;    // OFT: the largest norm of a rotation's generator (`coft`, `eps`); 0: free
  bool is_orthonormal = false;  // HRA: the reflections are made orthonormal first (`apply_GS`)
  bool is_feedforward = false;  // IA3: scales the inputs

  // Of numbers that PEFT draws anew instead of saving them: FourierFT's places (`random_loc_seed`), the matrices that
  // VeRA's and RandLoRA's layers share (`projection_prng_key`).
  std::optional<std::int64_t> seed = std::nullopt;
  enum class Bases { kUniform, kSparse, kVerySparse };
  Bases bases = Bases::kUniform;  // RandLoRA
  double gain = 1;                // FourierFT: `scaling`
  friend bool operator==(const PeftSettings&, const PeftSettings&) = default;
};

}  // namespace lowrank::formats
