#include "edit/output.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>
#include <thread>
#include <utility>

#include "base/error.h"
#include "base/parallel.h"
#include "base/sha256.h"
#include "edit/layers.h"
#include "formats/hashes.h"
#include "tensor/state_dict.h"

namespace lowrank::edit {
namespace {

namespace fs = std::filesystem;
using weights::DType;
using weights::PlannedTensor;

constexpr std::string_view kModelHash = "sshs_model_hash", kLegacyHash = "sshs_legacy_hash",
                           kSpecHash = "modelspec.hash_sha256";
// What the legacy hash reads of a file.
constexpr std::size_t kLegacyBytes = 0x110000;

void set_hashes(Metadata& metadata, const std::string& model, const std::string& legacy) {
  metadata[std::string(kModelHash)] = model;
  metadata[std::string(kLegacyHash)] = legacy;
  metadata[std::string(kSpecHash)] = "0x" + model;
}

// Where each tensor of the file comes from.
struct Place {
  std::size_t step = 0, index = 0;
};

// The bytes of one step's tensors, or what went wrong.
struct Made {
  std::vector<at::Tensor> tensors;
  std::size_t unwritten = 0;
};

at::Tensor finished(at::Tensor tensor, const PlannedTensor& planned) {
  LOWRANK_CHECK(tensor.sizes() == at::IntArrayRef(planned.shape));
  const at::Tensor stored = tensor.to(scalar_type(planned.dtype)).contiguous();
  if (stored.isfinite().all().item<bool>()) return stored;
  if (tensor.isfinite().all().item<bool>())
    throw Error(kBadInput, "the values of '{}' are too large for {}; write it with --precision fp32.",
                planned.name, weights::dtype_name(planned.dtype));
  throw Error(
      kBadInput,
      "the values of '{}' are not finite (NaN or infinity); the file that it comes from is damaged, get it "
      "again.",
      planned.name);
}

Made make(const Step& step) {
  const at::NoGradGuard no_grad;
  Made made{.tensors = step.make(), .unwritten = step.tensors.size()};
  LOWRANK_CHECK(made.tensors.size() == step.tensors.size());
  for (std::size_t i = 0; i < made.tensors.size(); ++i)
    made.tensors[i] = finished(std::move(made.tensors[i]), step.tensors[i]);
  return made;
}

// The tensor data as they go by: their hash, and the beginning for the legacy hash.
class Passing {
 public:
  void add(std::span<const std::byte> bytes) {
    hash_.add(bytes);
    const std::size_t missing = kLegacyBytes - std::min(kLegacyBytes, begin_.size());
    const auto head = bytes.first(std::min(missing, bytes.size()));
    begin_.insert(begin_.end(), head.begin(), head.end());
  }
  std::string hash() { return hash_.hex(); }
  // AutoV1 of a file with this head and the data that went by.
  std::string legacy(const std::string& head) const {
    const auto bytes = std::as_bytes(std::span(head.data(), head.size()));
    std::vector<std::byte> file(bytes.begin(), bytes.end());
    file.insert(file.end(), begin_.begin(), begin_.end());
    return formats::auto_v1(file);
  }

 private:
  Sha256 hash_;
  std::vector<std::byte> begin_;
};

std::span<const std::byte> bytes_of(const at::Tensor& tensor) {
  return {static_cast<const std::byte*>(tensor.data_ptr()), static_cast<std::size_t>(tensor.nbytes())};
}

class Writer {
 public:
  Writer(const Job& job, std::vector<Step>& steps, Metadata& metadata) : job_(job), steps_(steps) {
    std::vector<PlannedTensor> plan;
    for (std::size_t i = 0; i < steps.size(); ++i)
      for (std::size_t k = 0; k < steps[i].tensors.size(); ++k) {
        plan.push_back(steps[i].tensors[k]);
        places_.push_back({i, k});
      }
    set_hashes(metadata, std::string(64, '0'), std::string(8, '0'));
    stream_.emplace(job.output, std::move(plan), metadata);
    made_.resize(steps.size());
    // The steps in the order in which they are needed.
    std::vector<bool> is_seen(steps.size());
    for (const std::size_t tensor : stream_->order())
      if (const std::size_t step = places_[tensor].step; !is_seen[step]) {
        is_seen[step] = true;
        if (steps[step].make) coming_.push_back(step);
      }
  }

  Written write(Metadata metadata) {
    const auto total = static_cast<std::int64_t>(stream_->order().size());
    std::int64_t done = 0;
    for (const std::size_t tensor : stream_->order()) {
      write_one(places_[tensor]);
      if (job_.progress != nullptr) job_.progress->update("writing", ++done, total);
    }
    const std::string hash = passing_.hash();
    Metadata own;
    for (const auto& [key, value] : metadata)
      if (key.starts_with("ss_")) own.emplace(key, value);
    const auto order = stream_->order();
    const std::string legacy =
        passing_.legacy(weights::file_head(stream_->tensors(), order, own, job_.output));
    set_hashes(metadata, hash, legacy);
    const Written written{stream_->size(), hash};
    throw_if_stopped(job_.stop);
    stream_->commit(metadata);
    return written;
  }

