// Each kind against plain loops in float64 over random tensors of awkward sizes. The loops follow the
// formulas of the papers index by index and share nothing with the implementation.
#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "adapter/modules.h"
#include "support/expect_close.h"

namespace lowrank::adapter {
namespace {

using formats::AdapterKind;
using testing::formula_of;
using testing::layer_shape;
using testing::make_module;

// float32 sums of some hundred terms against float64.
constexpr double kSums = 2e-5;

struct Random {
  at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(20240607);
  at::Tensor operator()(at::IntArrayRef sizes) {
    return at::empty(sizes, at::kFloat).normal_(0, 1, generator);
  }
  std::int64_t between(std::int64_t low, std::int64_t high) {
    return at::randint(low, high + 1, {1}, generator, at::kLong).item<std::int64_t>();
  }
};

// Element access in float64, with any number of indices; missing trailing dimensions count as 1.
struct Values {
  at::Tensor tensor;
  explicit Values(const at::Tensor& t) : tensor(t.to(at::kDouble).contiguous()) {}
  double operator()(std::initializer_list<std::int64_t> index) const {
    std::int64_t offset = 0, d = 0;
    for (const auto i : index) {
      if (d >= tensor.dim()) break;
      offset = offset * tensor.size(d++) + i;
    }
    return tensor.data_ptr<double>()[offset];
  }
};

using Element = std::function<double(std::int64_t o, std::int64_t i, std::int64_t y, std::int64_t x)>;

at::Tensor by_loop(const std::vector<std::int64_t>& sizes, const Element& element) {
  at::Tensor result = at::zeros(sizes, at::kDouble);
  double* out = result.data_ptr<double>();
  const auto at_or_1 = [&](std::size_t d) { return d < sizes.size() ? sizes[d] : 1; };
  for (std::int64_t o = 0; o < sizes[0]; ++o)
    for (std::int64_t i = 0; i < at_or_1(1); ++i)
      for (std::int64_t y = 0; y < at_or_1(2); ++y)
        for (std::int64_t x = 0; x < at_or_1(3); ++x) *out++ = element(o, i, y, x);
  return result;
}

void compare(const Module& module, const std::vector<std::int64_t>& sizes, const at::Tensor& base,
             const Element& element, const std::string& name) {
  const at::Tensor ours = formula_of(module, layer_shape(sizes)).weight(base, {});
  EXPECT_TRUE(lowrank::testing::expect_close(ours, by_loop(sizes, element), {.rel = kSums}, name));
}

class KindsByLoop : public ::testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    for (int i = 0; i < GetParam(); ++i)
      random_.between(0, 1000);  // another place in the stream for each case
    rank_ = random_.between(1, 5);
    const std::int64_t out = random_.between(1, 13), in = random_.between(1, 11);
    kh_ = GetParam() % 2 == 0 ? 1 : random_.between(1, 3);
    kw_ = GetParam() % 2 == 0 ? 1 : random_.between(2, 4);
    sizes_ = GetParam() % 2 == 0 ? std::vector<std::int64_t>{out, in}
                                 : std::vector<std::int64_t>{out, in, kh_, kw_};
    out_ = out;
    in_ = in;
    base_ = random_(sizes_);
  }
  std::vector<std::int64_t> factor(std::int64_t a, std::int64_t b) const {
    return GetParam() % 2 == 0 ? std::vector<std::int64_t>{a, b} : std::vector<std::int64_t>{a, b, 1, 1};
  }
  std::vector<std::int64_t> kernel(std::int64_t a, std::int64_t b) const {
    return GetParam() % 2 == 0 ? std::vector<std::int64_t>{a, b} : std::vector<std::int64_t>{a, b, kh_, kw_};
  }

  Random random_;
  std::int64_t rank_ = 1, out_ = 1, in_ = 1, kh_ = 1, kw_ = 1;
  std::vector<std::int64_t> sizes_;
  at::Tensor base_;
};

TEST_P(KindsByLoop, Lora) {
  const at::Tensor down = random_(kernel(rank_, in_)), up = random_(factor(out_, rank_));
  const Values d(down), u(up);
  const double scale = 0.75 / static_cast<double>(rank_);
  compare(
      make_module(AdapterKind::kLocon, {{"lora_down.weight", down}, {"lora_up.weight", up}}, 0.75f), sizes_,
      {},
      [&](auto o, auto i, auto y, auto x) {
        double sum = 0;
        for (std::int64_t r = 0; r < rank_; ++r) sum += u({o, r}) * d({r, i, y, x});
        return scale * sum;
      },
      "LoRA");
}

