#include "weights/tensor_index.h"

#include <utility>

namespace lowrank::weights {

IndexedTensorFile::IndexedTensorFile(Contents contents) : contents_(std::move(contents)) {
  places_.reserve(contents_.tensors.size());
  for (std::size_t i = 0; i < contents_.tensors.size(); ++i) places_.emplace(contents_.tensors[i].name, i);
}

const TensorView* IndexedTensorFile::find(std::string_view name) const {
  const auto place = places_.find(name);
  return place == places_.end() ? nullptr : &contents_.tensors[place->second];
}

}  // namespace lowrank::weights
