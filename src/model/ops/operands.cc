#include "model/ops/operands.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "base/error.h"
#include "kernels/product/packed_weights.h"

namespace lowrank::model::ops {
namespace {

std::optional<kernels::Number> number_of(const at::Tensor& w) {
  switch (w.scalar_type()) {
    case at::kFloat:
      return kernels::Number::kFloat32;
    case at::kHalf:
      return kernels::Number::kFloat16;
    case at::kBFloat16:
      return kernels::Number::kBfloat16;
    default:
      return std::nullopt;
  }
}

kernels::PanelOrder order_of(bool gated) {
  return gated ? kernels::PanelOrder::kGated : kernels::PanelOrder::kPlain;
}

kernels::WeightShape shape_of(const at::Tensor& w) {
  return {w.size(0), w.size(1), w.numel() / w.size(0) / w.size(1)};
}

kernels::Number held_number(const Weight& w) {
  return w.is_held_in_int8() ? kernels::Number::kInt8 : *number_of(w.tensor);
}

}  // namespace

bool is_fixed(const Weight& w) {
  return (w.is_made() || w.tensor.device().is_cpu()) && !w.tensor.requires_grad() &&
         w.tensor.is_contiguous() && number_of(w.tensor);
}

Weight::Weight(MadeWeight made)
    : tensor(at::empty(made.sizes, at::TensorOptions(made.type).device(at::kMeta))),
      make_(std::move(made.make)) {}

const at::Tensor& Weight::numbers() const {
  if (is_made() && !made_.defined()) made_ = make_();
  return is_made() ? made_ : tensor;
}

// The numbers for a single use.
at::Tensor Weight::once() const {
  const at::Tensor all = is_made() && !made_.defined() ? make_() : numbers();
  LOWRANK_CHECK(all.sizes() == tensor.sizes() && all.scalar_type() == tensor.scalar_type());
  return all.is_contiguous() ? all : all.contiguous();
}

bool Weight::is_packed(bool gated) const {
  return packed_ != nullptr && packed_from_ == place() &&
         packed_version_ == static_cast<std::int64_t>(tensor._version()) &&
         packed_->order() == order_of(gated);
}

void Weight::set_packed(std::shared_ptr<const kernels::PackedWeights> packed) const {
  packed_ = std::move(packed);
  packed_from_ = place();
  packed_version_ = static_cast<std::int64_t>(tensor._version());
}

const kernels::PackedWeights& Weight::packed(bool gated) const {
  if (!is_packed(gated)) {
    packed_.reset();
    pack_into(gated, {});
  }
  return *packed_;
}

std::shared_ptr<const kernels::PackedWeights> Weight::packed_transposed() const {
  const auto version = static_cast<std::int64_t>(tensor._version());
  if (transposed_ == nullptr || transposed_from_ != place() || transposed_version_ != version) {
    at::Tensor turned = once().detach().transpose(0, 1);
    if (tensor.dim() == 4) turned = turned.flip({2, 3});
    turned = turned.contiguous();
    transposed_ = std::make_shared<const kernels::PackedWeights>(
        turned.data_ptr(), *number_of(turned), shape_of(turned), kernels::PanelOrder::kPlain,
        at::get_num_threads());
    transposed_from_ = place();
    transposed_version_ = version;
  }
  return transposed_;
}

void Weight::hold_in_int8() {
  wants_int8_ = true;
  packed_.reset();
}

bool Weight::is_held_in_int8() const {
  return wants_int8_ && kernels::can_be_int8(shape_of(tensor));
}

std::int64_t Weight::packed_bytes(bool gated) const {
  if (!is_fixed(*this)) return 0;
  return kernels::packed_bytes(held_number(*this), shape_of(tensor), order_of(gated));
}

void Weight::pack_into(bool gated, const kernels::Borrowed<std::byte>& memory) const {
  const at::Tensor numbers = once();
  const auto pack = [&] {
    if (is_held_in_int8())
      return kernels::PackedWeights::in_int8(numbers.data_ptr(), *number_of(tensor), shape_of(tensor),
                                             order_of(gated), at::get_num_threads(), memory);
    return kernels::PackedWeights(numbers.data_ptr(), *number_of(tensor), shape_of(tensor), order_of(gated),
                                  at::get_num_threads(), memory);
  };
  set_packed(std::make_shared<const kernels::PackedWeights>(pack()));
}

void Weight::adopt_packed(bool gated, const kernels::Borrowed<const std::byte>& packed) const {
  set_packed(std::make_shared<const kernels::PackedWeights>(packed, held_number(*this), shape_of(tensor),
                                                            order_of(gated)));
}

}  // namespace lowrank::model::ops