TEST_P(KindsByLoop, LoconTucker) {
  const at::Tensor down = random_(factor(rank_, in_)), up = random_(factor(out_, rank_)),
                   mid = random_({rank_, rank_, kh_, kw_});
  const Values d(down), u(up), m(mid);
  const double scale = 2.0 / static_cast<double>(rank_);
  compare(
      make_module(AdapterKind::kLocon,
                  {{"lora_down.weight", down}, {"lora_up.weight", up}, {"lora_mid.weight", mid}}, 2.0f),
      sizes_, {},
      [&](auto o, auto i, auto y, auto x) {
        double sum = 0;
        for (std::int64_t a = 0; a < rank_; ++a)
          for (std::int64_t b = 0; b < rank_; ++b) sum += u({o, a}) * m({a, b, y, x}) * d({b, i});
        return scale * sum;
      },
      "Tucker");
}

TEST_P(KindsByLoop, Loha) {
  const std::int64_t columns = in_ * kh_ * kw_, rank2 = random_.between(1, 4);
  const at::Tensor a1 = random_({out_, rank_}), b1 = random_({rank_, columns}), a2 = random_({out_, rank2}),
                   b2 = random_({rank2, columns});
  const Values va1(a1), vb1(b1), va2(a2), vb2(b2);
  compare(
      make_module(AdapterKind::kLoha,
                  {{"hada_w1_a", a1}, {"hada_w1_b", b1}, {"hada_w2_a", a2}, {"hada_w2_b", b2}}, 3.0f),
      sizes_, {},
      [&](auto o, auto i, auto y, auto x) {
        const std::int64_t column = (i * kh_ + y) * kw_ + x;
        double one = 0, two = 0;
        for (std::int64_t r = 0; r < rank_; ++r) one += va1({o, r}) * vb1({r, column});
        for (std::int64_t r = 0; r < rank2; ++r) two += va2({o, r}) * vb2({r, column});
        return 3.0 / static_cast<double>(rank_) * one * two;
      },
      "LoHa");
}

TEST_P(KindsByLoop, LohaTucker) {
  const at::Tensor a1 = random_({rank_, out_}), b1 = random_({rank_, in_}), a2 = random_({rank_, out_}),
                   b2 = random_({rank_, in_}), t1 = random_({rank_, rank_, kh_, kw_}),
                   t2 = random_({rank_, rank_, kh_, kw_});
  const Values va1(a1), vb1(b1), va2(a2), vb2(b2), vt1(t1), vt2(t2);
  compare(
      make_module(AdapterKind::kLoha,
                  {{"hada_w1_a", a1},
                   {"hada_w1_b", b1},
                   {"hada_w2_a", a2},
                   {"hada_w2_b", b2},
                   {"hada_t1", t1},
                   {"hada_t2", t2}},
                  1.5f),
      sizes_, {},
      [&](auto o, auto i, auto y, auto x) {
        const auto product = [&](const Values& t, const Values& a, const Values& b) {
          double sum = 0;
          for (std::int64_t p = 0; p < rank_; ++p)
            for (std::int64_t q = 0; q < rank_; ++q) sum += t({p, q, y, x}) * a({p, o}) * b({q, i});
          return sum;
        };
        return 1.5 / static_cast<double>(rank_) * product(vt1, va1, vb1) * product(vt2, va2, vb2);
      },
      "LoHa Tucker");
}

