// `lowrank model random`: a checkpoint of the right shape with random weights, for measuring and for tests
// where no real model may be had. Written tensor by tensor, so that it takes no more memory than its largest
// tensor.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/progress.h"
#include "cli/engine/commands.h"
#include "formats/family.h"
#include "model/random.h"

namespace lowrank::cli {
namespace {

using model::ParameterSpec;

struct Options {
  std::string like;
  std::string out;
  std::uint64_t seed;
};

Options read_options(const Arguments& given) {
  Options options{.like = given.value("like"),
                  .out = given.value("out"),
                  .seed = static_cast<std::uint64_t>(given.whole_number("seed"))};
  if (!options.out.ends_with(".safetensors"))
    throw Error(kBadInput, "--out is '{}', but must be a file name that ends in .safetensors.", options.out);
  return options;
}

// Training starts with zeros at the end of each residual branch, which would make every picture the same; a
// random model has ordinary values there.
ParameterSpec lively(ParameterSpec parameter) {
  if (parameter.init == ParameterSpec::Init::kZeros && parameter.shape.size() > 1) {
    std::int64_t fan_in = 1;
    for (std::size_t i = 1; i < parameter.shape.size(); ++i) fan_in *= parameter.shape[i];
    parameter.init = ParameterSpec::Init::kUniform;
    parameter.scale = 1.0 / std::sqrt(static_cast<double>(fan_in));
  }
  return parameter;
}

std::int64_t bytes_of(const ParameterSpec& parameter) {
  std::int64_t elements = 1;
  for (const auto side : parameter.shape) elements *= side;
  return elements * 2;
}

std::string header(const std::vector<ParameterSpec>& parameters, const formats::FamilyRow& family,
                   const Options& options) {
  nlohmann::ordered_json json;
  // Of SD 2.x some models predict v and others epsilon, so that the file says which.
  json["__metadata__"] = {{"lowrank.random", fmt::format("like {}, seed {}", options.like, options.seed)},
                          {"modelspec.architecture", family.modelspec.of(family.prediction)},
                          {"modelspec.prediction_type", formats::prediction_name(family.prediction)}};
  if (options.like == "tiny" || options.like == "starter")
    json["__metadata__"]["lowrank.default_size"] = options.like == "tiny" ? "64" : "128";
  std::int64_t at = 0;
  for (const ParameterSpec& parameter : parameters) {
    json[parameter.name] = {
        {"dtype", "F16"}, {"shape", parameter.shape}, {"data_offsets", {at, at + bytes_of(parameter)}}};
    at += bytes_of(parameter);
  }
  std::string text = json.dump();
  text.append((8 - text.size() % 8) % 8, ' ');
  return text;
}

}  // namespace

int model_random(const CommandCall& call) {
  const at::NoGradGuard no_grad;
  const Options options = read_options(call.arguments);
  const model::ModelSpec spec = model::model_spec(options.like);
  std::vector<ParameterSpec> parameters = model::file_parameters(spec);
  std::ranges::transform(parameters, parameters.begin(), lively);
  const std::string head = header(parameters, *formats::family(spec.family), options);
  const std::uint64_t length = head.size();
  AtomicFile file(options.out);
  file.write(std::string_view(reinterpret_cast<const char*>(&length), sizeof(length)));
  file.write(head);
  std::uint64_t total = 0;
  for (const ParameterSpec& parameter : parameters) {
    throw_if_stopped(call.stop);
    const at::Tensor value = model::initial_value(parameter, options.seed).to(at::kHalf).contiguous();
    file.write(std::string_view(static_cast<const char*>(value.data_ptr()), value.nbytes()));
    total += static_cast<std::uint64_t>(value.numel());
  }
  file.commit();
  fmt::print("{}  {} parameters, float16, random\n", options.out, total);
  return 0;
}

}  // namespace lowrank::cli