 private:
  void write_one(const Place& place) {
    throw_if_stopped(job_.stop);
    Step& step = steps_[place.step];
    if (!step.make) {
      put(step.bytes);
      if (step.after) step.after();
      return;
    }
    if (!made_[place.step]) make_next();
    Made& made = *made_[place.step];
    put(bytes_of(made.tensors[place.index]));
    made.tensors[place.index].reset();
    if (--made.unwritten > 0) return;
    made_[place.step].reset();
    if (step.after) step.after();
  }

  // As many steps at a time as there are threads.
  void make_next() {
    const int threads =
        job_.threads > 0 ? job_.threads : static_cast<int>(std::thread::hardware_concurrency());
    const std::size_t count =
        std::min(coming_.size() - next_, static_cast<std::size_t>(std::max(threads, 1)));
    parallel_for(static_cast<std::int64_t>(count), threads, [&](std::int64_t i) {
      const std::size_t step = coming_[next_ + static_cast<std::size_t>(i)];
      made_[step] = make(steps_[step]);
    });
    next_ += count;
  }

  void put(std::span<const std::byte> bytes) {
    stream_->write(bytes);
    passing_.add(bytes);
  }

  const Job& job_;
  std::vector<Step>& steps_;
  std::vector<Place> places_;
  std::optional<weights::TensorStream> stream_;
  std::vector<std::optional<Made>> made_;  // by step
  std::vector<std::size_t> coming_;
  std::size_t next_ = 0;
  Passing passing_;
};

}  // namespace

at::ScalarType scalar_type(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return at::kFloat;
    case DType::kF16:
      return at::kHalf;
    case DType::kBF16:
      return at::kBFloat16;
    default:
      throw Error(kInternal, "no result is computed for the type {}.", weights::dtype_name(dtype));
  }
}

Step unchanged(std::string name, const weights::TensorView& view, std::shared_ptr<const void> owner) {
  Step step{.tensors = {{std::move(name), view.dtype, view.shape}},
            .bytes = view.bytes,
            .after = [bytes = view.bytes] { release(bytes); }};
  if (view.dtype == DType::kF32 || view.dtype == DType::kF16 || view.dtype == DType::kBF16)
    step.make = [view, owner = std::move(owner)] {
      return std::vector<at::Tensor>{tensor::as_tensor(view, owner)};
    };
  return step;
}

fs::path checked_output(const fs::path& path, Overwrite overwrite) {
  fs::path output = path;
  if (output.empty() || !output.has_filename())
    throw Error(kBadInput, "the output '{}' names no file; give one that ends in .safetensors.",
                path.string());
  if (output.extension().empty()) output += ".safetensors";
  if (output.extension() != ".safetensors")
    throw Error(kBadInput, "the output is '{}', but must be a file name that ends in .safetensors.",
                path.string());
  std::error_code failure;
  if (overwrite == Overwrite::kNo && fs::exists(output, failure))
    throw Error(kConflict, "{}: is already there; choose another name, or replace it with --overwrite.",
                output.string());
  return output;
}

std::uint64_t data_bytes(const std::vector<Step>& steps) {
  std::uint64_t bytes = 0;
  for (const Step& step : steps)
    for (const PlannedTensor& tensor : step.tensors) bytes += tensor.bytes();
  return bytes;
}

std::string size_text(std::uint64_t bytes) {
  const auto size = static_cast<double>(bytes);
  return size < 1e6 ? fmt::format("{:.0f} kB", std::ceil(size / 1e3)) : fmt::format("{:.1f} MB", size / 1e6);
}

void require_room(const fs::path& output, std::uint64_t bytes) {
  fs::path folder = fs::absolute(output).parent_path();
  std::error_code failure;
  while (!fs::exists(folder, failure) && folder.has_relative_path()) folder = folder.parent_path();
  const fs::space_info space = fs::space(folder, failure);
  if (failure || space.available >= bytes) return;
  throw Error(kIo, "{}: needs {}, but the disk has only {} free; make room or choose another place.",
              output.string(), size_text(bytes), size_text(space.available));
}

Written write_steps(const Job& job, std::vector<Step> steps, Metadata metadata) {
  Job own = job;
  own.output = checked_output(job.output, job.overwrite);
  if (steps.empty()) throw Error(kBadInput, "{}: nothing is left to be written.", own.output.string());
  const std::uint64_t bytes = data_bytes(steps);
  require_room(own.output, bytes);
  if (own.say) own.say(fmt::format("{} takes {}", own.output.filename().string(), size_text(bytes)));
  Writer writer(own, steps, metadata);
  return writer.write(metadata);
}

}  // namespace lowrank::edit
