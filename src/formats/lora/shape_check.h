// The comparisons that the rows of kind_shapes are made of. Only for kind_shapes*.cc.
#pragma once

#include <fmt/format.h>

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "formats/lora/module_shapes.h"

namespace lowrank::formats {

// Trailing dimensions of 1 beyond the second do not count.
inline weights::Shape without_trailing_ones(weights::Shape shape) {
  while (shape.size() > 2 && shape.back() == 1) shape.pop_back();
  return shape;
}

// Collects the first mismatch.
class ShapeCheck {
 public:
  ShapeCheck(const ModuleShapes& module, const LayerSizes& layer) : module_(module), layer_(layer) {}

  const weights::Shape& shape(std::string_view part) const { return module_.parts.find(part)->second; }
  std::int64_t size(std::string_view part, std::size_t dimension) const {
    const weights::Shape& sizes = shape(part);
    return dimension < sizes.size() ? sizes[dimension] : 1;
  }
  std::int64_t count(std::string_view part) const { return product(shape(part)); }
  bool has(std::string_view part) const { return module_.has(part); }
  const LayerSizes& layer() const { return layer_; }
  const ModuleShapes& module() const { return module_; }

  ShapeCheck& part(std::string_view name, std::initializer_list<std::int64_t> wanted) {
    const weights::Shape need = without_trailing_ones(wanted);
    if (ok() && without_trailing_ones(shape(name)) != need)
      fail("{} is {}, but the layer {} needs {}", name, weights::shape_text(shape(name)),
           weights::shape_text(layer_.sizes), weights::shape_text(need));
    return *this;
  }
  // [rows, in, kh, kw], or the same flattened to [rows, in·kh·kw].
  ShapeCheck& kernel(std::string_view name, std::int64_t rows) {
    if (shape(name) == weights::Shape{rows, layer_.columns()}) return *this;
    return part(name, {rows, layer_.in(), layer_.size(2), layer_.size(3)});
  }
  ShapeCheck& elements(std::string_view name, std::int64_t wanted, std::string_view what) {
    if (ok() && count(name) != wanted)
      fail("{} has {} elements, but the layer {} has {} {}", name, count(name),
           weights::shape_text(layer_.sizes), wanted, what);
    return *this;
  }
  ShapeCheck& linear_only() {
    if (ok() && layer_.columns() != layer_.in())
      fail("a {} module cannot change a convolution of {}x{}", adapter_kind_name(module_.kind),
           layer_.size(2), layer_.size(3));
    return *this;
  }
  template <typename... Values>
  void fail(fmt::format_string<Values...> form, Values&&... values) {
    if (ok()) reason_ = fmt::format(form, std::forward<Values>(values)...);
  }
  bool ok() const { return reason_.empty(); }
  const std::string& reason() const { return reason_; }

 private:
  const ModuleShapes& module_;
  const LayerSizes& layer_;
  std::string reason_;
};

// OFT, BOFT, IA3 and all else that only PEFT writes.
void check_peft_kind(ShapeCheck& check);

}  // namespace lowrank::formats
