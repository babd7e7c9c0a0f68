// The quantile of the Beta distribution, for the Beta schedule.
#pragma once

namespace lowrank::sampling {

// Regularised incomplete beta function I_x(alpha, beta): the probability below x. x in 0…1, alpha, beta > 0;
// absolute error about 1e-14. Source: continued fraction of DLMF 8.17.22, evaluated by Lentz's method.
double incomplete_beta(double x, double alpha, double beta);

// The x with incomplete_beta(x) = probability; absolute error about 1e-13. probability in 0…1.
double beta_quantile(double probability, double alpha, double beta);

}  // namespace lowrank::sampling
