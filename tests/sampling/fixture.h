// Reading fixtures: JSON documents and named tensors.
#pragma once

#include <ATen/ATen.h>

#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>

#include "tensor/state_dict.h"
#include "weights/tensor_file.h"

namespace lowrank::sampling::testing {

// The document, or one entry of it, by value: a loop over a part of a temporary would outlive it.
inline nlohmann::json read_json(const std::string& name, const std::string& entry = "") {
  std::ifstream file(std::string(LOWRANK_TEST_FIXTURES "/") + name);
  auto document = nlohmann::json::parse(file);
  return entry.empty() ? document : nlohmann::json(document.at(entry));
}

class Tensors {
 public:
  explicit Tensors(const std::string& name)
      : file_(weights::TensorFile::open(std::string(LOWRANK_TEST_FIXTURES "/") + name)) {}
  at::Tensor operator[](const std::string& key) const {
    const auto* view = file_->find(key);
    if (view == nullptr) throw std::runtime_error("the fixture lacks " + key);
    return tensor::as_tensor(*view, file_);
  }
  std::span<const weights::TensorView> all() const { return file_->tensors(); }

 private:
  std::shared_ptr<const weights::TensorFile> file_;
};

}  // namespace lowrank::sampling::testing
