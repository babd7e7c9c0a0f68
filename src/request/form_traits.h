// How a form shows a field of a request or an option of a training, where that differs from the row's own default and
// range: what A1111's page offers a person, where its API offers a program something else.
#pragma once

#include <limits>
#include <string_view>

namespace lowrank::request {

struct FormTraits {
  // What a new form has, as the command line writes it; "": the row's default.
  std::string_view first_value = {};
  // The ends of a slider; infinite: the row's. Beyond them a number can be typed, within the row's range.
  double min = -std::numeric_limits<double>::infinity(), max = std::numeric_limits<double>::infinity();
  double step = 0;  // from one position of a slider to the next; 0: 1
};

}  // namespace lowrank::request