// All ways of giving the two factors of a Kronecker product.
TEST_P(KindsByLoop, Lokr) {
  const std::int64_t o1 = random_.between(1, 4), i1 = random_.between(1, 3), o2 = out_, i2 = in_;
  std::vector<std::int64_t> sizes = sizes_;
  sizes[0] = o1 * o2;
  sizes[1] = i1 * i2;
  const at::Tensor w1_a = random_({o1, rank_}), w1_b = random_({rank_, i1});
  const at::Tensor w2_a = random_({o2, rank_}), w2_b = random_({rank_, i2 * kh_ * kw_});
  const at::Tensor ta = random_({rank_, o2}), tb = random_({rank_, i2}),
                   t2 = random_({rank_, rank_, kh_, kw_});
  const at::Tensor w1 = random_({o1, i1}), w2 = random_(kernel(o2, i2));
  enum class Form { kWhole, kProduct, kTucker };
  for (const Form first : {Form::kWhole, Form::kProduct}) {
    for (const Form second : {Form::kWhole, Form::kProduct, Form::kTucker}) {
      testing::Parts parts;
      if (first == Form::kWhole) parts = {{"lokr_w1", w1}};
      if (first == Form::kProduct) parts = {{"lokr_w1_a", w1_a}, {"lokr_w1_b", w1_b}};
      if (second == Form::kWhole) parts.push_back({"lokr_w2", w2});
      if (second == Form::kProduct) parts.insert(parts.end(), {{"lokr_w2_a", w2_a}, {"lokr_w2_b", w2_b}});
      if (second == Form::kTucker)
        parts.insert(parts.end(), {{"lokr_w2_a", ta}, {"lokr_w2_b", tb}, {"lokr_t2", t2}});
      const bool whole = first == Form::kWhole && second == Form::kWhole;
      const double scale = whole ? 1.0 : 2.5 / static_cast<double>(rank_);
      const Values v1(w1), v1a(w1_a), v1b(w1_b), v2(w2), v2a(w2_a), v2b(w2_b), vta(ta), vtb(tb), vt2(t2);
      compare(
          make_module(AdapterKind::kLokr, parts, 2.5f), sizes, {},
          [&](auto o, auto i, auto y, auto x) {
            const std::int64_t p = o / o2, q = o % o2, u = i / i2, v = i % i2;
            double left = 0, right = 0;
            if (first == Form::kWhole) {
              left = v1({p, u});
            } else {
              for (std::int64_t r = 0; r < rank_; ++r) left += v1a({p, r}) * v1b({r, u});
            }
            if (second == Form::kWhole) {
              right = v2({q, v, y, x});
            } else if (second == Form::kProduct) {
              for (std::int64_t r = 0; r < rank_; ++r)
                right += v2a({q, r}) * v2b({r, (v * kh_ + y) * kw_ + x});
            } else {
              for (std::int64_t a = 0; a < rank_; ++a)
                for (std::int64_t b = 0; b < rank_; ++b)
                  right += vt2({a, b, y, x}) * vta({a, q}) * vtb({b, v});
            }
            return scale * left * right;
          },
          fmt::format("LoKr form {}{}", static_cast<int>(first), static_cast<int>(second)));
    }
  }
}

TEST_P(KindsByLoop, Ia3) {
  const Values w(base_);
  for (const bool on_input : {false, true}) {
    const at::Tensor weight = random_({on_input ? in_ : out_});
    const Values v(weight);
    compare(
        make_module(AdapterKind::kIa3,
                    {{"weight", weight}, {"on_input", at::scalar_tensor(on_input, at::kByte)}}),
        sizes_, base_,
        [&](auto o, auto i, auto y, auto x) {
          return w({o, i, y, x}) * v({on_input ? i : o});
        },
        "IA3");
  }
}

TEST_P(KindsByLoop, GloraInBothLayouts) {
  const Values w(base_);
  const at::Tensor a_left = random_(factor(in_, rank_)), a_right = random_(factor(rank_, in_)),
                   b_left = random_(factor(out_, rank_)), b_right = random_(kernel(rank_, in_));
  const Values al(a_left), ar(a_right), bl(b_left), br(b_right);
  const auto element = [&](auto o, auto i, auto y, auto x) {
    double sum = 0;
    for (std::int64_t r = 0; r < rank_; ++r) {
      sum += bl({o, r}) * br({r, i, y, x});
      for (std::int64_t j = 0; j < in_; ++j) sum += w({o, j, y, x}) * al({j, r}) * ar({r, i});
    }
    return 0.5 / static_cast<double>(rank_) * sum;
  };
  // Where ranks equal a side of the layer, names and shapes cannot tell the layouts apart.
  if (rank_ == in_ || rank_ == out_) return;
  compare(make_module(
              AdapterKind::kGlora,
              {{"a1.weight", a_left}, {"a2.weight", a_right}, {"b1.weight", b_left}, {"b2.weight", b_right}},
              0.5f),
          sizes_, base_, element, "GLoRA, current");
  compare(make_module(
              AdapterKind::kGlora,
              {{"a2.weight", a_left}, {"a1.weight", a_right}, {"b2.weight", b_left}, {"b1.weight", b_right}},
              0.5f),
          sizes_, base_, element, "GLoRA, old");
}

