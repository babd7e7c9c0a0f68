// The order in which people expect file names: letters without regard to case, runs of digits by their value,
// so that "v2" comes before "v10". Folders count as part of the name.
#pragma once

#include <string>
#include <string_view>

namespace lowrank::formats {

// A strict order; names that differ only in case are ordered by their bytes.
bool natural_less(std::string_view a, std::string_view b);

// Bytes whose plain order is the natural one, for a database: natural_less(a, b) exactly when natural_key(a)
// < natural_key(b).
std::string natural_key(std::string_view name);

}  // namespace lowrank::formats
