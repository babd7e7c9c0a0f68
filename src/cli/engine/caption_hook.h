// Captions by another program: one that is run for each picture, or one that is asked over HTTP.
#pragma once

#include <filesystem>
#include <stop_token>
#include <string>

namespace lowrank::cli {

// Runs `command` in the shell with the picture's path as a further argument; what it prints is the caption. Throws
// Error(kBadInput) naming the picture when it fails, prints nothing, or prints what is not UTF-8; kCancelled when stopped.
std::string caption_by_command(const std::string& command, const std::filesystem::path& picture,
                               const std::stop_token& stop);

// Sends {"image": BASE64, "file_name": NAME, "model": "clip"} as JSON by POST, which is A1111's /sdapi/v1/interrogate too.
// The answer is JSON with a text `caption`, or plain text. Throws Error naming the picture and what was answered.
std::string caption_by_url(const std::string& url, const std::filesystem::path& picture);

}  // namespace lowrank::cli
