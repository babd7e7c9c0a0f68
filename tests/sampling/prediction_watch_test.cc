#include "sampling/prediction_watch.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <vector>

namespace lowrank::sampling {
namespace {

using formats::PredictionType;

// A blurred picture such as a network guesses from noise alone, of deviation about `size`: the first waves along both sides.
at::Tensor blurred(std::int64_t side, double size) {
  const at::Tensor at_side = at::arange(side, at::kDouble) / static_cast<double>(side);
  std::vector<at::Tensor> channels;
  for (int i = 0; i < 4; ++i) {
    const at::Tensor wave =
        at::cos(at_side * (3.1 + i)).unsqueeze(1) * at::sin(at_side * (5.7 - i) + 1).unsqueeze(0);
    channels.push_back(wave / wave.std() * size + 0.3 * i);
  }
  return at::stack(channels).unsqueeze(0);
}

at::Tensor noise(std::int64_t side, std::uint64_t seed) {
  auto generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  return at::randn({1, 4, side, side}, generator, at::kDouble);
}

// What a network of each type answers, by the definition of its type, at ᾱ = 0.0047 (SD's last timestep), or t = 1.
struct Seen {
  at::Tensor input, answer;
};
Seen seen(PredictionType type, std::int64_t side, double size) {
  const at::Tensor xi = noise(side, 3), x0 = blurred(side, size);
  if (type == PredictionType::kFlow) return {xi, xi - x0};
  const double alpha = 0.0047;
  const at::Tensor x = xi * std::sqrt(1 - alpha) + x0 * std::sqrt(alpha);
  if (type == PredictionType::kEpsilon) return {x, xi};
  return {x, xi * std::sqrt(alpha) - x0 * std::sqrt(1 - alpha)};
}

TEST(PredictionWatch, NamesTheTypeThatAnswered) {
  for (const std::int64_t side : {16, 32, 64})
    for (const double size : {0.3, 0.6, 1.0})
      for (const auto real : {PredictionType::kEpsilon, PredictionType::kV, PredictionType::kFlow})
        for (const auto taken_for : {PredictionType::kEpsilon, PredictionType::kV, PredictionType::kFlow}) {
          const auto [input, answer] = seen(real, side, size);
          const auto likelier = likelier_prediction(input, answer, taken_for);
          const auto expected = real == taken_for ? std::nullopt : std::optional(real);
          EXPECT_EQ(likelier, expected) << side << ' ' << size << " real " << static_cast<int>(real)
                                        << " taken for " << static_cast<int>(taken_for);
        }
}

// Weights drawn by lot answer with noise of their own, a dead network with nothing, a broken one with what is no number.
TEST(PredictionWatch, SaysNothingOfAnswersLikeNothingKnown) {
  const at::Tensor input = noise(32, 3);
  for (const auto taken_for : {PredictionType::kEpsilon, PredictionType::kV, PredictionType::kFlow}) {
    EXPECT_FALSE(likelier_prediction(input, noise(32, 4), taken_for));
    EXPECT_FALSE(likelier_prediction(input, at::zeros_like(input), taken_for));
    EXPECT_FALSE(likelier_prediction(input, at::full_like(input, std::nan("")), taken_for));
    EXPECT_FALSE(likelier_prediction(input, -input, taken_for));
  }
  EXPECT_FALSE(
      likelier_prediction(at::ones({1, 4, 1, 1}), at::ones({1, 4, 1, 1}) * -1, PredictionType::kEpsilon));
}

}  // namespace
}  // namespace lowrank::sampling
