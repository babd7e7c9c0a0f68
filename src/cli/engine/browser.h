// The user's web browser.
#pragma once

#include <string>

namespace lowrank::cli {

// Shows `url` as the desktop does it. Does nothing, and says nothing, where there is no desktop or no xdg-open.
void open_in_browser(const std::string& url);

}  // namespace lowrank::cli
