// The result of an operation, written step by step: what is computed together is one step, so that memory holds the tensors
// of a few layers, never the file. Values that are no numbers never reach a file.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "edit/job.h"
#include "weights/tensor_stream.h"
#include "weights/tensor_view.h"

namespace lowrank::edit {

using Metadata = std::map<std::string, std::string>;

struct Step {
  std::vector<weights::PlannedTensor> tensors = {};
  // One tensor for each, of the planned shape and any float type: rounded to the planned type. From any thread.
  std::function<std::vector<at::Tensor>()> make = {};
  // Or the bytes of one tensor as they are, in a mapped file.
  std::span<const std::byte> bytes = {};
  std::function<void()> after = {};  // once its tensors are written
};

// A tensor of a file as it is, under another name or its own. Its numbers are looked at where the type is one that results have.
Step unchanged(std::string name, const weights::TensorView& view, std::shared_ptr<const void> owner);

struct Written {
  std::uint64_t bytes = 0;
  std::string hash;  // SHA-256 of what follows the header
};

// Checks `path` before any work: the ending .safetensors is added to a name without one. Throws Error(kBadInput) for another
// ending, kConflict where a file is there and must not be replaced.
std::filesystem::path checked_output(const std::filesystem::path& path, Overwrite overwrite);

// Bytes of the file without its header.
std::uint64_t data_bytes(const std::vector<Step>& steps);

// "12.3 MB", "340 kB".
std::string size_text(std::uint64_t bytes);

// Throws Error(kIo) where the disk has less room than `bytes`, naming both.
void require_room(const std::filesystem::path& output, std::uint64_t bytes);

// Writes the steps as safetensors with `metadata`, to which the hashes of the new file are added: sshs_model_hash,
// sshs_legacy_hash (kohya's, of the file with ss_* metadata alone) and modelspec.hash_sha256. Throws Error(kBadInput) naming
// the tensor for values that are not finite or too large for the type; kConflict, kIo as above; kCancelled.
Written write_steps(const Job& job, std::vector<Step> steps, Metadata metadata);

// The at:: type of a type that is written; only of F32, F16 and BF16.
at::ScalarType scalar_type(weights::DType dtype);

}  // namespace lowrank::edit
