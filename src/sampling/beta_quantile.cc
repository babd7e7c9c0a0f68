#include "sampling/beta_quantile.h"

#include <cmath>
#include <initializer_list>
#include <limits>

namespace lowrank::sampling {
namespace {

// The continued fraction 1/(1 + d₁/(1 + d₂/(1 + …))) of DLMF 8.17.22; converges fast for x < (a+1)/(a+b+2).
double continued_fraction(double x, double a, double b) {
  constexpr double kTiny = 1e-300;
  double c = 1, d = 1 - (a + b) * x / (a + 1);
  if (std::abs(d) < kTiny) d = kTiny;
  d = 1 / d;
  double value = d;
  for (int m = 1; m < 1000; ++m) {
    const double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
    const double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    double factor = 1;
    for (const double coefficient : {even, odd}) {
      d = 1 + coefficient * d;
      c = 1 + coefficient / c;
      if (std::abs(d) < kTiny) d = kTiny;
      if (std::abs(c) < kTiny) c = kTiny;
      d = 1 / d;
      factor = d * c;
      value *= factor;
    }
    if (std::abs(factor - 1) < std::numeric_limits<double>::epsilon()) break;
  }
  return value;
}

}  // namespace

double incomplete_beta(double x, double alpha, double beta) {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  const double log_front = std::lgamma(alpha + beta) - std::lgamma(alpha) - std::lgamma(beta) +
                           alpha * std::log(x) + beta * std::log1p(-x);
  const double front = std::exp(log_front);
  if (x < (alpha + 1) / (alpha + beta + 2)) return front * continued_fraction(x, alpha, beta) / alpha;
  return 1 - front * continued_fraction(1 - x, beta, alpha) / beta;
}

double beta_quantile(double probability, double alpha, double beta) {
  if (probability <= 0) return 0;
  if (probability >= 1) return 1;
  double low = 0, high = 1;
  for (int i = 0; i < 60; ++i) {  // each halving is sure; 2⁻⁶⁰ is far below a float's step
    const double middle = (low + high) / 2;
    (incomplete_beta(middle, alpha, beta) < probability ? low : high) = middle;
  }
  return (low + high) / 2;
}

}  // namespace lowrank::sampling
