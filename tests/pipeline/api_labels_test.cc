// The reader of A1111's API bodies and the table of fields name the same things alike.
#include <gtest/gtest.h>

#include <algorithm>

#include "prompt/generators/readers.h"
#include "request/field_table.h"

namespace lowrank {
namespace {

TEST(ApiLabels, AreThoseOfTheFieldTable) {
  const auto labels = prompt::a1111_api_labels();
  for (const auto& [api, label] : labels) {
    const request::FieldRow* row = request::field_by_api(api);
    ASSERT_NE(row, nullptr) << api;
    EXPECT_EQ(row->infotext, label) << api;
  }
  // Nothing that a picture's text can say is passed over in a body.
  for (const request::FieldRow& row : request::field_table())
    if (!row.infotext.empty()) {
      EXPECT_EQ(std::ranges::count(labels, row.api, &std::pair<std::string_view, std::string_view>::first), 1)
          << row.api;
    }
}

}  // namespace
}  // namespace lowrank
