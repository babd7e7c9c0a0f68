// The text with a picture's settings, wherever a command line names it.
#pragma once

#include <string>

namespace lowrank::cli {

// The settings text of a picture, of a text file, or the text itself when it names no file. Throws Error for
// a picture without settings.
std::string infotext_of(const std::string& file_or_text);

}  // namespace lowrank::cli