// R from Q by the definition R·(I − Q) = I + Q, checked by multiplying back; the rows by loops.
TEST_P(KindsByLoop, OftAndBoft) {
  const std::int64_t side = 2 * random_.between(1, 3), stages = random_.between(1, 3),
                     rest = random_.between(1, 3);
  const std::int64_t out = side / 2 * (std::int64_t{1} << stages) * rest;
  std::vector<std::int64_t> sizes = sizes_;
  sizes[0] = out % side == 0 ? out : out * 2;
  const std::int64_t k = sizes[0] / side;
  const at::Tensor base = random_(sizes), blocks = random_({stages, k, side, side}) * 0.3,
                   rescale = random_({sizes[0], 1});
  const double limit = 0.05;  // alpha; alpha·out limits the norm
  const auto cayley = [&](const at::Tensor& free) {
    at::Tensor q = (free - free.transpose(-1, -2)).to(at::kDouble);
    const double length = std::sqrt((q * q).sum().item<double>()),
                 bound = limit * static_cast<double>(sizes[0]);
    q = q * ((std::min(length, bound) + 1e-8) / (length + 1e-8));
    const at::Tensor identity = at::eye(side, at::kDouble);
    return at::matmul(identity + q, at::inverse(identity - q));
  };
  const Values w(base), scale(rescale);
  const Values r1(cayley(blocks[0]));
  compare(
      make_module(AdapterKind::kOft, {{"oft_blocks", blocks[0]}, {"rescale", rescale}},
                  static_cast<float>(limit)),
      sizes, base,
      [&](auto o, auto i, auto y, auto x) {
        double sum = 0;
        const std::int64_t block = o / side, m = o % side;
        for (std::int64_t n = 0; n < side; ++n) sum += r1({block, n, m}) * w({block * side + n, i, y, x});
        return scale({o}) * sum - w({o, i, y, x});
      },
      "OFT");

  // BOFT: stage by stage on rows; a pair exchange at distance h = 2^s·side/2 before and after each block
  // product.
  const Values r(cayley(blocks));
  const std::int64_t columns = base.numel() / sizes[0];
  at::Tensor rows = base.to(at::kDouble).reshape({sizes[0], columns}).clone();
  for (std::int64_t s = 0; s < stages; ++s) {
    const std::int64_t h = (side / 2) << s;
    const Values before(rows);
    at::Tensor after = at::zeros_like(rows);
    // Place p of the exchanged order holds row source(p): groups of 2h rows, [2, h] read as [h, 2].
    const auto source = [&](std::int64_t p) { return p / (2 * h) * 2 * h + (p % 2) * h + p % (2 * h) / 2; };
    for (std::int64_t p = 0; p < sizes[0]; ++p)
      for (std::int64_t c = 0; c < columns; ++c) {
        double sum = 0;
        for (std::int64_t q = 0; q < side; ++q)
          sum += r({s, p / side, p % side, q}) * before({source(p / side * side + q), c});
        after[source(p)][c] = sum;
      }
    rows = after;
  }
  const Values turned(rows);
  compare(
      make_module(AdapterKind::kBoft, {{"oft_blocks", blocks}, {"rescale", rescale}},
                  static_cast<float>(limit)),
      sizes, base,
      [&](auto o, auto i, auto y, auto x) {
        return scale({o}) * turned({o, (i * kh_ + y) * kw_ + x}) - w({o, i, y, x});
      },
      "BOFT");
}

TEST_P(KindsByLoop, DoraOverRowsAndColumns) {
  const at::Tensor down = random_(kernel(rank_, in_)), up = random_(factor(out_, rank_));
  const Values w(base_), d(down), u(up);
  const auto v = [&](auto o, auto i, auto y, auto x) {
    double sum = 0;
    for (std::int64_t r = 0; r < rank_; ++r) sum += u({o, r}) * d({r, i, y, x});
    return w({o, i, y, x}) + sum;
  };
  for (const bool rows : {true, false}) {
    if (!rows && out_ == 1) continue;  // [1, in] with one output: both forms claim it when in = 1 too
    std::vector<std::int64_t> shape(sizes_.size(), 1);
    shape[rows ? 0 : 1] = sizes_[rows ? 0 : 1];
    const at::Tensor magnitude = random_(shape);
    const Values m(magnitude.reshape({-1}));
    compare(
        make_module(AdapterKind::kLora,
                    {{"lora_down.weight", down}, {"lora_up.weight", up}, {"dora_scale", magnitude}}),
        sizes_, base_,
        [&](auto o, auto i, auto y, auto x) {
          double length = 0;
          for (std::int64_t a = 0; a < (rows ? in_ : out_); ++a)
            for (std::int64_t b = 0; b < kh_; ++b)
              for (std::int64_t c = 0; c < kw_; ++c)
                length += std::pow(rows ? v(o, a, b, c) : v(a, i, b, c), 2);
          return v(o, i, y, x) * m({rows ? o : i}) / (std::sqrt(length) + 0x1p-23) - w({o, i, y, x});
        },
        rows ? "DoRA, rows" : "DoRA, columns");
  }
}

INSTANTIATE_TEST_SUITE_P(RandomShapes, KindsByLoop, ::testing::Range(0, 12));

}  // namespace
}  // namespace lowrank::adapter
