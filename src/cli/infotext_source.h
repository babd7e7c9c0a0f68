// The settings of a picture or text, wherever a command line names one.
#pragma once

#include <string>

#include "prompt/generators/generators.h"

namespace lowrank::cli {

// Those of a picture, of a text file, or the text itself when it names no file. Throws Error for a picture without
// settings, and for what looks like the name of a file that is not there.
prompt::PictureSettings settings_of(const std::string& file_or_text);

// On standard error, one line each.
void print_notes(const std::string& source, const prompt::PictureSettings& settings);

}  // namespace lowrank::cli
