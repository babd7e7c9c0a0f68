// Which optimisers can be asked for, and their arguments; the rows stand in optimiser_rows.inc.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lowrank::request {

struct OptimiserRow {
  std::string_view name;       // kohya's
  std::string_view arguments;  // "betas=0.9,0.999 eps=1e-8": what --optimizer-args takes, with defaults
  std::string_view help;
};

std::span<const OptimiserRow> optimiser_table();
std::vector<std::string> optimiser_names();
// Upper and lower case count alike, and a class may stand in its package: "prodigyopt.Prodigy". Throws Error(kBadInput)
// naming the choices.
const OptimiserRow& optimiser(std::string_view name);

// The arguments of one optimiser: the row's defaults, and over them what a user chose. Reading one that the row does not
// have is a fault of the program.
class OptimiserArguments {
 public:
  // `chosen` is kohya's form, "betas=0.9,0.99 weight_decay=0.1", parted by blanks. Throws Error(kBadInput) naming the
  // argument that is unknown or out of its range.
  OptimiserArguments(const OptimiserRow& row, std::string_view chosen);

  double number(std::string_view name, std::size_t place = 0) const;
  bool is_on(std::string_view name) const { return number(name) != 0; }
  std::optional<double> number_or_none(std::string_view name) const;
  // What was chosen, "betas=0.9,0.99", in the row's order and spelled the same however it was written.
  const std::map<std::string, std::string, std::less<>>& chosen() const { return chosen_; }
  void choose(std::string_view name, std::string_view value);

 private:
  const OptimiserRow& row_;
  std::map<std::string, std::vector<double>, std::less<>> values_;  // empty: None
  std::map<std::string, std::string, std::less<>> chosen_;
};

// With --weight-decay, where it is set. Throws Error(kBadInput) where both are given and differ.
OptimiserArguments optimiser_arguments(std::string_view name, std::string_view chosen,
                                       std::optional<double> weight_decay);

// Whether it estimates the size of its steps itself, so that the learning rate is a factor that is usually 1.
bool finds_its_rate(const OptimiserRow& row);

}  // namespace lowrank::request
